"""Which tasks to train together when so many networks may run: reports/tables/grouping.*.

python -m pipelines grouping
"""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import get_args

import pandas as pd

from mult import params
from mult.evaluation.grouping import Selection, frontier
from mult.evaluation.results import load_results
from mult.evaluation.studies import subset_losses
from mult.evaluation.subsets import predicted, relative_to_single
from mult.reports import published, tables
from mult.reports.style import signed
from mult.reports.tables import Shown, Sources
from mult.tasks import TASKS

BUDGETS = range(1, len(TASKS) + 1)


def main() -> None:
    settings = params.load()
    scale = settings.scale
    results = load_results()
    # The variant that is trained as the pairs are: others differ from them in more than their tasks.
    six = next((name for name, changes in settings.variants.items() if changes == settings.pair), None)
    measured = subset_losses(results, scale.train_domain, six)
    by_pairs = predicted(measured)
    ours = pd.concat(
        [
            _rows("ours", "measured", frontier(measured, None, BUDGETS), measured, measured),
            _rows("ours", "predicted", frontier(by_pairs, None, BUDGETS), by_pairs, by_pairs),
        ]
    )
    standley = pd.concat([_standley(setting) for setting in get_args(published.Setting)])
    title = tables.caption(
        "The best choice of so many networks (budget) for the six tasks: mean gain over the six one-task networks on "
        f"{scale.train_domain}'s test split, + is better",
        tables.facts(scale),
    )
    notes = [
        'Each task is read from the best chosen network that has it; "for" says which are, where a network has learnt '
        "more. Measured are the networks of one task and of two, and the larger ones named below"
        + (f", that of all six as `{six}`. " if six else ". ")
        + "Predicted are all of three tasks and more, by the mean of their pairs (the higher-order approximation of "
        "Standley et al. 2020).",
        _doubt(results, scale.train_domain, six, ours[ours["networks"] == "measured"]),
        _larger(measured, by_pairs),
        *_published(standley),
        *_predictions(),
    ]
    shown = Shown(_side_by_side(ours), _sources(tables.runs_of(results), six))
    tables.write_table("grouping", pd.concat([ours, standley]), title, notes, shown)


def _rows(
    data: str, networks: str, choices: Mapping[float, Selection], losses: pd.DataFrame, worse: pd.DataFrame
) -> pd.DataFrame:
    """A row for each budget's choice by ``losses``; its mean gain by ``worse``, in percent of one-task losses."""
    rows = [
        (data, networks, budget, best.cost, best.split(losses), -best.on(worse).total / len(worse.columns))
        for budget, best in choices.items()
    ]
    return pd.DataFrame(rows, columns=["data", "networks", "budget", "cost", "choice", "mean gain"])


def _side_by_side(ours: pd.DataFrame) -> pd.DataFrame:
    shown = pd.DataFrame({"budget": BUDGETS})
    for networks, title in (("measured", "best of the measured networks"), ("predicted", "with predicted ones")):
        rows = ours[ours["networks"] == networks].set_index("budget").reindex(BUDGETS)
        shown[title] = rows["choice"].fillna("–").to_numpy()
        shown[f"gain {'%' if networks == 'measured' else 'predicted %'}"] = rows["mean gain"].to_numpy()
    return shown


def _sources(runs: Callable[..., list[str]], six: str | None) -> Sources:
    """The trainings behind a choice: of its networks, or of the pairs by which they are predicted."""

    def sources(row: Mapping[str, str], column: str) -> list[str]:
        if not column.startswith("gain"):
            return []
        is_measured = column == "gain %"
        chosen = row["best of the measured networks" if is_measured else "with predicted ones"]
        stems: list[str] = []
        for network in (part.split(" (")[0] for part in chosen.split("; ")):
            tasks = list(TASKS) if network == "all six" else network.split("+")
            kind = {1: "single", 2: "pair"}.get(len(tasks), "set")
            if kind != "set":
                stems.append(f"{kind}-{network}")
            elif is_measured:
                stems.append(f"mult-{six}" if network == "all six" else f"set-{network}")
            else:
                stems += [f"pair-{first}+{second}" for first, second in combinations(tasks, 2)]
        return runs(*dict.fromkeys(stems))

    return sources


