import pytest

from mult import params
from mult.bench import clones, data, memory, pipeline, train
from mult.files import read_json, write_json
from tests.conftest import ROOT


@pytest.mark.slow
def test_every_case_of_training_is_timed_against_the_plain_one(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("mult.bench.report.FOLDER", tmp_path)
    table = train.bench(params.load(scale="smoke"), steps=2, rounds=1)
    assert list(table["case"]) == list(train.CASES)
    assert table["over_plain"].iloc[0] == 1
    assert (table[["images_per_s", "memory_mb", "checkpoint_s", "resume_s"]] > 0).all(axis=None)
    assert table["waiting_percent"].between(0, 100).all()
    assert (tmp_path / "train-smoke.md").is_file()


def test_reading_is_timed_against_png_files(tmp_path, monkeypatch):
    monkeypatch.setattr("mult.bench.report.FOLDER", tmp_path)
    table = data.bench(32, images=8, batch=3, rounds=1).set_index(["source", "read"])
    assert (table["images_per_s"] > 0).all()
    for read in ("codes", "batches", "batches, a worker"):
        assert table.loc[(data.REFERENCE, read), "over_png"] == 1
        for source in ("packed shards", "store"):
            ratio = table.loc[(source, read), "images_per_s"] / table.loc[(data.REFERENCE, read), "images_per_s"]
            assert table.loc[(source, read), "over_png"] == pytest.approx(ratio)
    kept = read_json(tmp_path / "data.json")
    assert len(kept["rows"]) == 9
    assert kept["command"] == "mult bench data --size 32"
    assert "cores of" in kept["machine"]


def test_all_that_is_timed_gives_the_same_batches(tmp_path):
    import torch

    from mult.data.batches import read
    from mult.tasks import TASKS

    opens = data.write_all(tmp_path, 32, 5)
    theirs, *others = (read(opened(), list(TASKS), range(5)) for opened in opens.values())
    for ours in others:
        assert torch.equal(ours.rgb, theirs.rgb)
        for task in TASKS:
            assert torch.equal(ours.targets[task], theirs.targets[task]), task
            assert torch.equal(ours.masks[task], theirs.masks[task]), task


def test_more_jobs_are_compared_with_one(tmp_path, monkeypatch):
    monkeypatch.setattr("mult.bench.report.FOLDER", tmp_path)
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 2)
    seconds = {"1": 20.0, "2": 11.0}

    def clone(folder, changes):
        (folder / ".mult" / "peaks").mkdir(parents=True)
        for stage, peak in (("train_single@depth-0", 310.0), ("train_single@edges-0", 330.5), ("prepare@doom", 90.0)):
            write_json(folder / ".mult" / "peaks" / f"{stage}.json", {"peak_mb": peak})
        write_json(folder / ".mult" / "last_repro.json", {"stages": 5, "work_cpu_s": {"training": 15.0}})
        return folder

    monkeypatch.setattr(pipeline, "cloned", clone)
    monkeypatch.setattr(pipeline, "repro", lambda clone, *a: seconds[a[-1]] if "--jobs" in a else 2.0)
    table = pipeline.bench(10).set_index("jobs")
    assert table.loc[2, "speedup"] == pytest.approx(20 / 11)
    assert table.loc[1, "beside_s"] == pytest.approx(1.0)
    assert table.loc[2, "work_percent"] == pytest.approx(100 * 15 / 22)
    assert set(table["peak_mb"]) == {330}


def test_memory_is_measured_of_every_kind_of_stage(tmp_path, monkeypatch):
    monkeypatch.setattr("mult.bench.report.FOLDER", tmp_path)

    def clone(folder, changes):
        (folder / ".mult" / "peaks").mkdir(parents=True)
        for stage, peak in (("train_single@depth-0", 310.0), ("train_single@edges-0", 330.7), ("prepare@doom", 90.0)):
            write_json(folder / ".mult" / "peaks" / f"{stage}.json", {"peak_mb": peak + len(changes)})
        return folder

    monkeypatch.setattr(memory, "cloned", clone)
    monkeypatch.setattr(memory, "repro", lambda clone: 1.0)
    memory.bench()
    assert read_json(tmp_path / "memory.json")["rows"] == [
        {"stage": "prepare", "stages": 1, "peak_mb": 90, "more_images_mb": 91, "larger_model_mb": 91},
        {"stage": "train_single", "stages": 2, "peak_mb": 331, "more_images_mb": 332, "larger_model_mb": 332},
    ]


def test_clones_have_more_images_and_larger_models(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    before = params.load(scale="smoke").scale
    changes = memory.RUNS["more_images_mb"] | memory.RUNS["larger_model_mb"]
    after = params.load(clones.cloned(tmp_path / "clone", changes) / "params.yaml").scale
    assert after.name == "smoke"
    assert after.encoder.options["embed_dim"] == memory.TIMES * before.encoder.options["embed_dim"]
    for name, domain in before.domains.items():
        for split in ("train", "val", "test"):
            assert getattr(after.domains[name], split) == memory.TIMES * getattr(domain, split), (name, split)
