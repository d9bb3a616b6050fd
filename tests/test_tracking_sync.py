"""What waits for MLflow, and sending it to a real store."""

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mult import tracking
from mult.errors import UserError
from mult.files import read_json
from mult.process import TRACKING, alone
from mult.tracking import box, run, store, sync
from tests.outage import NOWHERE, home, told


@pytest.fixture(autouse=True)
def _away(tmp_path, monkeypatch):
    """Nothing answers where runs are to be kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    monkeypatch.setenv("DVC_STAGE", "train_single@depth-0")
    monkeypatch.setattr(sync, "SETTLE_S", 0.0)
    home(tmp_path)


@pytest.fixture
def there(tmp_path, made_store):
    shutil.copy(made_store, tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


def stage(name="single-depth-s0", scale="laptop", value=1.0, resume=None):
    texts = {"config.yaml": "tasks: [depth]\n"}
    with tracking.stage_run(name, {"seed": 0}, {"scale": scale}, ["data/home"], texts=texts, resume=resume) as run:
        for step in range(3):
            run.log({"val/loss": value / (step + 1), "val/none": float("nan")}, step)
        run.show("predictions/home.png", np.full((8, 8, 3), 200, np.uint8))
    return run.id


def test_what_waits_is_told_in_a_line(capsys):
    assert sync.reminder() == ""
    stage()
    stage("other")
    assert sync.reminder() == (
        f"MLflow's store {NOWHERE} has not been told of 2 runs (12 messages): `mult track sync` sends it"
    )
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 2, "one a stage"
    assert warnings[0].startswith(f"warning: MLflow's store {NOWHERE}: ")
    sync.status()
    assert "single-depth-s0: 6 messages, and the run itself" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"MLflow's store {NOWHERE}: .*`mult track status` says what waits on") as error:
        sync.sync()
    assert "\n" not in str(error.value)
    assert "2 runs (12 messages)" in sync.reminder()


@pytest.mark.slow
def test_what_is_sent_is_what_would_have_been_told(there, monkeypatch):
    local = stage()
    assert local.startswith("local-")
    assert len(local) == 32
    sync.sync(to=there)
    client, experiment = tracking.reach(there)
    (late,) = client.search_runs([experiment])
    assert late.data.tags["mult.local_id"] == local
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    direct = stage()
    runs = told(there, "single-depth-s0")
    assert [one["tags"].pop("dvc.current") for one in runs] == ["no", "yes"]
    assert runs[0] == runs[1]
    assert client.get_run(direct).info.start_time > late.info.end_time
    assert sync.reminder() == ""
    assert box.boxes() == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["deleted", "gone"])
def test_a_run_that_is_deleted_in_mlflow_holds_up_no_other(there, monkeypatch, capsys, how):
    """One that is not there at all, for the store is another one, is made again."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    client, _ = tracking.reach()
    with tracking.stage_run("doomed", {"seed": 0}, {"scale": "laptop"}, ["data/home"]) as doomed:
        doomed.log({"val/loss": 1.0}, 0)
        if how == "deleted":
            client.delete_run(doomed.id)
        monkeypatch.setattr(store.Link, "closed", lambda link, last=False: "too slow")
        doomed.log({"val/loss": 0.5}, 1)
    stage("waits")
    if how == "gone":
        with closing(sqlite3.connect(there.removeprefix("sqlite:///"))) as database, database:
            for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
                database.execute(f"DELETE FROM {table} WHERE run_uuid = '{doomed.id}'")
    capsys.readouterr()
    sync.sync()
    assert box.boxes() == []
    assert [run["status"] for run in told(there, "waits")] == ["FINISHED"]
    said = capsys.readouterr().err
    if how == "deleted":
        assert f"doomed: run {doomed.id} was deleted in MLflow; what waited for it is left out" in said
    else:
        (again,) = told(there, "doomed")
        assert ("val/loss", 1, 0.5) in again["points"]


def test_whoever_asks_the_store_for_a_run_notes_when(monkeypatch):
    """So that sync waits until such a request is settled; the first try may come long after the stage's start."""
    monkeypatch.setattr(store, "silent", lambda uri: "a moment ago")
    with tracking.stage_run("late", {"seed": 0}, {"scale": "laptop"}, ["data/home"]) as run:
        run.log({"val/loss": 1.0}, 0)
        monkeypatch.setattr(store, "silent", lambda uri: "")
        time.sleep(0.2)
        before = box.now_ms()
        run.log({"val/loss": 0.5}, 1)
        (folder,) = box.boxes()
        assert read_json(folder / "head.json")["tried_ms"] >= before


