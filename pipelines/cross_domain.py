"""Every run on every domain, zero-shot: reports/tables/cross_domain.csv and .md.

python -m pipelines cross_domain
"""

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import cross_domain
from mult.reports import tables


def main() -> None:
    scale = params.load().scale
    table = cross_domain(load_results(), scale.train_domain)
    title = tables.caption(f"Trained on {scale.train_domain}, scored on every domain's test split", tables.facts(scale))
    said = tables.published("cross_domain")
    told = ", ".join(f"{r.column} {r.row} {r.value:+g} %" for r in said.itertuples())
    notes = [
        "Drop: percent worse than on the training domain. Gain: percent better than the one-task model on the same "
        "domain. Classes without a counterpart in the training domain are ignored.",
        f"Published for MulT on real data sets (second-hand, other data: not comparable in size): {told}.",
    ]
    tables.write_table("cross_domain", table, title, notes)
