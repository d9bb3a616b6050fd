"""Draw a domain's contact sheet: reports/figures/domains-<domain>.jpg.

python -m pipelines sheet rooms-home
"""

import tempfile
from pathlib import Path

from mult import params, stage
from mult.data.prepare import prepare
from mult.data.store import open_split
from mult.errors import UserError
from mult.params import EmbeddedDomain
from mult.reports.sheet import contact_sheet, write_picture

VIEWS = 2  # a room or a visit to a level: many of them say more than many views


def main(domain: str) -> None:
    settings = params.load()
    if not isinstance(settings.scale.domains.get(domain), EmbeddedDomain):
        raise UserError(f"domain {domain!r}: it does not render itself at scale {settings.scale.name}: no sheet yet")
    sheet = settings.sheet
    few = EmbeddedDomain(test=sheet.images, views=VIEWS, edge_sigma=settings.scale.domains[domain].edge_sigma)
    with tempfile.TemporaryDirectory() as folder, stage.working("rendering"):
        prepare(domain, few, sheet.size, Path(folder) / domain, aside=Path(folder) / "aside")
        picture = contact_sheet(open_split(Path(folder) / domain, "test"), sheet.images)
    write_picture(f"reports/figures/domains-{domain}.jpg", picture)
