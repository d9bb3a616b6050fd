"""Telling MLflow what a box holds, so that telling it twice leaves what telling it once does.

A run is known by its tag ``mult.local_id``, whose value is made here before the store is asked for the run. A point of
a metric is known by its key and step, for nothing here has two values at one step.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mult.tracking.box import Message
from mult.tracking.store import Client, brief

LOCAL = "mult.local_id"
CURRENT = "dvc.current"
BATCH = 1000  # points that MLflow takes in one call
TRIES = 3  # of naming data sets

Points = set[tuple[str, int]]


@dataclass
class Said:
    """What came of telling messages.

    Attributes:
        known: every point that the store has of the run.
        refused: why the store will never take some of them, one line each.
        models: URIs of the models, by name.
    """

    known: Points
    refused: list[str] = field(default_factory=list)
    models: dict[str, str] = field(default_factory=dict)


def begin(
    client: Client, experiment: str, head: Mapping[str, Any], doubtful: bool, late: bool = False
) -> tuple[str, bool]:
    """Make the run, with all that is known of it before the work, and supersede earlier ones of its stage and name.

    Args:
        head: of its box.
        doubtful: it may be there, from an earlier try or a life that was ended.
        late: it began a while ago, and another one may have superseded it since.

    Returns:
        The store's id of it, and whether it was there.
    """
    found = _found(client, experiment, head) if doubtful else None
    found = found or _equal(client, experiment, head)
    current = _supersede(client, experiment, head, found, late)
    if found is None:
        tags = head["tags"] | {LOCAL: head["local_id"], CURRENT: current}
        run_id = client.create_run(experiment, head["start_ms"], tags, head["name"]).info.run_id
    else:
        run_id = found.info.run_id
        client.set_tag(run_id, CURRENT, current)
        if found.info.status == "FINISHED":
            return run_id, True
        client.update_run(run_id, "RUNNING")
    client.log_batch(run_id, params=_params(head["params"]))
    _log_inputs(client, run_id, head["inputs"], head["context"])
    return run_id, found is not None


def say(
    client: Client, experiment: str, run_id: str, messages: Sequence[Message], files: Path, known: Points | None
) -> Said:
    """Tell the run's messages, but for what the store has; ``known``: its points, None where that must be asked."""
    from mlflow.entities import Metric

    doubtful = known is None
    said = Said(_points(client, run_id) if known is None else set(known))
    points = []
    for message in messages:
        for key, value in message.get("metrics", {}).items():
            if (key, message["step"]) not in said.known:
                said.known.add((key, message["step"]))
                points.append(Metric(key, value, message["time_ms"], message["step"]))
    for start in range(0, len(points), BATCH):
        _log_points(client, run_id, points[start : start + BATCH], said.refused)
    for name in dict.fromkeys(message["artifact"] for message in messages if "artifact" in message):
        folder = str(PurePosixPath(name).parent)
        _told(said.refused, client.log_artifact, run_id, str(files / name), None if folder == "." else folder)
    for message in messages:
        if "model" in message:
            uri = _model(client, experiment, run_id, files / message["model"], message["tasks"], doubtful)
            said.models[message["model"]] = uri
    if messages and "end" in messages[-1] and client.get_run(run_id).info.status != messages[-1]["end"]:
        client.set_terminated(run_id, messages[-1]["end"], messages[-1]["time_ms"])
    return said


