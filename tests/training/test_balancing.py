import io
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor, nn

from mult.errors import UserError
from mult.training.balancing import METHODS, Balancing, balancing
from mult.training.balancing.fair import fair_weights
from mult.training.balancing.gradients import COLUMNS, gramian
from tests.reference import balancing as reference
from tests.training.helpers import assert_same

OWN = ["fixed", "uncertainty", "dwa", "gradnorm", "graddrop", "mgda", "nash_mtl", "fairgrad"]
TORCHJD = find_spec("torchjd") is not None
NAMES = [name for name in METHODS if TORCHJD or name in OWN]
needs_torchjd = pytest.mark.skipif(not TORCHJD, reason="TorchJD is not installed")


def make(name: str, tasks: int = 2, steps_a_pass: int = 3) -> Balancing:
    return balancing(name, [f"task{t}" for t in range(tasks)], steps_a_pass, "cpu")


BY_GRADIENTS = [name for name in NAMES if make(name).needs == "gradients"]
BY_WEIGHTS = [name for name in NAMES if name not in BY_GRADIENTS]


def combine(name: str, rows: np.ndarray | Tensor, seed: int = 0) -> np.ndarray:
    """What a fresh method makes of rows, in their precision; losses are ones."""
    rows = torch.as_tensor(rows)
    torch.manual_seed(seed)
    return make(name, len(rows)).combine(rows, torch.ones(len(rows))).numpy()


def losses_of(rng: np.random.Generator, steps: int, tasks: int) -> np.ndarray:
    """A course of losses, as float32 has them."""
    return rng.uniform(0.1, 3, (steps, tasks)).astype(np.float32).astype(np.float64)


def weights_through(method: Balancing, losses: np.ndarray) -> np.ndarray:
    """The weights in each of the steps that have these losses."""
    course = []
    for row in torch.tensor(losses, dtype=torch.float32):
        course.append(method.weights(row).numpy())
        method.observe(row)
    return np.stack(course)


seeds = st.integers(0, 9999)
several = st.integers(2, 6)
quick = settings(max_examples=20, deadline=None, derandomize=True)


def normal(seed: int, tasks: int, length: int = 9) -> np.ndarray:
    """Gradients that conflict here and there."""
    return np.random.default_rng(seed).normal(size=(tasks, length))


# Rows of any kind: parallel, opposite, short, zero, fewer columns than rows.
entries = st.sampled_from([0.0, 1.0, -1.0, 0.5]) | st.floats(-1e6, 1e6, width=32)
any_rows = st.tuples(several, st.integers(1, 5)).flatmap(lambda shape: arrays(np.float32, shape, elements=entries))


