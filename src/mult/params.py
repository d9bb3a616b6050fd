"""The schema of params.yaml. Every error is one line that names the key, the value and what is allowed."""

import re
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from mult.errors import UserError
from mult.tasks import TASKS

TaskName = Literal["semseg", "depth", "normal", "reshading", "keypoints", "edges"]
DomainName = Literal["rooms-home", "rooms-loft", "rooms-kinect", "doom", "taskonomy", "replica", "nyuv2", "cocodoom"]
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
Stages = Annotated[list[Annotated[int, Field(ge=1, le=4)]], Field(max_length=4)]
STRIDE, FINEST = 32, 4  # image pixels a cell of the coarsest and the finest of the encoder's four maps
Key = Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of params.yaml: unknown keys are refused, values are not coerced from other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Decoder(Section):
    """The decoders, and what the paper leaves unsaid about them (design.md, section 4)."""

    skip: Literal["none", "add", "concat"]
    t2_mlp: bool
    t2_shift: bool
    relative_bias: bool
    open_padding: bool
    shared_stages: Stages
    window: PositiveInt
    head_width: PositiveInt
    mlp_ratio: Positive
    drop_path: Share
    dropout: Share


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


class Comparison(Section):
    """Two variants to compare, and the question that this answers."""

    variant: str
    base: str
    asks: str

    @property
    def name(self) -> str:
        """As tables, figures and MLflow have it."""
        return f"{self.variant} over {self.base}"


class Consistency(Section):
    """Cross-task consistency as an extra loss: pairs of (from, to), its weight, and the translators' width."""

    weight: Positive
    width: PositiveInt
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
            raise ValueError(f"groups: {self.groups} must name each of the six tasks once")
        return self


class Baselines(Section):
    """A scale's baselines: their common encoder and decoder, and the runs, each with its key in ``baselines``.

    A run is called <key>-six-s<seed> or <key>-single-<task>-s<seed>.
    """

    encoder: "Encoder"
    width: PositiveInt
    dropout: Share
    runs: dict[str, str]


class Shown(Section):
    """The gallery: how many test images of each domain, and predictions of which six-task variants."""

    images: PositiveInt
    variants: Annotated[list[str], Field(min_length=1)]


class Loss(Section):
    """A task's loss and its weight in the sum."""

    loss: Literal["cross_entropy", "l1", "rotate", "silog", "berhu"]
    weight: NonNegative


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

    @model_validator(mode="after")
    def _fits(self) -> "Encoder":
        if self.pretrained and self.coordinates:
            raise ValueError("coordinates: true needs pretrained: false; pretrained weights know three channels")
        if self.pretrained and self.stem == "conv":
            raise ValueError("stem: conv needs pretrained: false; pretrained weights have none")
        return self


class Augment(Section):
    """Random changes of the training images (mult.data.augment)."""

    flip: bool
    zoom: Annotated[float, Field(ge=1, le=4)]
    colour: Share


class Training(Section):
    """What one training does, the same for every run of a scale; changing it retrains."""

    steps: PositiveInt
    batch_size: PositiveInt
    validate_every: PositiveInt | Annotated[str, Field(pattern=r"^[1-9]\d{0,5} epochs?$")]
    best_by: str
    patience: Annotated[int, Field(ge=0)]
    lr: Positive
    weight_decay: NonNegative
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)]
    warmup_steps: Annotated[int, Field(ge=0)]
    schedule: Literal["constant", "cosine", "poly", "one_cycle"]
    clip_norm: NonNegative
    ema: Share
    balancing: Method
    augment: Augment
    precision: Literal["float32", "bfloat16"]

    @field_validator("best_by")
    @classmethod
    def _known(cls, name: str) -> str:
        known = ["loss", *(f"{task.short}_{task.metric}" for task in TASKS.values())]
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
        return name

    def validation_interval(self, images: int) -> int:
        """Steps from one validation to the next, for ``images`` of training."""
        if isinstance(self.validate_every, int):
            return self.validate_every
        return int(self.validate_every.split()[0]) * (images // self.batch_size)


class FineTune(Section):
    """A short training of trained models on a few images of another domain, with the loss weights of the first one."""

    images: PositiveInt
    steps: PositiveInt
    lr: Positive


class Hardware(Section):
    """How a training is computed. Changing it retrains nothing.

    The numbers stay but for rounding and, with several parts or processes, for what dropout draws and batch norms see.
    """

    device: Literal["auto", "cpu", "cuda"]
    threads: PositiveInt
    processes: PositiveInt
    shard: bool
    part: Annotated[int, Field(ge=0)]
    recompute: bool
    compile: bool
    channels_last: bool
    workers: Annotated[int, Field(ge=0)]
    checkpoint_s: NonNegative

    @model_validator(mode="after")
    def _fits(self) -> "Hardware":
        if self.shard and self.processes == 1:
            raise ValueError("shard: true divides a model over processes; it needs processes above 1")
        if self.shard and self.compile:
            raise ValueError("shard and compile do not go together here; choose one")
        return self


class EmbeddedDomain(Section):
    """Images of a domain that renders itself; ``views`` a room or a map's visit."""

    train: Annotated[int, Field(ge=0)] = 0
    val: Annotated[int, Field(ge=0)] = 0
    test: PositiveInt
    views: PositiveInt
    edge_sigma: Positive


class RealDomain(Section):
    """A data set that the user has: ``root`` is its folder, ``split`` its partition, such as ``fullplus``, or a .csv.

    ``train``, ``val`` and ``test``: how many images of each to use at most (mult.data.index.build); all where none is
    said. ``damaged``: of how many views files may turn out to be damaged before that is an error.
    """

    root: str
    split: str | None = None
    train: PositiveInt | None = None
    val: PositiveInt | None = None
    test: PositiveInt | None = None
    damaged: Annotated[int, Field(ge=0)] = 100


def _kind(domain: Any) -> str:
    given = domain if isinstance(domain, dict) else vars(domain) if isinstance(domain, RealDomain) else {}
    return "real" if "root" in given else "embedded"


Domain = Annotated[
    Annotated[EmbeddedDomain, Tag("embedded")] | Annotated[RealDomain, Tag("real")], Discriminator(_kind)
]


Seed = Annotated[int, Field(ge=0)]


class Seeds(Section):
    """Seeds of each study; runs of one seed share encoder weights and the order of the images."""

    single: Annotated[list[Seed], Field(min_length=1)]
    pair: Annotated[list[Seed], Field(min_length=1)]
    set: Annotated[list[Seed], Field(min_length=1)]
    six: Annotated[list[Seed], Field(min_length=1)]
    control: Annotated[list[Seed], Field(min_length=1)]
    balancing: Annotated[list[Seed], Field(min_length=1)]
    fine_tune: Annotated[list[Seed], Field(min_length=1)]
    probe: Annotated[list[Seed], Field(min_length=1)]

    @field_validator("*")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} names a seed twice")
        return seeds


