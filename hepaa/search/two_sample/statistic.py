"""What every test statistic of two samples offers: rows once, values for many toys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Statistic(ABC):
    """A number that is large where data and reference differ.

    Toys are weights of the same events, so what is costly, `rows`, is done once. `fit` sees the reference alone.
    """

    profiles: ClassVar[bool] = False
    """True if it can fit nuisances beside the difference."""

    @abstractmethod
    def fit(self, X: Array, weight: Array, rng: np.random.Generator, *, rate: bool) -> None:
        """Learn from the reference, X (n, d) and weight (n,), what does not depend on data.

        Without `rate`, the reference of every toy will have the total of its data.
        """

    @abstractmethod
    def rows(self, X: Array) -> Array:
        """What the statistic needs of each event of X (n, d): (n, p)."""

    @abstractmethod
    def values(self, rows: Array, data: Array, reference: Array, tilts: Array | None = None) -> Array:
        """The statistic of each toy, (toys,), from the weights of rows in data and in reference, (n, toys) each."""

    @abstractmethod
    def log_ratio(self, rows: Array, data: Array, reference: Array) -> Callable[[Array], Array]:
        """The learned log-ratio of data (n,) to reference (n,), as a function of rows."""

    def reduced(self, rows: Array, events: float) -> Array:
        """The rows that matter for so many events of data."""
        del events
        return rows

    def tilts(self, rows: Array, reference: Array, varied: Array) -> Array:
        """The log-ratio of each variation (n, k) of the reference (n,) to it, as coefficients (p, k)."""
        raise NotImplementedError

    def law(self, rows: Array, reference: Array, tilts: Array | None = None) -> Array | None:
        """Weights w_j of the null distribution sum_j w_j chi^2_1 for many events, where it is known."""
        del rows, reference, tilts
        return None

    def decay(self, reference: Array) -> float | None:
        """The kappa of p <= exp(-t / 2 kappa) where the reference (n,) is true; None: there is no such bound."""
        del reference
        return None
