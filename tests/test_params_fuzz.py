"""A thousand mutated params.yaml files: each is accepted, and then can be run, or refused in one line."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mult.data.augment import draw
from mult.data.batches import order_of_step
from mult.errors import UserError
from mult.params import Params, load
from mult.runs import names, probed, resolve
from mult.training.schedule import factor
from tests.mutations import TEXT, TREE, WHOLE, dump, files

FILES = 1000
tally: Counter = Counter()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "params.yaml"


def accepted(place: Path, text: str) -> Params | None:
    """The settings, or None where the file is refused as it must be."""
    place.write_bytes(text.encode())
    try:
        return load(place)
    except UserError as error:
        said = str(error)
        assert said.startswith(f"{place}: ")
        assert said.isprintable(), said
        assert 10 < len(said) - len(str(place)) < 1200, said
        return None


@settings(
    max_examples=FILES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(text=files())
def test_a_mutated_file_is_refused_in_one_line_or_can_be_run(place, text):
    found = accepted(place, text)
    tally["refused" if found is None else "accepted"] += 1
    if found is not None:
        must_run(found)


def test_the_mutations_are_of_both_kinds(place):
    """Runs after the fuzz: where nearly everything is refused, or accepted, it has tried little."""
    assert accepted(place, TEXT) is not None
    assert accepted(place, WHOLE) is not None
    assert accepted(place, dump(TREE)) == accepted(place, TEXT)
    if tally:
        assert tally["accepted"] > FILES / 10, tally
        assert tally["refused"] > FILES / 3, tally


def must_run(params: Params) -> None:
    """What can be seen without a model: names, the arithmetic of batches, passes and rates, the studies' runs."""
    every = names(params)
    assert len(set(every)) == len(every)
    assert set(probed(params)) <= set(every)
    assert {f"mult-{params.served}-s0", *(f"mult-{name}-s0" for name in params.gallery.variants)} <= set(every)
    assert max(map(len, every)) < 100
    for name in every:
        if name.startswith("tuned-"):
            assert name.removeprefix("tuned-") in every
        else:
            assert resolve(params, name).name == name
    scale = params.scale
    training, home = scale.training, scale.domains[scale.train_domain]
    images = home.train
    assert images is None or training.validation_interval(images) >= 1
    if images is not None:
        first = order_of_step(images, training.batch_size, 0, 0)
        assert len(first) == training.batch_size
        assert training.batch_size % scale.hardware.processes == 0
    for step in {0, training.warmup_steps, training.steps - 1}:
        rate = training.lr * factor(step, training)
        assert math.isfinite(rate)
        assert rate >= 0
    chosen = training.augment
    draws = draw(min(training.batch_size, 8), chosen.flip, chosen.zoom, chosen.colour, 0, 0)
    assert np.isfinite(draws.zoom.numpy()).all()


@pytest.mark.parametrize(
    "cut", ["", "\n", "---\n", "[]", "1", "null", "scale: *smoke", "a: &a [*a]", "? [a]\n: 1", "\ufeff"]
)
def test_what_is_no_params_file_is_refused_in_one_line(place, cut):
    assert accepted(place, cut) is None


@given(text=st.binary(max_size=200))
def test_bytes_are_refused_in_one_line(place, text):
    place.write_bytes(text)
    with pytest.raises(UserError) as error:
        load(place)
    assert str(error.value).isprintable()
