"""Train one run into runs/<run>: model.safetensors, model.json, history.csv, run.json; for some affinity.csv as well.

python -m pipelines train mult-shared-s0
torchrun --nproc-per-node 2 -m pipelines train mult-shared-s0      the same, where hardware.processes is 2
"""

import os
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from mult import params, runs, stage, tracking
from mult.data.batches import tasks_of
from mult.data.store import Split, open_split, splits_of
from mult.errors import UserError
from mult.files import atomic, write_json
from mult.launch import launch
from mult.process import LAUNCHER, die_with_parent
from mult.runs import Run
from mult.tasks import outputs
from mult.training.checkpoint import FOLDER, Checkpoints, fingerprint
from mult.training.distributed import World, device_of, joined, must_launch

Kept = dict[str, Any]  # what a checkpoint holds
# What a checkpoint depends on besides parameters and data: what dvc.yaml's training stages depend on.
CODE = [
    Path(name)
    for name in (
        "pipelines/train.py", "src/mult/runs.py", "src/mult/tasks.py", "src/mult/seeding.py", "src/mult/data/store.py",
        "src/mult/data/batches.py", "src/mult/data/encoding.py", "src/mult/data/classes.py",
        "src/mult/data/augment.py", "src/mult/data/loader.py", "src/mult/models", "src/mult/baselines",
        "src/mult/training",
    )
]  # fmt: skip


def main(name: str) -> None:
    settings = params.load()
    run = runs.resolve(settings, name)
    alone = run.study == "constant" or run.consistency  # that loss is not joined over processes
    processes = 1 if alone else settings.scale.hardware.processes
    launching = must_launch(processes)
    home = Path("data") / settings.scale.train_domain
    data = training_data(home, run, settings.scale.training.batch_size)
    if launching:
        if LAUNCHER not in os.environ:
            device_of(settings.scale.hardware, processes - 1)
        tracking.connect()  # which may make the store: no process of several is to be ended in the middle of that
        launch("pipelines.train", [name], processes)
        return
    config = model_config(settings, run, data["train"])
    with joined(settings.scale.hardware) as (world, device):
        checkpoints, kept = checkpoints_of(settings, run, config, data["train"].digest)
        found = kept and kept["state"]["step"]
        if world.agree(found) != found:
            raise UserError(
                f"{checkpoints.folder}: process {world.rank} finds other checkpoints there than the first one; let all "
                "hosts share that folder, or delete it"
            )
        with _tracked(settings, config, home, kept, world) as tracked:
            facts = fit(settings, run, config, data, tracked, (world, device), (checkpoints, kept))
            if world.first:
                about = {"mlflow_run_id": tracked.id, "git_commit": tracking.git_commit()}
                write_json(out := Path("runs") / name / "run.json", about | facts)
    if world.first:
        checkpoints.ended(out)


def training_data(home: Path, run: Run, batch_size: int) -> dict[str, Split]:
    """The splits train and val; train alone where the data set has no val, as NYUv2.

    Raises:
        UserError: there are none, or fewer images than a batch, or the domain lacks one of the run's tasks.
    """
    data = {"train": open_split(home, "train")}
    if "val" in splits_of(home):
        data["val"] = open_split(home, "val")
    if missing := [task for task in run.tasks if task not in tasks_of(data["train"])]:
        raise UserError(
            f"{home}: no labels for {', '.join(missing)}, so {run.name} cannot be trained on it; choose another "
            "train_domain in params.yaml"
        )
    if run.study != "constant" and len(data["train"]) < batch_size:
        raise UserError(
            f"{home}: {len(data['train'])} training images are fewer than training.batch_size ({batch_size}); write a "
            "smaller one in params.yaml"
        )
    if "val" not in data and run.study != "constant":
        print(f"{home}: no val split to choose weights by; {run.name} keeps those of its last step", file=sys.stderr)
    return data


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
        "balancing": run.balancing,
        "seed": run.seed,
        "classes": list(train.classes),
        "train_domain": scale.train_domain,
        "train_images": len(train),
        "image_size": scale.image_size,
        "encoder": run.encoder,
        "decoder": run.decoder,
        "consistency": run.consistency and run.consistency.model_dump(),
    }


