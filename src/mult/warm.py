"""Stages without their start-up: a process that has imported what they need, and forks a child for each.

Importing torch, timm and MLflow takes longer than scoring a small model. `mult repro` starts one server; a stage's
command then hands its arguments, environment and output to it over a socket and waits for the exit code. Without a
server (plain `dvc repro`) the same command does its work itself.

The server only imports: no thread, no CUDA context and no database connection exists in it, so a fork is safe.
"""

import array
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from mult import stage
from mult.process import PARENT, STATE, die_with_parent

VARIABLE = "MULT_WARM"  # where the server listens
HEAVY = (
    "torch._dynamo",  # the first optimiser imports it
    "pandas",
    "mult.models.registry",
    "mult.models.cost",
    "mult.training.trainer",
    "mult.evaluation.evaluator",
    "mult.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
)
MESSAGE_BYTES = 1 << 20


def run_stage(script: str, arguments: Sequence[str]) -> int:
    """Run ``pipelines.<script>`` with ``arguments``, in the server where there is one; returns the exit code.

    The parent's name is for this process alone: it starts others, and the server's child has another parent.
    """
    die_with_parent(int(os.environ.pop(PARENT, 0)) or None)
    if address := os.environ.get(VARIABLE):
        return _ask(address, script, arguments)
    return stage.run(script, arguments)


def _ask(address: str, script: str, arguments: Sequence[str]) -> int:
    """Hand the stage over; should this process be killed, the socket closes and the server's child ends with it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            link.connect(address)
        except OSError:  # the server has ended
            return stage.run(script, arguments)
        message = json.dumps({"script": script, "arguments": list(arguments), "environment": dict(os.environ)})
        outputs = array.array("i", [sys.stdout.fileno(), sys.stderr.fileno()])
        try:
            link.sendmsg([message.encode() + b"\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, outputs)])
            answer = link.recv(16)
        except ConnectionError:  # killed before it had read the message
            answer = b""
    if not answer:
        print(f"error: {script}: the stage's process was killed", file=sys.stderr)
        return 1
    return int(answer)


@contextmanager
def server(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A running server; yields ``environment`` with the variable that leads stages to it."""
    address = STATE / f"warm-{os.getpid()}.socket"  # from here, where stages run too: addresses of sockets are short
    if not hasattr(os, "fork"):
        yield environment
        return
    STATE.mkdir(exist_ok=True)
    for left_over in STATE.glob("warm-*.socket"):  # of a run that was killed; `mult repro` runs once at a time
        left_over.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(address))
        listener.listen()
        command = [sys.executable, "-m", "mult.warm", str(listener.fileno())]
        process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[listener.fileno()],
            preexec_fn=partial(die_with_parent, os.getpid()),
            start_new_session=True,
        )
    try:
        yield environment | {VARIABLE: str(address)}
    finally:
        process.terminate()
        process.wait()
        address.unlink(missing_ok=True)


def serve(descriptor: int) -> None:
    """Import, then fork a child for every stage that asks."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children report to their client; the kernel may forget them
    _declare_torchvision()
    for module in HEAVY:
        importlib.import_module(module)
    import timm  # noqa: F401

    listener, server = socket.socket(fileno=descriptor), os.getpid()
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _child(link, server)
        link.close()


def _declare_torchvision() -> None:
    from mult.models.torchvision_ops import declare_missing

    declare_missing()


def _child(link: socket.socket, server: int) -> None:
    """Do one stage's work with the client's environment and outputs, send the exit code, and end."""
    code = 1
    try:
        die_with_parent(server)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request = _receive(link)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ.pop(VARIABLE, None)
        threading.Thread(target=_end_with, args=(link,), daemon=True).start()
        code = stage.run(request["script"], request["arguments"])
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    link.sendall(str(code).encode())
    os._exit(code)


def _receive(link: socket.socket) -> dict:
    data, descriptors, _, _ = socket.recv_fds(link, MESSAGE_BYTES, 2)
    while not data.endswith(b"\n"):
        more = link.recv(MESSAGE_BYTES)
        if not more:
            raise ConnectionError("the stage's command ended before it had asked")
        data += more
    for own, given in enumerate(descriptors, start=1):
        os.dup2(given, own)
        os.close(given)
    return json.loads(data)


def _end_with(link: socket.socket) -> None:
    """End this process when its client has gone: nobody waits for the work any more."""
    if not link.recv(1):
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
