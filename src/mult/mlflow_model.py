"""A trained run as an MLflow model, which `mlflow models serve` puts behind HTTP.

MLflow keeps this file as the model's code, the package beside it, and model.json and model.safetensors as they are:
there is no pickle. It takes images, uint8 (B, H, W, 3), and gives each task's map under Taskonomy's name, in its codes.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch

from mult.evaluation.predictions import predict
from mult.models import registry
from mult.tasks import TASKS

FILES = ("model.json", "model.safetensors")
NEEDS = [
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pydantic",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
]
DTYPES = {"semseg": np.uint8, "normal": np.uint8, "reshading": np.uint8}  # the others: uint16


class DensePrediction(mlflow.pyfunc.PythonModel):
    """Six maps an image."""

    def load_context(self, context) -> None:
        """Called by MLflow with the paths of its copies of ``FILES``."""
        folder = Path(context.artifacts[FILES[0]]).parent
        self.model, self.config = registry.load_model(folder)

    def predict(
        self, context, model_input: np.ndarray, params: Mapping[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """Codes (B, H, W), of normals (B, H, W, 3), by Taskonomy's name of the task."""
        rgb = torch.from_numpy(np.asarray(model_input, np.uint8)).permute(0, 3, 1, 2).float() / 255
        images = [predict(self.model, image[None])[0] for image in rgb]
        return {TASKS[task].name: np.stack([of[task] for of in images]) for task in images[0]}


def log(folder: Path, tasks: Sequence[str]) -> str:
    """Log the run in ``folder`` as a model of the active MLflow run; returns its URI."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))])
    maps = [
        TensorSpec(np.dtype(DTYPES.get(t, np.uint16)), (-1, -1, -1, *([3] if t == "normal" else [])), TASKS[t].name)
        for t in tasks
    ]
    logged = mlflow.pyfunc.log_model(
        name=folder.name.replace("+", "-"),  # MLflow allows no plus sign
        python_model=__file__,
        artifacts={name: str((folder / name).absolute()) for name in FILES},
        code_paths=[str(Path(__file__).parent)],
        signature=ModelSignature(images, Schema(maps)),
        pip_requirements=[f"{name}=={version(name).split('+')[0]}" for name in NEEDS],
    )
    return logged.model_uri


if __name__ != "mult.mlflow_model":  # MLflow runs the file to get at the model
    mlflow.models.set_model(DensePrediction())
