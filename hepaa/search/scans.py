"""A search in many windows: trained in each, and one p-value for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.search.folds import BINS, EFFICIENCIES, cross_fit_rows
from hepaa.search.methods.base import mass_rows
from hepaa.search.result import Searched
from hepaa.search.toys import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hepaa.search.methods.base import MassRows, Method
    from hepaa.search.methods.combined import Combined
    from hepaa.search.result import CombinedResult, ResonantResult, SpectrumFit
    from hepaa.search.windows import Interval
    from hepaa.table import EventTable


@dataclass(frozen=True, eq=False)
class ScanResult(Searched):
    """Searches of many windows in the same data.

    Attributes
    ----------
    windows : tuple of (low, high)
        Signal regions, GeV.
    results : tuple of ResonantResult or CombinedResult
        One for each window.
    rows : MassRows
    bins : int
        Of the spectra.
    """

    windows: tuple[Interval, ...]
    results: tuple[ResonantResult | CombinedResult, ...]
    rows: MassRows
    bins: int
    again: Callable[..., ScanResult]

    @property
    def looks(self) -> dict[str, SpectrumFit]:
        """Every look in every window, by name."""
        return {
            f"{name} in {low:.5g}-{high:.5g}": fit
            for (low, high), result in zip(self.windows, self.results, strict=True)
            for name, fit in result.looks.items()
        }

    @property
    def local(self) -> list[float]:
        """Largest local z in each window."""
        return [max(fit.z for fit in result.looks.values()) for result in self.results]

    @property
    def best_window(self) -> ResonantResult | CombinedResult:
        """Result of the window with the largest local z."""
        return self.results[int(np.argmax(self.local))]

    def background(self) -> Background:
        """Model of the data without signal, from all but the most significant window."""
        return Background.of(self.rows, self.best_window.method.window, bins=self.bins)


def scan(
    method: Method | Combined,
    table: EventTable,
    *,
    windows: Iterable[Interval],
    folds: int = 5,
    efficiencies: Sequence[float] = EFFICIENCIES,
    bins: int = BINS,
    seed: int = 0,
) -> ScanResult:
    """Search every window of a mass; training starts anew in each.

    Parameters
    ----------
    method : Method or Combined
        Its own window gives the name of the mass and its limits.
    table : EventTable
        Data.
    windows : pairs (low, high)
        Signal regions, such as `hepaa.search.sliding` gives; all else within the limits becomes sideband.
    folds, efficiencies, bins, seed
        As for `cross_fit`.

    Raises
    ------
    InputError
        If a window leaves the limits, and as `cross_fit`.
    """
    regions = tuple(windows)
    if not regions:
        raise InputError("there is no window to search: give one or more")
    settings = {"folds": folds, "efficiencies": tuple(efficiencies), "bins": bins}
    return scan_rows(method, regions, settings, mass_rows(table, method.window, method.inputs), seed=seed)


def scan_rows(
    method: Method | Combined, windows: tuple[Interval, ...], settings: dict[str, Any], rows: MassRows, *, seed: int
) -> ScanResult:
    moved = [method.fresh(window=method.window.moved(region)) for region in windows]
    results = tuple(cross_fit_rows(m, rows, seed=seed, **settings) for m in moved)
    return ScanResult(windows, results, rows, settings["bins"], partial(scan_rows, method, windows, settings))
