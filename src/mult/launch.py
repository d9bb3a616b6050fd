"""The several processes of one training: started, waited for, and ended together, with one line for the user."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from mult import word
from mult.errors import Paused, UserError
from mult.process import LAUNCHER, STATE, die_with_parent
from mult.stage import PAUSED

WORDS = STATE / "words"
POLL_S = 0.1
LOOPBACK = "lo"  # Linux's name of it
LEAVING_S = 5.0  # for a process to end by itself: after it has left word, and after it has been asked to


def launch(module: str, arguments: Sequence[str], processes: int) -> None:
    """Run ``python -m module arguments`` in ``processes`` processes of this host, or as ``MULT_LAUNCH`` says.

    They find each other by torch.distributed's usual variables, and end by ``mult.stage.exit_code``. When one fails,
    the others are ended.

    Raises:
        UserError: one of them failed; the text says which, and why as far as it has said so.
        Paused: all of them have.
    """
    name = " ".join([module, *arguments])
    command, given = ["-m", module, *arguments], _other_launcher()
    place = WORDS / name.replace(" ", "-")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {word.VARIABLE: str(place.absolute())}
    try:
        if given:
            codes = [_launched([*given, *command], environment)]
        else:
            codes = _started([sys.executable, *command], environment, processes, place)
        left = word.read(place)
    finally:
        place.unlink(missing_ok=True)
    if left is None and not any(codes):
        return
    # Another launcher has a code of its own for all that is not 0, so there the word alone tells a pause.
    if (left is not None and left.paused) if given else set(codes) == {PAUSED}:
        raise Paused(left.line if left else f"{name}: paused")
    if left is not None and not left.paused:
        raise UserError(f"process {left.rank} of {processes}: {left.line}")
    if given:
        raise UserError(f"{name}: {given[0]} ended {_how(codes[0])}; see above")
    worst = max(range(processes), key=lambda rank: (codes[rank] not in (0, PAUSED), codes[rank] != 0))
    raise UserError(f"{name}: process {worst} of {processes} ended {_how(codes[worst])}; see above")


def _launched(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code of another launcher."""
    try:
        return subprocess.run(command, env=environment, preexec_fn=partial(die_with_parent, os.getpid())).returncode
    except OSError as error:
        raise UserError(f"{LAUNCHER}: {command[0]}: {error.strerror}; name a program that starts processes") from None


def _other_launcher() -> list[str]:
    """The command in ``MULT_LAUNCH``; [] where there is none."""
    try:
        return shlex.split(os.environ.get(LAUNCHER, ""))
    except ValueError as error:
        raise UserError(f"{LAUNCHER}: {os.environ[LAUNCHER]!r} is no command: {error}") from None


def _started(command: Sequence[str], environment: Mapping[str, str], processes: int, place: Path) -> list[int]:
    """Exit codes of processes of this host, by rank; 0 for those that were ended because another had failed."""
    from torch.distributed import TCPStore  # late: torch, which another launcher's processes do without here

    # The port is the kernel's choice and this process's until all have ended: nobody else can come by it in between.
    # Bound here, for the store itself would listen on every interface.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())
    common = {
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is there, so the first process is to make none
    }
    running: list[subprocess.Popen] = []
    try:
        for rank in range(processes):
            own = _nowhere_else() | environment | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            running.append(subprocess.Popen(command, env=own, preexec_fn=partial(die_with_parent, os.getpid())))
        return _codes(running, place)
    finally:
        _end(running)


def _nowhere_else() -> dict[str, str]:
    """Variables by which gloo and NCCL listen on the loopback interface alone, where it is known by its name."""
    if LOOPBACK not in (name for _, name in socket.if_nameindex()):
        return {}
    return {"GLOO_SOCKET_IFNAME": LOOPBACK, "NCCL_SOCKET_IFNAME": LOOPBACK}


def _codes(running: Sequence[subprocess.Popen], place: Path) -> list[int]:
    """Wait until all have ended or one has failed, or hangs after it has left word that it did."""
    patience = LEAVING_S
    while True:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code not in (None, 0, PAUSED)]
        if failed or None not in codes:
            return [code or 0 for code in codes]
        left = word.read(place)
        if left is not None and not left.paused:
            patience -= POLL_S
            if patience < 0:
                return [int(rank == left.rank) for rank in range(len(running))]
        time.sleep(POLL_S)


def _end(running: Sequence[subprocess.Popen]) -> None:
    """End those that still run: asked first, then made to."""
    for process in running:
        process.terminate()
    deadline = time.monotonic() + LEAVING_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _how(code: int) -> str:
    return f"with code {code}" if code > 0 else f"by signal {-code} ({signal.strsignal(-code)})"
