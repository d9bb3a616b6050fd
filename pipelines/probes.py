"""What the six-task models owe to their attention maps: reports/tables/probes.*.

python -m pipelines probes
"""

import pandas as pd

from mult import params, runs
from mult.evaluation.results import load_probes
from mult.evaluation.studies import flows, probes
from mult.reports import tables
from mult.reports.style import signed
from mult.reports.tables import Shown
from mult.tasks import TASKS


def main() -> None:
    settings = params.load()
    scale = settings.scale
    rows = load_probes(runs.probed(settings))
    table = probes(rows)
    title = tables.caption(
        "Trained six-task models with changed attention maps: change in percent from the model as it is, + is better, "
        f"on the first {rows['n_images'].min()} images of {scale.train_domain}'s test split",
        tables.facts(scale) | {"seeds": len(scale.seeds.probe)},
    )
    moved = ", ".join(f"`{variant}` {count} of {cells}" for variant, (count, cells) in flows(rows).items())
    notes = [
        "`uniform`: all tokens of a window weigh the same. `other image`: the map of the image before it in the batch. "
        "`map of …`: all tasks apply that task's map. `without …`: that task's stream is zero where T2 reads it; left "
        "out here where it moves no other task's predictions. 0 alone, not 0.0: no prediction has changed by a bit.",
        "In the paper's sharing the map is made from the encoder's skip, so nothing flows from one task's stream to "
        f"another's. How often `without` moves the predictions of *another* task: {moved}.",
    ]
    names = {variant: [f"mult-{variant}-s{seed}" for seed in scale.seeds.probe] for variant in settings.variants}
    shown = Shown(_shown(table), lambda row, column: names[row["variant"]] if column.endswith("%") else [])
    tables.write_table("probes", table, title, notes, shown)


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The changes alone, of the probes that say more than that a task needs its own stream."""
    rows = [
        {"variant": row["variant"], "probe": row["probe"]}
        | {f"{task} %": _cell(row[f"{task} %"], row[f"{task} same"]) for task in TASKS}
        for row in table.to_dict("records")
        if not all(row[f"{task} same"] for task in TASKS if row["probe"] != f"without {task}")
    ]
    return pd.DataFrame(rows, columns=["variant", "probe", *(f"{task} %" for task in TASKS)])


def _cell(percent: float, same: bool) -> str:
    return "0" if same else signed(percent)
