"""What a stage keeps in .mult to go on from: it goes when dvc.lock has what came of it, and not before.

Between a stage's last line and its entry in dvc.lock DVC hashes what was made, which takes seconds or, of large data,
many minutes. A kill or a full disk in that time makes DVC run the stage again, which then has to find its pieces.
"""

import shutil
from pathlib import Path

from mult import outs
from mult.files import read_json, write_json
from mult.process import STATE

MARK = "ended.json"
PLACES = (f"*/*/{MARK}", f"*/*/*/{MARK}")  # .mult/render/<domain>-<…>/, .mult/checkpoints/<run>/<…>/


def ended(folder: Path, out: Path) -> None:
    """Have ``folder`` go by a later ``sweep``, when dvc.lock has ``out``, a file or a folder, as it is now."""
    write_json(folder / MARK, {"out": out.as_posix(), "digest": outs.digest(out)})


def sweep() -> None:
    """Remove what dvc.lock has the outcome of."""
    marks = [mark for pattern in PLACES for mark in STATE.glob(pattern)]
    recorded = outs.recorded() if marks else {}
    for mark in marks:
        try:
            about = read_json(mark)
            there = recorded.get(about["out"]) == about["digest"]
        except (OSError, ValueError, KeyError, TypeError):  # of a sweep beside this one, or no mark of ours
            continue
        if there:
            shutil.rmtree(mark.parent, ignore_errors=True)
