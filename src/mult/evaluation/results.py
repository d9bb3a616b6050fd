"""results.csv: one row a (run, domain, task, metric), the one source of every table and figure."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mult.errors import UserError
from mult.evaluation.shifts import domain_and_shift
from mult.files import read_json
from mult.outs import whole
from mult.tasks import TASKS

COLUMNS = [
    "run", "study", "model", "attention", "reference", "tasks", "balancing", "scale", "seed", "domain", "shift",
    "task", "metric", "value", "higher_is_better", "n_images", "params_m", "gmacs", "train_images", "wall_s", "device",
    "mlflow_run_id", "git_commit", "data_digest",
]  # fmt: skip
HIGHER = (
    "miou", "pixel_accuracy", "delta1", "delta2", "delta3", "within_", "correlation",
    "ods_f", "ods_precision", "ods_recall", "ois_f", "ap",
)  # fmt: skip


def collect(names: Iterable[str], scale: str, folder: Path = Path("runs")) -> pd.DataFrame:
    """Results of the runs called ``names``, all of them at ``scale``.

    Raises:
        UserError: a run is missing or was altered, or was trained at another scale.
    """
    rows = [row for name in names for row in _rows(folder / name, scale)]
    return pd.DataFrame(rows, columns=COLUMNS)


def run_ids(
    names: Iterable[str], probed: Iterable[str], served: Iterable[str] = (), folder: Path = Path("runs")
) -> set[str]:
    """MLflow ids of the runs called ``names``, trained and scored, and of what ``probed`` and ``served`` became."""
    files = [(name, file) for name in names for file in ("run.json", "evaluation.json")]
    files += [(name, "probe.json") for name in probed]
    files += [(name, "mlflow_model.json") for name in served]
    return {read_json(folder / name / file)["mlflow_run_id"] for name, file in files}


def load_probes(names: Iterable[str], folder: Path = Path("runs")) -> pd.DataFrame:
    """Rows of the probes.csv of the runs called ``names``, with their ``run`` and ``n_images``.

    Raises:
        UserError: a run has not been probed, or its figures were altered.
    """
    tables = []
    for name in names:
        if not (folder / name / "probes.csv").is_file():
            raise UserError(f"{folder / name}: probes.csv is missing; `make repro` probes every run that is to be")
        n_images = read_json(whole(folder / name / "probe.json"))["n_images"]
        tables.append(pd.read_csv(whole(folder / name / "probes.csv")).assign(run=name, n_images=n_images))
    return pd.concat(tables, ignore_index=True)


def load_results(path: Path | str = "reports/results.csv") -> pd.DataFrame:
    """The table as ``collect`` made it."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"reference": str, "git_commit": str})


def _rows(folder: Path, scale: str) -> list[dict]:
    missing = [n for n in ("model.json", "run.json", "scores.json", "evaluation.json") if not (folder / n).is_file()]
    if missing:
        raise UserError(f"{folder}: {missing[0]} is missing; `make repro` trains and scores every run")
    model, run, scores = (read_json(whole(folder / n)) for n in ("model.json", "run.json", "scores.json"))
    if model["scale"] != scale:
        raise UserError(f"{folder}: trained at scale {model['scale']}, not {scale}; `make repro` brings it up to date")
    evaluation = read_json(whole(folder / "evaluation.json"))
    fixed = {
        "run": model["run"],
        "study": model["study"],
        "model": "xtc" if model["consistency"] else model["model"],
        "attention": model["attention"],
        "reference": model["reference"],
        "tasks": "+".join(model["tasks"]),
        "balancing": model["balancing"],
        "scale": scale,
        "seed": model["seed"],
        "params_m": model["params_m"],
        "gmacs": model["gmacs"],
        "train_images": model["train_images"],
        "wall_s": run["wall_s"],
        "device": run["device"],
        "mlflow_run_id": evaluation["mlflow_run_id"],
        "git_commit": run["git_commit"],
    }
    return [
        fixed
        | {
            "domain": domain_and_shift(name)[0],
            "shift": domain_and_shift(name)[1],
            "task": TASKS[task].name,
            "metric": metric,
            "value": float(f"{value:.6g}"),
            "higher_is_better": metric.startswith(HIGHER),
            "n_images": of["n_images"],
            "data_digest": of["data_digest"],
        }
        for name, of in scores.items()
        for task in model["tasks"]
        if task in of  # a domain may lack it
        for metric, value in of[task].items()
    ]
