"""Systematic uncertainties of binned yields: what moves the yields of which sample, in all bins together.

A `Normalisation` and a `Shape` are one nuisance parameter each; those of the same name are the same parameter. They go
into a HistFactory workspace and a datacard (`hepaa.stats.workspace`) and, as the response of the background, into the
binned significance (`hepaa.stats.significance.asimov_correlated`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.stats.response import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import hist
    from numpy.typing import ArrayLike, NDArray

Spread = Literal["envelope", "leave-one-out"]
SPREADS: tuple[Spread, ...] = ("envelope", "leave-one-out")


@dataclass(frozen=True)
class Normalisation:
    """A relative uncertainty of the yield, the same in all bins: one nuisance parameter, log-normal.

    Attributes
    ----------
    name : str
        Uncertainties of the same name move together, across samples and channels.
    up, down : float
        Factors on the yield at +1 and -1 standard deviation, such as 1.1 and 0.9.
    samples : tuple of str
        Affected samples; all backgrounds if empty.
    channel : str
        Affected channel; "" is every channel.
    """

    name: str
    up: float
    down: float
    samples: tuple[str, ...] = ()
    channel: str = ""

    def __post_init__(self) -> None:
        if not (self.up > 0 and self.down > 0):
            raise InputError(
                f"normalisation {self.name!r} has factors {self.up} and {self.down}: both must be positive"
            )

    def acts_on(self, channel: str, sample: str, signal: str | None = None) -> bool:
        """True if it moves this sample in this channel; `signal` is the sample that is no background."""
        if self.channel not in ("", channel):
            return False
        return sample in self.samples if self.samples else sample != signal


@dataclass(frozen=True)
class Shape:
    """An uncertainty of the yields bin by bin that moves all bins together: one nuisance parameter.

    Attributes
    ----------
    name : str
    sample : str
    up, down : tuple of floats
        Yields in each bin at +1 and -1 standard deviation.
    channel : str
        The channel that the yields belong to; "" is every channel with as many bins.
    """

    name: str
    sample: str
    up: tuple[float, ...]
    down: tuple[float, ...]
    channel: str = ""

    def __post_init__(self) -> None:
        if len(self.up) != len(self.down) or min((*self.up, *self.down), default=-1.0) < 0:
            raise InputError(
                f"shape {self.name!r} of {self.sample!r} has {len(self.up)} yields up and {len(self.down)} down: give "
                "one >= 0 for each bin; merge bins if one is negative"
            )

    def acts_on(self, channel: str, sample: str, bins: int) -> bool:
        """True if it moves this sample in this channel."""
        return self.sample == sample and self.channel in ("", channel) and len(self.up) == bins


Uncertainty = Normalisation | Shape


def one_sided(name: str, sample: str, nominal: ArrayLike, varied: ArrayLike) -> Shape:
    """A Shape from one variation: its difference from the nominal yields, mirrored (and cut at 0)."""
    centre, up = np.asarray(nominal, dtype=np.float64), np.asarray(varied, dtype=np.float64)
    down = np.maximum(2 * centre - up, 0.0)
    return Shape(name, sample, tuple(np.maximum(up, 0.0).tolist()), tuple(down.tolist()))


def generator_spread(
    generators: Mapping[str, hist.Hist[Any]],
    nominal: ArrayLike,
    *,
    sample: str,
    name: str = "generator",
    shares: Mapping[str, float] | None = None,
    method: Spread = "envelope",
) -> list[Uncertainty]:
    """The difference between generators as an uncertainty of a background: one nuisance for rate, one for shape.

    In every bin the largest deviation of any alternative, scaled to the nominal total, from the nominal yield is the
    size of the shift; its sign is that of the alternative that differs most over all bins. Both varied shapes are
    scaled back to the nominal total. The greatest relative deviation of an alternative's own total from their mean is
    the normalisation.

    Parameters
    ----------
    generators : mapping of generator -> hist.Hist
        The same process in the same bins. Two or more.
    nominal : (bins,)
        Yields that the workspace uses.
    sample : str
        Name of the sample in the workspace.
    name : str
        Stem of the nuisances' names.
    shares : mapping of generator -> float, optional
        Share of the process's yield that each histogram carries; by default equal ones, so that every total stands for
        the same luminosity.
    method : "envelope" or "leave-one-out"
        The alternatives: each generator alone, or the mixture of all but one (for a mixture that is thought to span the
        truth: what would change if one of its members had not been there).

    Raises
    ------
    InputError
        If there are fewer than two generators, bins differ, a share is missing, or a total is not positive.
    """
    if method not in SPREADS:
        raise InputError(f"there is no generator spread {method!r}; {nearest(method, SPREADS)}")
    centre = np.asarray(nominal, dtype=np.float64)
    values = {k: np.asarray(h.values(), dtype=np.float64) for k, h in generators.items()}
    if len(values) < 2:
        raise InputError("a spread of generators needs two or more of them")
    for key, v in values.items():
        if v.shape != centre.shape or not np.sum(v) > 0:
            raise InputError(
                f"generator {key!r} has {len(v)} bins and a total of {np.sum(v):.4g}: give {len(centre)} and > 0"
            )
    weight = dict.fromkeys(values, 1.0) if shares is None else dict(shares)
    if not all(weight.get(k, 0.0) > 0 for k in values):
        raise InputError(f"shares are given for {sorted(weight)}, generators are {sorted(values)}: give all one > 0")
    if method == "envelope":
        alternatives = [v / weight[k] for k, v in values.items()]
    else:
        alternatives = [
            np.sum([v for other, v in values.items() if other != k], axis=0)
            / sum(weight[other] for other in values if other != k)
            for k in values
        ]
    totals = np.array([np.sum(v) for v in alternatives])
    shapes = np.stack([v * np.sum(centre) / total for v, total in zip(alternatives, totals, strict=True)])
    # the alternative that differs most gives the signs, so that bins move together as they do in a real generator
    distance = np.sum((shapes - centre) ** 2 / np.maximum(centre, 1e-12), axis=1)
    worst = shapes[np.argmax(distance)]
    half = np.maximum(np.max(shapes - centre, axis=0), np.max(centre - shapes, axis=0)).clip(min=0)
    shift = np.where(worst >= centre, half, -half)
    up, down = np.maximum(centre + shift, 0.0), np.maximum(centre - shift, 0.0)
    up, down = (x * np.sum(centre) / np.sum(x) for x in (up, down))
    relative = float(np.max(np.abs(totals / np.mean(totals) - 1)))
    out: list[Uncertainty] = [Shape(f"{name}_shape", sample, tuple(up.tolist()), tuple(down.tolist()))]
    if relative > 1e-12:
        out.append(Normalisation(f"{name}_norm", 1 + relative, 1 / (1 + relative), (sample,)))
    return out


def relative_shifts(
    uncertainties: Sequence[Uncertainty], backgrounds: Mapping[str, ArrayLike], *, channel: str = ""
) -> dict[str, NDArray[np.float64]]:
    """Shift of the whole background at +1 standard deviation, relative to it, for each nuisance parameter.

    That of a normalisation is its factor up, less 1: 0.1 for a factor of 1.1. That of a shape is half the difference
    between up and down. What they do elsewhere than at +1 has `response`.

    Parameters
    ----------
    uncertainties : sequence of Normalisation and Shape
    backgrounds : mapping of sample -> (bins,)
        Nominal yields; their sum must be positive in every bin.
    channel : str
        The channel they belong to.

    Returns
    -------
    dict of name -> float64 (bins,)
        For `hepaa.stats.significance.asimov_correlated`; nuisances that move no background are left out.
    """
    yields = {k: np.asarray(v, dtype=np.float64) for k, v in backgrounds.items()}
    total = np.sum(list(yields.values()), axis=0)
    if not np.all(total > 0):
        raise InputError("a bin has no background: merge it with its neighbour before its relative shifts are taken")
    shifts: dict[str, NDArray[np.float64]] = {}
    for u in uncertainties:
        for sample, v in yields.items():
            if isinstance(u, Normalisation):
                shift = v * (u.up - 1) if u.acts_on(channel, sample) else None
            else:
                shift = (np.array(u.up) - np.array(u.down)) / 2 if u.acts_on(channel, sample, len(v)) else None
            if shift is not None:
                shifts[u.name] = shifts.get(u.name, 0.0) + shift / total
    return shifts


def response(
    uncertainties: Sequence[Uncertainty], backgrounds: Mapping[str, ArrayLike], *, channel: str = ""
) -> Response:
    """How the whole background answers to the nuisance parameters, as in the workspace of the same uncertainties.

    Parameters
    ----------
    uncertainties, backgrounds, channel
        As for `relative_shifts`.

    Returns
    -------
    Response
    """
    yields = np.stack([np.asarray(v, dtype=np.float64) for v in backgrounds.values()])
    total = np.sum(yields, axis=0)
    if not np.all(total > 0):
        raise InputError("a bin has no background: merge it with its neighbour before its response is taken")
    names = list(dict.fromkeys(u.name for u in uncertainties))
    log_up, log_down = np.zeros((2, len(names), len(yields)))
    up, down = np.zeros((2, len(names), *yields.shape))
    for u in uncertainties:
        k = names.index(u.name)
        for i, sample in enumerate(backgrounds):
            if isinstance(u, Normalisation):
                if u.acts_on(channel, sample):
                    log_up[k, i] += np.log(u.up)
                    log_down[k, i] += np.log(u.down)
            elif u.acts_on(channel, sample, len(total)):
                up[k, i] += (np.array(u.up) - yields[i]) / total
                down[k, i] += (np.array(u.down) - yields[i]) / total
    return Response(yields / total, log_up, log_down, up, down).acting()
