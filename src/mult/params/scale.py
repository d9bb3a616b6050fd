"""A scale: everything that grows with the machine, and what of it goes together."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mult.params.domains import Domain, EmbeddedDomain, mistake
from mult.params.fields import FINEST, LARGEST_IMAGE, STRIDE, DomainName, Method, Section
from mult.params.models import Baselines, Decoder, Encoder
from mult.params.training import FineTune, Hardware, Training

SERVED_SEED = 0  # of the run that is kept as a model in MLflow; see dvc.yaml, log_model
Seed = Annotated[int, Field(ge=0, lt=2**31)]
SeedList = Annotated[list[Seed], Field(min_length=1, max_length=100)]


class Seeds(Section):
    """Seeds of each study; runs of one seed share encoder weights and the order of the images."""

    single: SeedList
    pair: SeedList
    set: SeedList
    six: SeedList
    control: SeedList
    balancing: SeedList
    fine_tune: SeedList
    probe: SeedList

    @field_validator("*")
    @classmethod
    def _differ(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} names a seed twice")
        return seeds


class Scale(Section):
    """Everything that grows with the machine."""

    name: Literal["smoke", "laptop", "gpu", "paper"]
    image_size: Annotated[int, Field(ge=STRIDE, le=LARGEST_IMAGE)]
    train_domain: DomainName
    domains: dict[DomainName, Domain]
    shifts: dict[Literal["blur"], Annotated[float, Field(ge=1e-4, le=0.2)]]
    seeds: Seeds
    encoder: Encoder
    decoder: Decoder
    baselines: Baselines
    training: Training
    affinity_every: Annotated[int, Field(ge=0)]
    fine_tune: FineTune
    hardware: Hardware
    balancings: list[Method]
    score_batch: Annotated[int, Field(ge=1, le=4096)]
    probe_images: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _fits(self) -> "Scale":
        for complaint in (*self._of_domains(), *self._of_seeds(), *self._of_pictures(), *self._of_training()):
            raise ValueError(complaint)
        return self

    def _of_domains(self) -> Iterator[str]:
        if self.train_domain not in self.domains:
            yield f"train_domain: {self.train_domain!r} is none of domains ({', '.join(self.domains)})"
            return
        yield from filter(None, (mistake(name, domain) for name, domain in self.domains.items()))
        home, named = self.domains[self.train_domain], f"domains.{self.train_domain}"
        if self.train_domain == "replica":
            yield "train_domain: 'replica' has no segment_semantic, one of the six tasks; it is to be scored on alone"
        if isinstance(home, EmbeddedDomain) and not (home.train and home.val):
            yield f"{named}: train {home.train} and val {home.val} must be above 0, for it trains the models"
        if home.test == 1:
            yield f"{named}.test: 1: the probes exchange maps between two of its images; write 2 or more"
        if home.train is not None and self.training.batch_size > home.train:
            yield f"training.batch_size: {self.training.batch_size} is above the {home.train} of {named}.train"
        for name, domain in self.domains.items():
            if isinstance(domain, EmbeddedDomain) and domain.train < self.fine_tune.images:
                yield f"fine_tune.images: {self.fine_tune.images} is above the {domain.train} of domains.{name}.train"

    def _of_seeds(self) -> Iterator[str]:
        seeds = self.seeds
        if SERVED_SEED not in seeds.six:
            yield f"seeds.six: {seeds.six} lacks {SERVED_SEED}, the seed of the run that MLflow keeps (`served`)"
        for study in ("single", "six"):
            if missing := set(seeds.fine_tune) - set(getattr(seeds, study)):
                yield f"seeds.fine_tune: {min(missing)} is none of seeds.{study}, whose runs are tuned"
        if missing := set(seeds.probe) - set(seeds.six):
            yield f"seeds.probe: {min(missing)} is none of seeds.six, whose runs are probed"

    def _of_pictures(self) -> Iterator[str]:
        if self.image_size % STRIDE:
            yield f"image_size: {self.image_size} is no multiple of {STRIDE}, the coarsest stride"
        cells = self.image_size // FINEST
        if self.decoder.window > cells:
            yield (
                f"decoder.window: {self.decoder.window} is above {cells}, the cells across the finest map of an image "
                f"of {self.image_size} pixels"
            )

    def _of_training(self) -> Iterator[str]:
        training, hardware = self.training, self.hardware
        if training.warmup_steps >= training.steps:
            yield f"training.warmup_steps: {training.warmup_steps} is not below training.steps ({training.steps})"
        if hardware.shard and training.ema:
            yield f"training.ema: {training.ema}: averaged weights are whole, which hardware.shard: true is to avoid"
        if hardware.shard and self.affinity_every:
            yield (
                f"affinity_every: {self.affinity_every}: it needs whole weights, which hardware.shard: true is "
                "to avoid; write 0"
            )
        if training.batch_size % hardware.processes:
            yield (
                f"training.batch_size: {training.batch_size} is no multiple of hardware.processes "
                f"({hardware.processes}), among which it is divided"
            )
        if twice := next((name for name in self.balancings if self.balancings.count(name) > 1), None):
            yield f"balancings: {twice} stands twice; keep one"
