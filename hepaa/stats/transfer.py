"""Transfer of a cut between generators: false positives of each at a cut that is chosen on some of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hepaa.errors import InputError
from hepaa.stats.performance import FLOOR, clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


TARGETS = (0.1, 0.01, 0.001)
"""Shares of the reference background above the cuts."""


@dataclass(frozen=True)
class FalsePositives:
    """Share of a generator's background above a cut.

    Attributes
    ----------
    target : float
        Share of the reference background above the cut.
    rate, low, high : float
        Ratio of sums of weights, and its 68 % Clopper-Pearson interval with the effective number of events.
    events : int
        Raw events above the cut.
    """

    target: float
    rate: float
    low: float
    high: float
    events: int

    @classmethod
    def of_sums(cls, target: float, above: float, total: float, squares: float, events: int) -> Self:
        """From sum w above the cut, sum w and sum w^2 of all events, and the raw events above the cut."""
        rate = float(np.clip(above / total, 0.0, 1.0))
        low, high = clopper_pearson(rate, total**2 / squares)
        return cls(target, rate, float(low), float(high), events)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def false_positives(
    reference: Sequence[ArrayLike],
    tested: Mapping[str, Sequence[ArrayLike]],
    *,
    targets: Sequence[float] = TARGETS,
    min_events: int = FLOOR,
) -> dict[str, list[FalsePositives]]:
    """False-positive rates of several backgrounds at cuts that a reference background sets.

    Parameters
    ----------
    reference : (score, weight)
        Held-out background of the generators that were trained on; it alone sets the cuts.
    tested : mapping of name -> (score, weight)
        Other events, of these and of left-out generators.
    targets : floats in (0, 1)
        One with fewer than `min_events` reference events above its cut is left out.

    Returns
    -------
    dict of name -> list, one entry for each target that can be quoted

    Raises
    ------
    InputError
        If a background has no events, or no positive sum of weights.
    """
    cuts = cuts_for(reference, targets=targets, min_events=min_events)
    rates: dict[str, list[FalsePositives]] = {}
    for name, background in tested.items():
        s, w = _checked(name, background)
        total, squares = float(w.sum()), float(np.square(w).sum())
        passing = [(target, s > cut) for target, cut in cuts.items()]
        rates[name] = [
            FalsePositives.of_sums(target, float(w[above].sum()), total, squares, int(above.sum()))
            for target, above in passing
        ]
    return rates


def cuts_for(
    reference: Sequence[ArrayLike], *, targets: Sequence[float] = TARGETS, min_events: int = FLOOR
) -> dict[float, float]:
    """Cuts on the score above which a background has given shares, by share. Arguments as `false_positives`."""
    score, weight = _checked("reference", reference)
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    first_below = {target: int(np.searchsorted(share, target, side="right")) for target in targets}
    return {target: float(score[order[k]]) for target, k in first_below.items() if min_events <= k < len(order)}


def _checked(name: str, background: Sequence[ArrayLike]) -> Scores:
    score, weight = (np.asarray(values, dtype=np.float64) for values in background)
    if not len(score) or weight.sum() <= 0:
        raise InputError(f"false positives of {name!r}: no events, or no positive sum of weights")
    return score, weight
