"""`mult export`: a trained run as one ONNX file that needs neither PyTorch nor this package to be run.

Input ``rgb``: float32 (batch, 3, H, W) in [0, 1], of any batch size and of the one image size that was exported.
Outputs: one a task, under its short name, float32 (batch, channels, H, W), just what the PyTorch model returns: class
scores for semseg, for the others the label's value in the unit of training. The file's metadata say the rest: run,
train_domain, weights_sha256 and, as JSON, tasks, classes, image_size and scales (an output times its task's scale is in
the label's own unit).
"""

import json
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mult.errors import UserError
from mult.files import atomic
from mult.predict import load_run
from mult.tasks import TASKS
from mult.threads import one_thread

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 20  # the first with Gelu as an operator of its own
STEP = 32  # image pixels a cell of the encoder's coarsest map: other sizes would be padded, which a file need not do
TOLERANCE = 1e-4
BATCHES = (1, 2, 5)  # in the parity check: one image, the batch that was traced, another one
ROUNDS = 15  # of the latency measurement
LIMIT = 2.0e9  # bytes of weights: protobuf, and so an ONNX file, ends at 2 GiB, and folded constants come on top


@dataclass(frozen=True)
class Report:
    """What was written and how it compares with PyTorch on this machine.

    Attributes:
        path: the ONNX file.
        megabytes: its size, in 10^6 bytes.
        max_difference: the largest absolute difference of an output, relative to that output's largest magnitude.
        latency_ms: of one image by onnxruntime, on one CPU thread.
        torch_latency_ms: the same by PyTorch, measured in turn with it.
        opset: version of ONNX's operators in the file.
    """

    path: Path
    megabytes: float
    max_difference: float
    latency_ms: float
    torch_latency_ms: float
    opset: int

    def lines(self) -> list[str]:
        """What `mult export` prints."""
        return [
            f"{self.path}: {self.megabytes:.1f} MB, opset {self.opset}",
            f"largest difference from PyTorch: {self.max_difference:.1e} of the output's scale",
            f"latency of one image on one thread: {self.latency_ms:.1f} ms, PyTorch {self.torch_latency_ms:.1f} ms",
        ]


def export_onnx(folder: Path, out: Path, size: int | None = None) -> Report:
    """Write the trained run of ``folder`` to ``out`` as ONNX, once it computes what the PyTorch model does.

    Args:
        folder: of the run, such as runs/mult-shared-s0.
        out: the file; it is written whole or not at all.
        size: height and width of the images; None: those of training.

    Raises:
        UserError: there is no such run, a package is missing, ``size`` is no multiple of 32, ``out`` is a folder, the
            weights do not fit into one file, or an output differs by more than 1e-4 of its scale.
    """
    _need_packages()
    if size is not None and (size < 1 or size % STEP):
        near = max(STEP, round(size / STEP) * STEP)
        raise UserError(f"--size: {size} is no multiple of {STEP}; {near} is the nearest")
    if out.is_dir():
        raise UserError(f"--out: {out} is a folder; name a file, such as {out / 'model.onnx'}")
    model, config = load_run(folder)
    size = size or config["image_size"]
    if (weights := sum(p.numel() * p.element_size() for p in model.parameters())) > LIMIT:
        raise UserError(f"{folder}: {weights / 1e9:.1f} GB of weights, an ONNX file holds 2; export a smaller model")
    data = _onnx(model, config, size)
    session = _session(data)
    with one_thread(), torch.inference_mode():
        difference = _max_difference(model, session, size)
        if not difference <= TOLERANCE:  # true of NaN too
            raise UserError(
                f"{folder}: as ONNX it differs from PyTorch by {difference:.1e} of an output's scale, more than "
                f"{TOLERANCE:.0e}; {out} was not written; try another --size"
            )
        latency = _latency_ms(model, session, size)
    with atomic(out) as file:
        file.write(data)
    return Report(out, len(data) / 1e6, difference, *latency, OPSET)


def _need_packages() -> None:
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"mult export: no package {error.name}; install it with: pip install -e '.[export]'") from None


class _Outputs(nn.Module):
    """The model with its outputs in the order of ``tasks``: in which order a model returns them is its own affair."""

    def __init__(self, model: nn.Module, tasks: Sequence[str]):
        super().__init__()
        self.model, self.tasks = model, tuple(tasks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        predictions = self.model(images)
        return tuple(predictions[task] for task in self.tasks)


def _onnx(model: nn.Module, config: Mapping[str, Any], size: int) -> bytes:
    """The file's content."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of deprecations in its own code
        program = torch.onnx.export(
            _Outputs(model, config["tasks"]).eval(),
            (torch.rand(2, 3, size, size),),  # of a batch of one it could not tell what is the batch's
            dynamo=True,
            opset_version=OPSET,
            input_names=["rgb"],
            output_names=config["tasks"],
            # A name and not a torch.export.Dim: given one, the exporter may settle for a fixed batch without a word.
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, with this machine's paths: a third of a small model's file
    about = {name: config[name] for name in ("run", "tasks", "classes", "train_domain", "weights_sha256")}
    about |= {"image_size": size, "scales": {task: TASKS[task].scale for task in config["tasks"]}}
    program.model.metadata_props.update(
        {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
    )
    return program.model_proto.SerializeToString()


def _session(data: bytes) -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _max_difference(model: nn.Module, session: "InferenceSession", size: int) -> float:
    """The largest difference of an output relative to its scale, over several batches; NaN where there is one."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for batch in BATCHES:
        images = torch.rand(batch, 3, size, size, generator=generator)
        expected = model(images)
        names = [output.name for output in session.get_outputs()]
        for name, got in zip(names, session.run(names, {"rgb": images.numpy()}), strict=True):
            wanted = expected[name].numpy()
            if got.shape != wanted.shape:
                raise RuntimeError(f"{name} of {got.shape} by ONNX, {wanted.shape} by PyTorch")
            found.append(np.abs(got - wanted).max() / max(np.abs(wanted).max(), np.finfo(np.float32).tiny))
    return float(np.max(found))


def _latency_ms(model: nn.Module, session: "InferenceSession", size: int) -> tuple[float, float]:
    """Median milliseconds of one image by ONNX and by PyTorch, in turn, so that what slows the machine slows both."""
    images = torch.rand(1, 3, size, size)
    feed = {"rgb": images.numpy()}
    times = [(_ms(lambda: session.run(None, feed)), _ms(lambda: model(images))) for _ in range(ROUNDS)]
    exported, ours = zip(*times, strict=True)
    return statistics.median(exported), statistics.median(ours)


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)
