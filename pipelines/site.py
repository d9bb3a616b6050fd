"""The report as one page that needs no network: reports/index.html, from the tables, figures and galleries there are.

python -m pipelines site
"""

from pathlib import Path

from mult import params
from mult.reports import site, tables
from mult.reports.figures.descriptions import describe


def main() -> None:
    scale = params.load().scale
    facts = tables.facts(scale) | {"seeds": len(scale.seeds.six), "domain": scale.train_domain}
    report = site.read(Path("reports"), Path("gallery"), describe, scale.domains)
    print(site.write(Path("reports/index.html"), report, facts))
