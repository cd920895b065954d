"""Background-only toys: data as they would be without a signal, searched in the same way as the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from hepaa.errors import InputError, nearest
from hepaa.models.density.conditional import DENSITIES, ConditionalMixture
from hepaa.search.methods.base import MassRows
from hepaa.stats.likelihood import ToyP
from hepaa.stats.sidebands import sideband_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hepaa.models.density.conditional import ConditionalDensity
    from hepaa.search.result import Searched
    from hepaa.search.windows import Window

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Background:
    """Data without signal: a smooth mass spectrum, and the inputs given the mass.

    Attributes
    ----------
    density : ConditionalDensity
        p(x | m), from the sidebands.
    edges, expected : float64 (bins + 1,), (bins,)
        The dijet function fitted to the sidebands, and how many events it expects in each bin.
    columns : names of the inputs
    """

    density: ConditionalDensity
    edges: Array
    expected: Array
    columns: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: MassRows, window: Window, *, bins: int = 30, seed: int = 0, everywhere: bool = False, **mixture: Any
    ) -> Background:
        """From the sideband events among `rows` alone: the signal region is not looked at.

        Parameters
        ----------
        rows : MassRows
        window : Window
        bins : int
            Of the spectrum, about.
        seed : int
        everywhere : bool
            From all events between the limits of the window: for scans, in which every region is one of signal.
        mixture
            Parameters of `ConditionalMixture`.
        """
        coarse = window.edges(bins)
        centres = (coarse[1:] + coarse[:-1]) / 2
        low, high = window.limits
        kept = rows[(rows.mass >= low) & (rows.mass < high) if everywhere else window.in_sidebands(rows.mass)]
        learned = np.ones(len(centres), bool) if everywhere else window.in_sidebands(centres)
        fit = sideband_fit(np.histogram(kept.mass, coarse)[0], coarse, exclude=~learned)
        with threadpool_limits(1, user_api="blas"):  # a model, and so its toys, do not depend on the number of cores
            density = ConditionalMixture(seed=seed, **mixture).fit(kept.x, kept.mass)
        return cls(density, coarse, fit.expected, rows.columns)

    def draw(self, rng: np.random.Generator) -> MassRows:
        """One data set: Poisson counts in each bin, masses within a bin by a line through its neighbours."""
        counts = rng.poisson(self.expected)
        width = np.diff(self.edges)
        slope = np.gradient(np.log(self.expected / width), (self.edges[1:] + self.edges[:-1]) / 2) * width
        tilt = np.repeat(np.clip(slope, -1.9, 1.9), counts)
        u = rng.uniform(size=counts.sum())
        # inverse of the distribution of a line from 1 - tilt / 2 to 1 + tilt / 2
        start = 1 - tilt / 2
        part = 2 * u / (start + np.sqrt(start**2 + 2 * tilt * u))
        mass = np.repeat(self.edges[:-1], counts) + part * np.repeat(width, counts)
        return self.draw_at(mass, rng)

    def draw_at(self, mass: Array, rng: np.random.Generator) -> MassRows:
        """One event for each mass (n,)."""
        return MassRows(self.density.sample(mass, rng), mass, self.columns)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays, for a file."""
        return {"edges": self.edges, "expected": self.expected} | self.density.to_arrays()

    def to_record(self) -> dict[str, Any]:
        """All else, for JSON."""
        return {
            "columns": list(self.columns),
            "density": type(self.density).__name__,
            "density_record": self.density.to_record(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> Background:
        """From what `to_arrays` and `to_record` gave.

        Raises
        ------
        InputError
            If the density is of no class that hepaa has.
        """
        if record["density"] not in DENSITIES:
            raise InputError(f"there is no density {record['density']!r}; {nearest(record['density'], DENSITIES)}")
        density = DENSITIES[record["density"]].from_arrays(arrays, record["density_record"])
        return cls(density, arrays["edges"], arrays["expected"], tuple(record["columns"]))


@dataclass(frozen=True, eq=False)
class Calibrated:
    """p-values of a search from toys.

    The statistic over everything that was looked at is the largest z in units of its own spread in the toys: a look
    that is biased, or has other tails than a normal distribution, has no advantage.

    Attributes
    ----------
    overall : ToyP
        p-value of the largest calibrated z.
    each : mapping of look -> ToyP
        Of each look alone: an efficiency, and a method in a combination.
    observed, calibrated : mapping of look -> float
        Local z of the data, as fitted, and less the mean and over the standard deviation of the toys.
    toys : float64 (toys, looks)
        Local z of the toys, as fitted; NaN in one that could not be searched, as where too few events pass a cut for a
        fit. Such a toy counts as more extreme than the data, so that p is never too small because of it.
    """

    overall: ToyP
    each: dict[str, ToyP]
    observed: dict[str, float]
    calibrated: dict[str, float]
    toys: Array

    def __str__(self) -> str:
        return f"global {self.overall} from {self.of_toys}"

    @property
    def refused(self) -> int:
        """Number of toys that could not be searched."""
        return int(np.isnan(self.toys).any(axis=1).sum())

    @property
    def of_toys(self) -> str:
        """Their number, and that of those refused if there are any."""
        refused = f", of which {self.refused} could not be searched and count as more extreme" if self.refused else ""
        return f"{len(self.toys)} toys{refused}"

    @classmethod
    def of(cls, observed: dict[str, float], toys: Array) -> Calibrated:
        """From observed z and those of toys (t, looks), looks in the same order.

        Raises
        ------
        InputError
            If fewer than 10 toys could be searched, or they belong to another search.
        """
        z = np.array(list(observed.values()))
        if toys.ndim != 2 or toys.shape[1] != len(z):
            raise InputError(f"toys have shape {toys.shape} for {len(z)} looks: they belong to another search")
        searched = toys[~np.isnan(toys).any(axis=1)]
        if len(searched) < 10:
            raise InputError(
                f"{len(searched)} toys say nothing about a spread: ask for 10 or more, for a result for 500"
            )
        mean, spread = searched.mean(axis=0), np.maximum(searched.std(axis=0, ddof=1), 1e-9)
        standard, data = (searched - mean) / spread, (z - mean) / spread
        n, refused = len(toys), len(toys) - len(searched)

        def p_value(beyond: NDArray[np.bool_]) -> ToyP:
            """With none of those searched beyond, it is still a bound."""
            return replace(ToyP.count(int(beyond.sum()) + refused, n), bound=not beyond.any())

        return cls(
            overall=p_value(standard.max(axis=1) >= data.max()),
            each={name: p_value(searched[:, i] >= z[i]) for i, name in enumerate(observed)},
            observed=dict(observed),
            calibrated=dict(zip(observed, data.tolist(), strict=True)),
            toys=toys,
        )


@dataclass(frozen=True, eq=False)
class ToySearch:
    """Search of one toy, by its number: local z of everything that is looked at; everything is trained again.

    Of a toy that cannot be searched, such as one with too few events after a cut for a fit, it gives the reason.

    Attributes
    ----------
    again : callable
        The search: again(rows, seed=...) gives its result.
    background : Background
    seed : int
        With its number it gives each toy its own stream, whatever their number.
    """

    again: Callable[..., Searched]
    background: Background
    seed: int

    def __call__(self, number: int) -> list[float] | str:
        rows = self.background.draw(np.random.default_rng([self.seed, number]))
        try:
            result = self.again(rows, seed=int(np.random.default_rng([self.seed, number, 1]).integers(2**31)))
            return [fit.z for fit in result.looks.values()]
        except InputError as refusal:  # the counts of a toy are no fault of the user
            return str(refusal)