class Scale(Section):
    """Everything that grows with the machine."""

    name: Literal["smoke", "laptop", "gpu", "paper"]
    image_size: PositiveInt
    train_domain: DomainName
    domains: dict[DomainName, Domain]
    shifts: dict[Literal["blur"], Annotated[float, Field(gt=0, le=0.2)]]
    seeds: Seeds
    encoder: Encoder
    decoder: Decoder
    baselines: Baselines
    training: Training
    affinity_every: Annotated[int, Field(ge=0)]
    fine_tune: FineTune
    hardware: Hardware
    balancings: list[Method]
    score_batch: PositiveInt
    probe_images: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _fits(self) -> "Scale":
        if self.train_domain not in self.domains:
            raise ValueError(f"train_domain {self.train_domain!r} is none of domains ({', '.join(self.domains)})")
        home = self.domains[self.train_domain]
        if self.image_size % STRIDE:
            raise ValueError(f"image_size: {self.image_size} is no multiple of {STRIDE}, the coarsest stride")
        if isinstance(home, EmbeddedDomain) and not (home.train and home.val):
            raise ValueError(f"domains.{self.train_domain} trains the models: its train and val must be above 0")
        if home.train is not None and self.training.batch_size > home.train:
            raise ValueError(f"training.batch_size {self.training.batch_size} is above the {home.train} images")
        if self.decoder.window > self.image_size // FINEST:
            cells = self.image_size // FINEST
            raise ValueError(
                f"decoder.window: {self.decoder.window} is above {cells}, the cells across the finest map of an image "
                f"of {self.image_size} pixels"
            )
        for name, domain in self.domains.items():
            if isinstance(domain, EmbeddedDomain) and domain.train < self.fine_tune.images:
                raise ValueError(
                    f"fine_tune.images: {self.fine_tune.images} is above the {domain.train} of domains.{name}.train"
                )
        for study in ("single", "six"):
            if missing := set(self.seeds.fine_tune) - set(getattr(self.seeds, study)):
                raise ValueError(f"seeds.fine_tune: {min(missing)} is none of seeds.{study}, whose runs are tuned")
        if missing := set(self.seeds.probe) - set(self.seeds.six):
            raise ValueError(f"seeds.probe: {min(missing)} is none of seeds.six, whose runs are probed")
        if self.training.warmup_steps >= self.training.steps:
            raise ValueError(f"training.warmup_steps must be below training.steps ({self.training.steps})")
        if self.hardware.shard and self.training.ema:
            raise ValueError("training.ema: averaged weights are kept whole, which hardware.shard: true is to avoid")
        if self.hardware.shard and self.affinity_every:
            raise ValueError("affinity_every: it needs whole weights, which hardware.shard: true is to avoid; write 0")
        if self.training.batch_size % self.hardware.processes:
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} is no multiple of hardware.processes "
                f"({self.hardware.processes}), among which it is divided"
            )
        return self


class Sheet(Section):
    """Contact sheets of the domains that render themselves."""

    images: PositiveInt
    size: Annotated[int, Field(gt=0, multiple_of=STRIDE)]


