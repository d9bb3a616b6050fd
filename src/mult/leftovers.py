"""What a stage keeps in .mult to go on from: it goes when dvc.lock has what came of it, and not before.

Between a stage's last line and its entry in dvc.lock DVC hashes what was made, which takes seconds or, of large data,
many minutes. A kill or a full disk in that time makes DVC run the stage again, which then has to find its pieces.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from mult import lockfile, outs
from mult.files import read_json, write_json
from mult.process import CHECKPOINTS, STATE

MARK = "ended.json"
PLACES = ((STATE / "render", "*"), (STATE / "index", "*"), (CHECKPOINTS, "*/*"))


def ended(folder: Path, out: Path) -> None:
    """Have ``folder`` go by a later ``sweep``, when dvc.lock has ``out``; at once where this is no stage of DVC's."""
    stage = os.environ.get("DVC_STAGE")
    if stage is None:
        shutil.rmtree(folder)
        return
    before = lockfile.stages().get(stage)
    # A file, which is small, is known by its digest; of a folder it has to do that the stage's entry is another one.
    now = outs.digest(out) if out.is_file() else None
    write_json(folder / MARK, {"stage": stage, "before": before, "out": out.as_posix(), "digest": now})


def sweep(idle: bool = False) -> None:
    """Remove what dvc.lock has the outcome of; ``idle``: every stage is up to date.

    A folder that was made anew to the same bytes, from the same, leaves its stage's entry as it was: it waits for that.
    """
    for mark in _marks():
        with suppress(OSError, ValueError, KeyError, TypeError):  # of a sweep beside this one, or no mark of ours
            about = read_json(mark)
            if about["digest"]:
                there = about["digest"] in outs.recorded().get(about["out"], ())
            else:
                entry = lockfile.stages().get(about["stage"])
                there = entry is not None and (idle or entry != about["before"])
            if there:
                shutil.rmtree(mark.parent)
                mark.parent.parent.rmdir()  # if that was the last one


def _marks() -> list[Path]:
    found = []
    for place, pattern in PLACES:
        with suppress(OSError):  # a folder that goes while it is looked at
            found += place.glob(f"{pattern}/{MARK}")
    return found
