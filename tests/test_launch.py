"""Several processes of one work, which here is too small to need torch."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from mult import launch as launching
from mult import params, stage, tracking
from mult.errors import UserError
from mult.launch import launch
from mult.process import LAUNCHER
from pipelines import train
from tests.conftest import ROOT, write_domain

# What each process does is named by an argument, by rank.
WORKER = '''
import os, signal, sys, time
from functools import partial
from pathlib import Path

import psutil

from mult import word
from mult.errors import Paused, UserError
from mult.process import rank
from mult.stage import exit_code


def others_have_come():
    while sum(path.stat().st_size > 0 for path in Path().glob("here-*")) < len(sys.argv) - 1:
        time.sleep(0.01)


def others_are_lost():
    """A process that is killed lets go of the others at once, any other when it has left word."""
    others = [psutil.Process(int(path.read_text())) for path in Path().glob("here-*")]
    while word.read(Path(os.environ[word.VARIABLE])) is None:
        if any(not other.is_running() or other.status() == psutil.STATUS_ZOMBIE for other in others):
            break
        time.sleep(0.002)


def main(*doings):
    Path(f"here-{rank()}").write_text(str(os.getpid()))
    others_have_come()
    doing = doings[rank()]
    if doing == "mistake":
        raise UserError("lr: -1: not positive; write a positive one")
    if doing == "late mistake":
        time.sleep(0.5)
        raise UserError("lr: -1: not positive; write a positive one")
    if doing == "bug":
        raise KeyError("weights")
    if doing == "pause":
        raise Paused("run: paused after step 3 of 9")
    if doing == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if doing == "lose the others":
        others_are_lost()
        raise RuntimeError("Connection closed by peer")
    if doing == "hang":
        word.leave(UserError("disk: full; make room"))
    if doing == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if doing in ("hang", "stay", "work"):
        time.sleep(60)


sys.exit(exit_code(partial(main, *sys.argv[1:])))
'''
# Another launcher, which says much and has one code for all that is not 0.
OTHER = """
import os, subprocess, sys

