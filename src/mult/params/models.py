"""What is trained: the encoder, the decoders and how variants change them, the baselines."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mult.params.fields import LED, Attention, Drop, Method, Section, Stages, TaskName, Width, a_path, shown
from mult.tasks import TASKS

# Of timm.create_model, which this project gives itself, or which would load other weights than `pretrained` says.
RESERVED = (
    "self", "name", "model_name", "image_size", "pretrained", "coordinates", "stem", "features_only", "in_chans",
    "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "feature_cfg",
)  # fmt: skip
LARGEST_SIZE, LARGEST_NUMBER = 4096, 1e6  # of whole numbers, which make layers, and of others


class Decoder(Section):
    """The decoders, and what the paper leaves unsaid about them (params.yaml says which)."""

    skip: Literal["none", "add", "concat"]
    t2_mlp: bool
    t2_shift: bool
    relative_bias: bool
    open_padding: bool
    shared_stages: Stages
    window: Width
    head_width: Width
    mlp_ratio: Annotated[float, Field(ge=0.5, le=16)]
    drop_path: Drop
    dropout: Drop


class Changes(Section):
    """A variant: the decoder's settings that differ from the scale's."""

    attention: Attention
    reference: TaskName | None = None
    skip: Literal["none", "add", "concat"] | None = None
    t2_mlp: bool | None = None
    t2_shift: bool | None = None
    relative_bias: bool | None = None
    open_padding: bool | None = None
    shared_stages: Stages | None = None
    balancing: Method | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Changes":
        if self.attention in LED and self.reference is None:
            raise ValueError(f"attention: {self.attention} needs `reference`, the task that leads: {', '.join(TASKS)}")
        return self


class Encoder(Section):
    """A timm backbone; ``options`` go to ``timm.create_model`` as they are.

    ``pretrained`` is false, true (timm fetches the weights of that name) or the path of a local file. Coordinates: see
    models/encoder.py; stem: models/stem.py.
    """

    name: str
    pretrained: bool | str
    coordinates: bool
    stem: Literal["patch", "conv"] = "patch"
    options: dict[str, Any]

    @field_validator("name")
    @classmethod
    def _is_timm_s(cls, name: str) -> str:
        # Its hf-hub:… and local-dir:… would bring settings along that nobody has seen.
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
            raise ValueError(f"{shown(name)}: write the name of a timm model, such as swin_tiny_patch4_window7_224")
        return name

    @field_validator("pretrained", mode="before")
    @classmethod
    def _says_whence(cls, value: Any) -> Any:
        if not isinstance(value, bool | str):
            raise ValueError(f"{shown(value)}: write false, true, or the path of a .safetensors or .pth file")
        return value if isinstance(value, bool) else a_path(value)

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        _look_through(options)
        return options

    @model_validator(mode="after")
    def _fits(self) -> "Encoder":
        if self.pretrained and self.coordinates:
            raise ValueError("coordinates: true needs pretrained: false; pretrained weights know three channels")
        if self.name.startswith("swin_") and (own := {"img_size", "strict_img_size"} & self.options.keys()):
            raise ValueError(f"options: {min(own)}: a Swin has the scale's image_size; leave it out")
        if self.pretrained and self.stem == "conv":
            raise ValueError("stem: conv needs pretrained: false; pretrained weights have none")
        return self


def _look_through(options: dict[Any, Any], depth: int = 2) -> None:
    """Raises: ValueError: a name or a value in ``options``, or in a section of it, that timm is not to be given."""
    for name, value in options.items():
        if not isinstance(name, str) or name in RESERVED or not name.isidentifier():
            raise ValueError(f"{shown(name)} is no option for timm here; weights are named by `pretrained`")
        if name.endswith(("drop_rate", "drop_path_rate")) and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 0.9
        ):
            raise ValueError(f"{name}: {shown(value)}: write a share from 0 to 0.9")
        if isinstance(value, dict) and depth:
            _look_through(value, depth - 1)
        elif not _is_plain(value):
            raise ValueError(
                f"{name}: {shown(value)}: write a word, true, false, a whole number up to {LARGEST_SIZE}, another one "
                f"up to {LARGEST_NUMBER:g}, or a list of them"
            )


def _is_plain(value: Any, depth: int = 2) -> bool:
    """Whether ``value`` is what timm's options are made of; ``depth``: of lists in lists, of which each is short."""
    if isinstance(value, list):
        return depth > 0 and len(value) <= 100 and all(_is_plain(of, depth - 1) for of in value)
    if isinstance(value, int | float):
        return abs(value) <= (LARGEST_SIZE if isinstance(value, int) else LARGEST_NUMBER)  # not so NaN
    return value is None or (isinstance(value, str) and value.isprintable() and len(value) <= 200)


class Consistency(Section):
    """Cross-task consistency as an extra loss: pairs of (from, to), its weight, and the translators' width."""

    weight: Annotated[float, Field(gt=0, le=1e6)]
    width: Width
    pairs: Annotated[list[Annotated[list[TaskName], Field(min_length=2, max_length=2)]], Field(min_length=1)]

    @field_validator("pairs")
    @classmethod
    def _differ(cls, pairs: list[list[str]]) -> list[list[str]]:
        if alike := [pair for pair in pairs if pair[0] == pair[1]]:
            raise ValueError(f"{alike[0]} leads from a task to itself; name two tasks")
        return pairs


class Baseline(Section):
    """A network from the literature; ``groups`` and ``base`` are for `grouped`."""

    model: Literal["cnn", "cross_stitch", "mtan", "pad_net", "grouped"]
    base: Literal["cnn", "cross_stitch", "mtan", "pad_net"] | None = None
    groups: list[Annotated[list[TaskName], Field(min_length=1)]] | None = None
    consistency: Consistency | None = None

    @model_validator(mode="after")
    def _fits(self) -> "Baseline":
        if (self.model == "grouped") != (self.groups is not None):
            raise ValueError("groups: `grouped` needs them, a list of lists of tasks, and no other model has them")
        if self.base is not None and self.model != "grouped":
            raise ValueError(f"base: {self.base!r} is the model of the groups of `grouped`; {self.model} has none")
        if self.groups is not None and sorted(t for group in self.groups for t in group) != sorted(TASKS):
            raise ValueError(f"groups: {shown(self.groups)} must name each of the six tasks once")
        return self


class Baselines(Section):
    """A scale's baselines: their common encoder and decoder, and the runs, each with its key in ``baselines``.

    A run is called <key>-six-s<seed> or <key>-single-<task>-s<seed>.
    """

    encoder: Encoder
    width: Width
    dropout: Drop
    runs: dict[str, str]
