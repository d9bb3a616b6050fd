"""Samples of a domain with predictions and attention maps of several models: gallery/<domain>/.

python -m pipelines gallery rooms-home
"""

from pathlib import Path

import pandas as pd

from mult import params, stage
from mult.data.store import open_split
from mult.evaluation.gallery import Gallery, choose
from mult.models import registry
from mult.outs import whole
from mult.reports.pictures import pictures
from mult.tasks import TASKS
from mult.training.distributed import device_of

RANKED_BY = "shared"  # whose errors say which images are the best and the worst; where it is not shown, the first's


def main(domain: str) -> None:
    settings = params.load()
    wanted, seed = settings.gallery, settings.scale.seeds.six[0]
    ranked_by = RANKED_BY if RANKED_BY in wanted.variants else wanted.variants[0]
    split = open_split(Path("data") / domain, "test")
    samples = choose(_errors(f"mult-{ranked_by}-s{seed}", domain), wanted.images)
    middle = next((n for n, sample in enumerate(samples) if sample.role == "median"), 0)
    home = open_split(Path("data") / settings.scale.train_domain, "train")
    with stage.working("scoring"):
        gallery = Gallery(split, samples, list(TASKS), home.classes, device_of(settings.scale.hardware))
        for task in settings.tasks:
            name = f"single-{task}-s{settings.scale.seeds.single[0]}"
            gallery.add("single", registry.load_model(Path("runs") / name)[0], _errors(name, domain))
        for variant in wanted.variants:
            name = f"mult-{variant}-s{seed}"
            model = registry.load_model(Path("runs") / name)[0]
            gallery.add(variant, model, _errors(name, domain))
            gallery.add_attention(variant, model, middle)
        gallery.write(Path("gallery") / domain, pictures(gallery))


def _errors(run: str, domain: str) -> pd.DataFrame:
    errors = pd.read_csv(whole(Path("runs") / run / "errors.csv"), dtype={"group": str})
    return errors[errors["domain"] == domain]
