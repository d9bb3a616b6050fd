"""Render a domain into data/<domain>, or write the index of a data set that lies elsewhere.

python -m pipelines prepare rooms-home
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mult import params, stage
from mult.data import index
from mult.data.damage import FOLDER as DAMAGED
from mult.data.prepare import prepare
from mult.data.sources import open_source
from mult.errors import UserError
from mult.params import RealDomain
from mult.progress import Stopwatch


def main(domain: str) -> None:
    scale = params.load().scale
    if domain not in scale.domains:
        raise UserError(f"domain {domain!r}: scale {scale.name} has {', '.join(scale.domains)}")
    settings, folder = scale.domains[domain], Path("data") / domain
    clock = Stopwatch()
    if isinstance(settings, RealDomain):
        source = open_source(domain, settings.root, settings.split)
        most = {split: n for split in ("train", "val", "test") if (n := getattr(settings, split)) is not None}
        with stage.working("indexing"):
            counts = index.build(source, folder, scale.image_size, most=most)
        _of_use(domain, scale.train_domain, counts, source.classes)
        (DAMAGED / f"{domain}.csv").unlink(missing_ok=True)
        found = ", ".join(f"{images} {split}" for split, images in counts.items())
        print(f"{domain}: {found}, read in place; {clock.seconds():.0f} s")
        return
    with stage.working("rendering"):
        images = prepare(domain, settings, scale.image_size, folder)
    print(f"{domain}: {images} images of {scale.image_size} pixels in {clock.seconds():.0f} s")


def _of_use(domain: str, home: str, counts: Mapping[str, int], classes: Sequence[str]) -> None:
    """Say now what would end stages after all trainings.

    Raises:
        UserError: there is nothing to train on or to test on, or no choice of classes to learn.
    """
    for split in ("train", "test") if domain == home else ("test",):
        if not counts.get(split):
            there = ", ".join(of for of, images in counts.items() if images)
            raise UserError(
                f"{domain}: no images for {split}, only for {there}; name a partition that has some (domains.{domain}."
                f"split in params.yaml), or take another domain"
            )
    if domain == home and len(classes) == 2:  # void is the first
        raise UserError(f"{domain}: its only class is {classes[1]!r}, which is no segmentation; train on another")
