import pytest

from mult import params
from mult.bench import model
from mult.cli import main
from tests.bench import read_bench
from tests.conftest import ROOT


@pytest.mark.slow
def test_every_variant_is_timed_in_both_forms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(model, "ROOT", ROOT)
    settings = params.load(ROOT / "params.yaml", scale="smoke")
    table = model.bench(settings, ["self", "shared"], rounds=2, batch=2, precision="bfloat16")
    kept = read_bench(tmp_path, "model-smoke-batch2-bfloat16")
    assert list(zip(kept["variant"], kept["form"], strict=True)) == [
        (variant, form) for variant in ("self", "shared") for form in ("fast", "loop")
    ]
    assert (kept[["step_ms", "infer_ms", "params_m", "gmacs", "of_peak", "memory_mb"]] > 0).all(axis=None)
    row = table.set_index(["variant", "form"])
    assert row.loc[("shared", "fast"), "promised %"] > 0
    ratio = row.loc[("shared", "loop"), "step_ms"] / row.loc[("shared", "fast"), "step_ms"]
    assert row.loc[("shared", "fast"), "gain %"] == pytest.approx(100 * (ratio - 1))
    assert "GMAC/s here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--variants", "sharde"], "'sharde' is none of self, skip"),
        (["--rounds", "0"], "--rounds: 0 is below 1"),
        (["--batch", "0"], "--batch: 0 is below 1"),
    ],
)
def test_mistakes_are_one_line(arguments, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match=words):
        main(["bench", "model", *arguments])
