"""The report's figures: reports/figures/<name>.svg and .png.

python -m pipelines figures
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from mult import params
from mult.evaluation.compare import without_seed
from mult.evaluation.results import load_results
from mult.params import Params
from mult.reports import tables
from mult.reports.figures.affinity import affinity
from mult.reports.figures.attention import attention
from mult.reports.figures.cost import cost
from mult.reports.figures.cross_domain import cross_domain
from mult.reports.figures.curves import curves
from mult.reports.figures.gains import gain_table, gains
from mult.reports.figures.gallery import load_gallery
from mult.reports.figures.output import write
from mult.reports.figures.qualitative import qualitative
from mult.reports.figures.sharing import sharing, sharing_tasks

RUNS, GALLERY = Path("runs"), Path("gallery")
QUESTION = "shared over skip"  # the paper's claim


def main() -> None:
    settings = params.load()
    for name, draw in {**_of_tables(settings), **_of_galleries(settings)}.items():
        write(draw(), name)


def _of_tables(settings: Params) -> dict[str, Callable[[], Figure]]:
    home, note = settings.scale.train_domain, _note(settings, settings.scale.seeds.six)
    ablation, recorded = _table("ablation"), _table("affinity_cheap")
    results = load_results()
    gained = gain_table(results, home)
    questions = {f"{of.variant} over {of.base}": of.asks for of in settings.comparisons}
    losses = {task: of.loss for task, of in settings.losses.items()}
    variant = next(
        (name for name, of in settings.variants.items() if of == settings.pair), next(iter(settings.variants))
    )
    return {
        "sharing": lambda: sharing(ablation, questions, home, note),
        "sharing_tasks": lambda: sharing_tasks(ablation, QUESTION, note),
        "gains": lambda: gains(gained, home, note),
        "affinity": lambda: affinity(_table("affinity"), recorded, variant, _note(settings)),
        "cross_domain": lambda: cross_domain(_table("cross_domain"), home, note),
        "curves": lambda: curves(_histories(results), losses, note),
        "cost": lambda: cost(gained, _table("cost"), home, note),
    }


def _of_galleries(settings: Params) -> dict[str, Callable[[], Figure]]:
    """Of the domains that have a gallery: without one the tables' figures can still be drawn."""
    figures = {}
    for domain in settings.scale.domains:
        if not (GALLERY / domain).is_dir():
            continue
        gallery = load_gallery(GALLERY / domain)
        figures[f"qualitative-{domain}"] = lambda gallery=gallery: qualitative(gallery, _note(settings))
        figures[f"attention-{domain}"] = lambda gallery=gallery: attention(gallery, _note(settings))
    return figures


def _table(name: str) -> pd.DataFrame:
    return pd.read_csv(tables.FOLDER / f"{name}.csv")


def _histories(results: pd.DataFrame) -> pd.DataFrame:
    """What the six-task trainings wrote while they ran, with the columns variant and seed."""
    six = results[results["study"] == "six"].drop_duplicates("run")
    found = [
        pd.read_csv(RUNS / run / "history.csv").assign(variant=variant, seed=seed)
        for run, variant, seed in zip(six["run"], without_seed(six).str.removeprefix("mult-"), six["seed"], strict=True)
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _note(settings: Params, seeds: Sequence[int] = ()) -> str:
    """The scale in words, as every figure has it at its foot."""
    scale = settings.scale
    words = [f"Scale {scale.name}", f"{scale.image_size} px", f"{scale.training.steps} steps"]
    words += [f"batch {scale.training.batch_size}"]
    return ", ".join([*words, *([f"{len(seeds)} seed{'s'[: len(seeds) > 1]}"] if seeds else [])])
