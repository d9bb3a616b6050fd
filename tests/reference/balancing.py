"""Balancing methods, a gradient and a loss at a time. Rows are (T, n) float64 arrays, a task's gradient a row."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, combinations

import numpy as np
import torch


def pcgrad(rows: np.ndarray, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """Yu et al. 2020; ``orders[i]``: the order in which task i meets the tasks."""
    total = np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        kept = rows[i].copy()
        for j in order:
            if j != i and kept @ rows[j] < 0:
                kept -= (kept @ rows[j]) / (rows[j] @ rows[j]) * rows[j]
        total += kept
    return total


def gradvac(
    rows: np.ndarray, orders: Sequence[Sequence[int]], means: np.ndarray, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Wang et al. 2021; ``means``: (T, T) running means of the cosines, returned anew; turns by angles."""
    total, means = np.zeros(rows.shape[1]), means.copy()
    for i, order in enumerate(orders):
        turned = rows[i].copy()
        for j in order:
            cosine = turned @ rows[j] / np.linalg.norm(turned) / np.linalg.norm(rows[j])
            if cosine < means[i, j]:
                angle, wanted = np.arccos(cosine), np.arccos(means[i, j])
                # The law of sines in the triangle of the old gradient, the added stretch and the new gradient.
                stretch = np.linalg.norm(turned) * np.sin(angle - wanted) / np.sin(wanted)
                turned = turned + stretch * rows[j] / np.linalg.norm(rows[j])
            means[i, j] += beta * (cosine - means[i, j])
        total += turned
    return total, means


def shortest_of_two(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The point nearest to the origin on the segment from a to b (Sener & Koltun 2018)."""
    share = np.clip((b - a) @ b / ((a - b) @ (a - b)), 0, 1)
    return share * a + (1 - share) * b


def shortest(rows: np.ndarray) -> np.ndarray:
    """The point of the rows' convex hull nearest to the origin, by trying every face."""
    best = rows[0]
    for face in _subsets(len(rows)):
        if face:
            corner, edges = rows[face[0]], rows[list(face[1:])] - rows[face[0]]
            shares = -np.linalg.pinv(edges.T) @ corner if len(edges) else np.zeros(0)
            if (shares >= -1e-12).all() and shares.sum() <= 1 + 1e-12:
                best = min(best, corner + shares @ edges, key=np.linalg.norm)
    return best


def project(vector: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The nearest vector that opposes no row, by trying every set of rows that may hold it back."""
    candidates = []
    for face in _subsets(len(rows)):
        held = rows[list(face)]
        candidate = vector - np.linalg.pinv(held) @ held @ vector if len(face) else vector
        if (rows @ candidate >= -1e-9).all():
            candidates.append(candidate)
    return min(candidates, key=lambda candidate: np.linalg.norm(candidate - vector))


def cagrad_of_two(rows: np.ndarray, radius: float) -> np.ndarray:
    """Liu et al. 2021, two tasks: the dual problem on a fine grid."""
    mean, best = rows.mean(0), (np.inf, None)
    reach = radius * np.linalg.norm(mean)
    for share in np.linspace(0, 1, 20001):
        mixed = share * rows[0] + (1 - share) * rows[1]
        best = min(best, (mixed @ mean + reach * np.linalg.norm(mixed), share))
    mixed = best[1] * rows[0] + (1 - best[1]) * rows[1]
    return mean + reach * mixed / np.linalg.norm(mixed)


def aligned(rows: np.ndarray) -> np.ndarray:
    """Senushkin et al. 2023: the sum of the rows once their singular values equal the least."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    return (values.min() * left @ right).sum(0)


def signs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chen et al. 2020, a column at a time: the sum of negative entries, that of positive ones, the chance of these."""
    down, up, chance = np.zeros((3, rows.shape[1]))
    for k, column in enumerate(rows.T):
        for entry in column:
            if entry > 0:
                up[k] += entry
            else:
                down[k] += entry
        chance[k] = 0.5 * (1 + column.sum() / np.abs(column).sum())
    return down, up, chance


def dwa(losses: np.ndarray, steps_a_pass: int, temperature: float) -> np.ndarray:
    """Liu et al. 2019: the weights in each step, from (steps, T) losses."""
    steps, tasks = losses.shape
    weights = np.ones((steps, tasks))
    for step in range(steps):
        finished = step // steps_a_pass
        if finished >= 2:
            ratio = []
            for t in range(tasks):
                later = losses[(finished - 1) * steps_a_pass : finished * steps_a_pass, t].mean()
                earlier = losses[(finished - 2) * steps_a_pass : (finished - 1) * steps_a_pass, t].mean()
                ratio.append(np.exp(later / earlier / temperature))
            weights[step] = [tasks * r / sum(ratio) for r in ratio]
    return weights


def learnt(
    losses: np.ndarray, objective: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], start: float, lr: float
) -> np.ndarray:
    """The T numbers before each step, and after the last, when autograd and Adam make ``objective`` fall."""
    numbers = torch.full((losses.shape[1],), start, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([numbers], lr)
    course = [numbers.detach().clone()]
    for row in torch.tensor(losses):
        optimiser.zero_grad()
        objective(numbers, row).backward()
        optimiser.step()
        course.append(numbers.detach().clone())
    return torch.stack(course).numpy()


def famo(losses: np.ndarray, lr: float, weight_decay: float) -> np.ndarray:
    """Liu et al. 2023, with the next batch in place of the same one: the weights in each step, which sum to T."""
    steps, tasks = losses.shape
    logits = torch.zeros(tasks, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr, weight_decay=weight_decay)
    weights = np.ones((steps, tasks))
    for step in range(steps):
        if step >= 2:
            fall = torch.tensor(np.log(losses[step - 2] / losses[step - 1]))
            optimiser.zero_grad()
            (logits.softmax(0) @ fall).backward()
            optimiser.step()
        share = logits.softmax(0).detach().numpy() / losses[step]
        weights[step] = tasks * share / share.sum()
    return weights


def gradnorm(
    network: torch.nn.Module,
    losses: Callable[[], torch.Tensor],
    steps: int,
    alpha: float,
    lr: float,
    rate: float,
) -> np.ndarray:
    """Chen et al. 2018, by a second backward: the weights before each step and after the last.

    ``network`` is stepped by plain gradient descent at ``rate`` on the weighted sum of ``losses()``, (T,).
    """
    shared = list(network.parameters())
    weights = torch.ones_like(losses().detach(), requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr)
    first, course = losses().detach(), [weights.detach().clone()]
    for _ in range(steps):
        now = losses()
        lengths = []
        for t in range(len(now)):
            gradients = torch.autograd.grad(weights[t] * now[t], shared, create_graph=True)
            lengths.append(torch.cat([g.flatten() for g in gradients]).norm())
        lengths = torch.stack(lengths)
        progress = now.detach() / first
        target = lengths.mean().detach() * (progress / progress.mean()) ** alpha
        (slope,) = torch.autograd.grad((lengths - target).abs().sum(), weights, retain_graph=True)
        step = torch.autograd.grad((weights.detach() * now).sum(), shared)
        with torch.no_grad():
            for parameter, gradient in zip(shared, step, strict=True):
                parameter -= rate * gradient
        weights.grad = slope
        optimiser.step()
        with torch.no_grad():
            weights *= len(now) / weights.sum()
        course.append(weights.detach().clone())
    return torch.stack(course).numpy()


def _subsets(count: int) -> Iterable[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(count), size) for size in range(count + 1))