def run_of(client: Client, run_id: str):
    """The run of this id, which may be a deleted one (``info.lifecycle_stage``); None where the store has none."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def mark(client: Client, experiment: str, marks: Mapping[str, Any]) -> None:
    """Tag the runs of a scale that its results come from as current, and no others; see current.py."""
    token = None
    while token != "":
        page = client.search_runs([experiment], f"tags.scale = '{marks['scale']}'", max_results=1000, page_token=token)
        for run in page:
            tags = run.data.tags
            if (marks["besides"] and tags.get("stage") == marks["besides"]) or run.info.start_time > marks["time_ms"]:
                continue
            state = "yes" if {run.info.run_id, tags.get(LOCAL)} & set(marks["run_ids"]) else "no"
            if tags.get(CURRENT) != state:
                client.set_tag(run.info.run_id, CURRENT, state)
        token = page.token or ""


def _found(client: Client, experiment: str, head: Mapping[str, Any]):
    """The run itself, by either of its ids; what a request that was given up has made besides is deleted."""
    run = run_of(client, head["run_id"]) if head["run_id"] else None
    if run and run.info.lifecycle_stage == "active":
        return run
    twins = client.search_runs([experiment], f"tags.`{LOCAL}` = '{head['local_id']}'")
    twins = sorted(twins, key=lambda run: len(run.data.metrics), reverse=True)
    for twin in twins[1:]:
        client.delete_run(twin.info.run_id)
    return twins[0] if twins else None


def _equal(client: Client, experiment: str, head: Mapping[str, Any]):
    """An earlier run of the same outcome, where the run is one of those that are logged once."""
    if not head["once"]:
        return None
    tags = head["tags"]
    query = f"tags.`{head['once']}` = '{tags[head['once']]}' and tags.scale = '{tags.get('scale', '')}'"
    return next(iter(client.search_runs([experiment], query, max_results=1)), None)


def _supersede(client: Client, experiment: str, head: Mapping[str, Any], own, late: bool) -> str:
    """Tag other runs of the stage that have this name as not current, and end those at work.

    Returns:
        Whether the run is current, as its tag says it: "no" where a later one has come first.
    """
    current, scale = "yes", head["tags"].get("scale", "")
    query = f"tags.`dvc.stage` = '{head['stage']}' and attributes.run_name = '{head['name']}'"
    for other in client.search_runs([experiment], query):
        tags, run_id = other.data.tags, other.info.run_id
        if own is not None and run_id == own.info.run_id:
            continue
        if late and other.info.start_time > head["start_ms"]:
            current = "no" if tags.get("scale", "") == scale else current
            continue
        if tags.get("scale", "") == scale and tags.get(CURRENT) == "yes":
            client.set_tag(run_id, CURRENT, "no")
        if other.info.status == "RUNNING":
            client.set_terminated(run_id, "KILLED")
    return current


def _params(params: Mapping[str, str]) -> list:
    from mlflow.entities import Param

    return [Param(key, value) for key, value in params.items()]


def _log_inputs(client: Client, run_id: str, data: Iterable[Sequence[str]], context: str) -> None:
    """Name the run's data sets. Of two stages that name a new one at once, the store refuses one at first."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.exceptions import MlflowException

    inputs = [
        DatasetInput(
            Dataset(name=name, digest=digest, source_type="local", source=json.dumps({"uri": path})),
            [InputTag("mlflow.data.context", context)],
        )
        for name, digest, path in data
    ]
    for left in reversed(range(TRIES if inputs else 0)):
        try:
            client.log_inputs(run_id, inputs)
            return
        except MlflowException:
            if not left:
                raise


def _points(client: Client, run_id: str) -> Points:
    keys = client.get_run(run_id).data.metrics
    return {(key, point.step) for key in keys for point in client.get_metric_history(run_id, key)}


def _log_points(client: Client, run_id: str, points: Sequence, refused: list[str]) -> None:
    """Log a batch; of one that is refused for some of its points, all others."""
    own: list[str] = []
    _told(own, client.log_batch, run_id, points)
    if own and len(points) > 1:
        for half in (points[: len(points) // 2], points[len(points) // 2 :]):
            _log_points(client, run_id, half, refused)
    else:
        refused += own


def _told(refused: list[str], call: Callable, *arguments: Any) -> None:
    """Call MLflow; that it will never take such a thing is noted, anything else is raised."""
    from mlflow.exceptions import MlflowException

    try:
        call(*arguments)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        refused.append(brief(error))


def _model(client: Client, experiment: str, run_id: str, folder: Path, tasks: Sequence[str], doubtful: bool) -> str:
    """Log the trained run in ``folder`` as a model of the MLflow run, where it has none; returns its URI."""
    import mlflow

    from mult import mlflow_model  # late: torch

    if doubtful:
        for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
            if model.status == "READY":
                return model.model_uri
            client.delete_logged_model(model.model_id)
    mlflow.set_tracking_uri(client.tracking_uri)
    with mlflow.start_run(run_id=run_id):
        return mlflow_model.log(folder, tasks)
