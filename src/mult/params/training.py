"""How it is trained and computed."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mult.params.fields import Batch, Count, Method, Rate, Section, Share, Weight, shown
from mult.tasks import TASKS

Steps = Annotated[int, Field(ge=1, le=10**9)]


class Loss(Section):
    """A task's loss and its weight in the sum."""

    loss: Literal["cross_entropy", "l1", "rotate", "silog", "berhu"]
    weight: Weight


class Augment(Section):
    """Random changes of the training images (mult.data.augment)."""

    flip: bool
    zoom: Annotated[float, Field(ge=1, le=4)]
    colour: Share


class Training(Section):
    """What one training does, the same for every run of a scale; changing it retrains."""

    steps: Steps
    batch_size: Batch
    validate_every: int | str
    best_by: str
    patience: Annotated[int, Field(ge=0)]
    lr: Rate
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)]
    warmup_steps: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine", "poly", "one_cycle"]
    clip_norm: Weight
    ema: Share
    balancing: Method
    augment: Augment
    precision: Literal["float32", "bfloat16"]

    @field_validator("validate_every", mode="before")
    @classmethod
    def _is_an_interval(cls, value: Any) -> Any:
        steps = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not (steps or (isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,5} epochs?", value))):
            raise ValueError(f'{shown(value)}: write a number of steps above 0, or of passes, such as "3 epochs"')
        return value

    @field_validator("best_by")
    @classmethod
    def _known(cls, name: str) -> str:
        known = ["loss", *(f"{task.short}_{task.metric}" for task in TASKS.values())]
        if name not in known:
            raise ValueError(f"{shown(name)} is none of {', '.join(known)}")
        return name

    def validation_interval(self, images: int) -> int:
        """Steps from one validation to the next, for ``images`` of training."""
        if isinstance(self.validate_every, int):
            return self.validate_every
        return int(self.validate_every.split()[0]) * (images // self.batch_size)


class FineTune(Section):
    """A short training of trained models on a few images of another domain, with the loss weights of the first one."""

    images: Count
    steps: Steps
    lr: Rate


class Hardware(Section):
    """How a training is computed. Changing it retrains nothing.

    The numbers stay but for rounding and, with several parts or processes, for what dropout draws and batch norms see.
    """

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    processes: Annotated[int, Field(ge=1, le=65536)]
    shard: bool
    part: Annotated[int, Field(ge=0)]
    recompute: bool
    compile: bool
    channels_last: bool
    workers: Annotated[int, Field(ge=0, le=256)]
    checkpoint_s: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _fits(self) -> "Hardware":
        if self.shard and self.processes == 1:
            raise ValueError("shard: true divides a model over processes; it needs processes above 1")
        if self.shard and self.compile:
            raise ValueError("shard and compile do not go together here; choose one")
        return self