class TestAgainstReferences:
    def test_uncertainty(self):
        losses = losses_of(np.random.default_rng(0), 40, 3)
        numbers = reference.learnt(losses, lambda s, loss: (torch.exp(-s) * loss + s / 2).sum(), 0, 0.01)
        weights = weights_through(make("uncertainty", 3), losses)
        np.testing.assert_allclose(weights, np.exp(-numbers[:-1]), rtol=1e-6)

    @needs_torchjd
    def test_imtl_l(self):
        losses = losses_of(np.random.default_rng(0), 40, 3)
        numbers = reference.learnt(losses, lambda s, loss: (torch.exp(s) * loss - s).sum(), 0, 0.01)
        weights = weights_through(make("imtl_l", 3), losses)
        np.testing.assert_allclose(weights, np.exp(numbers[:-1]), rtol=1e-6)

    @quick
    @given(seeds, several, st.integers(1, 4))
    def test_dwa(self, seed, tasks, steps_a_pass):
        losses = losses_of(np.random.default_rng(seed), 17, tasks)
        weights = weights_through(make("dwa", tasks, steps_a_pass), losses)
        np.testing.assert_allclose(weights, reference.dwa(losses, steps_a_pass, 2), rtol=1e-6)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_famo(self, seed, tasks):
        losses = losses_of(np.random.default_rng(seed), 15, tasks)
        weights = weights_through(make("famo", tasks), losses)
        np.testing.assert_allclose(weights, reference.famo(losses, 0.025, 1e-3), rtol=1e-5)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_geometric_mean_and_stch(self, seed, tasks):
        losses = losses_of(np.random.default_rng(seed), 1, tasks)
        mean = np.prod(losses[0]) ** (1 / tasks)
        np.testing.assert_allclose(
            weights_through(make("geometric_mean", tasks), losses)[0], mean / losses[0], rtol=1e-5
        )
        powers = np.exp(losses[0] / 0.5)
        expected = tasks * powers / powers.sum()
        np.testing.assert_allclose(weights_through(make("stch", tasks), losses)[0], expected, rtol=1e-5)

    def test_gradnorm(self):
        torch.manual_seed(0)
        inputs, targets = torch.randn(2, 16, 3, dtype=torch.float64)

        def losses_with(network):
            return ((network(inputs) - targets) ** 2).mean(0) * torch.tensor([1.0, 3.0, 0.2])

        network, twin = (nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double() for _ in range(2))
        twin.load_state_dict(network.state_dict())
        course = reference.gradnorm(twin, lambda: losses_with(twin), 20, 1.5, 0.025, 0.1)

        method = make("gradnorm", 3)
        for step in range(20):
            np.testing.assert_allclose(method.weights(), course[step], rtol=1e-6)
            losses = losses_with(network)
            method_step(method, losses, list(network.parameters()), 0.1)
            method.observe(losses)
        np.testing.assert_allclose(method.weights(), course[-1], rtol=1e-6)
        assert np.ptp(course[-1]) > 0.1

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_pcgrad(self, seed, tasks):
        rows = normal(seed, tasks, 4)
        torch.manual_seed(seed)
        orders = [torch.randperm(tasks).tolist() for _ in range(tasks)]
        np.testing.assert_allclose(combine("pcgrad", rows, seed), reference.pcgrad(rows, orders), atol=1e-9)

    @needs_torchjd
    @quick
    @given(seeds, st.integers(2, 4))
    def test_gradvac(self, seed, tasks):
        method, means = make("gradvac", tasks), np.zeros((tasks, tasks))
        for step in range(3):
            rows = normal(seed + step, tasks)
            torch.manual_seed(seed)
            others = [[j for j in range(tasks) if j != i] for i in range(tasks)]
            orders = [[row[k] for k in torch.randperm(tasks - 1)] for row in others]
            expected, means = reference.gradvac(rows, orders, means, method.BETA)
            torch.manual_seed(seed)
            got = method.combine(torch.tensor(rows), torch.ones(tasks))
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)

    @quick
    @given(seeds, several)
    def test_mgda(self, seed, tasks):
        rows = normal(seed, tasks)
        np.testing.assert_allclose(combine("mgda", rows), tasks * reference.shortest(rows), atol=1e-9)
        two = rows[:2]
        np.testing.assert_allclose(combine("mgda", two), 2 * reference.shortest_of_two(*two), atol=1e-9)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_upgrad_and_dualproj(self, seed, tasks):
        rows = normal(seed, tasks)
        np.testing.assert_allclose(combine("dualproj", rows), reference.project(rows.sum(0), rows), atol=1e-4)
        projected = sum(reference.project(row, rows) for row in rows)
        np.testing.assert_allclose(combine("upgrad", rows), projected, atol=1e-4)

    @needs_torchjd
    @settings(quick, max_examples=5)
    @given(seeds)
    def test_cagrad(self, seed):
        rows = normal(seed, 2)
        np.testing.assert_allclose(combine("cagrad", rows), 2 / 1.4 * reference.cagrad_of_two(rows, 0.4), atol=1e-3)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_aligned_mtl(self, seed, tasks):
        rows = normal(seed, tasks)
        np.testing.assert_allclose(combine("aligned_mtl", rows), reference.aligned(rows), rtol=1e-3, atol=1e-3)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_imtl_g_projects_equally_with_weights_that_sum_to_the_number_of_tasks(self, seed, tasks):
        rows = normal(seed, tasks, 60)
        combined = combine("imtl_g", rows)
        projections = rows @ combined / np.linalg.norm(rows, axis=1)
        np.testing.assert_allclose(projections, projections.mean(), rtol=1e-3)
        weights = np.linalg.lstsq(rows.T, combined, rcond=None)[0]
        assert weights.sum() == pytest.approx(tasks, rel=1e-5)

    @pytest.mark.parametrize(("name", "alpha"), [("nash_mtl", 1), ("fairgrad", 2)])
    @quick
    @given(seeds, several)
    def test_fair_methods_solve_their_equation(self, name, alpha, seed, tasks):
        rows = normal(seed, tasks, 12) * np.random.default_rng(seed).uniform(0.01, 1, (tasks, 1))
        rows /= np.sqrt((rows**2).sum(1).mean())
        combined = combine(name, rows)
        weights = np.linalg.lstsq(rows.T, combined, rcond=None)[0]
        np.testing.assert_allclose(rows @ combined, weights ** (-1 / alpha), rtol=1e-3)
        if name == "nash_mtl":
            assert np.sum(combined**2) == pytest.approx(tasks, rel=1e-3)

    @needs_torchjd
    @quick
    @given(seeds, several)
    def test_fair_weights_agree_with_torchjd(self, seed, tasks):
        from torchjd.aggregation import FairGradWeighting

        products = gramian(torch.tensor(normal(seed, tasks, 30)) / 5)
        for alpha in (1.0, 2.0):
            expected = FairGradWeighting(alpha)(products)
            torch.testing.assert_close(fair_weights(products, alpha), expected, rtol=1e-4, atol=1e-4)

    def test_graddrop_keeps_one_sign_of_each_column_as_often_as_it_should(self):
        rows = np.repeat(normal(0, 3, 5), 20000, axis=1).astype(np.float32)
        down, up, chance = reference.signs(rows[:, ::20000])
        combined = combine("graddrop", rows).reshape(5, 20000)
        for k in range(5):
            kept_up = np.isclose(combined[k], up[k])
            assert np.isclose(combined[k][~kept_up], down[k]).all()
            assert kept_up.mean() == pytest.approx(chance[k], abs=0.02)


