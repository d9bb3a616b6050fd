"""With and without shared attention, variant against variant: reports/tables/ablation.csv and .md.

python -m pipelines ablation
"""

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import ablation
from mult.reports import tables


def main() -> None:
    settings = params.load()
    table = ablation(load_results())
    title = tables.caption(
        "Six-task variants compared in pairs of the same seed: gain in percent, + is better",
        tables.facts(settings.scale),
    )
    notes = [
        "`shared` against `skip` is the question: the same wiring, with one map for all tasks or one for each.",
        f"With {len(settings.scale.seeds.six)} seeds a difference whose sign changes between the seeds is no evidence. "
        "The paper prints no number for this comparison.",
    ]
    tables.write_table("ablation", table, title, notes)
