"""One MLflow run while its stage works."""

import math
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mult.errors import Paused, UserError
from mult.files import atomic
from mult.process import TRACKING
from mult.tracking.box import Box, now_ms
from mult.tracking.code import code_state, dvc_digests
from mult.tracking.store import Link, Unreachable, store_uri
from mult.tracking.telling import Points, Said, begin, say

LOCAL_ID = "local-"  # how an id begins that no store has given
MODEL_S = 120.0  # for a call that uploads a model


def about(config: Mapping[str, Any]) -> dict[str, str]:
    """Params and tags that every stage of a run has, from what its model.json says."""
    facts = {key: str(config[key]) for key in ("study", "attention", "reference", "balancing", "seed", "scale")}
    return facts | {"tasks": "+".join(config["tasks"])}


class Silent:
    """In place of a run, for a process that is not the one to speak."""

    id = ""

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Say nothing."""


class Run:
    """What a stage tells its MLflow run. Nothing of it fails for MLflow's sake, nor waits longer than store.py allows.

    Attributes:
        id: the store's id of the run; where it has not answered, one that begins with ``local-``, which the run will
            have as its tag ``mult.local_id``.
    """

    def __init__(self, box: Box, doubtful: bool):
        """``doubtful``: the store may have something of the run already."""
        self._box, self._link, self._warned = box, Link(box.head["store"]), False
        self._known: Points | None = None if doubtful else set()
        with self._on_disk():
            self._send()
        self.id: str = self._box.head["run_id"] or self._box.head["local_id"]

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log the figures of one step; what is not finite is left out, for stores turn it into numbers.

        A figure that the run has at that step already stays as it is: a training that goes on tells its past again.
        """
        known = self._known or ()
        finite = {key: float(value) for key, value in metrics.items() if math.isfinite(value)}
        if fresh := {key: value for key, value in finite.items() if (key, step) not in known}:
            self._tell({"metrics": fresh, "step": step, "time_ms": now_ms()})

    def show(self, name: str, picture) -> None:
        """Keep a picture, uint8 (H, W, 3), as the run's artifact ``name``."""
        from mult.png import write_png

        with self._on_disk():
            write_png(self._box.files / name, picture)
            self._tell({"artifact": name})

    def model(self, folder: Path, tasks: Sequence[str]) -> str:
        """Keep the trained run in ``folder`` as the MLflow run's model; returns its URI, empty where it has to wait."""
        from mult.mlflow_model import FILES

        kept = self._box.files / folder.name
        with self._on_disk():
            kept.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                shutil.copyfile(folder / name, kept / name)
        said = self._tell({"model": folder.name, "tasks": list(tasks)}, MODEL_S)
        return said.models.get(folder.name, "") if said else ""

    def end(self, status: str) -> None:
        """Say how it ended; ``status``: MLflow's word for it."""
        said = self._tell({"end": status, "time_ms": now_ms()}, last=True)
        with self._on_disk():
            if said:
                self._box.remove()
        self._box.release()

    def _tell(self, message: dict[str, Any], seconds: float | None = None, last: bool = False) -> Said | None:
        with self._on_disk():
            self._box.add(message)
        with self._on_disk():
            return self._send(seconds, last)
        return None

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """A full disk will end the stage where it matters; what is told of it may still reach the store."""
        try:
            yield
        except (OSError, ValueError, UserError) as error:
            print(f"warning: {TRACKING}: {error}; MLflow may miss something", file=sys.stderr)

    def _send(self, seconds: float | None = None, last: bool = False) -> Said | None:
        """Tell the store what waits, if it is worth a try; None where it waits on."""
        if why := self._link.closed(last):
            self._warn(why)
            return None
        box = self._box
        try:
            with self._link.trying(seconds):
                if not box.head["begun"]:
                    box.note(tried_ms=now_ms())
                    run_id, was_there = self._link.call(begin, box.head, self._known is None)
                    self._known = None if was_there else self._known
                    box.note(run_id=run_id, begun=True)
                said = self._link.call(say, box.head["run_id"], box.messages(), box.files, self._known)
        except Unreachable as error:
            self._known = None
            self._warn(str(error))
            return None
        box.clear()
        self._known = said.known
        for refusal in said.refused:
            print(f"warning: MLflow: {refusal}; the run goes on without it", file=sys.stderr)
        return said

    def _warn(self, why: str) -> None:
        if not self._warned:
            print(
                f"warning: MLflow's store {self._link.uri}: {why}; what it misses is kept in {TRACKING}, and "
                "`mult track sync` sends it",
                file=sys.stderr,
            )
        self._warned = True


@contextmanager
def stage_run(
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    inputs: Sequence[Path | str] = (),
    context: str = "training",
    texts: Mapping[str, str] | None = None,
    resume: str | None = None,
    once: str = "",
) -> Iterator[Run]:
    """An MLflow run for the current DVC stage (``name`` where there is none); ended as the block ends.

    Args:
        params: few and short, for the compare view; whole settings belong into an artifact.
        tags: further tags; DVC's stage, the inputs' digests and the state of the code are added.
        inputs: paths of the stage's data, as DVC knows them.
        context: of the data in MLflow's Dataset column.
        texts: artifacts, by name.
        resume: id of a run of the same stage that was killed and goes on; where the store has lost it, a new one.
        once: name of the tag whose value says what comes out: an earlier run that has it, and the scale, is taken.
    """
    box = Box.of(resume) if resume else None
    if box is not None:
        box.add({"again": now_ms()})
        box.note(begun=False)
    else:
        box = Box.new(_head(name, params, tags, inputs, context, resume, once))
        for artifact, text in (texts or {}).items():
            with atomic(box.files / artifact, "w") as file:
                file.write(text)
            box.add({"artifact": artifact})
    run = Run(box, doubtful=resume is not None)
    try:
        yield run
    except BaseException as error:
        run.end("KILLED" if isinstance(error, Paused) else "FAILED")
        raise
    run.end("FINISHED")


def _head(name: str, params, tags, inputs, context: str, resume: str | None, once: str) -> dict[str, Any]:
    """What a new box says of its run; arguments as of ``stage_run``."""
    stage, now = os.environ.get("DVC_STAGE", name), now_ms()
    digests = dvc_digests(inputs)
    about = {
        "mlflow.note.content": f"Stage `{stage}`. Run it again: `dvc repro --single-item {stage}`",
        "mlflow.source.name": f"dvc {stage}",
        "mlflow.source.type": "PROJECT",
        "dvc.stage": stage,
        **{f"dvc.md5.{path}": md5 for path, md5 in digests.items()},
    }
    data = [[Path(path).name, md5[:8], path] for path, md5 in digests.items() if path.startswith("data/")]
    return {
        "name": name,
        "stage": stage,
        "store": store_uri(),
        "local_id": resume or f"{LOCAL_ID}{uuid.uuid4().hex[:26]}",
        "run_id": None if resume is None or resume.startswith(LOCAL_ID) else resume,
        "begun": False,
        "tried_ms": now,
        "start_ms": now,
        "params": {key: str(value) for key, value in params.items()},
        "tags": about | code_state() | dict(tags),
        "inputs": data,
        "context": context,
        "once": once,
    }
