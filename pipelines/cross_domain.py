"""Every run on every domain, zero-shot and tuned: reports/tables/cross_domain.* and fine_tuned.*.

python -m pipelines cross_domain
"""

from collections.abc import Mapping

import pandas as pd

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import cross_domain, six_models, tuned
from mult.params import Scale
from mult.reports import tables
from mult.reports.tables import Shown


def main() -> None:
    scale = params.load().scale
    results = load_results()
    table = cross_domain(results, scale.train_domain)
    title = tables.caption(f"Trained on {scale.train_domain}, scored on every domain's test split", tables.facts(scale))
    said = tables.published("cross_domain")
    told = ", ".join(f"{r.column} {r.row} {r.value:+g} %" for r in said.itertuples())
    notes = [
        "In parentheses: gain in percent over the one-task model on the same domain, + is better. The drop from the "
        "training domain is in the CSV. Classes without a counterpart in the training domain are ignored, so mIoU is "
        "over other classes in each domain. Depth of `doom` has a scale of its own: see rmse_aligned in results.csv.",
        f"Published for MulT on real data sets (second-hand, other data: not comparable in size): {told}.",
    ]
    tables.write_table("cross_domain", table, title, notes, _shown(table, six_models(results), results))
    _fine_tuned(results, scale)


def _fine_tuned(results: pd.DataFrame, scale: Scale) -> None:
    after = tuned(results, scale.train_domain)
    table = cross_domain(after, scale.train_domain)
    table = table[table["domain"] != scale.train_domain]
    steps = f"{scale.fine_tune.steps} steps on {scale.fine_tune.images} images of each domain"
    title = tables.caption(f"The same after {steps}", tables.facts(scale) | {"seeds": len(scale.seeds.fine_tune)})
    notes = [
        "In parentheses: gain in percent over the one-task model that was tuned in the same way, + is better. One-task "
        "and six-task models alike keep the weights after the last step: nothing is chosen by the test images.",
        "The paper shows pictures of models tuned on blurred images and on CocoDoom, and no number of which it could "
        "be said that it is of these.",
    ]
    tables.write_table("fine_tuned", table, title, notes, _shown(table, six_models(after), results, "tuned-"))


def _shown(table: pd.DataFrame, models: Mapping[str, str], results: pd.DataFrame, prefix: str = "") -> Shown:
    """Figures and gains; the best model of a row is set in bold. ``prefix``: of the runs' names."""
    sources = tables.model_sources(results, models, prefix)
    return Shown(tables.value_and_gain(table, list(models)), sources, ["single", *models])
