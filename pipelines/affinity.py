"""Which task helps which, 6 x 6, by two-task models and by what six-task trainings record in passing.

reports/tables/affinity.*, affinity_cheap.csv (every matrix, a row a cell), affinity_agreement.csv, and for `dvc plots`
reports/plots/affinity.csv.

python -m pipelines affinity
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations

import pandas as pd

from mult import params
from mult.evaluation.affinity import (
    agreements,
    both_ways,
    given_and_received,
    matrix,
    measured,
    over_seeds,
    recorded,
)
from mult.evaluation.results import load_results
from mult.files import atomic
from mult.reports import tables
from mult.reports.style import signed
from mult.reports.tables import Shown
from mult.tasks import TASKS

MEASURES = {"cosine": "Cosine of the gradients", "tag": "Lookahead affinity (TAG)"}


def main() -> None:
    settings = params.load()
    scale = settings.scale
    results = load_results()
    runs = tables.runs_of(results)
    gains = over_seeds(measured(results, scale.train_domain))
    cheap = {
        (measure, variant): over_seeds(recorded({s: f"mult-{variant}-s{s}" for s in scale.seeds.six}, measure))
        for measure in MEASURES
        for variant in settings.variants
    }
    every = {("gain", "pair"): gains} | cheap
    cells = [of.assign(measure=measure, variant=variant) for (measure, variant), of in every.items()]
    tables.write_csv("affinity_cheap", pd.concat(cells)[["measure", "variant", *gains.columns]])

    with atomic("reports/plots/affinity.csv", "w") as file:
        plotted = gains[["on", "with", "value"]].rename(columns={"value": "percent"})
        plotted.to_csv(file, index=False, float_format="%.4g")

    variant = next(
        (name for name, of in settings.variants.items() if of == settings.pair), next(iter(settings.variants))
    )
    ours = {measure: matrix(cheap[measure, variant]) for measure in MEASURES}
    paired, papers = matrix(gains), _papers()
    agreed = agreements({"Pair gains": paired} | ours, {"Pair gains": paired} | papers)
    tables.write_csv("affinity_agreement", agreed)

    title = tables.caption(
        f"Pairwise training: gain over the one-task model on {scale.train_domain}'s test split, + is better",
        tables.facts(scale),
    )
    table = _with(paired, " %").reset_index()
    notes = [
        _seeds(gains),
        *_summary(paired, runs),
        *_recorded(ours, variant, runs, agreed),
        *_published(papers),
    ]
    cells = _with(_cells(gains), " %").reset_index()
    shown = Shown(cells, lambda row, column: _runs(runs, row["on"], column), list(cells)[1:])
    tables.write_table("affinity", table, title, notes, shown)


def _runs(runs: Callable[..., list[str]], on: str, column: str) -> list[str]:
    """The runs of the pair of ``on`` and the task that ``column`` names, and the one-task runs beside them."""
    pair = {on, column.removeprefix("with ").removesuffix(" %")}
    names = runs(f"pair-{'+'.join(task for task in TASKS if task in pair)}")
    return names and names + runs(f"single-{on}")


def _with(cells: pd.DataFrame, unit: str = "") -> pd.DataFrame:
    return cells.add_prefix("with ").add_suffix(unit).rename_axis("on")


def _cells(gains: pd.DataFrame) -> pd.DataFrame:
    """The means, and where there are several seeds how far they are to be trusted."""
    shown = [
        f"{signed(row.value)} ± {row.half:.1f}" if row.seeds > 1 else signed(row.value) for row in gains.itertuples()
    ]
    return matrix(gains.assign(shown=shown), "shown").fillna("–")


def _seeds(gains: pd.DataFrame) -> str:
    seeds = gains["seeds"].max()
    if seeds > 1:
        return f"± is half of the 95 % t interval over the seeds of a pair, {seeds} at most."
    return "One training of each pair: how far another seed would move a cell is not known."


def _summary(paired: pd.DataFrame, runs: Callable[..., list[str]]) -> list[str | Shown]:
    means = ", ".join(f"{pair} {signed(value)}" for pair, value in both_ways(paired).dropna().items())
    about = given_and_received(paired).rename(columns={"gives": "gives %", "receives": "receives %"})

    def sources(row: Mapping[str, str], column: str) -> list[str]:
        others = [other for other in TASKS if other != row["task"]]
        return [run for other in others for run in _runs(runs, row["task"], other)] if column != "task" else []

    return [
        f"Mean of a pair's two directions, in percent: {means}.",
        "What the others gain with a task, and what it gains with the others, on average:",
        Shown(about, sources),
    ]


def _recorded(
    ours: dict[str, pd.DataFrame], variant: str, runs: Callable[..., list[str]], agreed: pd.DataFrame
) -> list[str | Shown]:
    if all(of.isna().all(axis=None) for of in ours.values()):
        return ["Six-task trainings recorded no affinities: `affinity_every` is 0 at this scale."]
    six = runs(f"mult-{variant}")
    both = runs(*(f"pair-{a}+{b}" for a, b in combinations(TASKS, 2)), *(f"single-{task}" for task in TASKS))
    notes = [
        "### Recorded while six tasks are trained",
        f"On training batches of `{variant}`: means over a training's records, then over its seeds ({len(six)}). "
        "mult.training.affinity says what they are; affinity_cheap.csv has all variants, and intervals over seeds. The "
        "cosine knows no direction. Lookahead affinities grow with the learning rate, so the records made where it is "
        "high count most.",
    ]
    for measure, of in ours.items():
        unit = {"tag": ", in percent of the loss"}.get(measure, "")
        shown = (of * (100 if measure == "tag" else 1)).map(partial(signed, digits=2))
        notes += [
            f"{MEASURES[measure]}{unit}:",
            Shown(_with(shown).reset_index(), lambda _, column: six if column != "on" else []),
        ]
    names = {"rho": "Spearman's rho", "permutations": "namings"}

    def behind(row: Mapping[str, str], column: str) -> list[str]:
        if column in ("matrix", "with"):
            return []
        of_pairs = both if "Pair gains" in (row["matrix"], row["with"]) else []
        return of_pairs if row["matrix"] == "Pair gains" else [*of_pairs, *six]

    return [
        *notes,
        "Do they order the cells off the diagonal alike? Papers' gains are of five tasks. p is two-sided, the share of "
        "namings of the tasks, rows and columns together, under which the correlation is as strong; it is not adjusted "
        f"for {len(agreed)} comparisons.",
        Shown(
            agreed.replace({"matrix": MEASURES}).rename(columns=names),
            behind,
        ),
    ]


def _papers() -> dict[str, pd.DataFrame]:
    """Published gains of pairs of CNNs, 6 x 6 a setting."""
    cells = tables.published("affinity").rename(columns={"row": "on", "column": "with"})
    cells = cells[~cells["source"].str.startswith("MulT")]
    setting = cells["source"].str.extract(r"(setting \d)", expand=False)
    return {f"Standley et al. 2020, {name}": matrix(of) for name, of in cells.groupby(setting, sort=False)}


def _published(papers: dict[str, pd.DataFrame]) -> list[str | Shown]:
    cells = tables.published("affinity")
    mult = cells[cells["source"].str.startswith("MulT")].set_index(["row", "column"])["value"]
    shown = pd.DataFrame("–", index=list(TASKS), columns=list(TASKS))
    for on in TASKS:
        for giving in TASKS:
            paper = [f"**{signed(mult[on, giving])}**"] if (on, giving) in mult.index else []
            cnn = [signed(of.loc[on, giving]) for of in papers.values() if pd.notna(of.loc[on, giving])]
            shown.loc[on, giving] = " ".join([*paper, " / ".join(cnn)]).strip() or "–"
    return [
        "### Published",
        "In percent: MulT's two known cells (second-hand), and Standley et al. 2020 (CNN, three settings):",
        Shown(_with(shown).reset_index()),
    ]
