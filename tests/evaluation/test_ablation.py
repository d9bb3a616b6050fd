import numpy as np
import pandas as pd
import pytest

from mult.evaluation import stats
from mult.evaluation.ablation import ALL, Errors, ablation, greatest_difference, noise
from mult.params import Comparison
from mult.tasks import TASKS
from tests.evaluation.test_studies import rows_of

SEEDS = range(4)
ROOMS = [f"room-{i}" for i in range(12)]
QUESTION = [Comparison(variant="shared", base="skip", asks="does it help")]


@pytest.fixture
def study(tmp_path):
    """Runs of two variants: `shared` has a tenth less error in depth, the same but for noise elsewhere."""
    results = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for variant, share in (("shared", 0.9), ("skip", 1.0)):
            rows = []
            for domain in ("home", "away"):
                for task in TASKS:
                    level = 10 * (share if task == "depth" else 1)
                    rooms = level + rng.normal(0, 0.05 if task == "depth" else 1, (2, len(ROOMS)))
                    rows += [(domain, task, i, ROOMS[i % 12], e) for i, e in enumerate(rooms.ravel())]
                results += rows_of(f"mult-{variant}", "six", "", dict.fromkeys(TASKS, share), seed, domain)
            folder = tmp_path / f"mult-{variant}-s{seed}"
            folder.mkdir()
            frame = pd.DataFrame(rows, columns=["domain", "task", "image", "group", "error"])
            frame.to_csv(folder / "errors.csv", index=False)
    return Errors(tmp_path), pd.DataFrame(results)


def test_an_effect_is_found_where_it_is_and_nowhere_else(study):
    table = ablation(*study, QUESTION, SEEDS, "home").set_index(["domain", "task"])
    assert len(table) == 2 * 7
    for domain in ("home", "away"):
        row = table.loc[(domain, "depth")]
        assert row["verdict"] == "better"
        assert row["low"] < 10 < row["high"]
        assert row["p"] <= row["p_holm"] <= 0.05
        assert (row["seeds"], row["rooms"]) == (4, 12)
        assert row["figure_gain"] == pytest.approx(10)
    others = table[~table.index.get_level_values("task").isin(["depth", ALL])]
    assert set(others["verdict"]) == {"no evidence"}
    assert (others["detectable"] > 1).all()
    assert table.loc[("home", ALL), "gain"] == pytest.approx(10 / 6, abs=1.5)


def test_a_domain_has_rows_of_the_tasks_that_it_has_alone(study):
    errors, results = study
    for path in errors.folder.glob("*/errors.csv"):
        frame = pd.read_csv(path)
        away = frame["domain"] == "away"
        frame.loc[away & (frame["task"] == "edges"), "error"] = np.nan  # not a valid pixel in the whole split
        frame[~(away & (frame["task"] == "semseg"))].to_csv(path, index=False)
    table = ablation(errors, results, QUESTION, SEEDS, "home")
    by_domain = table.groupby("domain")["task"].agg(set)
    assert by_domain["home"] == {*TASKS, ALL}
    assert by_domain["away"] == {*TASKS, ALL} - {"semseg", "edges"}
    assert table["gain"].notna().all()


def test_numbers_are_those_of_rooms_not_of_images(study):
    errors, results = study
    row = ablation(errors, results, QUESTION, SEEDS, "home").set_index(["domain", "task"]).loc[("home", "normal")]
    frames = {
        v: [pd.read_csv(errors.folder / f"mult-{v}-s{s}" / "errors.csv").query("domain == 'home'") for s in SEEDS]
        for v in ("shared", "skip")
    }
    a, b = (
        np.stack([f[f["task"] == "normal"].groupby("group")["error"].mean().to_numpy() for f in frames[v]])
        for v in ("shared", "skip")
    )
    found = stats.interval(a, b)
    assert (row["gain"], row["low"], row["high"]) == pytest.approx(
        (found.percent, found.percent_low, found.percent_high)
    )
    assert row["p"] == pytest.approx(stats.crossed_test(a, b))
    percent = 100 / b.mean() * np.array(stats.bootstrap_interval(a, b))
    assert (row["low_bootstrap"], row["high_bootstrap"]) == pytest.approx(tuple(percent))


def test_what_is_adjusted_together(study):
    errors, results = study
    swapped = [*QUESTION, Comparison(variant="skip", base="shared", asks="and back")]
    table = ablation(errors, results, swapped, SEEDS, "home")
    questions = table[(table["task"] == ALL) & (table["domain"] == "home")]
    assert questions["p_holm"].tolist() == pytest.approx(stats.holm(questions["p"]))
    single = table[(table["comparison"] == "shared over skip") & (table["task"] != ALL)]
    assert single["p_holm"].tolist() == pytest.approx(stats.holm(single["p"]))


def test_one_seed_says_nothing(study):
    table = ablation(*study, QUESTION, [0], "home")
    assert table["low"].isna().all()
    assert set(table["verdict"]) == {"no evidence"}


def test_noise_and_controls():
    rows = [row for seed, v in enumerate((1.0, 2.0)) for row in rows_of("mult-shared", "six", "", {"depth": v}, seed)]
    rows += rows_of("control-x", "control", "", {"depth": 1.25})
    results = pd.DataFrame(rows)
    assert noise(results, "mult-shared", "home")["depth"] == pytest.approx(100 * 0.5**0.5 / 1.5)
    assert greatest_difference(results, "control-x-s0", "mult-shared-s0") == (0.25, 2)
