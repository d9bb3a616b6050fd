"""Let torchvision be imported beside a CPU-only torch.

timm imports torchvision. Its wheel is built for CUDA; beside a CPU build of torch its compiled operators do not
register, and the import stops at "operator torchvision::nms does not exist". Declaring the two operators that the
import asks for (without code behind them: nothing here calls them) is enough. With a CUDA build nothing is done.
"""

import torch


def declare_missing() -> None:
    """Declare ``torchvision::nms`` and ``torchvision::qnms`` where torch is a CPU build; safe to call twice."""
    global _library
    if "+cpu" not in torch.__version__ or _library is not None:
        return
    _library = torch.library.Library("torchvision", "DEF")  # kept alive: the operators go with it
    for name in ("nms", "qnms"):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


_library: torch.library.Library | None = None