@pytest.mark.slow
def test_killed_after_any_request_and_run_again_nothing_is_lost_or_doubled(there, monkeypatch):
    """The store has done what was asked and the answer does not come: the worst moment there is."""
    stage("undisturbed")
    sync.sync(to=there)
    (expected,) = told(there, "undisturbed")
    client, experiment = tracking.reach(there)

    class Cut:
        """The client, until it has been called ``left`` times."""

        def __init__(self, left):
            self.left = left

        def __getattr__(self, name):
            found = getattr(client, name)
            if not callable(found):
                return found

            def call(*arguments, **named):
                result = found(*arguments, **named)
                self.left -= 1
                if not self.left:
                    raise KeyboardInterrupt
                return result

            return call

    cut, killed = 0, True
    while killed:
        cut, killed = cut + 1, False
        stage(f"cut-{cut}")
        monkeypatch.setattr(sync, "reach", lambda uri, cut=cut: (Cut(cut), experiment))
        try:
            sync.sync(to=there)
        except KeyboardInterrupt:
            killed = True
        monkeypatch.setattr(sync, "reach", lambda uri: (client, experiment))
        sync.sync(to=there)
        (run,) = told(there, f"cut-{cut}")
        assert run == expected
    assert cut > 8
    assert sync.reminder() == ""


@pytest.mark.slow
def test_a_late_run_does_not_supersede_a_later_one(there, monkeypatch):
    ids = [stage(value=1.0), stage(value=2.0)]
    time.sleep(0.002)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    ids.append(stage(value=3.0))
    ids.append(stage(scale="smoke", value=4.0))
    sync.sync(to=there)
    client, experiment = tracking.reach(there)
    current = {
        run.data.metrics["val/loss"] * 3: run.data.tags["dvc.current"] for run in client.search_runs([experiment])
    }
    assert current == {1.0: "no", 2.0: "no", 3.0: "yes", 4.0: "yes"}


