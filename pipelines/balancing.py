"""Methods of balancing the tasks' losses against each other: reports/tables/balancing.*.

python -m pipelines balancing
"""

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import balancing
from mult.reports import tables
from mult.reports.tables import Shown


def main() -> None:
    settings = params.load()
    scale = settings.scale
    results = load_results()
    table = balancing(results, settings.balancing, scale.train_domain)
    runs = tables.runs_of(results)
    title = tables.caption(
        f"Balancing methods on `{settings.balancing}`: gain in percent over its own method "
        f"({scale.training.balancing}) with the same seed, on {scale.train_domain}'s test split, + is better",
        tables.facts(scale) | {"seeds": len(scale.seeds.balancing)},
    )
    notes = [
        "Every method starts from the losses times their fixed weights in params.yaml. Learning rates are those of the "
        "fixed weights: none was tuned for a method.",
    ]
    if table.empty:
        notes = ["None is trained at this scale; `balancings` in params.yaml names them, `gpu` has them all."]
    gains = [column for column in table if column.endswith("gain")]
    shown = Shown(table, lambda row, column: runs(f"balance-{row['balancing']}"), gains, down=True)
    tables.write_table("balancing", table, title, notes, shown)
