"""The six-task table and the small ones, and reports/README.md with every table and the figures.

python -m pipelines tables
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mult import params
from mult.evaluation.results import load_results
from mult.evaluation.studies import cost, six_models, six_task, task_count, trivial
from mult.files import atomic
from mult.params import Scale
from mult.reports import tables
from mult.reports.figures.descriptions import describe
from mult.reports.style import FIGURES_OF, SECTIONS
from mult.reports.tables import Shown
from mult.tasks import TASKS


def main() -> None:
    scale = params.load().scale
    results = load_results()
    _six_task(results, scale)
    _task_count(results, scale)
    _cost(results, scale)
    _trivial(results, scale)
    _page(scale)


def _six_task(results: pd.DataFrame, scale: Scale) -> None:
    table = six_task(results, scale.train_domain)
    table["published gain %"] = table["task"].map(_published_gain()).astype(float)
    models = list(six_models(results))
    tasks = table[table["task"] != "delta_m"]
    beaten = ", ".join(f"`{v}` in {tasks[f'{v} beats trivial'].sum()} of {len(tasks)} tasks" for v in models)
    images = results["train_images"].max()
    passes = scale.training.steps * scale.training.batch_size / images
    facts = tables.facts(scale) | {"seeds": len(scale.seeds.six)}
    title = tables.caption(f"Six-task models on {scale.train_domain}'s test split", facts)
    notes = [
        "In parentheses: gain in percent over the one-task model of the same seed, + is better; `delta_m` is its mean "
        "over the tasks. *Trivial*: the best predictor that does not look at the image. L1 of keypoints and edges is "
        "in Taskonomy's ranges (0.005 and 0.08 of the 16-bit code).",
        f"Each model saw its {images} training images {passes:.2g} times. Better than the trivial predictors with "
        f"every seed: {beaten}.",
        "Published: MulT over 1-task Swin on Taskonomy, second-hand; only the largest gain could be found.",
    ]
    shown = Shown(
        tables.value_and_gain(table, models), tables.model_sources(results, six_models(results)), ["single", *models]
    )
    tables.write_table("six_task", table, title, notes, shown)


def _published_gain() -> dict[str, float]:
    rows = tables.published("six_task")
    rows = rows[rows["column"] == "mult over 1-task Swin"]
    return dict(zip(rows["row"], rows["value"], strict=True))


def _task_count(results: pd.DataFrame, scale: Scale) -> None:
    table = task_count(results, "mult-shared", scale.train_domain)
    title = tables.caption(
        f"More and more tasks in one model (`shared`) on {scale.train_domain}'s test split: gain in percent over the "
        "one-task models of the same seed, + is better",
        tables.facts(scale),
    )
    notes = [
        "*Common*: the mean over the tasks that all of these models have, with its 95 % interval over seeds (low to "
        "high). Which tasks the paper's four and five are is not known; these are ours.",
        "Published: MulT with six tasks is said to be better than with five, and with five than with four "
        "(second-hand, no numbers found).",
    ]
    runs = tables.runs_of(results)
    shown = Shown(table, lambda row, column: runs(f"set-{row['of']}" if row["tasks"] < len(TASKS) else "mult-shared"))
    tables.write_table("task_count", table, title, notes, shown)


def _cost(results: pd.DataFrame, scale: Scale) -> None:
    table = cost(results, scale.training.steps * scale.training.batch_size)
    devices = ", ".join(sorted(results.loc[results["study"] != "constant", "device"].unique()))
    title = tables.caption(
        "Parameters (millions), multiply-accumulates an image (billions), images a second in training",
        tables.facts(scale) | {"on": devices},
    )
    notes = [
        "Speed as these runs had it, with others beside them on the same machine: see reports/bench for measurements "
        "side by side. No parameter count, operation count or speed of MulT has been published that we know of.",
    ]
    runs = tables.runs_of(results)
    six = [f"single-{task}" for task in TASKS]
    shown = Shown(
        table, lambda row, _: runs(row["model"], f"mult-{row['model']}") or (runs(*six) if row["tasks"] == 6 else [])
    )
    tables.write_table("cost", table, title, notes, shown)


def _trivial(results: pd.DataFrame, scale: Scale) -> None:
    table = trivial(results)
    title = tables.caption(
        f"Predictors fitted to {scale.train_domain}'s labels that do not look at the image: main figure a domain",
        tables.facts(scale),
    )
    notes = [
        "*constant*: median (shares of the classes for semseg); *constant-mean*: mean; *constant-pixel*: median at "
        "each place. *single*: the one-task model, for comparison. The paper shows no such rows.",
    ]
    runs = tables.runs_of(results)
    shown = Shown(table, lambda row, column: runs(*_trivial_sources(row["task"], column)))
    tables.write_table("trivial", table, title, notes, shown)


def _trivial_sources(task: str, column: str) -> Sequence[str]:
    return tables.TRIVIAL if column == "best" else [f"single-{task}" if column == "single" else column]


def _page(scale: Scale) -> None:
    parts = [
        f"# Results at scale `{scale.name}`",
        "Made by `make repro`; numbers come from results.csv and published.csv.",
    ]
    for name, title in SECTIONS.items():
        table = (tables.FOLDER / f"{name}.md").read_text(encoding="utf-8").strip()
        if "\n|" not in table:  # nothing of it is studied at this scale
            continue
        parts += [f"## {title}", *map(_figure, FIGURES_OF.get(name, ())), table]
    parts += ["## Pictures", _figure("curves")]
    parts += [_figure(f"{kind}-{domain}") for domain in scale.domains for kind in ("qualitative", "attention")]
    with atomic(Path("reports/README.md"), "w") as file:
        file.write("\n\n".join(parts) + "\n")


def _figure(name: str) -> str:
    """A figure that a later stage draws."""
    of = describe(name)
    return f"![{of.alt}](figures/{name}.png)\n\n*{of.heading} {of.caption}*"
