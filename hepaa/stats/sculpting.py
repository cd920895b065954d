"""Sculpting of the mass by a cut on the score: divergence of the spectra, and the gate before any Z is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from hepaa.errors import InputError
from hepaa.stats.bumps import Bump, bump_hunt
from hepaa.stats.likelihood import ToyP
from hepaa.stats.significance import z_to_p

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Sculpting:
    """Effect of a cut on the mass distribution of the background.

    Attributes
    ----------
    jsd : float
        Jensen-Shannon divergence (bits, 0 .. 1) of the mass of events that pass against that of all events.
    expected : float
        Its mean when as many events are picked at random: the floor that finite statistics sets.
    p : float
        Share of random picks with at least this divergence; (k + 1) / (N + 1).
    mean_shift, width_shift : float
        Of the mass after the cut: change of the mean, and of the standard deviation, both in units of the standard
        deviation of all events.
    eps_b : float
        Fraction of the background's weight that passes.
    """

    jsd: float
    expected: float
    p: float
    mean_shift: float
    width_shift: float
    eps_b: float


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence in bits of two histograms (negative bins count as empty); 0 equal, 1 disjoint."""
    a, b = (np.maximum(np.asarray(x, dtype=np.float64), 0.0) for x in (p, q))
    if a.shape != b.shape or not (np.sum(a) > 0 and np.sum(b) > 0):
        raise InputError("a divergence needs two histograms with the same bins and positive totals")
    a, b = a / np.sum(a), b / np.sum(b)
    middle = (a + b) / 2
    return float(np.sum(special.rel_entr(a, middle) + special.rel_entr(b, middle)) / (2 * np.log(2)))