@pytest.mark.slow
def test_which_runs_are_current_is_told_when_they_have_been_sent(there, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    store.note_silence(there, store.Unreachable("away"))
    first, second = stage(), stage()
    store.SILENCE.unlink()
    tracking.mark_current([first], "laptop")  # DVC has restored the first result
    tracking.mark_current([], "smoke")
    sync.sync()
    client, experiment = tracking.reach(there)
    tags = {run.data.tags["mult.local_id"]: run.data.tags["dvc.current"] for run in client.search_runs([experiment])}
    assert tags == {first: "yes", second: "no"}
    assert list(TRACKING.glob("current-*")) == []
    tracking.mark_current([second], "laptop")
    tags = {run.data.tags["mult.local_id"]: run.data.tags["dvc.current"] for run in client.search_runs([experiment])}
    assert tags == {first: "no", second: "yes"}
    assert sync.reminder() == ""


@pytest.mark.slow
def test_a_run_that_was_killed_in_an_outage_ends_as_killed(there):
    head = run._head("killed", {}, {"scale": "laptop"}, [], "training", None, "")
    left = box.Box.new(head)
    left.add({"metrics": {"val/loss": 1.0}, "step": 1, "time_ms": head["start_ms"] + 5000})
    with open(left.folder / "messages.jsonl", "a") as file:
        file.write('{"metrics": {"val/lo')
    left.release()
    sync.sync(to=there)
    (facts,) = told(there, "killed")
    assert (facts["status"], facts["points"]) == ("KILLED", [("val/loss", 1, 1.0)])
    client, experiment = tracking.reach(there)
    (found,) = client.search_runs([experiment])
    assert found.info.end_time - found.info.start_time == 5000


@pytest.mark.slow
def test_what_a_store_will_never_take_is_named_and_the_rest_is_sent(there, capsys):
    with tracking.stage_run("refused", {}, {}) as one:
        for step in range(5):
            one.log({"val/good": 1.0, "val/b<d": 1.0} if step == 3 else {"val/good": 1.0}, step)
    sync.sync(to=there)
    (facts,) = told(there, "refused")
    assert [step for _, step, _ in facts["points"]] == [0, 1, 2, 3, 4]
    assert "refused: MLflow will never take this: " in capsys.readouterr().err
    assert box.boxes() == []


def test_one_sends_at_a_time_and_leaves_a_stage_at_work_alone(capsys):
    with alone("track"), pytest.raises(UserError, match=r"track: process \d+ is at work on it"):
        sync.sync()
    with tracking.stage_run("at-work", {}, {}) as one:
        one.log({"val/loss": 1.0}, 1)
        assert box.Box.take(box.boxes()[0]) is None
    assert box.Box.take(box.boxes()[0]) is not None


def test_a_store_that_has_not_answered_is_left_alone_for_a_while(monkeypatch):
    tries = []
    monkeypatch.setattr(store, "opened", lambda uri: tries.append(uri) or time.sleep(60))
    monkeypatch.setattr(store, "WAIT_S", 0.2)
    began = time.monotonic()
    for _ in range(5):
        stage()
    tracking.mark_current([], "laptop")
    tracking.connect()
    assert tries == [NOWHERE]
    assert time.monotonic() - began < 5
    monkeypatch.setattr(store, "PAUSE_S", 0.0)
    stage()
    assert len(tries) > 1


def test_a_database_that_somebody_locks_is_waited_for_no_longer_than_a_server(there, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", there)
    for name in ("WAIT_S", "BUDGET_S", "PAUSE_S"):
        monkeypatch.setattr(store, name, 0.3)
    with closing(sqlite3.connect(there.removeprefix("sqlite:///"))) as database:
        database.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        stage()
        assert time.monotonic() - began < 4  # SQLite by itself waits 5 s, a try
        assert box.boxes()
    time.sleep(0.3)
    sync.sync()
    assert not box.boxes()
    assert [run["status"] for run in told(there, "single-depth-s0")] == ["FINISHED"]


def test_the_first_user_of_a_database_takes_its_time(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri := f"sqlite:///{tmp_path}/new.db")
    monkeypatch.setattr(store, "WAIT_S", 0.01)
    store.connect()
    assert store.store_exists(uri)
    assert [path.name for path in tmp_path.glob("*new.db*")] == ["new.db"]
    assert store.reach(uri)


KILLED = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from mult.tracking import store

count = 0
@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *more):
    global count
    count += statement.lstrip().upper().startswith(("ALTER", "CREATE", "DROP", "INSERT"))
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
store.opened(os.environ["MLFLOW_TRACKING_URI"])
"""


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_costs_nothing(tmp_path, monkeypatch):
    """MLflow itself never again opens what such a kill leaves; the numbers lie in its first, middle and last steps."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    for number in (1, 120, 240, 350):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(number)], cwd=tmp_path, capture_output=True)
        assert killed.returncode == -signal.SIGKILL, (number, killed.stderr.decode())
        assert not (tmp_path / "new.db").exists()
    stage()
    assert sync.reminder() == ""
    assert [path.name for path in tmp_path.glob("*new.db*")] == ["new.db"]


def test_a_slow_store_is_asked_no_more_than_its_share(monkeypatch):
    monkeypatch.setattr(store, "opened", lambda uri: ("client", "0"))
    monkeypatch.setattr(store, "BUDGET_S", 0.5)
    link = store.Link(NOWHERE)
    calls = 0
    while not link.closed():
        with link.trying():
            link.call(lambda client, experiment: time.sleep(0.1))
        calls += 1
    assert calls in (5, 6)  # a hundredth of the time that has passed is on top
    assert link.closed(last=True) == ""


message = st.dictionaries(st.sampled_from(["a", "b"]), st.floats(allow_nan=False, allow_infinity=False) | st.text())


@settings(max_examples=30)
@given(st.lists(message, max_size=5), st.integers(0, 400))
def test_a_box_that_is_cut_anywhere_keeps_its_whole_lines(tmp_path_factory, messages, cut):
    folder = tmp_path_factory.mktemp("box")
    (folder / "head.json").write_text("{}")
    first = box.Box.take(folder)
    for one in messages:
        first.add(one)
    first.release()
    path = folder / "messages.jsonl"
    whole = path.read_bytes() if messages else b""
    path.write_bytes(whole[:cut])
    again = box.Box.take(folder)
    kept = whole[:cut].count(b"\n")
    assert again.messages() == messages[:kept]
    again.add({"more": 1})
    assert again.messages() == [*messages[:kept], {"more": 1}]
    again.release()
