"""MLflow's UI in its light form: one worker, none of the job workers that only its language-model features need."""

import os
import subprocess
import sys
from functools import partial
from urllib.parse import quote

from mult.params import load
from mult.process import die_with_parent
from mult.tracking import reach, store_uri


def serve(port: int) -> int:
    """Serve the UI on the loopback address until interrupted; returns the server's exit code."""
    scale = load().scale
    seed = scale.seeds.six[0]
    now = f"tags.`dvc.current` = 'yes' and tags.scale = '{scale.name}'"
    _, experiment = reach()
    remote = store_uri().startswith("http")
    base = store_uri().rstrip("/") if remote else f"http://127.0.0.1:{port}"
    page = f"{base}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    print(f"runs:    {page}&searchFilter={quote(now)}", flush=True)
    # Charts show ten runs at first, in no order that can be asked for: one seed of each six-task variant, then.
    six = f" and tags.study = 'six' and tags.seed = '{seed}'"
    for what, tags in (("answers", "'ablation'"), ("scores", f"'evaluate'{six}"), ("curves", f"'train'{six}")):
        chosen = quote(f"{now} and tags.stage = {tags}")
        print(f"{what + ':':<8} {page}&searchFilter={chosen}&compareRunsMode=CHART", flush=True)
    print(f"         (scores and curves of seed {seed}; another one, or none, in the filter's last words)", flush=True)
    if remote:
        return 0  # that server shows them
    print("ready in about ten seconds; Ctrl-C ends it", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # The address by a variable: it may hold a password, and everyone on the machine sees commands.
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_BACKEND_STORE_URI": store_uri()}
    server = subprocess.Popen(command, env=os.environ | own, preexec_fn=partial(die_with_parent, os.getpid()))
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        return server.wait()
