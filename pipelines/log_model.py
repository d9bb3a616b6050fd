"""Log a trained run as a model that `mlflow models serve` takes: runs/<run>/mlflow_model.json says where it is.

python -m pipelines log_model mult-shared-s0
"""

from pathlib import Path

from mult import tracking
from mult.files import read_json, write_json
from mult.outs import whole


def main(name: str) -> None:
    folder = Path("runs") / name
    config = read_json(whole(folder / "model.json"))
    about = tracking.about(config)
    tags = about | {"stage": "log_model", "trained_by": read_json(whole(folder / "run.json"))["mlflow_run_id"]}
    with tracking.stage_run(f"model {name}", about, tags) as tracked:
        uri = tracked.model(folder, config["tasks"])
    write_json(folder / "mlflow_model.json", {"mlflow_run_id": tracked.id, "uri": uri})
