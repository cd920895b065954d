"""Does a cut mean the same for every generator? False positives of each at a cut that is chosen on some of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.stats.performance import FLOOR, clopper_pearson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


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

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def false_positives(
    reference: Sequence[ArrayLike],
    tested: Mapping[str, Sequence[ArrayLike]],
    *,
    targets: Sequence[float] = (0.1, 0.01, 0.001),
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
    score, weight = _checked("reference", reference)
    order = np.argsort(-score, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    found: dict[str, list[FalsePositives]] = {name: [] for name in tested}
    for target in targets:
        k = int(np.searchsorted(share, target, side="right"))  # the first k events are above the cut
        if k < min_events or k >= len(order):
            continue
        cut = score[order[k]]
        for name, background in tested.items():
            s, w = _checked(name, background)
            above = s > cut
            rate = float(np.clip(w[above].sum() / w.sum(), 0.0, 1.0))
            n = float(w.sum() ** 2 / np.square(w).sum())
            low, high = clopper_pearson(rate, n)
            found[name].append(FalsePositives(target, rate, float(low), float(high), int(above.sum())))
    return found


def _checked(name: str, background: Sequence[ArrayLike]) -> Scores:
    score, weight = (np.asarray(values, dtype=np.float64) for values in background)
    if not len(score) or weight.sum() <= 0:
        raise InputError(f"false positives of {name!r}: no events, or no positive sum of weights")
    return score, weight
