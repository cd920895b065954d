"""What is not known of the reference: which generator is right, weights of events, yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.models.parameters import between, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepaa.table import EventTable

    Array = NDArray[np.float64]

Truths = Literal["each", "mixture"]
NOMINAL = "reference"


@dataclass(frozen=True, kw_only=True)
class Nuisances:
    """Uncertainties of a reference, drawn anew in every toy.

    Parameters
    ----------
    generators : "each", "mixture" or None
        "each": any generator of the reference alone may be the truth; each has toys of its own, and the p-value is the
        largest of them. "mixture": any mixture of them, all fractions alike. None: the reference is right as it is.
    weights : tuple of str
        Columns of the reference that hold the ratio of a varied weight to the nominal one, at one standard deviation;
        NAME also stands for the column `weight:NAME:up`. Drawn as ratio^theta, theta a unit Gaussian.
    norms : mapping of process -> float
        Relative uncertainty of its yield, log-normal. It counts where the rate does, or where there are several.
    profile : bool
        Fit them to the data, too, so that only a difference beyond them counts; with the kernels alone.
    """

    generators: Truths | None = "each"
    weights: tuple[str, ...] = ()
    norms: Mapping[str, float] = field(default_factory=dict)
    profile: bool = True

    def __post_init__(self) -> None:
        if self.generators is not None:
            one_of("generators", self.generators, ("each", "mixture"))
        for process, size in self.norms.items():
            between(f"the relative uncertainty of {process!r}", size, 0, ends="none")

    def of(self, table: EventTable) -> Variations:
        """What they do to the events of a table.

        Raises
        ------
        InputError
            If a weight or process is unknown, a ratio is not positive, or nothing varies.
        """
        generators = _generators(table) if self.generators else {}
        shifts: dict[str, Array] = {}
        for name in self.weights:
            ratio = table[_weight_column(table, name)].astype(np.float64)
            if not np.all(np.isfinite(ratio) & (ratio > 0)):
                raise InputError(f"the weight {name!r} has ratios that are not positive: no toy can be drawn from it")
            shifts[name] = np.log(ratio)
        for process, size in self.norms.items():
            if process not in table.processes:
                raise InputError(f"norms names the process {process!r}; {nearest(process, table.processes)}")
            shifts[f"norm of {process}"] = np.log1p(size) * (table.process == table.processes.index(process))
        if not shifts and not generators:
            raise InputError(
                f"these nuisances vary nothing: the reference has one generator, {table.generators[0]!r}; "
                "name weights or norms, or give a reference of several generators"
            )
        return Variations(generators, shifts, self.generators == "each")


@dataclass(frozen=True, eq=False)
class Variations:
    """Factors on the weights of n events: of each generator as the truth, and of each nuisance at +1 sigma (as log)."""

    generators: dict[str, Array]
    shifts: dict[str, Array]
    each: bool

    @property
    def truths(self) -> tuple[str, ...]:
        """Hypotheses that have toys of their own."""
        return tuple(self.generators) if self.each and self.generators else (NOMINAL,)

    @property
    def factors(self) -> Array:
        """All of them as factors, (n, k)."""
        return np.stack([*self.generators.values(), *map(np.exp, self.shifts.values())], axis=1)

    def draw(self, rng: np.random.Generator, truth: str, toys: int) -> Array:
        """Factors of the truth of so many toys, (n, toys)."""
        n = len(next(iter((*self.generators.values(), *self.shifts.values()))))
        factor = np.ones((n, toys))
        if truth != NOMINAL:
            factor *= self.generators[truth][:, None]
        elif self.generators:
            shares = rng.dirichlet(np.ones(len(self.generators)), size=toys)
            factor = np.stack(list(self.generators.values()), axis=1) @ shares.T
        if self.shifts:
            theta = rng.normal(size=(len(self.shifts), toys))
            factor *= np.exp(np.stack(list(self.shifts.values()), axis=1) @ theta)
        return factor


def _generators(table: EventTable) -> dict[str, Array]:
    """Factors that leave of each process one generator alone, at the yield of all; none if there is only one."""
    present = np.unique(table.generator)
    if len(present) < 2:
        return {}
    factors = {}
    for g in present:
        factor = np.ones(table.n)
        for p in np.unique(table.process):
            of_process = table.process == p
            here = of_process & (table.generator == g)
            if np.any(here):  # a process without this generator stays as it is
                factor[of_process] = 0.0
                factor[here] = table.weight[of_process].sum() / table.weight[here].sum()
        factors[table.generators[g]] = factor
    return factors


def _weight_column(table: EventTable, name: str) -> str:
    long = f"weight:{name}:up"
    return long if long in table.spectators else name