class Params(Section):
    """The whole file."""

    tasks: list[TaskName]
    losses: dict[TaskName, Loss]
    single: Changes
    pair: Changes
    pairs: list[str]
    sets: list[str]
    balancing: str
    variants: dict[Key, Changes]
    controls: dict[Key, Changes]
    baselines: dict[Key, Baseline]
    comparisons: Annotated[list[Comparison], Field(min_length=1)]
    served: str
    sheet: Sheet
    gallery: Shown
    scales: dict[Literal["smoke", "laptop", "gpu", "paper"], Scale]
    scale: Scale

    @field_validator("scale", mode="before")
    @classmethod
    def _is_an_alias(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"write *{value} (with the star), one of *smoke, *laptop, *gpu, *paper")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Params":
        if self.tasks != list(TASKS):
            raise ValueError(f"tasks must be {', '.join(TASKS)}, in this order")
        wanted = ["+".join(pair) for pair in combinations(self.tasks, 2)]
        if self.pairs != wanted:
            raise ValueError(f"pairs must be all {len(wanted)} pairs of tasks, in order: {', '.join(wanted)}")
        between = ["+".join(of) for n in (3, 4, 5) for of in combinations(self.tasks, n)]
        if unknown := [of for of in self.sets if of not in between]:
            raise ValueError(f"sets: {unknown[0]!r} must be three to five tasks joined by +, in the order of tasks")
        if missing := [t for t in self.tasks if t not in self.losses]:
            raise ValueError(f"losses lacks {', '.join(missing)}")
        for task, loss in self.losses.items():
            if (task == "semseg") != (loss.loss == "cross_entropy"):
                raise ValueError(f"losses.{task}.loss: {loss.loss!r}: cross_entropy is for semseg, the others are not")
            if loss.loss == "silog" and task != "depth":
                raise ValueError(f"losses.{task}.loss: 'silog' compares logarithms of depths; it is for depth alone")
        for part, others in (
            ("variants", set()),
            ("baselines", {"pair", "set", "mult", "control", "balance", *self.variants}),
        ):
            if taken := ({"constant", "single"} | others) & getattr(self, part).keys():
                raise ValueError(f"{part}: {min(taken)!r} has a meaning in the tables already; choose another name")
        for name, scale in self.scales.items():
            for run, key in scale.baselines.runs.items():
                form = rf"{re.escape(key)}-(six|single-({'|'.join(TASKS)}))-s\d+"
                if key not in self.baselines or not re.fullmatch(form, run):
                    raise ValueError(
                        f"scales.{name}.baselines.runs: {run!r}: {key!r} must be <key>-six-s<seed> or "
                        f"<key>-single-<task>-s<seed> and its key, one of {', '.join(self.baselines)}"
                    )
                if "-single-" in run and (self.baselines[key].groups or self.baselines[key].consistency):
                    raise ValueError(f"scales.{name}.baselines.runs: {run!r}: {key!r} needs all six tasks")
        for name, part in (("single", self.single), ("pair", self.pair)):
            if part.attention in LED:
                raise ValueError(
                    f"{name}.attention: {part.attention} has a reference task, which not every {name} trains"
                )
        if self.balancing not in self.variants:
            raise ValueError(f"balancing: {self.balancing!r} is none of the variants {', '.join(self.variants)}")
        if unknown := [name for name in self.gallery.variants if name not in self.variants]:
            raise ValueError(f"gallery.variants: {unknown[0]!r} is none of the variants {', '.join(self.variants)}")
        if self.served not in self.variants:
            raise ValueError(f"served: {self.served!r} is none of the variants {', '.join(self.variants)}")
        for of in self.comparisons:
            if unknown := [name for name in (of.variant, of.base) if name not in self.variants]:
                raise ValueError(f"comparisons: {unknown[0]!r} is none of the variants {', '.join(self.variants)}")
        for name, scale in self.scales.items():
            if scale.name != name:
                raise ValueError(f"scales.{name}.name is {scale.name!r}; it must be {name!r}")
        return self


def load(path: Path | str = "params.yaml", scale: str | None = None) -> Params:
    """Read and check a params file; ``scale`` names one to take in place of the one that the file chooses.

    Raises:
        UserError: the file is missing, is no YAML, or breaks the schema; the text names file, key, value and mend.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder, or name the file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}") from None
    try:
        settings = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {_one_line(error)}") from None
    return settings if scale is None else settings.model_copy(update={"scale": settings.scales[scale]})


def _one_line(error: ValidationError) -> str:
    """The first complaint as ``key: value: what is allowed``, and how many more there are."""
    details = error.errors(include_url=False)
    # A misspelt key shows up as unknown and as missing: the first says more.
    first = next((d for d in details if d["type"] == "extra_forbidden"), details[0])
    key = ".".join(str(part) for part in first["loc"] if part not in ("embedded", "real", "[key]")) or "(the file)"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key; remove it, or see the comments in params.yaml for the keys there are"
    elif first["type"] == "missing":
        message = "missing; it has no default"
    elif not first["type"].startswith("value_error"):
        shown = repr(first["input"])
        message = f"{shown if len(shown) < 60 else shown[:57] + '...'}: {message}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{key}: {message}{more}".replace("\n", " ")
