"""MLflow, seen from the side: what stages tell it, and nothing that they need from it.

One flat run a training or an evaluation, tagged with the DVC stage and the scale that made it. When a stage runs again
at its scale, the earlier run of the same name is kept and tagged ``dvc.current = no``. The store is
``sqlite:///mlflow.db`` unless MLFLOW_TRACKING_URI says otherwise. Metric keys have exactly one slash: MLflow's UI makes
a section of what stands before it.
"""

import fcntl
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mult.errors import Paused, UserError
from mult.process import STATE

EXPERIMENT = "mult"
DEFAULT_STORE = "sqlite:///mlflow.db"
# What the pipeline itself writes among the files in git; parameters are logged.
WRITTEN = (":!dvc.lock", ":!reports", ":!params.yaml")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def store_uri() -> str:
    """Where runs are kept."""
    return os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_STORE)


def store_exists() -> bool:
    """Whether the store has been made; of one that is no file of this machine, yes."""
    _, is_file, path = store_uri().partition("sqlite:///")
    return not is_file or Path(path).exists()


def connect():
    """A client of the store and the experiment's id; the store is made where there is none.

    The lock keeps two first users from making one database at the same time, which breaks it for good.

    Raises:
        UserError: the store cannot be reached.
    """
    import mlflow

    STATE.mkdir(exist_ok=True)
    with open(STATE / "mlflow.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            mlflow.set_tracking_uri(store_uri())
            client = mlflow.MlflowClient()
            found = client.get_experiment_by_name(EXPERIMENT)
            return client, found.experiment_id if found else client.create_experiment(EXPERIMENT)
        except (mlflow.exceptions.MlflowException, OSError) as error:
            text = " ".join(str(error).split())[:200]
            raise UserError(f"MLflow's store {store_uri()}: {text}; start it, or unset MLFLOW_TRACKING_URI") from None


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
    """One MLflow run while its stage works."""

    def __init__(self, client, run_id: str, logged: int = -1):
        """``logged``: the last step whose figures the store has already; MLflow would keep a second point of it."""
        self._client, self.id, self._logged = client, run_id, logged

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log the figures of one step in one call; what is not finite is left out, for stores turn it into numbers."""
        from mlflow.entities import Metric

        if step <= self._logged:
            return
        now = int(time.time() * 1000)
        entries = [Metric(key, value, now, step) for key, value in metrics.items() if math.isfinite(value)]
        self.tell(self._client.log_batch, self.id, metrics=entries)

    def show(self, name: str, picture) -> None:
        """Keep a picture, uint8 (H, W, 3), as the run's artifact ``name``."""
        self.tell(self._client.log_image, self.id, picture, artifact_file=name)

    def tell(self, call: Callable, *arguments: object, **named: object) -> None:
        """Call MLflow; a store that fails in the middle of a run costs a warning, never the run."""
        from mlflow.exceptions import MlflowException

        try:
            call(*arguments, **named)
        except MlflowException as error:
            print(f"warning: MLflow: {_brief(error)}; the run goes on", file=sys.stderr)


@contextmanager
def stage_run(
    name: str,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    inputs: Sequence[Path | str] = (),
    context: str = "training",
    texts: Mapping[str, str] | None = None,
    resume: str | None = None,
) -> Iterator[Run]:
    """An MLflow run for the current DVC stage (``name`` where there is none); ended as the block ends.

    Args:
        params: few and short, for the compare view; whole settings belong into an artifact.
        tags: further tags; DVC's stage, the inputs' digests and the state of the code are added.
        inputs: paths of the stage's data, as DVC knows them.
        context: of the data in MLflow's Dataset column.
        texts: artifacts, by name.
        resume: id of a run of the same stage that was killed and goes on; where the store has lost it, a new one.
    """
    client, experiment = connect()
    stage = os.environ.get("DVC_STAGE", name)
    old = _found(client, resume)
    supersede(client, experiment, stage, name, tags.get("scale", ""), resume if old else None)
    if old:
        client.update_run(resume, "RUNNING")
        client.set_tag(resume, "dvc.current", "yes")
        tracked = Run(client, resume, _last_step(client, resume))
    else:
        tracked = _begun(client, experiment, name, stage, params, tags, inputs, context)
        for artifact, text in (texts or {}).items():
            tracked.tell(client.log_text, tracked.id, text, artifact)
    try:
        yield tracked
    except BaseException as error:
        tracked.tell(client.set_terminated, tracked.id, "KILLED" if isinstance(error, Paused) else "FAILED")
        raise
    tracked.tell(client.set_terminated, tracked.id, "FINISHED")


def _begun(client, experiment: str, name: str, stage: str, params, tags, inputs, context: str) -> Run:
    """A new run with all that is known of it before the work; arguments as of ``stage_run``."""
    digests = dvc_digests(inputs)
    about = {
        "mlflow.note.content": f"Stage `{stage}`. Run it again: `dvc repro --single-item {stage}`",
        "mlflow.source.name": f"dvc {stage}",
        "mlflow.source.type": "PROJECT",
    }
    state = {"dvc.stage": stage, "dvc.current": "yes", **{f"dvc.md5.{path}": md5 for path, md5 in digests.items()}}
    run = client.create_run(experiment, run_name=name, tags={**about, **state, **code_state(), **tags})
    client.log_batch(run.info.run_id, params=_params(params))
    _log_inputs(client, run.info.run_id, digests, context)
    return Run(client, run.info.run_id)


def _found(client, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    if run_id is None:
        return False
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def _last_step(client, run_id: str) -> int:
    keys = [key for key in client.get_run(run_id).data.metrics if key.startswith("val/")]
    return max((point.step for key in keys for point in client.get_metric_history(run_id, key)), default=-1)


def dvc_digests(paths: Sequence[Path | str]) -> dict[str, str]:
    """MD5 of each of ``paths`` that dvc.lock knows as an output.

    Another dvc may be rewriting the file, which it does in place: what is cut off is read again, for two seconds.
    """
    wanted, found = {str(path) for path in paths}, {}
    for _ in range(20):
        found = {path: md5 for path, md5 in _locked_outs().items() if path in wanted}
        if wanted <= found.keys():
            break
        time.sleep(0.1)
    return found


def _locked_outs() -> dict[str, str]:
    lock = Path("dvc.lock")
    if not lock.exists():
        return {}
    try:
        stages = yaml.load(lock.read_text(), yaml.CSafeLoader)["stages"].values()  # long: libyaml's parser
        return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return {}


def code_state() -> dict[str, str]:
    """Tags of the code: commit, and whether the code was changed since."""
    return {
        "mlflow.source.git.commit": git_commit(),
        "git.dirty": "yes" if git("status", "--porcelain", "-uno", "--", ".", *WRITTEN) else "no",
    }


def git_commit() -> str:
    """The commit that is checked out; empty outside a repository."""
    return git("rev-parse", "HEAD")


def git(*args: str) -> str:
    """What git answers here; empty where it fails."""
    done = subprocess.run(["git", *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def mark_current(run_ids: Collection[str], scale: str, besides: str = "") -> None:
    """Tag the runs of ``scale`` that the results come from as current, and no others.

    Needed because DVC restores a stage's earlier result, and with it the link to an earlier run, from its cache. Runs
    with ``besides`` in their tag ``stage`` stay as they are.
    """
    client, experiment = connect()
    query = f"tags.scale = '{scale}'"
    token = None
    while token != "":
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        for run in page:
            if besides and run.data.tags.get("stage") == besides:
                continue
            state = "yes" if run.info.run_id in run_ids else "no"
            if run.data.tags.get("dvc.current") != state:
                client.set_tag(run.info.run_id, "dvc.current", state)
        token = page.token or ""


def supersede(client, experiment: str, stage: str, name: str, scale: str, kept: str | None) -> None:
    """Tag earlier runs of a stage that have this name as not current, but for the run ``kept``; end those at work."""
    for old in client.search_runs([experiment], f"tags.`dvc.stage` = '{stage}' and attributes.run_name = '{name}'"):
        tags = old.data.tags
        if old.info.run_id == kept:
            continue
        if tags.get("scale", "") == scale and tags.get("dvc.current") == "yes":
            client.set_tag(old.info.run_id, "dvc.current", "no")
        if old.info.status == "RUNNING":
            client.set_terminated(old.info.run_id, "KILLED")


def _params(params: Mapping[str, object]) -> list:
    from mlflow.entities import Param

    return [Param(key, str(value)) for key, value in params.items()]


def _log_inputs(client, run_id: str, digests: Mapping[str, str], context: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = [(path, md5) for path, md5 in digests.items() if path.startswith("data/")]
    inputs = [
        DatasetInput(
            Dataset(name=Path(path).name, digest=md5[:8], source_type="local", source=f'{{"uri": "{path}"}}'),
            [InputTag("mlflow.data.context", context)],
        )
        for path, md5 in data
    ]
    for last in (False, False, True):
        if not inputs or _told_inputs(client, run_id, inputs, last):
            return


def _told_inputs(client, run_id: str, inputs: list, last: bool) -> bool:
    """Whether the store has taken them: of two stages that name a new data set at once, it refuses one at first."""
    from mlflow.exceptions import MlflowException

    try:
        client.log_inputs(run_id, inputs)
    except MlflowException as error:
        if last:
            print(f"warning: MLflow: {_brief(error)}; the run goes on without its data sets", file=sys.stderr)
        return False
    return True


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
