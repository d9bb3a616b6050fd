"""Which files of a run the tables and MLflow's marks come from."""

import pandas as pd
import pytest

from mult.errors import UserError
from mult.evaluation.results import collect, load_probes, run_ids
from mult.files import write_json


def write_run(folder, *files):
    for name in files:
        write_json(folder / name, {"mlflow_run_id": f"{folder.name} {name}", "n_images": 8})


def test_ids_of_trainings_scorings_and_of_the_probings_that_are_asked_for(tmp_path):
    for name in ("mult-shared-s0", "mult-shared-s1"):
        write_run(tmp_path / name, "run.json", "evaluation.json", "probe.json")
    ids = run_ids(["mult-shared-s0", "mult-shared-s1"], ["mult-shared-s0"], folder=tmp_path)
    assert ids == {
        *(f"mult-shared-s{seed} {file}" for seed in (0, 1) for file in ("run.json", "evaluation.json")),
        "mult-shared-s0 probe.json",
    }, "not of a probing that an earlier params.yaml wanted"


def test_a_run_that_lacks_a_file_is_one_line(tmp_path):
    write_run(tmp_path / "mult-shared-s0", "model.json", "run.json", "scores.json")
    with pytest.raises(UserError, match=r"mult-shared-s0: evaluation\.json is missing; `make repro`"):
        collect(["mult-shared-s0"], "laptop", tmp_path)


def test_probes_of_several_runs(tmp_path):
    for name in ("mult-shared-s0", "mult-skip-s0"):
        write_run(tmp_path / name, "probe.json")
        pd.DataFrame({"probe": ["none"], "value": [1.0]}).to_csv(tmp_path / name / "probes.csv", index=False)
    rows = load_probes(["mult-shared-s0", "mult-skip-s0"], tmp_path)
    assert list(rows["run"]) == ["mult-shared-s0", "mult-skip-s0"]
    assert set(rows["probe"]) == {"none"}, "a name, not a missing value"
    assert set(rows["n_images"]) == {8}
    with pytest.raises(UserError, match=r"mult-self-s0: probes\.csv is missing; `make repro`"):
        load_probes(["mult-self-s0"], tmp_path)
