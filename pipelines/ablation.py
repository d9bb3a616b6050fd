"""With and without shared attention, variant against variant: reports/tables/ablation.csv and .md.

python -m pipelines ablation
"""

import pandas as pd

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import ablation, verdict
from mult.reports import tables


def main() -> None:
    settings = params.load()
    table = ablation(load_results(), settings.comparisons)
    seeds = len(settings.scale.seeds.six)
    title = tables.caption(
        "Six-task variants compared in pairs of the same seed: gain in percent, + is better, mean (least to greatest "
        "of the seeds)",
        tables.facts(settings.scale) | {"seeds": seeds},
    )
    counts = "\n".join(
        f"- `{comparison}`: better with every seed in {better} of {better + worse + mixed} rows, worse with every seed "
        f"in {worse}, neither in {mixed}"
        for comparison, (better, worse, mixed) in verdict(table).items()
    )
    notes = [
        "`shared over skip` is the paper's question: the same wiring, with one map for all tasks or one for each. The "
        f"paper prints no number for it. By chance alone {seeds} seeds would agree in sign in "
        f"{100 * 2 ** (1 - seeds):.0f} % of the rows, half of them for the better:",
        counts,
    ]
    tables.write_table("ablation", table, title, notes, shown=_wide(table))


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row a domain and task, one column a comparison."""
    cells = table.assign(
        cell=[
            f"{row.gain:+.1f} ({row.least:+.1f} to {row.greatest:+.1f})" if row.seeds else "–"
            for row in table.itertuples()
        ]
    )
    rows = list(dict.fromkeys(zip(table["domain"], table["task"], strict=True)))
    wide = cells.pivot(index=["domain", "task"], columns="comparison", values="cell")
    return wide.loc[rows, list(dict.fromkeys(table["comparison"]))].reset_index()
