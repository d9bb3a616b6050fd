"""Render a domain into data/<domain>.

python -m pipelines prepare rooms-home
"""

from pathlib import Path

from mult import params, stage
from mult.data.prepare import prepare
from mult.errors import UserError
from mult.progress import Stopwatch


def main(domain: str) -> None:
    scale = params.load().scale
    if domain not in scale.domains:
        raise UserError(f"domain {domain!r}: scale {scale.name} has {', '.join(scale.domains)}")
    clock = Stopwatch()
    with stage.working("rendering"):
        images = prepare(domain, scale.domains[domain], scale.image_size, Path("data") / domain)
    print(f"{domain}: {images} images of {scale.image_size} pixels in {clock.seconds():.0f} s")