def method_step(method: Balancing, losses: Tensor, parameters: list[Tensor], rate: float) -> None:
    """One step of plain gradient descent on parameters that all tasks share."""
    if method.needs == "gradients":
        rows = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
        rows = torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])
        combined = method.combine(rows, losses.detach())
        parts = combined.split([p.numel() for p in parameters])
        steps = [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]
    else:
        steps = torch.autograd.grad((method.weights(losses.detach()) * losses).sum(), parameters)
    with torch.no_grad():
        for parameter, step in zip(parameters, steps, strict=True):
            parameter -= rate * step


class TestScale:
    @pytest.mark.parametrize("name", BY_GRADIENTS)
    @pytest.mark.parametrize("tasks", [2, 3, 6])
    def test_orthogonal_gradients_of_one_length_are_added_up(self, name, tasks):
        rows = 7e-4 * torch.eye(tasks, tasks + 2)
        np.testing.assert_allclose(combine(name, rows), rows.sum(0), rtol=1e-4, atol=1e-9)

    @pytest.mark.parametrize("name", BY_GRADIENTS)
    @pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
    def test_combined_gradients_are_as_long_as_the_gradients(self, name, factor):
        rows = normal(1, 4)
        np.testing.assert_allclose(combine(name, factor * rows), factor * combine(name, rows), rtol=1e-5)

    @pytest.mark.parametrize("name", [name for name in BY_WEIGHTS if name != "random"])
    @pytest.mark.parametrize("tasks", [2, 6])
    def test_equal_losses_have_weights_of_one(self, name, tasks):
        method = make(name, tasks)
        for _ in range(3):
            np.testing.assert_allclose(method.weights(torch.full((tasks,), 0.5)), 1, rtol=1e-5)
            if name not in ("uncertainty", "imtl_l"):  # these reach for the losses' absolute size
                method.observe(torch.full((tasks,), 0.5))

    @needs_torchjd
    def test_random_weights_are_one_on_average_and_new_each_time(self):
        torch.manual_seed(0)
        method = make("random", 3)
        drawn = torch.stack([method.weights() for _ in range(2000)])
        torch.testing.assert_close(drawn.sum(1), torch.full((2000,), 3.0))
        torch.testing.assert_close(drawn.mean(0), torch.ones(3), rtol=0, atol=0.1)

    def test_gradnorm_gives_its_weights_to_the_tasks_own_parameters_too(self):
        method = make("gradnorm")
        rows = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
        for _ in range(5):
            combined = method.combine(rows, torch.ones(2))
            torch.testing.assert_close(combined, method.weights() @ rows)
            method.observe(torch.ones(2))
        assert method.weights()[0] < 0.9
        assert method.weights().sum() == pytest.approx(2)


