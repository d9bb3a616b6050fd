"""Draw a domain's contact sheet: reports/figures/domains-<domain>.jpg.

python -m pipelines sheet rooms-home
"""

import tempfile
from pathlib import Path

import numpy as np

from mult import params, stage
from mult.data.lazy import open_some
from mult.data.prepare import prepare
from mult.data.sources import open_source
from mult.data.store import open_split
from mult.errors import UserError
from mult.params import EmbeddedDomain, RealDomain, Sheet
from mult.reports.sheet import contact_sheet, write_picture

VIEWS = 2  # a room or a visit to a level: many of them say more than many views


def main(domain: str) -> None:
    settings = params.load()
    chosen = settings.scale.domains.get(domain)
    if chosen is None:
        raise UserError(f"domain {domain!r}: scale {settings.scale.name} has {', '.join(settings.scale.domains)}")
    draw = _in_place if isinstance(chosen, RealDomain) else _rendered
    write_picture(f"reports/figures/domains-{domain}.jpg", draw(domain, chosen, settings.sheet))


def _in_place(domain: str, settings: RealDomain, sheet: Sheet) -> np.ndarray:
    """Of the data set itself: at what size and on how many images it is trained makes no difference."""
    split, number = open_some(open_source(domain, settings.root, settings.split), sheet.images)
    return contact_sheet(split, sheet.images, of=number)


def _rendered(domain: str, settings: EmbeddedDomain, sheet: Sheet) -> np.ndarray:
    few = EmbeddedDomain(test=sheet.images, views=VIEWS, edge_sigma=settings.edge_sigma)
    with tempfile.TemporaryDirectory() as folder, stage.working("rendering"):
        prepare(domain, few, sheet.size, Path(folder) / domain, aside=Path(folder) / "aside")
        return contact_sheet(open_split(Path(folder) / domain, "test"), sheet.images)
