"""Words and ranges that several sections of params.yaml share.

Numbers have an upper bound where beyond it a run would begin and then end without a result: a loss that is no number
any more, a list or a weight that no memory holds, a name that no file system takes.
"""

import os
import unicodedata
from reprlib import Repr
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr

TaskName = Literal["semseg", "depth", "normal", "reshading", "keypoints", "edges"]
# Those that render themselves and those that are read in place; a test holds them equal to the domains' own lists.
Rendered = Literal["rooms-home", "rooms-loft", "rooms-kinect", "doom"]
InPlace = Literal["taskonomy", "replica", "nyuv2", "cocodoom"]
DomainName = Literal[Rendered, InPlace]
# Keys of mult.models.attention.VARIANTS and mult.models.block.FORMS; a test holds them equal (an import costs torch).
Attention = Literal[
    "self", "skip", "skip_lowrank", "shared", "shared_detached", "reference", "reference_skip", "joint", "mixture",
    "uniform", "bias_only", "frozen", "dea1", "dea2", "dea3", "dea4",
]  # fmt: skip
# Keys of mult.training.balancing.METHODS; the same test.
Method = Literal[
    "fixed", "uncertainty", "dwa", "gradnorm", "pcgrad", "cagrad", "mgda", "upgrad", "nash_mtl", "imtl_g",
    "aligned_mtl", "graddrop", "gradvac", "fairgrad", "dualproj", "famo", "geometric_mean", "imtl_l", "stch", "random",
]  # fmt: skip
LED = ("shared_detached", "reference", "reference_skip", "dea1", "dea2", "dea3", "dea4")  # need a reference task
# Methods that need the losses of a whole batch before any gradient, and those that need each task's own gradient.
ALL_AT_ONCE = ("famo", "geometric_mean", "stch")
BY_GRADIENTS = (
    "gradnorm", "pcgrad", "cagrad", "mgda", "upgrad", "nash_mtl", "imtl_g", "aligned_mtl", "graddrop", "gradvac",
    "fairgrad", "dualproj",
)  # fmt: skip
STRIDE, FINEST = 32, 4  # image pixels a cell of the coarsest and the finest of the encoder's four maps
LARGEST_IMAGE = 2048  # pixels
LONGEST_PATH = 4096  # characters

_short = Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 2, 4, 4
_short.maxstring = _short.maxother = _short.maxlong = 60


class Section(BaseModel):
    """A part of params.yaml: unknown keys, NaN and infinity are refused, values not coerced from other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def shown(value: Any) -> str:
    """``value`` as messages have it: short, whatever it is."""
    try:
        return _short.repr(value)
    except ValueError:  # a number of more digits than Python writes
        return f"a very long {type(value).__name__}"


def one_line(text: str, most: int = 200) -> str:
    """Raises: ValueError: ``text`` is none, or what cannot be seen."""
    seen = all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in text)
    if not (text.strip() and seen and len(text) <= most):
        raise ValueError(f"{shown(text)}: write one line of 1 to {most} printable characters")
    return text


def a_path(text: str) -> str:
    """``text`` with ``~`` as the home that it stands for.

    Raises:
        ValueError: as ``one_line``.
    """
    return os.path.expanduser(one_line(text, LONGEST_PATH))


Line = Annotated[StrictStr, AfterValidator(one_line)]
PathText = Annotated[StrictStr, AfterValidator(a_path)]
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]  # of a run's name, which names a folder
Stages = Annotated[list[Annotated[int, Field(ge=1, le=4)]], Field(max_length=4)]
Share = Annotated[float, Field(ge=0, lt=1)]
Drop = Annotated[float, Field(ge=0, le=0.9)]  # beyond, what is left is enlarged to more than bfloat16 can tell apart
Rate = Annotated[float, Field(gt=0, le=1)]  # of learning
Weight = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=10**7)]  # images
Width = Annotated[int, Field(ge=1, le=4096)]  # channels
Batch = Annotated[int, Field(ge=1, le=65536)]
Few = Annotated[int, Field(ge=1, le=200)]  # pictures, to be looked at
