"""What has to hold before a number of a search is printed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom, ncx2, spearmanr

from hepaa.errors import InputError
from hepaa.models.combined.trees import fit_trees, log_odds
from hepaa.search.methods.background import DensityModel, SidebandModel, compare_samples
from hepaa.search.methods.classifiers import Cwola
from hepaa.search.methods.combined import Combined
from hepaa.search.result import Together
from hepaa.stats.performance import auc
from hepaa.stats.sculpting import sculpting
from hepaa.stats.significance import p_to_z

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hepaa.card import ResonantCard
    from hepaa.search.methods.base import MassRows, Method
    from hepaa.search.result import CombinedResult, ResonantResult
    from hepaa.search.windows import Window

    Array = NDArray[np.float64]

CORRELATION = 0.3
"""Largest |rank correlation| of an input with the mass in the sidebands."""
CLOSURE, DEPENDENCE = 0.53, 0.75
"""Largest AUC of samples against events, and of the upper against the lower half of a mass range by the inputs."""
DIVERGENCE = 0.015
"""Largest Jensen-Shannon divergence of the sidebands' mass after a cut, in bits: that of an efficiency which rises or
falls threefold from the first to the last sideband event. Beyond, the spectrum is that of the cut."""
BIAS, TAIL = 0.25, 0.09
"""Largest mean z of background alone, and largest part of it above 1.64, which is 0.05 for a normal distribution."""
CONFIDENCE = 0.95
"""With which a limit has to be excluded for a search to fail by what fluctuates: more events or toys see more."""

Z_TAIL = 1.64
"""Local significance of a p-value of 5 %."""

BINS = 15
"""Of equal counts, in which masses before and after a cut are compared."""

FEWEST = 10
"""Sideband events after a cut that a fit of the three parameters of the dijet function takes at least."""


@dataclass(frozen=True)
class Check:
    """One condition of a search.

    Attributes
    ----------
    name : str
    passed : bool
    value, limit : float
    message : str
        A sentence for a report.
    """

    name: str
    passed: bool
    value: float
    limit: float
    message: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def correlations(rows: MassRows, sidebands: NDArray[np.bool_]) -> dict[str, float]:
    """Spearman's rank correlation of each input with the mass, in the sidebands; 0 for an input that is constant."""
    mass = rows.mass[sidebands]
    return {
        name: float(spearmanr(values, mass).statistic) if np.ptp(values) else 0.0
        for name, values in zip(rows.columns, rows.x[sidebands].T, strict=True)
    }


def refuse_few(section: ResonantCard, window: Window, rows: MassRows) -> None:
    """Raise InputError if a sideband is empty, or too few of their events pass the tightest cut of a card."""
    for low, high in window.sidebands:
        if not ((rows.mass >= low) & (rows.mass < high)).any():
            raise InputError(f"no event of data lies in the sideband {low:g} .. {high:g} of {window.column}")
    n, tightest = int(window.in_sidebands(rows.mass).sum()), min(section.efficiencies)
    least = max(FEWEST, section.folds)  # each fold has its own cut, which an event at least has to pass
    if n * tightest < least:
        remedy = f"ask for efficiencies of {least / n:.2g} or more" if least < n else "ask for fewer folds"
        raise InputError(
            f"a cut at {tightest:g} keeps {n * tightest:.3g} of {n} sideband events in {section.folds} folds, too few "
            f"for a fit: {remedy}"
        )


def refuse_correlated(method: Method | Combined, rows: MassRows) -> None:
    """Raise InputError if an input is tied to the mass (|rank correlation| above 0.3) and nothing decorrelates it."""
    for part in method.methods if isinstance(method, Combined) else (method,):
        if getattr(part, "decorrelate", None) is not None:
            continue
        own = rows.of(part.inputs)
        values = correlations(own, part.window.in_sidebands(own.mass))
        name = max(values, key=lambda column: abs(values[column]))
        if abs(values[name]) > CORRELATION:
            raise InputError(
                f"input {name} has a rank correlation of {values[name]:+.2f} with {part.window.column} in the "
                f"sidebands, more than {CORRELATION}: leave it out, or take a method with `decorrelate: flatten` or "
                "`latent`"
            )


def check(result: ResonantResult | CombinedResult, toys: Array | int = 40, *, seed: int = 2) -> tuple[Check, ...]:
    """All checks of a search; none looks at the signal region.

    Closure of p(x | m) on sideband events that it did not see, and in a validation window beside the signal region that
    is hidden from it; what the inputs together say about the mass; the mass of the sidebands before and after each
    cut; mean and tail of z in background-only toys.

    Parameters
    ----------
    result : ResonantResult or CombinedResult
    toys : float64 (n, looks) or int
        Local z of background-only toys, as `result.toys` gives them, or how many to search.
    seed : int
    """
    checks = []
    for part in result.parts:
        if not isinstance(part.method, Together):  # it learns nothing of its own
            checks += [*_closures(part, part.method, seed), _dependence(part, part.method, seed)]
        checks += sculptings(part, seed=seed)
    values = result.toys(toys) if isinstance(toys, int) else toys
    return (*checks, *bias(result.looks, values))