def sculpting(
    mass: ArrayLike,
    passed: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bins: int = 40,
    picks: int = 200,
    rng: np.random.Generator,
) -> Sculpting:
    """Sculpting of the background mass by a cut on a score; to be looked at before any significance.

    Parameters
    ----------
    mass : (n,)
        Of background events.
    passed : (n,) bool
        Events that pass the cut.
    weight : (n,), optional
    bins : int
        Bins of equal background counts in which the divergence is taken.
    picks : int
        Random picks of as many events.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If lengths differ or nothing, or everything, passes.
    """
    m, keep = np.asarray(mass, dtype=np.float64), np.asarray(passed, dtype=bool)
    w = np.ones(len(m)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not m.shape == keep.shape == w.shape:
        raise InputError(f"masses, flags and weights have shapes {m.shape}, {keep.shape}, {w.shape}: give one an event")
    if not 0 < np.sum(keep) < len(m):
        raise InputError(f"{int(np.sum(keep))} of {len(m)} events pass: a cut that sculpts lets some pass and some not")
    edges = np.unique(np.quantile(m, np.arange(1, bins) / bins))
    index = np.searchsorted(edges, m, side="right")
    everything = np.bincount(index, w, minlength=len(edges) + 1)

    def divergence(passing: NDArray[np.bool_]) -> float:
        return jensen_shannon(np.bincount(index[passing], w[passing], minlength=len(edges) + 1), everything)

    jsd = divergence(keep)
    random = np.array([divergence(rng.permutation(keep)) for _ in range(picks)])
    mean, width = _moments(m, w)
    mean_passed, width_passed = _moments(m[keep], w[keep])
    return Sculpting(
        jsd=jsd,
        expected=float(np.mean(random)),
        p=float((np.sum(random >= jsd) + 1) / (picks + 1)),
        mean_shift=(mean_passed - mean) / width,
        width_shift=(width_passed - width) / width,
        eps_b=float(np.sum(w[keep]) / np.sum(w)),
    )


def _moments(x: NDArray[np.float64], w: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(np.average(x, weights=w))
    return mean, float(np.sqrt(np.average((x - mean) ** 2, weights=w)))


FEWEST = 100
"""Background events after the cut, below which the gate says nothing: a bump of a few events is found anywhere."""


@dataclass(frozen=True)
class Gate:
    """Verdict on a cut: whether a bump hunt may follow it.

    Attributes
    ----------
    passed : bool
        False if background alone, after the cut, shows an overall bump beyond `limit`, if the cut changes the shape of
        the spectrum by more than `divergence`, or if too few events are left.
    limit : float
        In standard deviations.
    divergence : float
        Greatest Jensen-Shannon divergence beyond that of chance, in bits.
    events : int
        Background events after the cut, within the edges.
    edges : tuple of floats
        Of the spectrum, GeV.
    counts, counts_all : tuples of int
        Background events in each bin after the cut, and before.
    bump : Bump or None
        The largest excess in background alone; None if there are too few events.
    sculpting : Sculpting
    """

    passed: bool
    limit: float
    divergence: float
    events: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    counts_all: tuple[int, ...]
    bump: Bump | None
    sculpting: Sculpting

    @property
    def message(self) -> str:
        """One line for a report."""
        shape = f"JSD {self.sculpting.jsd:.2g}, by chance {self.sculpting.expected:.2g}"
        if self.bump is None:
            return (
                f"sculpting gate NOT TESTED: {self.events} background events pass the cut, {FEWEST} are needed; no "
                f"discovery may be quoted ({shape})"
            )
        bump = f"background alone shows {self.bump.overall} overall at {self.bump.low:.0f} .. {self.bump.high:.0f} GeV"
        if self.passed:
            return f"sculpting gate passed ({bump}; {shape})"
        why = "makes bumps out of background"
        if self.bump.overall.z <= self.limit:
            why = "shapes the spectrum so much that no fit of it can be trusted"
        return f"sculpting gate FAILED: the cut {why}, no discovery may be quoted ({bump}; {shape})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"message": self.message}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Gate:
        """From the content of `to_dict`, JSON in between."""
        content = {k: v for k, v in values.items() if k != "message"}
        if content["bump"] is not None:
            content["bump"] = Bump(**{**content["bump"], "overall": ToyP(**content["bump"]["overall"])})
        lists = {k: tuple(content[k]) for k in ("edges", "counts", "counts_all")}
        return cls(**{**content, **lists, "sculpting": Sculpting(**content["sculpting"])})


def sculpting_gate(
    mass: ArrayLike,
    passed: ArrayLike,
    edges: ArrayLike,
    *,
    limit: float = 2.0,
    divergence: float = 0.1,
    parameters: Literal[3, 4, 5] = 3,
    sqrt_s: float = 13000.0,
    toys: int = 500,
    rng: np.random.Generator,
) -> Gate:
    """Background-only injection: hunt for bumps in background events that pass the cut.

    To be done before any significance is quoted. The hunt alone is not enough: a cut that keeps only one region of the
    mass leaves a spectrum that the fit itself follows, and no bump above it. So the change of shape is tested too.

    Parameters
    ----------
    mass : (n,)
        Of background events (unweighted simulation, or data of a control region), in GeV.
    passed : (n,) bool
    edges : (bins + 1,)
        Of the spectrum that is hunted, in GeV; events outside are left out.
    limit : float
        Greatest overall significance that passes.
    divergence : float
        Greatest Jensen-Shannon divergence of the spectrum after the cut against that before, in bits beyond the mean of
        random cuts, that passes.
    parameters, sqrt_s, toys, rng
        As for `hepaa.stats.bumps.bump_hunt`.

    Raises
    ------
    InputError
        As `bump_hunt` and `hepaa.stats.sculpting.sculpting`, and if the toys cannot tell such a significance.
    """
    if z_to_p(limit) * (toys + 1) < 1:
        raise InputError(
            f"{toys} toys never show a p-value below {1 / (toys + 1):.2g}: a limit of {limit:g} sigma needs "
            f"{int(np.ceil(1 / z_to_p(limit)))}"
        )
    m, keep = np.asarray(mass, dtype=np.float64), np.asarray(passed, dtype=bool)
    grid = np.asarray(edges, dtype=np.float64)
    inside = (m >= grid[0]) & (m <= grid[-1])
    m, keep = m[inside], keep[inside]
    before, counts = (np.histogram(x, grid)[0] for x in (m, m[keep]))
    events = int(np.sum(counts))
    bump = None
    if events >= FEWEST:
        bump = bump_hunt(counts, grid, parameters=parameters, sqrt_s=sqrt_s, toys=toys, rng=rng)
    shape = sculpting(m, keep, rng=rng)
    fine = bump is not None and bump.overall.z <= limit and shape.jsd - shape.expected <= divergence
    bounds, after, everything = (tuple(x.tolist()) for x in (grid, counts, before))
    return Gate(fine, limit, divergence, events, bounds, after, everything, bump, shape)


def spectrum_edges(mass: ArrayLike, bins: int, limits: tuple[float, float] | None = None) -> NDArray[np.float64]:
    """Edges of equal width for a falling spectrum: within `limits`, or from its peak to its last 0.1 percent.

    Parameters
    ----------
    mass : (n,)
        Of background events before any cut on a score, in GeV.
    bins : int
    limits : (low, high), optional
        In GeV.

    Raises
    ------
    InputError
        If limits are not 0 < low < high, or there is no event.
    """
    m = np.asarray(mass, dtype=np.float64)
    if not len(m):
        raise InputError("there is no background event to take the range of a mass spectrum from")
    if limits is None:
        low, high = np.quantile(m, [0.001, 0.999])
        counts, grid = np.histogram(m, np.linspace(low, high, 41))
        limits = (float(grid[np.argmax(counts)]), float(high))
    if not 0 < limits[0] < limits[1]:
        raise InputError(f"a mass spectrum from {limits[0]:g} to {limits[1]:g} GeV: give 0 < low < high")
    return np.linspace(*limits, bins + 1)
