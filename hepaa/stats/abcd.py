"""The ABCD method: background in one region of two independent variables from the other three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Abcd:
    """Yields of four regions of two variables and the background that three of them predict for the fourth.

    Attributes
    ----------
    a, b, c, d : float
        Yields: b is the signal region (both variables pass), a and c pass one, d passes none.
    predicted : float
        a c / d.
    error : float
        Its statistical error.
    closure : float
        b / predicted - 1: with background alone, how far the variables are from independent.
    pull : float
        (b - predicted) over the error of this difference.
    """

    a: float
    b: float
    c: float
    d: float
    predicted: float
    error: float
    closure: float
    pull: float


def abcd(x: ArrayLike, y: ArrayLike, cut_x: float, cut_y: float, *, weight: ArrayLike | None = None) -> Abcd:
    """Predict the background where two independent variables are both large: B = A C / D.

    Parameters
    ----------
    x, y : (n,)
        Two variables that are independent in the background.
    cut_x, cut_y : float
        Values at or above pass. B: both pass; A: only y; C: only x; D: none.
    weight : (n,), optional

    Raises
    ------
    InputError
        If lengths differ or region A, C or D has no positive yield.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    w = np.ones(len(first)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not first.shape == second.shape == w.shape:
        raise InputError(
            f"the variables have shapes {first.shape}, {second.shape} and weights {w.shape}: give one an event"
        )
    px, py = first >= cut_x, second >= cut_y
    regions = {"a": ~px & py, "b": px & py, "c": px & ~py, "d": ~px & ~py}
    total = {k: float(np.sum(w[m])) for k, m in regions.items()}
    variance = {k: float(np.sum(w[m] ** 2)) for k, m in regions.items()}
    for k in "acd":
        if total[k] <= 0:
            raise InputError(
                f"region {k.upper()} has a yield of {total[k]:.4g}: move the cuts until A, C and D hold events"
            )
    predicted = total["a"] * total["c"] / total["d"]
    error = predicted * float(np.sqrt(sum(variance[k] / total[k] ** 2 for k in "acd")))
    # the error of the difference at the predicted b, so that a low fluctuation of b does not shrink its own error
    scale = variance["b"] / total["b"] if total["b"] > 0 else variance["d"] / total["d"]
    pull = (total["b"] - predicted) / float(np.sqrt(error**2 + predicted * scale))
    return Abcd(**total, predicted=predicted, error=error, closure=total["b"] / predicted - 1, pull=pull)


def abcd_contamination(background: Abcd, signal: Abcd | tuple[float, float, float, float]) -> float:
    """Relative change of the predicted background when signal leaks into the regions A, C and D.

    Parameters
    ----------
    background : Abcd
    signal : Abcd, or yields (a, b, c, d)
        Of the signal in the same regions.
    """
    a, _, c, d = (signal.a, signal.b, signal.c, signal.d) if isinstance(signal, Abcd) else signal
    return (background.a + a) * (background.c + c) / (background.d + d) / background.predicted - 1