def _doubt(results: pd.DataFrame, domain: str, six: str | None, chosen: pd.DataFrame) -> str:
    """What the choices are worth."""
    bias = (
        "The best of many uncertain figures looks better than it is, the more so as the networks are chosen on the "
        "images that the gain is measured on."
    )
    taking_part = results[results["study"].isin(["single", "pair", "set", *(["six"] if six else [])])]
    seeds = set.intersection(*taking_part.groupby("study")["seed"].agg(set))
    if len(seeds) < 2:
        return f"With one seed for all of these networks the choice is within noise unless shown otherwise. {bias}"
    alone = []
    for seed in seeds:
        losses = subset_losses(results[results["seed"] == seed], domain, six)
        alone.append(_rows("", "", frontier(losses, None, BUDGETS), losses, losses))
    same = (
        pd.concat(alone)
        .merge(chosen, on=["budget", "choice"])
        .groupby("budget")
        .size()
        .reindex(chosen["budget"], fill_value=0)
    )
    told = ", ".join(f"{count} at budget {budget:g}" for budget, count in same.items())
    return f"So many of {len(seeds)} seeds choose the same measured networks alone: {told}. {bias}"


def _larger(measured: pd.DataFrame, by_pairs: pd.DataFrame) -> str:
    """The measured networks of three tasks and more against what the pairs predict of them."""
    large = measured.index[measured.count(axis=1) > 2]
    gains = -pd.DataFrame({"said": by_pairs.mean(axis=1), "is": measured.mean(axis=1)}, index=large)
    told = "; ".join(f"{name} {signed(said)} % and {signed(found)} %" for name, said, found in gains.itertuples())
    return f"Mean gain of larger networks, as predicted and as measured: {told or 'none was trained'}."


def _standley(setting: published.Setting) -> pd.DataFrame:
    """The same choices among Standley et al.'s networks: made by validation losses, reported on test losses."""
    validation, costs = published.subset_losses(setting, "validation")
    test, _ = published.subset_losses(setting, "test")
    worse = relative_to_single(test)
    parts = []
    for networks, choice, losses in (
        ("measured", "optimal", validation),
        ("predicted", "higher order", predicted(validation)),
    ):
        said = published.totals(setting, choice)
        choices = frontier(losses, costs, list(said.index))
        rows = _rows(f"Standley {setting}", networks, choices, losses, worse)
        parts.append(
            rows.assign(
                **{"test loss": [best.on(test).total for best in choices.values()], "published": said.to_numpy()}
            )
        )
    return pd.concat(parts)


def _published(standley: pd.DataFrame) -> list[str | Shown]:
    shown = pd.DataFrame({"budget": standley["budget"].unique()})
    for data, rows in standley.groupby("data", sort=False):
        setting = data.removeprefix("Standley ")
        losses = rows.pivot(index="budget", columns="networks", values="test loss")
        shown[setting] = [f"{loss:.5f}" for loss in losses["measured"]]
        shown[f"{setting}, by pairs %"] = (100 * (losses["predicted"] / losses["measured"] - 1)).to_numpy()
    other = standley[standley["test loss"].round(5) != standley["published"]]
    told = "; ".join(
        f"not at {data.removeprefix('Standley ')}, budget {budget:g}, where they give {said:.5f}"
        for data, budget, said in zip(other["data"], other["budget"], other["published"], strict=True)
    )
    return [
        "The same on the networks of Standley et al. 2020 (CNN, five tasks, three settings, half-size networks at half "
        "the cost): the least sum of losses, and by how much it is missed where losses of three tasks and more are "
        "predicted from pairs. Chosen by validation losses, reported on test losses, as there; a plain sum, in which "
        "depth weighs most. The choices are in grouping.csv. Those of `large` from budget 2 on have a network of "
        "normals and keypoints whose figures look like an outlier in the source. "
        f"{len(standley) - len(other)} of their {len(standley)} totals come out to the fifth digit"
        + (f" ({told})." if told else "."),
        Shown(shown),
    ]


def _predictions() -> list[str | Shown]:
    """Rank correlation of predicted with measured losses."""
    rows = []
    for setting in get_args(published.Setting):
        test, _ = published.subset_losses(setting, "test")
        large = test.count(axis=1) > 2
        guess, truth = predicted(test)[large], test[large]
        rows.append({"setting": setting} | guess.corrwith(truth, method="spearman").to_dict())
    return [
        "How well pairs predict there: rank correlation of predicted and measured test losses a task, over the "
        f"{int(truth.notna().sum().iloc[0])} networks of three tasks and more that have it:",
        Shown(pd.DataFrame(rows)),
    ]
