from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mult.errors import UserError
from mult.evaluation.affinity import (
    agreement,
    agreements,
    both_ways,
    given_and_received,
    matrix,
    measured,
    over_seeds,
    recorded,
)
from mult.tasks import TASKS
from tests.evaluation.test_studies import rows_of

SIX = list(TASKS)


def square(values):
    return pd.DataFrame(values, SIX, SIX)


def random_square(seed):
    return square(np.random.default_rng(seed).normal(size=(6, 6)))


def pair_results(*seeds):
    rows = []
    for task in ("depth", "normal"):
        rows += rows_of(f"single-{task}", "single", task, {task: 0.5}, 0)
    rows += rows_of("single-depth", "single", "depth", {"depth": 1.0}, 1)
    for seed, (depth, normal) in enumerate(seeds):
        rows += rows_of("pair-depth+normal", "pair", "depth+normal", {"depth": depth, "normal": normal}, seed)
    return pd.DataFrame(rows)


def test_gains_are_of_each_seed_and_each_direction():
    table = over_seeds(measured(pair_results((0.4, 0.6), (0.9, 0.5)), "home")).set_index(["on", "with"])
    assert table.loc[("depth", "normal"), "value"] == pytest.approx((20 + 10) / 2)
    assert table.loc[("normal", "depth"), "value"] == pytest.approx((-20 + 0) / 2)
    low, high = stats.t.interval(0.95, 1, loc=15, scale=stats.sem([20, 10]))
    assert table.loc[("depth", "normal"), "half"] == pytest.approx((high - low) / 2)
    assert set(table["seeds"]) == {2}


def test_one_seed_has_no_interval():
    table = over_seeds(measured(pair_results((0.4, 0.6)), "home"))
    assert table["half"].isna().all()
    assert matrix(table).loc["depth", "normal"] == pytest.approx(20)
    assert matrix(table).shape == (6, 6)


def test_records_are_averaged_over_steps_and_then_over_seeds(tmp_path):
    records = {0: [(1, 0.2), (3, 0.4)], 1: [(1, 0.5), (3, float("nan"))]}
    for seed, values in records.items():
        (tmp_path / f"mult-shared-s{seed}").mkdir()
        rows = [(step, "tag", "depth", "normal", value) for step, value in values]
        rows += [(1, "cosine", "depth", "normal", -1.0)]
        table = pd.DataFrame(rows, columns=["step", "measure", "on", "with", "value"])
        table.to_csv(tmp_path / f"mult-shared-s{seed}" / "affinity.csv", index=False)
    runs = {seed: f"mult-shared-s{seed}" for seed in records}
    table = over_seeds(recorded(runs, "tag", tmp_path))
    assert table["value"].item() == pytest.approx((0.3 + 0.5) / 2)
    assert table["seeds"].item() == 2
    assert matrix(over_seeds(recorded(runs, "cosine", tmp_path))).loc["depth", "normal"] == -1
    with pytest.raises(UserError, match=r"mult-self-s0.affinity\.csv is missing; `make repro` trains every run"):
        recorded({0: "mult-self-s0"}, "tag", tmp_path)


def test_trainings_that_recorded_nothing(tmp_path):
    (tmp_path / "mult-shared-s0").mkdir()
    (tmp_path / "mult-shared-s0" / "affinity.csv").write_text("step,measure,on,with,value\n")
    found = matrix(over_seeds(recorded({0: "mult-shared-s0"}, "tag", tmp_path)))
    assert found.shape == (6, 6)
    assert found.isna().all(axis=None)


def test_summaries():
    gains = square(np.arange(36.0).reshape(6, 6))
    ways = both_ways(gains)
    assert len(ways) == 15
    assert ways["semseg+depth"] == (1 + 6) / 2
    assert ways.index[0] == "keypoints+edges"
    table = given_and_received(gains).set_index("task")
    assert table.loc["depth", "gives"] == np.mean([1, 13, 19, 25, 31])
    assert table.loc["depth", "receives"] == np.mean([6, 8, 9, 10, 11])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_the_correlation_is_scipy_s_and_the_diagonal_does_not_count(one, other):
    a, b = random_square(one).round(1), random_square(other).round(1)  # rounded: there are ties
    off = ~np.eye(6, dtype=bool)
    found = agreement(a, b)
    assert found.rho == pytest.approx(stats.spearmanr(a.to_numpy()[off], b.to_numpy()[off]).statistic)
    assert (found.cells, found.permutations) == (30, 720)
    assert 1 / 720 <= found.p <= 1
    changed = a.mask(np.eye(6, dtype=bool), 99.0)
    assert agreement(changed, b) == found


def test_the_p_value_counts_namings_of_the_tasks():
    a, b = random_square(0), random_square(1)
    a.loc["reshading"] = a["reshading"] = np.nan
    rest = [t for t in SIX if t != "reshading"]
    off = ~np.eye(5, dtype=bool)
    fixed = b.loc[rest, rest].to_numpy()[off]
    rhos = [
        stats.spearmanr(a.loc[list(order), list(order)].to_numpy()[off], fixed).statistic
        for order in permutations(rest)
    ]
    found = agreement(a, b)
    assert found.rho == pytest.approx(rhos[0])
    assert found.p == pytest.approx(np.mean(np.abs(rhos) >= abs(rhos[0]) - 1e-12))
    assert (found.cells, found.permutations) == (20, 120)
    assert agreement(a, -a).rho == pytest.approx(-1)
    assert agreement(a, -a).p == pytest.approx(1 / 120), "two-sided, and no naming but the true one does as well"


def test_effects_of_rows_alone_are_not_taken_for_thirty_observations():
    """Matrices that know nothing but how hard each task is helped: 5 % of them are called alike at 0.05."""
    rng = np.random.default_rng(5)
    found, naive = [], []
    off = ~np.eye(6, dtype=bool)
    for _ in range(200):
        a, b = (square(rng.normal(size=(6, 1)) + 0.1 * rng.normal(size=(6, 6))) for _ in "ab")
        found.append(agreement(a, b).p)
        naive.append(stats.spearmanr(a.to_numpy()[off], b.to_numpy()[off]).pvalue)
    assert np.mean(np.array(found) <= 0.05) < 0.11  # three standard errors above 0.05
    assert np.mean(np.array(naive) <= 0.05) > 0.3


@pytest.mark.parametrize("known", [0, 2])
def test_too_few_cells_say_nothing(known):
    a = square(np.full((6, 6), np.nan))
    for k in range(known):
        a.iloc[k, k + 1] = float(k)
    found = agreement(a, random_square(0))
    assert np.isnan(found.rho)
    assert np.isnan(found.p)
    assert found.cells == known


def test_a_row_that_is_not_known_is_left_out():
    a, b = random_square(0), random_square(1)
    a.loc["semseg"] = np.nan  # a gain over a one-task model with an mIoU of zero
    found = agreement(a, b)
    assert found.cells == 25
    off = ~np.eye(6, dtype=bool) & a.notna().to_numpy()
    assert found.rho == pytest.approx(stats.spearmanr(a.to_numpy()[off], b.to_numpy()[off]).statistic)
    assert 0 < found.p <= 1
    assert agreement(square(np.ones((6, 6))), b).permutations == 0, "a constant has no ranks"


def test_every_matrix_meets_every_other():
    one, other = random_square(0), random_square(1)
    table = agreements({"ours": one, "theirs": other}, {"theirs": other, "third": random_square(2)})
    assert list(zip(table["matrix"], table["with"], strict=True)) == [
        ("ours", "theirs"),
        ("ours", "third"),
        ("theirs", "third"),
    ]
