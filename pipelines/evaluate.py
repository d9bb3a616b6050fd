"""Score one run on the test split of every domain: scores.json, errors.csv and evaluation.json in runs/<run>.

Of six-task variants confusion.csv, and metrics.json for `dvc metrics`, as well. MLflow gets a picture of predictions on
each domain.

python -m pipelines evaluate mult-shared-s0
"""

from pathlib import Path

import torch

from mult import params, stage, tracking
from mult.data.store import open_split
from mult.evaluation.evaluator import evaluate, figures, write_confusion, write_scores
from mult.files import read_json, write_json
from mult.models import registry
from mult.outs import whole
from mult.progress import Stopwatch
from mult.reports.panel import panel
from mult.tasks import TASKS
from mult.training.distributed import device_of


def main(name: str) -> None:
    scale = params.load().scale
    folder = Path("runs") / name
    model, config = registry.load_model(folder)
    about = tracking.about(config)
    trained_by = read_json(whole(folder / "run.json"))["mlflow_run_id"]
    tags = about | {"stage": "evaluate", "trained_by": trained_by}
    inputs = [Path("data") / domain for domain in scale.domains]
    device = device_of(scale.hardware)
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
                device,
                scale.shifts,
                scale.hardware.workers,
            )
        tracked.log(figures(scores))
        for domain in [domain for domain in scale.domains if domain in scores]:
            split = open_split(Path("data") / domain, "test")
            tracked.show(f"predictions/{domain}.png", panel(model, config, split, device))
    write_scores(folder, scores)
    if config["study"] == "six":
        home = scores[scale.train_domain]
        write_confusion(folder, home.confusion, config["classes"])
        main_figures = {task: of[TASKS[task].metric] for task, of in home.figures.items() if TASKS[task].metric in of}
        write_json(folder / "metrics.json", {task: float(f"{value:.4g}") for task, value in main_figures.items()})
    write_json(folder / "evaluation.json", {"mlflow_run_id": tracked.id, "wall_s": clock.seconds()})
