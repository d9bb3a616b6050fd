"""reports/ anew from runs/ and gallery/, all stages that write there in one go: nothing is trained, DVC is not asked.

DVC finds what this writes up to date. Contact sheets, published numbers and benchmarks are not made from runs: those
that are missing come from git.

python -m pipelines report
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

from mult import params
from mult.progress import progress
from mult.reports.figures import DESCRIPTIONS
from mult.reports.readme import STUDIES
from mult.tracking import git

FROM_GIT = ("reports/published.csv", "reports/bench", "reports/figures/domains-*.jpg")

Job = Callable[[], None]


def main() -> None:
    for kept in FROM_GIT:
        if not list(Path().glob(kept)):
            git("checkout", "--", kept)
    from pipelines import figures  # imported once, before the processes fork

    pictures = [partial(_stage, "gallery_figures", domain) for domain in params.load().scale.domains]
    of_studies = [name for name in DESCRIPTIONS if name not in figures.OF_TABLES]
    steps: list[Sequence[Job]] = [
        [partial(_stage, "collect")],
        [*(partial(_stage, study) for study in STUDIES), *pictures],
        [partial(_stage, "tables"), *(partial(figures.draw, *some) for some in (of_studies[::2], of_studies[1::2]))],
        [partial(figures.draw, *figures.OF_TABLES)],
        [partial(_stage, "site")],
    ]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        for jobs in progress(steps, "report", unit="step"):
            for done in [pool.submit(job) for job in jobs]:
                done.result()


def _stage(script: str, *arguments: str) -> None:
    os.environ["DVC_STAGE"] = script
    import_module(f"pipelines.{script}").main(*arguments)
