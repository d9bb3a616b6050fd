"""With and without shared attention, variant against variant: reports/tables/ablation.*, and a run each in MLflow.

python -m pipelines ablation
"""

from collections.abc import Callable

import pandas as pd

from mult import comparisons, params
from mult.evaluation.ablation import ALL, Errors, ablation, greatest_difference, noise
from mult.evaluation.results import load_results
from mult.reports import tables
from mult.reports.style import signed
from mult.reports.tables import Shown


def main() -> None:
    settings = params.load()
    scale, seeds = settings.scale, settings.scale.seeds.six
    results = load_results()
    table = ablation(Errors(), results, settings.comparisons, seeds, scale.train_domain)
    runs = tables.runs_of(results)
    facts = tables.facts(scale) | {"seeds": len(seeds)}
    title = tables.caption("Six-task variants compared, gain in percent, + is better for the first", facts)
    notes = [
        "A gain is the fall of the error in percent of the second variant's, with its 95 % interval over new seeds "
        "*and* new rooms; errors are 1 - pixel accuracy, absolute errors and angles, averaged over a room's images. "
        "*Least detectable*: the effect that these seeds and rooms would have found in four of five studies. *Better* "
        "or *worse* is said only where the adjusted p (Holm) is at most 0.05; *no evidence* is not evidence of no "
        "effect: one up to the detectable size may be there. All tasks: each in units of the second variant's error.",
        "The paper prints no number for `shared` over `skip`, its own claim.",
        *_noise(results, settings),
        f"**Task by task, and on other domains** ({facts['scale']} scale). Gain in percent [95 % interval]; in bold "
        "what is better or worse after adjustment; the CSV has p, permutation tests over seeds and over rooms, the "
        "usual bootstrap's intervals (too short with few seeds), and the gains in the main figures.",
        Shown(_wide(table), lambda row, column: _runs(runs, column)),
    ]
    words = ("question", "comparison")
    answers = Shown(
        _answers(table, settings), lambda row, column: [] if column in words else _runs(runs, row["comparison"])
    )
    tables.write_table("ablation", table, title, notes, answers)
    asks = {of.name: of.asks for of in settings.comparisons}
    comparisons.log(table, asks, scale.train_domain, scale.name)


def _runs(runs: Callable[..., list[str]], comparison: str) -> list[str]:
    """The runs of both variants of ``a over b``; none for another column's name."""
    return runs(*(f"mult-{variant}" for variant in comparison.split(" over ")))


def _answers(table: pd.DataFrame, settings: params.Params) -> pd.DataFrame:
    """One row a comparison: what it asks, and the answer on the training domain and elsewhere."""
    rows = []
    for of in settings.comparisons:
        here = table[table["comparison"] == of.name]
        overall = here[(here["task"] == ALL) & (here["domain"] == settings.scale.train_domain)].iloc[0]
        single = here[here["task"] != ALL]["verdict"]
        rows.append(
            {
                "question": f"{of.asks}?",
                "comparison": overall["comparison"],
                f"all tasks on {settings.scale.train_domain}, gain %": _cell(overall),
                "p (Holm)": _p(overall["p_holm"]),
                "least detectable": f"{overall['detectable']:.1f} %" if pd.notna(overall["detectable"]) else "–",
                "answer": overall["verdict"],
                "single tasks, all domains": f"{(single == 'better').sum()} better, {(single == 'worse').sum()} worse, "
                f"{(single == 'no evidence').sum()} no evidence",
            }
        )
    return pd.DataFrame(rows)


def _noise(results: pd.DataFrame, settings: params.Params) -> list[str]:
    """How much runs differ that should not."""
    home, out = settings.scale.train_domain, []
    if (spread := noise(results, "mult-shared", home)).notna().any():
        values = ", ".join(f"{task} {value:.1f}" for task, value in spread.items())
        out.append(
            f"Between seeds the main figures of `shared` on {home} scatter by (standard deviation, %): {values}."
        )
    for control, changes in settings.controls.items():
        same = next((n for n, v in settings.variants.items() if v.attention == changes.attention and not v.skip), None)
        for seed in settings.scale.seeds.control:
            if same is None or seed not in settings.scale.seeds.six:
                continue
            most, count = greatest_difference(results, f"control-{control}-s{seed}", f"mult-{same}-s{seed}")
            out.append(
                f"Control: `{same}` once more, named after another reference task ({changes.reference}), seed {seed}: "
                f"the greatest difference among {count} figures is {most:g}."
            )
    return out


def _wide(table: pd.DataFrame) -> pd.DataFrame:
    """One row a domain and task, one column a comparison."""
    cells = table.assign(cell=[_cell(row) for _, row in table.iterrows()])
    rows = list(dict.fromkeys(zip(table["domain"], table["task"], strict=True)))
    wide = cells.pivot(index=["domain", "task"], columns="comparison", values="cell")
    return wide.loc[rows, list(dict.fromkeys(table["comparison"]))].reset_index()


def _cell(row: pd.Series) -> str:
    if pd.isna(row["gain"]):
        return "–"
    interval = f" [{signed(row['low'])}, {signed(row['high'])}]" if pd.notna(row["low"]) else ""
    text = f"{signed(row['gain'])}{interval}"
    return text if row["verdict"] == "no evidence" else f"**{text}**"


def _p(p: float) -> str:
    return "–" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
