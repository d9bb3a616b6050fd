"""Score one run on the test split of every domain: scores.json, errors.csv and evaluation.json in runs/<run>.

python -m pipelines evaluate mult-shared-s0
"""

from pathlib import Path

import pandas as pd
import torch

from mult import params, stage, tracking
from mult.evaluation.evaluator import DomainScores, evaluate
from mult.files import atomic, read_json, write_json
from mult.models import registry
from mult.progress import Stopwatch
from mult.training.distributed import device_of


def main(name: str) -> None:
    scale = params.load().scale
    folder = Path("runs") / name
    model, config = registry.load_model(folder)
    about = {key: str(config[key]) for key in ("study", "attention", "reference", "balancing", "seed", "scale")}
    about["tasks"] = "+".join(config["tasks"])
    trained_by = read_json(folder / "run.json")["mlflow_run_id"]
    tags = about | {"stage": "evaluate", "trained_by": trained_by}
    inputs = [Path("data") / domain for domain in scale.domains]
    with tracking.stage_run(f"score {name}", about, tags, inputs, context="evaluation") as tracked:
        clock = Stopwatch()
        torch.set_num_threads(scale.hardware.threads)  # another number adds in another order
        with stage.working("scoring"):
            scores = evaluate(
                model,
                config,
                list(scale.domains),
                Path("data"),
                scale.score_batch,
                device_of(scale.hardware),
                scale.shifts,
            )
        for name, of in scores.items():
            section = name.replace("+", "-")  # MLflow allows no plus sign
            tracked.log({f"{section}/{t}_{m}": v for t, figures in of.figures.items() for m, v in figures.items()})
    write_json(folder / "scores.json", {d: _shown(s) for d, s in scores.items()})
    with atomic(folder / "errors.csv", "w") as file:
        _errors(scores).to_csv(file, index=False, float_format="%.6g")
    write_json(folder / "evaluation.json", {"mlflow_run_id": tracked.id, "wall_s": clock.seconds()})


def _shown(scores: DomainScores) -> dict:
    return {"n_images": scores.n_images, "data_digest": scores.data_digest} | scores.figures


def _errors(scores: dict[str, DomainScores]) -> pd.DataFrame:
    rows = [
        (domain, task, image, of.groups[image], error)
        for domain, of in scores.items()
        for task, errors in of.errors.items()
        for image, error in enumerate(errors)
    ]
    return pd.DataFrame(rows, columns=["domain", "task", "image", "group", "error"])
