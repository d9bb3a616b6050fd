"""Runs by name: what each stage of the pipeline trains, looked up in params.yaml.

constant-s0                no network: the best guess without looking at the image
constant-mean-s0           the same by means; constant-pixel-s0: by medians of each place in the image
single-depth-s0            one task
pair-depth+normal-s0       two tasks; set-semseg+depth+...-s0: three to five
mult-shared-s1             all six, variant ``shared``, seed 1
control-shared-as-depth-s0 a variant under another name, which must give the same
tuned-mult-shared-s0       a trained run after a short training on each other domain; also tuned-single-depth-s0
balance-pcgrad-s0          all six, the tasks' gradients balanced by PCGrad
cnn-single-edges-s0        a baseline with one task
mtan-six-s0                a baseline with all six
"""

import re
from dataclasses import dataclass, field
from typing import Any

from mult.errors import UserError
from mult.params import LED, Changes, Consistency, Params

CONSTANTS = ("constant", "constant-mean", "constant-pixel")  # runs without a network; see mult.models.constant


@dataclass(frozen=True)
class Run:
    """One training, resolved: everything that its stage needs to know.

    Attributes:
        study: constant, single, pair, set, six, control, balancing or baseline; a tuned run's is fine_tune.
        model: name in the registry of models.
        encoder: that section of params.yaml.
        decoder: the decoder's settings with the variant's changes applied.
        balancing: how the tasks' losses are weighed against each other (mult.training.balancing).
        consistency: settings of that extra loss, if it has one.
        affinity_every: steps from one record of the tasks' affinities to the next, 0 for none; None where the run is of
            no study that keeps them.
    """

    name: str
    study: str
    model: str
    tasks: tuple[str, ...]
    attention: str
    reference: str
    seed: int
    encoder: dict[str, Any] = field(hash=False)
    decoder: dict[str, Any] = field(hash=False)
    balancing: str = "fixed"
    consistency: Consistency | None = None
    affinity_every: int | None = None


def names(params: Params) -> list[str]:
    """Every run of the chosen scale, in the order of the tables."""
    seeds = params.scale.seeds
    return [
        *(f"{kind}-s0" for kind in CONSTANTS),
        *(f"single-{task}-s{seed}" for task in params.tasks for seed in seeds.single),
        *(f"pair-{pair}-s{seed}" for pair in params.pairs for seed in seeds.pair),
        *(f"set-{of}-s{seed}" for of in params.sets for seed in seeds.set),
        *(f"mult-{variant}-s{seed}" for variant in params.variants for seed in seeds.six),
        *(f"control-{control}-s{seed}" for control in params.controls for seed in seeds.control),
        *(f"balance-{method}-s{seed}" for method in params.scale.balancings for seed in seeds.balancing),
        *params.scale.baselines.runs,
        *(f"tuned-single-{task}-s{seed}" for task in params.tasks for seed in seeds.fine_tune),
        *(f"tuned-mult-{variant}-s{seed}" for variant in params.variants for seed in seeds.fine_tune),
    ]


def probed(params: Params) -> list[str]:
    """The runs whose attention maps are probed when they are trained (mult.evaluation.probes)."""
    return [f"mult-{variant}-s{seed}" for variant in params.variants for seed in params.scale.seeds.probe]


def resolve(params: Params, name: str) -> Run:
    """Settings of the run called ``name``.

    Raises:
        UserError: the name is not one that params.yaml's tasks, pairs and variants make, or the run lacks the task
            that is to lead it.
    """
    if name.startswith("tuned-"):
        raise UserError(f"run {name!r}: tuned runs are made from trained ones: python -m pipelines fine_tune NAME")
    if name in params.scale.baselines.runs:
        return _baseline(params, name)
    constants = "|".join(CONSTANTS)
    found = re.fullmatch(rf"({constants}|(single|pair|set|mult|control|balance)-(.+))-s(\d+)", name)
    if not found:
        raise UserError(
            f"run {name!r}: no such name; it looks like single-depth-s0, pair-depth+normal-s0, mult-shared-s0"
        )
    kind, what, seed = found[2], found[3], int(found[4])
    if kind is None:
        model = found[1].replace("-", "_")
        return Run(name, "constant", model, tuple(params.tasks), "none", "none", seed, {}, {})
    choices = {
        "single": params.tasks,
        "pair": params.pairs,
        "set": params.sets,
        "mult": list(params.variants),
        "control": list(params.controls),
        "balance": params.scale.balancings,
    }[kind]
    if what not in choices:
        raise UserError(f"run {name!r}: {what!r} is none of {', '.join(choices)}")
    own = {"single": params.single, "pair": params.pair, "set": params.pair, "control": params.controls.get(what)}
    changes = own.get(kind) or params.variants[params.balancing if kind == "balance" else what]
    tasks = tuple(what.split("+")) if kind in ("single", "pair", "set") else tuple(params.tasks)
    _must_train_its_leader(name, changes, tasks)
    method = what if kind == "balance" else changes.balancing or params.scale.training.balancing
    return Run(
        name=name,
        study={"mult": "six", "balance": "balancing"}.get(kind, kind),
        model="mult",
        tasks=tasks,
        attention=changes.attention,
        reference=changes.reference or "none",
        seed=seed,
        encoder=params.scale.encoder.model_dump(),
        decoder=params.scale.decoder.model_dump() | changes.model_dump(exclude_none=True, exclude={"balancing"}),
        balancing=method if len(tasks) > 1 else "fixed",
        affinity_every=params.scale.affinity_every if kind == "mult" else None,
    )


def _must_train_its_leader(name: str, changes: Changes, tasks: tuple[str, ...]) -> None:
    if changes.attention in LED and changes.reference not in tasks:
        raise UserError(
            f"run {name!r}: reference: {changes.reference} leads {changes.attention}, but is none of the run's tasks "
            f"{', '.join(tasks)}; name one of these in params.yaml"
        )


def _baseline(params: Params, name: str) -> Run:
    scale = params.scale.baselines
    settings = params.baselines[scale.runs[name]]
    form, seed = re.fullmatch(r".*-(six|single-.+)-s(\d+)", name).groups()
    tasks = tuple(params.tasks) if form == "six" else (form.removeprefix("single-"),)
    decoder = {"width": scale.width, "dropout": scale.dropout} | settings.model_dump(
        include={"base", "groups"}, exclude_none=True
    )
    return Run(
        name=name,
        study="baseline",
        model=settings.model,
        tasks=tasks,
        attention="none",
        reference="none",
        seed=int(seed),
        encoder=scale.encoder.model_dump(),
        decoder=decoder,
        balancing=params.scale.training.balancing if len(tasks) > 1 else "fixed",
        consistency=settings.consistency,
    )
