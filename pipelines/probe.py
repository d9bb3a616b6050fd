"""Change the attention maps of one trained run and score it anew: probes.csv and probe.json in runs/<run>.

python -m pipelines probe mult-shared-s0
"""

from pathlib import Path

import torch

from mult import params, stage, tracking
from mult.data.store import open_split
from mult.evaluation.probes import probe
from mult.files import atomic, read_json, write_json
from mult.models import registry
from mult.outs import whole
from mult.progress import Stopwatch
from mult.training.distributed import device_of


def main(name: str) -> None:
    scale = params.load().scale
    folder = Path("runs") / name
    model, config = registry.load_model(folder)
    home = Path("data") / config["train_domain"]
    about = tracking.about(config)
    tags = about | {"stage": "probe", "trained_by": read_json(whole(folder / "run.json"))["mlflow_run_id"]}
    with tracking.stage_run(f"probe {name}", about, tags, [home], context="evaluation") as tracked:
        clock = Stopwatch()
        torch.set_num_threads(scale.hardware.threads)  # another number adds in another order
        with stage.working("scoring"):
            split = open_split(home, "test")
            scores = probe(model, config, split, scale.score_batch, device_of(scale.hardware), scale.probe_images)
        changes = zip(scores.rows["probe"], scores.rows["task"], scores.rows["change"], strict=True)
        tracked.log({f"{of.replace(' ', '-')}/{task}_percent": change for of, task, change in changes})
    with atomic(folder / "probes.csv", "w") as file:
        scores.rows.to_csv(file, index=False)  # all digits: the tables say where none has changed
    seen = {"n_images": scores.n_images, "data_digest": scores.data_digest}
    write_json(folder / "probe.json", {"mlflow_run_id": tracked.id, "wall_s": clock.seconds()} | seen)
