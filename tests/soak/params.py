"""Mutated params.yaml files, and what is accepted of them really trained: nothing may start and end for its settings.

    python -m tests.soak.params --files 5000 --minutes 4    trainings of three steps, as many as fit into the time
    python -m tests.soak.params --pipeline                  the whole pipeline on two files that are just accepted

Prints how many files were accepted and trained, and each that ended in an error; exit code 1 where there is any.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as configure

from mult import preflight
from mult.data.store import open_split
from mult.errors import UserError
from mult.models import registry
from mult.params import Params
from mult.runs import Run, names, resolve
from mult.training.trainer import train
from pipelines.train import job_of, model_config
from tests.conftest import write_domain
from tests.mutations import WHOLE, files
from tests.project import Project, copy_project
from tests.test_params_fuzz import accepted, must_run

STEPS = 3
LARGEST = 64  # pixels, and images of a training: more are trained in the same way
HEAVIEST = 2 * 10**7  # parameters
VARIANTS = "  mine: {attention: mixture, skip: add}\n  yours-2: {attention: dea3, reference: edges}\n"
QUESTION = '  - {variant: mine, base: yours-2, asks: "is 5 % | more <b>$x_1$</b>, größer"}\n'


class Soak:
    """Tries one file after the other; ``faults`` are those that were accepted and ended."""

    def __init__(self, folder: Path, minutes: float):
        self.folder, self.until = folder, time.monotonic() + 60 * minutes
        self.tally: Counter = Counter()
        self.faults: list[str] = []
        self.seen: set[str] = set()

    def __call__(self, text: str) -> None:
        if time.monotonic() > self.until:
            self.tally["not looked at, for the time was up"] += 1
            return
        found = accepted(self.folder / "params.yaml", text)
        self.tally["refused" if found is None else "accepted"] += 1
        if found is None:
            return
        must_run(found)
        trained = [resolve(found, name) for name in names(found) if not name.startswith(("tuned-", "constant"))]
        run = trained[len(text) % len(trained)]
        of = found.scale
        about = [run.model, run.encoder, run.decoder, run.consistency, run.balancing, len(run.tasks), found.losses]
        mark = str([*about, of.image_size, of.training, of.hardware, of.affinity_every, of.fine_tune.images])
        if mark in self.seen:
            return
        self.seen.add(mark)
        try:
            self.tally[self._train(found, run)] += 1
        except Exception as error:
            self.faults.append(f"{run.name}: {type(error).__name__}: {error}\n{mark}")

    def _train(self, found: Params, run: Run) -> str:
        """Train ``run`` for a few steps; returns what became of it."""
        scale = found.scale
        home = scale.domains[scale.train_domain]
        if scale.image_size > LARGEST or not (home.train and home.train <= LARGEST):
            return "too large to be tried"
        try:
            preflight._made(run, lambda: preflight.try_model(run, scale))
        except UserError:
            return "refused before the start"
        place = self.folder / f"{scale.image_size}-{home.train}"
        if not place.exists():
            write_domain(place, scale.image_size, (home.train, 4, 4))
        data = {split: open_split(place, split) for split in ("train", "val")}
        training = scale.training.model_copy(
            update={"steps": STEPS, "warmup_steps": min(scale.training.warmup_steps, 2)}
        )
        simple = {"threads": 1, "processes": 1, "shard": False, "compile": False, "device": "cpu", "workers": 0}
        scale = scale.model_copy(
            update={"training": training, "hardware": scale.hardware.model_copy(update=simple), "affinity_every": 2}
        )
        found = found.model_copy(update={"scale": scale})
        model = registry.build(
            model_config(found, run, data["train"]) | {"encoder": run.encoder | {"pretrained": False}}
        )
        if sum(p.numel() for p in model.parameters()) > HEAVIEST:
            return "too large to be tried"
        train(model, job_of(found, run, data), torch.device("cpu"))
        return "trained"


# Two files at the edge of what is accepted: the least of everything and names of the user's own; and odd values.
LEAST = [
    (r"variants:\n(?:  \S.*\n)+", f"variants:\n{VARIANTS}"),
    (r"controls:\n(?:  \S.*\n)+", "controls: {}\n"),
    (r"sets:\n(?:  - .*\n)+", "sets: []\n"),
    (r"comparisons:\n(?:  - .*\n)+", f"comparisons:\n{QUESTION}"),
    (r"(?m)^balancing: .*", "balancing: mine"),
    (r"(?m)^served: .*", "served: yours-2"),
    (r"(?m)^sheet: .*", "sheet: {images: 1, size: 32}"),
    (r"(?m)^gallery: .*", "gallery: {images: 1, variants: [yours-2]}"),
    (r"(?m)^      rooms-loft: .*\n(?:      \S.*\n){2}", ""),
    (r"rooms-home: \{train: 16, val: 8, test: 8, views: 4", "rooms-home: {train: 2, val: 1, test: 2, views: 100"),
    (r"&shifts \{blur: 0.015\}", "&shifts {}"),
    (r"six: \[0, 1\]", "six: [0]"),
    (r"      runs:\n(?:        \S.*\n)+", "      runs: {}\n"),
    (r"batch_size: 4 ", "batch_size: 2 "),
    (r"      steps: 4\n", "      steps: 1\n"),
    (r"warmup_steps: 1", "warmup_steps: 0"),
    (r"validate_every: 2 ", 'validate_every: "1 epoch" '),
    (r"affinity_every: 2 ", "affinity_every: 0 "),
    (r"fine_tune: \{images: 8, steps: 2,", "fine_tune: {images: 1, steps: 1,"),
    (r"balancings: \[unc.*?\]", "balancings: []"),
    (r"score_batch: 16", "score_batch: 1"),
    (r"probe_images: 8", "probe_images: 2"),
]
ODD = [
    (r"depth: \{loss: rotate, weight: 5.0\}", "depth: {loss: berhu, weight: 1.0e+6}"),
    (r"normal: \{loss: l1, weight: 2.8\}", "normal: {loss: rotate, weight: 0.0}"),
    (r"variants:\n(?:  \S.*\n)+", f"variants:\n{VARIANTS}"),
    (r"comparisons:\n(?:  - .*\n)+", f"comparisons:\n{QUESTION}"),
    (r"(?m)^balancing: .*", "balancing: yours-2"),
    (r"(?m)^served: .*", "served: mine"),
    (r"(?m)^gallery: .*", "gallery: {images: 200, variants: [yours-2, mine]}"),
    (r"(?m)^      rooms-loft: .*", "      rooms-loft: {train: 8, test: 1, views: 1, edge_sigma: 64.0}"),
    (r"(?m)^      rooms-kinect: .*", "      rooms-kinect: {train: 9, val: 3, test: 3, views: 2, edge_sigma: 1.0e-9}"),
    (r"rooms-home: \{train: 16, val: 8, test: 8, views: 4", "rooms-home: {train: 9, val: 1, test: 3, views: 1"),
    (r"&shifts \{blur: 0.015\}", "&shifts {blur: 1.0e-4}"),
    (
        r"seeds: \{single: \[0\].*",
        "seeds: {single: [3, 0], pair: [5], set: [2147483647], six: [7, 0], control: [4], balancing: [8], "
        "fine_tune: [0], probe: [7]}",
    ),
    (r"      runs:\n(?:        \S.*\n)+", "      runs: {cnn-single-edges-s3: cnn, xtc-six-s9: xtc}\n"),
    (r"validate_every: 2 ", "validate_every: 1000000 "),
    (r"best_by: loss ", "best_by: semseg_miou "),
    (r"patience: 0 ", "patience: 1 "),
    (r"lr: 1.0e-3\n", "lr: 1.0\n"),
    (r"betas: \[0.9, 0.999\]", "betas: [0.0, 0.0]"),
    (r"schedule: cosine ", "schedule: one_cycle "),
    (r"clip_norm: 1.0 ", "clip_norm: 1.0e-9 "),
    (r"ema: 0.0 ", "ema: 0.999 "),
    (r"augment: \{flip: true, zoom: 1.0, colour: 0.0\}", "augment: {flip: true, zoom: 4.0, colour: 0.99}"),
    (r"precision: float32 ", "precision: bfloat16 "),
    (r"affinity_every: 2 ", "affinity_every: 1 "),
    (r"recompute: false", "recompute: true"),
    (r"channels_last: false", "channels_last: true"),
    (r"workers: 0 ", "workers: 1 "),
    (r"checkpoint_s: 300 ", "checkpoint_s: 0 "),
    (r"balancings: \[unc.*?\]", "balancings: [fixed, stch, imtl_l, graddrop]"),
    (r"score_batch: 16", "score_batch: 4096"),
    (r"probe_images: 8", "probe_images: 1000000"),
    (r"mlp_ratio: 4.0", "mlp_ratio: 0.5"),
    (r"      window: 4\n", "      window: 8\n"),
    (r"head_width: 16\n", "head_width: 1\n"),
    (r"shared_stages: \[1, 2, 3, 4\]", "shared_stages: []"),
]  # fmt: skip


def run_whole(project: Project, changes: list[tuple[str, str]]) -> None:
    """The whole pipeline at smoke scale with ``changes``, pattern and text, in params.yaml."""
    path = project.folder / "params.yaml"
    text = re.sub(r"(?m)^scale: .*", "scale: *smoke", WHOLE)
    for old, new in changes:
        text, count = re.subn(old, lambda _, new=new: new, text, count=1)
        assert count == 1, old
    path.write_text(text, encoding="utf-8")
    project.commit()
    print(project.run("mult", "repro").splitlines()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pipeline", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.pipeline:
            for name, changes in {"least": LEAST, "odd": ODD}.items():
                run_whole(copy_project(Path(folder) / name), changes)
            return 0
        torch.set_num_threads(1)
        soak = Soak(Path(folder), chosen.minutes)
        every = configure(
            max_examples=chosen.files, database=None, deadline=None, suppress_health_check=list(HealthCheck)
        )
        seed(chosen.seed)(every(given(text=files())(lambda text: soak(text))))()
    print(", ".join(f"{what} {count}" for what, count in soak.tally.items()))
    print("\n\n".join(soak.faults))
    return 1 if soak.faults else 0


if __name__ == "__main__":
    sys.exit(main())