codes = []
for rank in range(2):
    environment = os.environ | {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    codes.append(subprocess.Popen([sys.executable, *sys.argv[1:]], env=environment))
if any([process.wait() for process in codes]):
    sys.exit("ChildFailedError: root cause: see elsewhere")
"""
MISTAKE = "lr: -1: not positive; write a positive one"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(LAUNCHER, raising=False)
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "other.py").write_text(OTHER)
    return tmp_path


def ended(capfd, *doings: str) -> tuple[int, list[str], float]:
    """Exit code, lines on stderr and seconds of a stage that launches processes."""
    began = time.monotonic()
    code = stage.exit_code(partial(launch, "worker", doings, len(doings)))
    return code, capfd.readouterr().err.splitlines(), time.monotonic() - began


def left_over(folder: Path) -> list[int]:
    return [pid for path in folder.glob("here-*") if psutil.pid_exists(pid := int(path.read_text()))]


def test_all_that_succeed_are_silent(folder, capfd):
    assert ended(capfd, "fine", "fine", "fine")[:2] == (0, [])
    assert not list((folder / ".mult" / "words").iterdir())


@pytest.mark.parametrize(
    ("doings", "lines"),
    [
        (("work", "mistake"), [f"error: process 1 of 2: {MISTAKE}"]),
        (("mistake", "work"), [f"error: process 0 of 2: {MISTAKE}"]),
        (("lose the others", "mistake", "lose the others"), [f"error: process 1 of 3: {MISTAKE}"]),
        (("pause", "late mistake"), [f"error: process 1 of 2: {MISTAKE}"]),
        (("fine", "crash"), ["error: worker fine crash: process 1 of 2 ended by signal 9 (Killed); see above"]),
        (
            ("lose the others", "crash"),
            ["error: worker lose the others crash: process 1 of 2 ended by signal 9 (Killed); see above"],
        ),
    ],
)
def test_one_that_fails_ends_all_with_one_line(folder, capfd, doings, lines):
    code, said, seconds = ended(capfd, *doings)
    assert (code, said) == (1, lines)
    assert seconds < launching.LEAVING_S
    assert left_over(folder) == []


def test_the_same_mistake_of_all_is_one_line(folder, capfd):
    code, (line,), _ = ended(capfd, "mistake", "mistake", "mistake")
    assert code == 1
    assert line.removeprefix("error: process ")[1:] == f" of 3: {MISTAKE}"


def test_a_bug_shows_its_traceback_once_and_then_the_line(folder, capfd):
    code, lines, _ = ended(capfd, "lose the others", "bug")
    assert code == 1
    assert [line for line in lines if line.startswith(("Traceback", "error"))] == [lines[0], lines[-1]]
    assert lines[-2:] == ["KeyError: 'weights'", "error: process 1 of 2: KeyError: 'weights'"]


def test_when_all_pause_the_stage_has_paused(folder, capfd):
    assert ended(capfd, "pause", "pause")[:2] == (stage.PAUSED, ["run: paused after step 3 of 9"])


def test_what_will_not_end_is_made_to(folder, capfd, monkeypatch):
    monkeypatch.setattr(launching, "LEAVING_S", 0.5)
    for doings, line in [(("stay", "mistake"), MISTAKE), (("work", "hang"), "disk: full; make room")]:
        for path in folder.glob("here-*"):
            path.unlink()
        code, lines, seconds = ended(capfd, *doings)
        assert (code, lines) == (1, [f"error: process 1 of 2: {line}"])
        assert seconds < 5
        assert left_over(folder) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_the_one_that_started_them(folder, number):
    code = "from mult.launch import launch; launch('worker', ['work', 'work'], 2)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while len(list(folder.glob("here-*"))) < 2 or "" in [path.read_text() for path in folder.glob("here-*")]:
        assert parent.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(left_over(folder)) == 2
    parent.send_signal(number)
    assert parent.wait() == -number
    deadline = time.monotonic() + 5
    while left_over(folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("doings", "code", "last"),
    [
        (("fine", "fine"), 0, []),
        (("pause", "pause"), stage.PAUSED, ["run: paused after step 3 of 9"]),
        (("mistake", "mistake"), 1, [f"error: process {{}} of 2: {MISTAKE}"]),
        (("crash", "crash"), 1, [f"error: worker crash crash: {sys.executable} ended with code 1; see above"]),
    ],
)
def test_under_another_launcher(folder, capfd, monkeypatch, doings, code, last):
    monkeypatch.setenv(LAUNCHER, f"{sys.executable} other.py")
    monkeypatch.setenv("MULT_UNTIL", "1")  # long past: the clock decides nothing
    found, lines, _ = ended(capfd, *doings)
    said_itself = ["ChildFailedError: root cause: see elsewhere"] if code else []
    assert found == code
    assert lines in [[*said_itself, *(line.format(rank) for line in last)] for rank in (0, 1)]


def test_a_pause_of_yesterday_is_none(folder, capfd, monkeypatch):
    words = folder / ".mult" / "words"
    words.mkdir(parents=True)
    (words / "worker-crash-crash").write_text('{"rank": 0, "paused": true, "line": "run: paused"}')
    monkeypatch.setenv(LAUNCHER, f"{sys.executable} other.py")
    assert ended(capfd, "crash", "crash")[0] == 1


def test_another_host_that_does_not_see_the_word_speaks_itself(folder, capfd, monkeypatch):
    (folder / "elsewhere.py").write_text(OTHER.replace("| {", '| {"MULT_WORD": "/nowhere/word", '))
    monkeypatch.setenv(LAUNCHER, f"{sys.executable} elsewhere.py")
    code, lines, _ = ended(capfd, "mistake", "fine")
    assert code == 1
    assert lines[0] == f"error: {MISTAKE}"
    assert lines[-1].endswith("ended with code 1; see above")


def test_a_launcher_that_is_not_there(folder, capfd, monkeypatch):
    monkeypatch.setenv(LAUNCHER, "no-such-program --nodes 2")
    assert ended(capfd, "fine", "fine")[:2] == (
        1,
        ["error: MULT_LAUNCH: no-such-program: No such file or directory; name a program that starts processes"],
    )


def test_what_a_user_can_get_wrong_is_found_before_any_process_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (LAUNCHER, "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    settings = params.load(ROOT / "params.yaml", "smoke")

    def main(**changes):
        hardware = settings.scale.hardware.model_copy(update={"processes": 2} | changes)
        scale = settings.scale.model_copy(update={"hardware": hardware})
        monkeypatch.setattr(params, "load", lambda: settings.model_copy(update={"scale": scale}))
        train.main("mult-shared-s0")

    done = []
    monkeypatch.setattr(train, "launch", lambda *arguments: done.append(("launch", *arguments)))
    monkeypatch.setattr(tracking, "connect", lambda: done.append(("connect",)))
    with pytest.raises(UserError, match=r"data/rooms-home: no prepared data here"):
        main()
    write_domain(tmp_path / "data" / "rooms-home")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=r"hardware\.device: cuda: no GPU is to be seen here"):
        main(device="cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UserError, match=r"hardware\.processes: process 1 of this host finds 1 GPU"):
        main()
    assert done == []
    main(device="cpu")
    assert done == [("connect",), ("launch", "pipelines.train", ["mult-shared-s0"], 2)]


def test_only_the_first_process_says_what_the_work_was(folder, monkeypatch):
    monkeypatch.setenv("DVC_STAGE", "train_six@shared-0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, written in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        with stage.working("training"):
            pass
        assert (folder / stage.WORK / "train_six@shared-0.json").is_file() == written