def checkpoints_of(
    settings: params.Params, run: Run, config: dict, data_digest: str
) -> tuple[Checkpoints, Kept | None]:
    """Where a run's checkpoints are, and what the newest of them holds."""
    scale = settings.scale
    losses = {task: settings.losses[task].model_dump() for task in config["tasks"]}
    covered = [config, losses, scale.training.model_dump(), run.affinity_every, data_digest, torch.__version__]
    folder = FOLDER / f"{scale.name}-{run.name}" / fingerprint(covered, CODE)
    checkpoints = Checkpoints(folder, scale.hardware.checkpoint_s)
    return checkpoints, checkpoints.newest()


def _tracked(settings: params.Params, config: dict, home: Path, kept: Kept | None, world: World):
    """The first process's MLflow run, gone on with where there is a checkpoint of it; others say nothing."""
    if not world.first:
        return nullcontext(tracking.Silent())
    about = tracking.about(config)
    shown = about | {"lr": settings.scale.training.lr, "steps": settings.scale.training.steps}
    return tracking.stage_run(
        config["run"],
        shown,
        about | {"stage": "train"},
        [home],
        texts={"config.yaml": yaml.safe_dump(config, sort_keys=False)},
        resume=kept and kept["mlflow_run_id"],
    )


def fit(
    settings: params.Params,
    run: Run,
    config: dict,
    data: dict[str, Split],
    tracked: tracking.Run,
    place: tuple[World, torch.device],
    begun: tuple[Checkpoints, Kept | None],
) -> dict:
    """Train, keep the model and its history; returns what run.json says of the training."""
    # Late, so that errors in params.yaml come at once.
    from mult.models import constant, cost, registry
    from mult.training.affinity import COLUMNS
    from mult.training.trainer import History, train

    (world, device), (checkpoints, kept) = place, begun
    if run.study == "constant":
        model, history = constant.fit(run.model, data["train"], list(run.tasks)), History()
    else:
        model = registry.build(config)
        with stage.working("training"):
            trained = train(
                model,
                job_of(settings, run, data),
                device,
                world,
                tracked.log,
                checkpoints,
                kept and kept["state"],
                note={"mlflow_run_id": tracked.id},
            )
        history = trained.history
        if world.first:
            model = registry.build(config | {"encoder": config["encoder"] | {"pretrained": False}})
            model.load_state_dict(trained.weights)
    if world.first:
        costs = {"params_m": cost.parameters_m(model), "gmacs": cost.gmacs(model, settings.scale.image_size)}
        registry.save_model(Path("runs") / run.name, model, config | costs)
        with atomic(Path("runs") / run.name / "history.csv", "w") as file:
            pd.DataFrame(history.rows, columns=None if history.rows else ["step"]).to_csv(file, index=False)
        if run.affinity_every is not None:
            with atomic(Path("runs") / run.name / "affinity.csv", "w") as file:
                pd.DataFrame(history.affinities, columns=COLUMNS).to_csv(file, index=False)
    return {"wall_s": history.seconds, "device": str(device), "best_step": history.best_step}


def job_of(settings: params.Params, run: Run, data: dict[str, Split]):
    """A run as the trainer wants it."""
    from mult.baselines.consistency import Consistency
    from mult.training.trainer import Job

    classes = len(data["train"].classes)
    extra = run.consistency and Consistency(outputs(run.tasks, classes), run.consistency, run.seed)
    return Job(
        data,
        {task: settings.losses[task] for task in run.tasks},
        classes,
        settings.scale.training.model_copy(update={"balancing": run.balancing}),
        settings.scale.hardware,
        run.seed,
        run.name,
        extra,
        run.affinity_every or 0,
    )


if __name__ == "__main__":  # one of several processes, under the lock of the one that started them
    die_with_parent()
    sys.exit(stage.exit_code(partial(main, *sys.argv[1:])))