class TestAnyInput:
    @pytest.mark.parametrize("name", BY_GRADIENTS)
    @quick
    @given(any_rows)
    def test_combined_gradients_are_finite(self, name, rows):
        before = rows.copy()
        combined = combine(name, rows)
        assert combined.shape == rows.shape[1:]
        assert combined.dtype == np.float32
        assert np.isfinite(combined).all()
        np.testing.assert_array_equal(rows, before)

    @pytest.mark.parametrize("name", [name for name in ("upgrad", "dualproj", "mgda") if name in NAMES])
    @settings(quick, max_examples=60)
    @given(any_rows)
    def test_no_task_is_opposed(self, name, rows):
        combined, lengths = combine(name, rows).astype(float), np.linalg.norm(rows.astype(float), axis=1)
        heard = lengths > 1e-7 * lengths.max()
        assert (rows.astype(float) @ combined >= -1e-3 * lengths * lengths.max())[heard].all()

    @pytest.mark.parametrize("name", BY_GRADIENTS)
    def test_a_task_without_a_gradient_takes_no_part(self, name):
        rows = torch.tensor(normal(2, 4))
        with_zeros = torch.cat([rows[:1], torch.zeros(1, 9), rows[1:]])
        np.testing.assert_allclose(combine(name, with_zeros), combine(name, rows), rtol=1e-12)

    @pytest.mark.parametrize("name", BY_GRADIENTS)
    def test_no_gradients_at_all(self, name):
        assert not combine(name, torch.zeros(3, 4)).any()

    @pytest.mark.parametrize("name", BY_GRADIENTS)
    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_gradients_that_are_not_finite_are_refused(self, name, value):
        method = make(name, 3)
        state = method.state_dict()
        rows = torch.ones(3, 4)
        rows[1, 2] = value
        with pytest.raises(FloatingPointError, match="not finite"):
            method.combine(rows, torch.ones(3))
        assert_same(method.state_dict(), state)

    @pytest.mark.parametrize("name", NAMES)
    @settings(quick, max_examples=10)
    @given(arrays(np.float32, (7, 3), elements=st.just(0.0) | st.floats(0, 1e6, width=32)))
    def test_weights_stay_finite_whatever_the_losses(self, name, losses):
        method = make(name, 3)
        for row in torch.tensor(losses):
            if method.needs == "gradients":
                method.combine(row[:, None] * torch.eye(3), row)
            method.observe(row)
            weights = method.weights(row)
            assert weights.dtype == torch.float32
            assert weights.isfinite().all()
            assert (weights >= 0).all()

    @pytest.mark.parametrize("name", [name for name in ("uncertainty", "imtl_l", "famo") if name in NAMES])
    def test_nothing_is_learnt_about_a_task_without_labels(self, name):
        method, alone = make(name, 3), make(name, 2)
        for losses in torch.tensor(losses_of(np.random.default_rng(0), 8, 3), dtype=torch.float32):
            losses[1] = 0
            assert torch.equal(method.weights(losses)[[0, 2]], alone.weights(losses[[0, 2]]))
            method.observe(losses)
            alone.observe(losses[[0, 2]])
        assert method.learnt[1] == 0
        assert (method.learnt[[0, 2]] != 0).all()

    @pytest.mark.parametrize("name", [name for name in ("stch", "geometric_mean", "famo") if name in NAMES])
    def test_the_others_are_balanced_as_if_alone(self, name):
        for losses in torch.tensor([[1.0, 0.0, 1.0], [0.3, 0.0, 0.9]]):
            weights = make(name, 3).weights(losses)
            torch.testing.assert_close(weights[[0, 2]], make(name, 2).weights(losses[[0, 2]]))
        assert make(name, 3).weights(torch.zeros(3)).isfinite().all()

    def test_batches_without_labels_do_not_make_a_loss_seem_to_fall(self):
        method, every = make("dwa", 2, 4), make("dwa", 2, 4)
        for step, row in enumerate(torch.tensor([[1.0, 1.0]] * 4 + [[0.5, 1.0]] * 4)):
            every.observe(row)
            method.observe(row * torch.tensor([float(step % 3 > 0), 1]))
        torch.testing.assert_close(method.weights(), every.weights())
        assert method.weights()[0] < 0.95

    def test_columns_are_taken_in_parts(self):
        rows = torch.randn(3, COLUMNS + 5, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(gramian(rows), rows.double() @ rows.double().T)
        rows[:, :-5] = 0
        combined = combine("graddrop", rows)
        assert not combined[:-5].any()
        assert combined[-5:].all()


class TestState:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_restored_method_continues_to_the_bit(self, name):
        def step(method: Balancing, number: int) -> Tensor:
            rng = np.random.default_rng(number)
            losses = torch.tensor(rng.uniform(0.1, 2, 4), dtype=torch.float32)
            if number % 4 == 2:
                losses[1] = 0
            torch.manual_seed(number)
            out = method.weights(losses)
            if method.needs == "gradients":
                rows = torch.tensor(rng.normal(size=(4, 20)) + 0.2, dtype=torch.float32) * (losses > 0)[:, None]
                out = torch.cat([out, method.combine(rows, losses)])
            method.observe(losses)
            return out

        straight = make(name, 4)
        for number in range(7):
            step(straight, number)
        file = io.BytesIO()
        torch.save(straight.state_dict(), file)
        kept = straight.state_dict()
        rest = [step(straight, number) for number in range(7, 14)]

        for state in (torch.load(io.BytesIO(file.getvalue())), kept):
            resumed = make(name, 4)
            resumed.load_state_dict(state)
            for number, expected in zip(range(7, 14), rest, strict=True):
                assert torch.equal(step(resumed, number), expected)
            assert_same(resumed.state_dict(), straight.state_dict())

    @pytest.mark.parametrize("name", BY_GRADIENTS)
    def test_random_numbers_come_from_the_global_generator(self, name):
        rows = normal(5, 5)
        np.testing.assert_array_equal(combine(name, rows, 3), combine(name, rows, 3))
        if name in ("pcgrad", "graddrop", "gradvac"):
            assert any((combine(name, rows, 3) != combine(name, rows, seed)).any() for seed in range(4, 9))


@pytest.mark.parametrize("name", NAMES)
def test_two_regressions_of_different_size_are_learnt(name):
    torch.manual_seed(1)
    inputs = torch.randn(64, 4)
    targets = torch.stack([inputs[:, 0] * inputs[:, 1].sign(), 3 * (inputs[:, 1] - inputs[:, 2]).tanh()], 1)
    network = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    parameters = list(network.parameters())
    method = make(name, steps_a_pass=5)

    first = None
    for step in range(80):
        torch.manual_seed(step)
        losses = ((network(inputs) - targets) ** 2).mean(0)
        first = losses.detach() if first is None else first
        method_step(method, losses, parameters, 0.08)
        method.observe(losses.detach())
    assert losses.sum() < 0.75 * first.sum()
    assert (losses < first).all()


@pytest.mark.parametrize("name", METHODS)
def test_with_one_task_every_method_is_fixed(name):
    method = balancing(name, ["depth"], 10, "cpu")
    assert method.needs == "nothing"
    assert method.weights().tolist() == [1.0]
    method.observe(torch.tensor([0.3]))
    assert method.weights(torch.tensor([0.3])).tolist() == [1.0]


def test_an_unknown_method_is_named():
    with pytest.raises(UserError, match=r"training\.balancing: best: .* fixed, uncertainty"):
        make("best")


@pytest.mark.parametrize("name", ["pcgrad", "famo"])
def test_without_torchjd_the_message_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    monkeypatch.delitem(sys.modules, "mult.training.balancing.from_torchjd", raising=False)
    monkeypatch.delattr("mult.training.balancing.from_torchjd", raising=False)
    with pytest.raises(UserError, match=rf"{name} needs TorchJD; pip install -e '\.\[balancing\]'"):
        make(name)
    assert make("gradnorm").needs == "gradients"
