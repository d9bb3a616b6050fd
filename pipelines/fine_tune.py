"""Train a trained run on a few images of each other domain, and score it there: runs/tuned-<run>, without weights.

python -m pipelines fine_tune mult-shared-s0
"""

from functools import partial
from pathlib import Path

import torch

from mult import params, stage, tracking
from mult.data.store import open_split
from mult.evaluation.evaluator import figures, scorable, score_split, write_scores
from mult.evaluation.fine_tune import few, fine_tune
from mult.evaluation.shifts import NONE, SHIFTS, place
from mult.files import read_json, write_json
from mult.models import registry
from mult.outs import whole
from mult.training.distributed import device_of


def main(name: str) -> None:
    settings = params.load()
    scale = settings.scale
    model, config = registry.load_model(Path("runs") / name)
    folder = Path("runs") / f"tuned-{name}"
    trained_by = read_json(whole(Path("runs") / name / "run.json"))["mlflow_run_id"]
    config |= {"run": folder.name, "study": "fine_tune"}
    home = config["train_domain"]
    places = [(domain, NONE, 0.0) for domain in scale.domains if domain != home]
    places += [(home, shift, strength) for shift, strength in scale.shifts.items()]
    device = device_of(scale.hardware)
    torch.set_num_threads(scale.hardware.threads)
    about = tracking.about(config)
    tags = about | {"stage": "fine_tune", "trained_by": trained_by}
    inputs = [Path("data") / domain for domain in scale.domains]
    with tracking.stage_run(folder.name, about, tags, inputs) as tracked:
        scores, seconds, seen = {}, 0.0, 0
        with stage.working("training"):
            for domain, shift, strength in places:
                data = Path("data") / domain
                if not scorable(config, test := open_split(data, "test")):
                    continue
                if "train" not in read_json(data / "index.json")["splits"]:
                    print(f"{domain}: no images to train on, so none are tried")
                    continue
                picture = None if shift == NONE else partial(SHIFTS[shift], strength=strength)
                images = few(open_split(data, "train"), scale.fine_tune.images, config["classes"], picture)
                tuned, took = fine_tune(model, config, images, settings, device)
                seconds, seen = seconds + took, max(seen, len(images))
                scores[place(domain, shift)] = score_split(
                    tuned, config, test, scale.score_batch, device, shift, strength, workers=scale.hardware.workers
                )
        tracked.log(figures(scores))
    write_scores(folder, scores)
    write_json(folder / "evaluation.json", {"mlflow_run_id": tracked.id})
    write_json(folder / "model.json", config | {"train_images": seen})
    facts = {"mlflow_run_id": tracked.id, "git_commit": tracking.git_commit(), "wall_s": round(seconds, 3)}
    write_json(folder / "run.json", facts | {"device": str(device), "best_step": scale.fine_tune.steps})
