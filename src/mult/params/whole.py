"""The whole of params.yaml, and what of one section goes with another."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from mult.params.fields import ALL_AT_ONCE, BY_GRADIENTS, LED, STRIDE, Few, Key, Line, Section, TaskName, shown
from mult.params.models import Baseline, Changes
from mult.params.scale import Scale
from mult.params.training import Loss
from mult.tasks import TASKS

# Kinds of runs, by which their names begin; and columns of the tables in which variants and baselines are columns, too.
KINDS = ("constant", "single", "pair", "set", "mult", "control", "balance", "tuned")
COLUMNS = ("task", "metric", "trivial", "domain", "best")
PICTURES = ("input", "label")  # of the gallery, beside those of variants


class Comparison(Section):
    """Two variants to compare, and the question that this answers."""

    variant: str
    base: str
    asks: Line

    @property
    def name(self) -> str:
        """As tables, figures and MLflow have it."""
        return f"{self.variant} over {self.base}"


class Shown(Section):
    """The gallery: how many test images of each domain, and predictions of which six-task variants."""

    images: Few
    variants: Annotated[list[str], Field(min_length=1)]


class Sheet(Section):
    """Contact sheets of the domains that render themselves."""

    images: Few
    size: Annotated[int, Field(gt=0, le=512, multiple_of=STRIDE)]


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
            raise ValueError(f"write *{shown(value)[1:-1]} (with the star), one of *smoke, *laptop, *gpu, *paper")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Params":
        for complaint in (*self._of_tasks(), *self._of_names(), *self._of_variants(), *self._of_scales()):
            raise ValueError(complaint)
        return self

    def _of_tasks(self) -> Iterator[str]:
        if self.tasks != list(TASKS):
            yield f"tasks: {shown(self.tasks)} must be {', '.join(TASKS)}, in this order"
            return
        wanted = ["+".join(pair) for pair in combinations(self.tasks, 2)]
        if self.pairs != wanted:
            yield f"pairs: {shown(self.pairs)} must be all {len(wanted)} pairs of tasks, in order: {', '.join(wanted)}"
        between = ["+".join(of) for n in (3, 4, 5) for of in combinations(self.tasks, n)]
        if unknown := [of for of in self.sets if of not in between]:
            yield f"sets: {shown(unknown[0])} must be three to five tasks joined by +, in the order of tasks"
        if twice := _twice(self.sets):
            yield f"sets: {twice} stands twice; keep one"
        if missing := [t for t in self.tasks if t not in self.losses]:
            yield f"losses: {', '.join(missing)} missing; each task has one"
        for task, loss in self.losses.items():
            if (task == "semseg") != (loss.loss == "cross_entropy"):
                yield f"losses.{task}.loss: {loss.loss!r}: cross_entropy is for semseg, the others are not"
            if loss.loss == "silog" and task != "depth":
                yield f"losses.{task}.loss: 'silog' compares logarithms of depths; it is for depth alone"

    def _of_names(self) -> Iterator[str]:
        for part, others in (
            ("variants", {"constant", "single", *COLUMNS, *PICTURES}),
            ("baselines", {*self.variants, *COLUMNS}),
        ):
            if taken := others & getattr(self, part).keys():
                yield f"{part}: {min(taken)!r} has a meaning in the tables already; choose another name"
        for key in self.baselines:
            if kind := next((of for of in KINDS if key == of or key.startswith(f"{of}-")), None):
                yield f"baselines: {key!r} has a meaning in the tables already: runs called {kind}-… are others"
        for name, scale in self.scales.items():
            yield from self._of_baselines(f"scales.{name}.baselines.runs", scale)

    def _of_baselines(self, place: str, scale: Scale) -> Iterator[str]:
        for run, key in scale.baselines.runs.items():
            form = rf"{re.escape(key)}-(six|single-({'|'.join(TASKS)}))-s(0|[1-9][0-9]{{0,8}})"
            if key not in self.baselines or not re.fullmatch(form, run):
                yield (
                    f"{place}: {shown(run)}: {shown(key)} must be <key>-six-s<seed> or "
                    f"<key>-single-<task>-s<seed> and its key, one of {', '.join(self.baselines)}"
                )
                continue
            if "-single-" in run and (self.baselines[key].groups or self.baselines[key].consistency):
                yield f"{place}: {run!r}: {key!r} needs all six tasks"
            if self.baselines[key].consistency and scale.training.balancing in BY_GRADIENTS:
                yield (
                    f"{place}: {run!r}: consistency is an extra loss, which training.balancing: "
                    f"{scale.training.balancing} cannot weigh; take a method by weights, such as fixed, or no such run"
                )
            if self.baselines[key].consistency and scale.hardware.shard:
                yield f"{place}: {run!r}: its consistency is trained in one process; write hardware.shard: false"

    def _of_variants(self) -> Iterator[str]:
        for name, part in (("single", self.single), ("pair", self.pair)):
            if part.attention in LED:
                yield f"{name}.attention: {part.attention} has a reference task, which not every {name} trains"
        known = ", ".join(self.variants)
        named = [("balancing", self.balancing), ("served", self.served)]
        named += [("gallery.variants", name) for name in self.gallery.variants]
        named += [("comparisons", name) for of in self.comparisons for name in (of.variant, of.base)]
        for key, name in named:
            if name not in self.variants:
                yield f"{key}: {shown(name)} is none of the variants {known}"
        if twice := _twice(self.gallery.variants):
            yield f"gallery.variants: {twice} stands twice; keep one"
        if twice := _twice([of.name for of in self.comparisons]):
            yield f"comparisons: {twice} stands twice; keep one"
        if alike := next((of for of in self.comparisons if of.variant == of.base), None):
            yield f"comparisons: {alike.name} compares a variant with itself; name two"

    def _of_scales(self) -> Iterator[str]:
        for name, scale in self.scales.items():
            if scale.name != name:
                yield f"scales.{name}.name is {scale.name!r}; it must be {name!r}"
            yield from self._of_methods(f"scales.{name}", scale)
        if self.scale != self.scales.get(self.scale.name):
            yield f"scale: it must be one of scales as it stands there: write *{self.scale.name}"

    def _of_methods(self, place: str, scale: Scale) -> Iterator[str]:
        """Of balancing, and how the scale's trainings are computed."""
        parts = {"pair": self.pair} | {f"variants.{name}": of for name, of in self.variants.items()}
        parts |= {f"controls.{name}": of for name, of in self.controls.items()}
        methods = [(f"{place}.training.balancing", scale.training.balancing)]
        methods += [(f"{place}.balancings", name) for name in scale.balancings]
        methods += [(f"{key}.balancing", of.balancing) for key, of in parts.items() if of.balancing]
        for key, method in methods:
            if scale.hardware.part and method in ALL_AT_ONCE:
                yield (
                    f"{key}: {method} needs the losses of the whole batch before any gradient; write "
                    f"{place}.hardware.part: 0, or another method"
                )
            if scale.hardware.shard and method in BY_GRADIENTS:
                yield f"{key}: {method} needs whole gradients; write {place}.hardware.shard: false, or another method"


def _twice(names: list[str]) -> str | None:
    """The first name that stands twice."""
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
