"""MLflow, seen from the side: what stages tell it, and nothing that they need from it.

One flat run a training or an evaluation, tagged with the DVC stage and the scale that made it. When a stage runs again
at its scale, the earlier run of the same name is kept and tagged ``dvc.current = no``. The store is
``sqlite:///mlflow.db`` unless MLFLOW_TRACKING_URI says otherwise. Metric keys have exactly one slash: MLflow's UI makes
a section of what stands before it.

Every message is first written to ``.mult/tracking`` (box.py) and then told to the store (telling.py) within a bounded
time (store.py). What the store has taken is removed there; what it has not waits for `mult track sync` (sync.py).
"""

from mult.tracking.code import WRITTEN, code_state, dvc_digests, git, git_commit
from mult.tracking.current import mark_current
from mult.tracking.run import Run, Silent, about, stage_run
from mult.tracking.store import EXPERIMENT, connect, reach, store_exists, store_uri

__all__ = [
    "EXPERIMENT", "WRITTEN", "Run", "Silent", "about", "code_state", "connect", "dvc_digests", "git", "git_commit",
    "mark_current", "reach", "stage_run", "store_exists", "store_uri",
]  # fmt: skip
