"""A search of which everything is known: a dijet spectrum, two Gaussian inputs, and a Gaussian signal on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

import hepaa
from hepaa.search import Window
from hepaa.search.methods.base import MassRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

WINDOW = Window("m", signal=(3300, 3700), sidebands=((2600, 3300), (3700, 5500)))
COLUMNS = ("a", "b")
SMALL: dict[str, Any] = {"folds": 2, "efficiencies": (0.1, 0.02), "bins": 20}
_AT, _WIDTH = np.array([1.8, -1.8]), 0.25
_CORRELATED = [[1.0, 0.5], [0.5, 1.0]]


def masses(n: int, rng: np.random.Generator, limits: tuple[float, float] = (2600.0, 5500.0)) -> Array:
    """From the dijet function (1 - x)^10 x^-5, x = m / 13 TeV, by inversion of its integral on a grid."""
    grid = np.linspace(*limits, 20_001)
    x = (grid[1:] + grid[:-1]) / 2 / 13000
    integral = np.concatenate([[0.0], np.cumsum((1 - x) ** 10 * x**-5)])
    return np.interp(rng.uniform(0, integral[-1], n), integral, grid)


def location(mass: Array, shift: float = 0.3) -> Array:
    """Means (n, 2) of the background's inputs: the first moves by `shift` a TeV."""
    return np.column_stack([shift * (mass - 3500) / 1000, np.zeros(len(mass))])


def background(n: int, rng: np.random.Generator, *, shift: float = 0.3) -> MassRows:
    mass = masses(n, rng)
    x = location(mass, shift) + rng.multivariate_normal([0, 0], _CORRELATED, n)
    return MassRows(x, mass, COLUMNS)


def signal(n: int, rng: np.random.Generator) -> MassRows:
    """At 3.5 TeV, where the inputs are rarely so: 1.8 and -1.8 although they are correlated."""
    return MassRows(_AT + _WIDTH * rng.standard_normal((n, 2)), rng.normal(3500, 60, n), COLUMNS)


def joined(*parts: MassRows) -> MassRows:
    return MassRows(np.concatenate([p.x for p in parts]), np.concatenate([p.mass for p in parts]), COLUMNS)


def table(rows: MassRows, *, order: tuple[str, ...] = ("m", "a", "b"), **options: Any) -> hepaa.EventTable:
    """Data: label -1, with the columns in this order."""
    values = {"m": rows.mass, "a": rows.x[:, 0], "b": rows.x[:, 1]}
    return hepaa.EventTable.build(np.column_stack([values[name] for name in order]), order, label=-1, **options)


def planted(n: int = 3000, n_signal: int = 60, seed: int = 0, *, shift: float = 0.3) -> MassRows:
    """Background first, then signal."""
    rng = np.random.default_rng([5, seed])
    return joined(background(n, rng, shift=shift), signal(n_signal, rng))


def log_background(rows: MassRows, shift: float = 0.3) -> Array:
    """log p(x | m) of the background, in closed form."""
    return np.asarray(stats.multivariate_normal([0, 0], _CORRELATED).logpdf(rows.x - location(rows.mass, shift)))


def log_signal(rows: MassRows) -> Array:
    """log p(x) of the signal, in closed form."""
    return np.asarray(stats.multivariate_normal(_AT, _WIDTH**2 * np.eye(2)).logpdf(rows.x))
