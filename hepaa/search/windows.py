"""Where a resonance is looked for: a signal region in a mass, with sidebands around it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """A signal region in one mass, and the sidebands that say what background looks like; a gap between is allowed.

    Parameters
    ----------
    column : str
        Name of the mass.
    signal : (low, high)
        In GeV, as all masses; low belongs to it, high does not.
    sidebands : pairs (low, high)
        One or more, that overlap neither each other nor the signal region. With sidebands on one side alone the
        background is extrapolated.

    Raises
    ------
    InputError
        If an interval is empty or two overlap.
    """

    column: str
    signal: Interval
    sidebands: tuple[Interval, ...]

    def __post_init__(self) -> None:
        try:
            bands = tuple((float(low), float(high)) for low, high in self.sidebands)
            signal = (float(self.signal[0]), float(self.signal[1]))
        except (TypeError, ValueError, IndexError):
            raise InputError(
                f"a window in {self.column}: signal is {self.signal!r}, sidebands are {self.sidebands!r}; give a pair "
                "(low, high), and pairs ((low, high), (low, high))"
            ) from None
        object.__setattr__(self, "signal", signal)
        object.__setattr__(self, "sidebands", tuple(sorted(bands)))
        if not bands:
            raise InputError(f"a window in {self.column} needs sidebands: nothing else says what background looks like")
        for low, high in (signal, *bands):
            if not (np.isfinite([low, high]).all() and 0 < low < high):
                raise InputError(f"{low:g} .. {high:g} is no interval of {self.column}: give 0 < low < high")
        regions = sorted([signal, *bands])
        for (low, high), (next_low, next_high) in itertools.pairwise(regions):
            if next_low < high:
                raise InputError(
                    f"two regions of {self.column} overlap: {low:g} .. {high:g} and {next_low:g} .. {next_high:g}"
                )

    @property
    def limits(self) -> Interval:
        """Lowest and highest mass of all regions."""
        regions = (self.signal, *self.sidebands)
        return min(low for low, _ in regions), max(high for _, high in regions)

    def in_signal(self, mass: ArrayLike) -> NDArray[np.bool_]:
        """Which masses (n,) lie in the signal region."""
        return _inside(mass, self.signal)

    def in_sidebands(self, mass: ArrayLike) -> NDArray[np.bool_]:
        """Which masses (n,) lie in a sideband."""
        return np.asarray(np.any([_inside(mass, band) for band in self.sidebands], axis=0))

    def moved(self, signal: Interval) -> Window:
        """The same limits with another signal region; all else becomes sideband.

        Raises
        ------
        InputError
            If it leaves the limits, or leaves no sideband.
        """
        low, high = self.limits
        if signal[0] < low or signal[1] > high:
            raise InputError(
                f"the window {signal[0]:g} .. {signal[1]:g} leaves the limits {low:g} .. {high:g} of {self.column}"
            )
        bands = tuple((a, b) for a, b in ((low, signal[0]), (signal[1], high)) if a < b)
        return Window(self.column, signal, bands)

    def edges(self, bins: int) -> NDArray[np.float64]:
        """Edges of about `bins` bins between the limits, so that every region begins and ends at an edge."""
        borders = sorted({edge for region in (self.signal, *self.sidebands) for edge in region})
        width = (borders[-1] - borders[0]) / bins
        parts = [
            np.linspace(low, high, max(1, round((high - low) / width)) + 1)[:-1]
            for low, high in itertools.pairwise(borders)
        ]
        return np.append(np.concatenate(parts), borders[-1])


def sliding(low: float, high: float, *, width: float = 0.12, step: float = 0.5) -> Iterator[Interval]:
    """Signal regions one after the other, each `width` of its centre wide, in steps of `step` of a width.

    Parameters
    ----------
    low, high : float
        Of the first and at most of the last region, in GeV.
    width : float
        Relative to the mass at the centre: about the resolution times four.
    step : float
        As a fraction of the width; 1 leaves no overlap.
    """
    if not 0 < low < high or not 0 < width < 1 or not 0 < step <= 1:
        raise InputError(
            f"windows from {low:g} to {high:g}, width {width:g}, step {step:g}: give 0 < low < high, "
            "0 < width < 1 and 0 < step <= 1"
        )
    ratio = (1 + width / 2) / (1 - width / 2)
    start = low
    while start * ratio <= high * (1 + 1e-9):
        yield start, start * ratio
        start *= 1 + step * (ratio - 1)


def _inside(mass: ArrayLike, interval: Interval) -> NDArray[np.bool_]:
    m = np.asarray(mass)
    return np.asarray((m >= interval[0]) & (m < interval[1]))
