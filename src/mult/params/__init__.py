"""The schema of params.yaml. Every error is one line that names the key, the value and what is allowed.

What the file says and nothing else is looked at here; whether timm knows an encoder, or a folder is there, is for
``mult.preflight``.
"""

from mult.params.domains import EmbeddedDomain, RealDomain
from mult.params.fields import ALL_AT_ONCE, BY_GRADIENTS, LED, STRIDE, Attention, DomainName, Method, TaskName
from mult.params.models import Baseline, Baselines, Changes, Consistency, Decoder, Encoder
from mult.params.reading import load
from mult.params.scale import Scale, Seeds
from mult.params.training import Augment, FineTune, Hardware, Loss, Training
from mult.params.whole import Comparison, Params, Sheet, Shown

__all__ = [
    "ALL_AT_ONCE", "BY_GRADIENTS", "LED", "STRIDE", "Attention", "Augment", "Baseline", "Baselines", "Changes",
    "Comparison", "Consistency", "Decoder", "DomainName", "EmbeddedDomain", "Encoder", "FineTune", "Hardware", "Loss",
    "Method", "Params", "RealDomain", "Scale", "Seeds", "Sheet", "Shown", "TaskName", "Training", "load",
]  # fmt: skip
