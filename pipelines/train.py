"""Train one run into runs/<run>: model.safetensors, model.json, history.csv and run.json.

python -m pipelines train mult-shared-s0
"""

from pathlib import Path

import pandas as pd
import yaml

from mult import params, runs, stage, tracking
from mult.data.store import Split, open_split
from mult.files import atomic, write_json
from mult.runs import Run


def main(name: str) -> None:
    settings = params.load()
    run = runs.resolve(settings, name)
    home = Path("data") / settings.scale.train_domain
    data = {split: open_split(home, split) for split in ("train", "val")}
    config = model_config(settings, run, data["train"])
    about = {
        "study": run.study,
        "tasks": "+".join(run.tasks),
        "attention": run.attention,
        "reference": run.reference,
        "seed": str(run.seed),
        "scale": settings.scale.name,
    }
    shown = about | {"lr": settings.scale.training.lr, "steps": settings.scale.training.steps}
    with tracking.stage_run(name, shown, about | {"stage": "train"}, [home]) as tracked:
        tracked.log_text(yaml.safe_dump(config, sort_keys=False), "config.yaml")
        facts = fit(settings, run, config, data, tracked)
        write_json(
            Path("runs") / name / "run.json",
            {"mlflow_run_id": tracked.id, "git_commit": tracking.git_commit()} | facts,
        )


def model_config(settings: params.Params, run: Run, train: Split) -> dict:
    """What model.json says of a run before it is trained."""
    scale = settings.scale
    return {
        "run": run.name,
        "study": run.study,
        "scale": scale.name,
        "model": run.model,
        "tasks": list(run.tasks),
        "attention": run.attention,
        "reference": run.reference,
        "seed": run.seed,
        "classes": list(train.classes),
        "train_domain": scale.train_domain,
        "train_images": len(train),
        "image_size": scale.image_size,
        "encoder": run.encoder,
        "decoder": run.decoder,
        "consistency": run.consistency and run.consistency.model_dump(),
    }


def fit(settings: params.Params, run: Run, config: dict, data: dict[str, Split], tracked: tracking.Run) -> dict:
    """Train, keep the model and its history; returns what run.json says of the training."""
    # Late, so that --help and errors in params.yaml come at once.
    from mult.evaluation.metrics import Score
    from mult.models import constant, cost, registry
    from mult.tasks import outputs
    from mult.training.consistency import Consistency
    from mult.training.trainer import History, device_of, train

    folder = Path("runs") / run.name
    losses = {task: settings.losses[task] for task in run.tasks}
    device = device_of(settings.scale.training)
    if run.model == "constant":
        model, history = constant.fit(data["train"], outputs(run.tasks, len(config["classes"]))), History()
    else:
        model = registry.build(config)
        classes, extra = len(config["classes"]), None
        if run.consistency:
            extra = Consistency(outputs(run.tasks, classes), run.consistency, run.seed)
        with stage.working("training"):
            history = train(
                model,
                data,
                losses,
                settings.scale.training,
                run.seed,
                log=tracked.log,
                scorer=lambda: Score(run.tasks, classes, only_main=True),
                extra=extra,
                label=run.name,
            )
    costs = {"params_m": cost.parameters_m(model), "gmacs": cost.gmacs(model, settings.scale.image_size)}
    registry.save_model(folder, model, config | costs)
    with atomic(folder / "history.csv", "w") as file:
        # What is measured in seconds would differ each time.
        columns = [c for c in pd.DataFrame(history.rows).columns if not c.startswith("time/")]
        pd.DataFrame(history.rows, columns=columns or ["step"]).to_csv(file, index=False)
    return {"wall_s": history.seconds, "device": str(device), "best_step": history.best_step}
