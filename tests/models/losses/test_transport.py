"""The energy mover's distance against exact optimal transport."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist

from hepaa.models.losses.reconstruction import EventError
from hepaa.models.losses.transport import energy_mover


def exact(a: np.ndarray, x: np.ndarray, b: np.ndarray, y: np.ndarray) -> float:
    """The transport problem as a linear programme."""
    n, m = len(a), len(b)
    rows = np.zeros((n + m, n * m))
    for i in range(n):
        rows[i, i * m : (i + 1) * m] = 1
    for j in range(m):
        rows[n + j, j::m] = 1
    return float(linprog(cdist(x, y).ravel(), A_eq=rows, b_eq=np.r_[a, b], method="highs").fun)


def jets(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(n, 0.5))
    return share, rng.normal(0, 0.3, (n, 2))


def of(*arrays: np.ndarray, **options: float) -> float:
    return float(energy_mover(*(torch.from_numpy(v) for v in arrays), **options))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_exact_distance_of_weighted_jets(seed: int) -> None:
    a, x = jets(8, seed)
    b, y = jets(11, seed + 100)
    truth = exact(a, x, b, y)
    assert of(a, x, b, y) == pytest.approx(truth, rel=0.08)
    assert abs(of(a, x, b, y, blur=0.01) - truth) < abs(of(a, x, b, y, blur=0.05) - truth)


def test_equal_weights_are_an_assignment() -> None:
    x, y = jets(9, 1)[1], jets(9, 2)[1]
    rows, columns = linear_sum_assignment(cdist(x, y))
    matched = cdist(x, y)[rows, columns].mean()
    assert of(np.full(9, 1 / 9), x, np.full(9, 1 / 9), y) == pytest.approx(matched, rel=0.08)


def test_it_is_a_distance() -> None:
    (a, x), (b, y) = jets(6, 3), jets(6, 4)
    assert of(a, x, a, x) == pytest.approx(0, abs=1e-6)
    assert of(a, x, b, y) == pytest.approx(of(b, y, a, x), rel=1e-3)
    order = np.random.default_rng(0).permutation(6)
    assert of(a[order], x[order], b, y) == pytest.approx(of(a, x, b, y), rel=1e-9)
    shift = np.array([0.4, -0.3])  # a jet moved as a whole: its distance is the length of the move
    assert of(a, x, a, x + shift) == pytest.approx(0.5, rel=0.03)


def test_gradients_are_those_of_the_value() -> None:
    """Central differences of the value, in double precision, at full convergence."""
    (a, x), (b, y) = jets(5, 5), jets(5, 6)
    logits, points = torch.from_numpy(np.log(b)).requires_grad_(), torch.from_numpy(y).requires_grad_()
    value = energy_mover(torch.from_numpy(a), torch.from_numpy(x), torch.softmax(logits, 0), points, blur=0.2)
    by_logit, by_point = torch.autograd.grad(value, [logits, points])

    def at(shares: np.ndarray, places: np.ndarray) -> float:
        return of(a, x, shares / shares.sum(), places, blur=0.2)

    h = 1e-4
    for j in range(5):
        factor = np.exp(h * (np.arange(5) == j))
        slope = (at(b * factor, y) - at(b / factor, y)) / (2 * h)
        assert float(by_logit[j]) == pytest.approx(slope, rel=0.02, abs=2e-4)
        for c in range(2):
            step = np.zeros_like(y)
            step[j, c] = h
            slope = (at(b, y + step) - at(b, y - step)) / (2 * h)
            assert float(by_point[j, c]) == pytest.approx(slope, rel=0.02, abs=2e-4)


def test_padding_and_absent_jets_cost_nothing() -> None:
    """Two jets of 4 slots: x has 3 particles in the first and none in the second."""
    share, places = jets(3, 7)
    x = torch.zeros(1, 2, 4, 3)
    x[0, 0, :3] = torch.from_numpy(np.c_[0.8 * share, places]).float()
    image = torch.randn(1, 2, 4, 3, generator=torch.Generator().manual_seed(0))
    error = EventError("emd", 4)(x.flatten(1), {"x_hat": image.flatten(1)})
    weights = torch.softmax(image[0, 0, :, 0], 0).double().numpy()
    expected = exact(share, places, weights, image[0, 0, :, 1:].double().numpy())
    assert float(error[0]) == pytest.approx(expected, rel=0.05)
    nothing = EventError("emd", 4)(torch.zeros(2, 24), {"x_hat": image.flatten(1).expand(2, -1)})
    assert nothing.tolist() == [0.0, 0.0]
