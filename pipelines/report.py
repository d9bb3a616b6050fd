"""reports/ anew from runs/ and gallery/, all stages that write there in one go: nothing is trained, DVC is not asked.

DVC finds what this writes up to date. Contact sheets, published numbers and benchmarks are not made from runs: those
that are missing come from git.

python -m pipelines report
"""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from importlib import import_module
from pathlib import Path

from mult import params
from mult.progress import progress
from mult.reports.figures import DESCRIPTIONS
from mult.reports.readme import STUDIES
from mult.tracking import git

FROM_GIT = ("reports/published.csv", "reports/bench", "reports/figures/domains-*.jpg")

Jobs = dict[str, tuple[Callable[[], None], set[str]]]  # name -> what to do, and after which others


def main() -> None:
    for kept in FROM_GIT:
        if not list(Path().glob(kept)):
            git("checkout", "--", kept)
    from pipelines import figures  # imported once, before the processes fork

    jobs: Jobs = {"collect": (partial(_stage, "collect"), set())}
    jobs |= {study: (partial(_stage, study), {"collect"}) for study in sorted(STUDIES, key="ablation".__ne__)}
    of_studies = [name for name in DESCRIPTIONS if name not in figures.OF_TABLES]
    jobs |= {f"figure {name}": (partial(figures.draw, name), set(STUDIES)) for name in of_studies}
    jobs["tables"] = (partial(_stage, "tables"), set(STUDIES))
    jobs |= {f"figure {name}": (partial(figures.draw, name), {"tables"}) for name in figures.OF_TABLES}
    pictures = [f"gallery_figures {domain}" for domain in params.load().scale.domains]
    jobs |= {name: (partial(_stage, *name.split()), set()) for name in pictures}
    jobs["site"] = (partial(_stage, "site"), set(jobs))
    for _ in progress(_done(jobs), "report", total=len(jobs), unit="job"):
        pass


def _done(jobs: Jobs) -> Iterator[str]:
    """Do ``jobs`` side by side, of those that can be done the first ones first; yields each one's name as it ends."""
    cores = os.cpu_count() or 1
    running: dict[Future, str] = {}
    waiting = dict(jobs)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("fork")) as pool:
        while waiting or running:
            undone = {*waiting, *running.values()}
            for name in [name for name, (_, after) in waiting.items() if not after & undone][: cores - len(running)]:
                running[pool.submit(waiting.pop(name)[0])] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                yield running.pop(future)


def _stage(script: str, *arguments: str) -> None:
    os.environ["DVC_STAGE"] = script
    import_module(f"pipelines.{script}").main(*arguments)