def bias(looks: Iterable[str], toys: Array) -> list[Check]:
    """Whether background alone is called a signal: mean and tail of the z of toys (n, looks) in each look.

    A width above 1 alone is no bias. Where scores follow fluctuations, an excess common to two folds is selected in
    each by the model of the other: z of exact background, of five folds, is then up to 1.4 wide, which p-values from
    toys contain.
    """
    checks = []
    for name, z in zip(looks, toys[~np.isnan(toys).any(axis=1)].T, strict=True):
        n, width, above = len(z), z.std(ddof=1), int((z > Z_TAIL).sum())
        error = width / np.sqrt(n)
        too_high = z.mean() - p_to_z(1 - CONFIDENCE) * error > BIAS
        too_often = binom.sf(above - 1, n, TAIL) < 1 - CONFIDENCE
        words = (
            f"{n} background-only toys give z = {z.mean():+.2f} +- {error:.2f}, width {width:.2f}, {above} of them "
            f"above {Z_TAIL:g} ({TAIL:.0%} may be)"
        )
        passed = not (too_high or too_often)
        checks.append(Check(f"background-only z, {name}", passed, float(z.mean()), BIAS, words))
    return checks


def _closures(result: ResonantResult, method: Method, seed: int) -> list[Check]:
    if isinstance(method, Cwola) and method.decorrelate != "latent":
        return []  # it has no density
    rows = result.rows[method.window.in_sidebands(result.rows.mass)]
    options = {name: getattr(method, name) for name in ("components", "shrinkage") if hasattr(method, name)}
    model: DensityModel = getattr(method, "background", "mixture")
    options = options if model == "mixture" else {}
    rng = np.random.default_rng([seed, 0])
    degree = getattr(method, "degree", 2)
    held_out = SidebandModel.of(model, rows, rng, degree=degree, **options).closure(seed=seed)
    low, high = _validation_window(result)
    hidden = (rows.mass >= low) & (rows.mass < high)
    beside = SidebandModel.of(model, rows[~hidden], rng, degree=degree, **options)
    interpolated = compare_samples(beside.density, rows[hidden], rng, learned=beside.rows.n)
    return [
        Check(
            f"{place}, {method.name}",
            bool(c.auc - 2 * c.error <= CLOSURE),
            c.auc,
            CLOSURE,
            f"trees tell samples of p(x | m) from {c.events} {events} with AUC {c.auc:.3f} +- {c.error:.3f}",
        )
        for place, events, c in (
            ("closure", "sideband events that it did not see", held_out),
            ("validation window", f"events of {low:.0f}-{high:.0f} GeV, which it did not see", interpolated),
        )
    ]


def _validation_window(result: ResonantResult) -> tuple[float, float]:
    """The part of a sideband next to the signal region, as wide or half the sideband; the fuller one."""
    window = result.method.window
    width = window.signal[1] - window.signal[0]
    places = []
    for low, high in window.sidebands:
        span = min(width, (high - low) / 2)
        places.append((high - span, high) if high <= window.signal[0] else (low, low + span))
    mass = result.rows.mass
    return max(places, key=lambda p: int(((mass >= p[0]) & (mass < p[1])).sum()))


def _dependence(result: ResonantResult, method: Method, seed: int) -> Check:
    """How well all inputs together say on which side of its median the mass of a sideband event is."""
    rows = result.rows.of(method.inputs)[method.window.in_sidebands(result.rows.mass)]
    upper = rows.mass > np.median(rows.mass)
    rng = np.random.default_rng([seed, 2])
    half = rng.permutation(rows.n) % 2 == 0
    score = log_odds(fit_trees(rows.x[half], upper[half], None, 2, rng), rows.x[~half])
    value = auc(upper[~half], score)
    passed = value <= DEPENDENCE or getattr(method, "decorrelate", None) is not None
    return Check(
        f"mass in the inputs, {method.name}",
        bool(passed),
        value,
        DEPENDENCE,
        f"the inputs tell the upper from the lower half of the sidebands' masses with AUC {value:.3f}",
    )


def sculptings(result: ResonantResult, *, seed: int = 2) -> list[Check]:
    """Whether each cut keeps the shape of the sidebands' mass.

    Divergences of spectra of n events are distributed as chi-square, a non-central one where shapes differ: a cut fails
    if its own excludes a true one within the limit.
    """
    method, checks = result.method, []
    sidebands = method.window.in_sidebands(result.rows.mass)
    mass = result.rows.mass[sidebands]
    for efficiency in result.efficiencies:
        passed = result.passing(efficiency)[sidebands]
        shape = sculpting(mass, passed, bins=BINS, rng=np.random.default_rng([seed, 1]))
        unit = shape.expected / (BINS - 1)  # divergence of chi-square 1
        within = ncx2.sf(shape.jsd / unit, BINS - 1, DIVERGENCE / unit)
        words = (
            f"the cut at {efficiency:g} changes the shape of the sidebands' mass by {shape.jsd:.3f} bit, "
            f"{shape.expected:.3f} by chance (p = {shape.p:.2g})"
        )
        name = f"sculpting at {efficiency:g}, {method.name}"
        checks.append(Check(name, bool(within >= 1 - CONFIDENCE), shape.jsd - shape.expected, DIVERGENCE, words))
    return checks
