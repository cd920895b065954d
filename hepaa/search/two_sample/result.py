"""What a test of two samples gives: its statistic among toys, and where the difference sits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from hepaa.search.two_sample.tail import chi2_sum_z, shifted_gamma_z
from hepaa.stats.likelihood import ToyP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hepaa.plots import Look
    from hepaa.table import EventTable

    Array = NDArray[np.float64]


_FEW = 10


@dataclass(frozen=True, eq=False)
class NullToys:
    """The statistic where data come from the reference.

    Attributes
    ----------
    toys : mapping of truth -> float64 (toys,)
        One hypothesis, "reference", or one for each generator.
    law : float64 (k,) or None
        Weights of the sum of chi^2_1 that the statistic follows for many events, where that is known.
    decay : float or None
        The kappa of p <= exp(-t / 2 kappa), where that is known.
    """

    toys: Mapping[str, Array]
    law: Array | None
    decay: float | None = None

    def p(self, statistic: float) -> ToyP:
        """p-value counted from the toys: the largest over the hypotheses."""
        counts = [ToyP.count(int(np.sum(t >= statistic - 1e-9 * abs(statistic))), len(t)) for t in self.toys.values()]
        return max(counts, key=lambda count: count.p)

    def z_asymptotic(self, statistic: float) -> float:
        """Z from the law, its mean scaled to that of the toys, or from a shifted gamma distribution fitted to them.

        Where a bound on p is known, the gamma distribution does not go beyond it: far from the toys it knows nothing.
        The smallest over the hypotheses.
        """
        return min(self._z(statistic, toys) for toys in self.toys.values())

    def _z(self, statistic: float, toys: Array) -> float:
        if self.law is None:
            z = shifted_gamma_z(statistic, toys)
            # another truth than the reference moves the statistic
            beyond = statistic - max(float(np.mean(toys)), 0.0)
            if self.decay is None or beyond <= 2 * self.decay:
                return z
            return min(z, float(-special.ndtri_exp(-beyond / (2 * self.decay))))
        return chi2_sum_z(statistic, self.law * max(float(np.mean(toys)) / float(self.law.sum()), 1e-9))


@dataclass(frozen=True, eq=False)
class AmongToys:
    """One value of a statistic among toys of its null hypothesis."""

    statistic: float
    null: NullToys

    @property
    def counted(self) -> ToyP:
        """p and Z counted from toys; a bound where no toy lies beyond."""
        return self.null.p(self.statistic)

    @property
    def p(self) -> float:
        """(k + 1) / (N + 1) for k of N toys beyond."""
        return self.counted.p

    @property
    def p_error(self) -> float:
        """Binomial error of p."""
        return float(np.sqrt(self.p * (1 - self.p) / (len(next(iter(self.null.toys.values()))) + 1)))

    @property
    def z(self) -> float:
        """One-sided Z of p: a lower bound where no toy lies beyond."""
        return self.counted.z

    @property
    def z_asymptotic(self) -> float:
        """Z without toys beyond: an extrapolation."""
        return self.null.z_asymptotic(self.statistic)

    @property
    def best(self) -> float:
        """Z from toys where at least ten lie on either side (30 % error of p), else the asymptotic one."""
        toys = len(next(iter(self.null.toys.values())))
        return self.z if _FEW < round(self.p * (toys + 1)) <= toys - _FEW + 1 else self.z_asymptotic

    def __str__(self) -> str:
        beyond = f" (asymptotic: {self.z_asymptotic:.1f} sigma)" if self.counted.bound else ""
        return f"p = {self.p:.3g} +- {self.p_error:.1g}, {self.counted}{beyond}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "statistic": self.statistic,
            "p": self.p,
            "p_error": self.p_error,
            "z": self.z,
            "z_is_bound": self.counted.bound,
            "z_asymptotic": self.z_asymptotic,
            "toys": {truth: len(t) for truth, t in self.null.toys.items()},
            "toys_mean": {truth: float(np.mean(t)) for truth, t in self.null.toys.items()},
        }


@dataclass(frozen=True, eq=False)
class TwoSampleResult:
    """Data against a reference.

    Attributes
    ----------
    alone : AmongToys
        Without nuisances: the reference as it is.
    widened : AmongToys or None
        With them.
    data, reference : EventTable
        What was compared; the weights of the reference are scaled to the number of data events unless the rate counts.
    """

    alone: AmongToys
    widened: AmongToys | None
    data: EventTable
    reference: EventTable
    _log_ratio: Callable[[EventTable], Array]

    @property
    def statistic(self) -> float:
        """Without nuisances."""
        return self.alone.statistic

    @property
    def null(self) -> NullToys:
        """Without nuisances."""
        return self.alone.null

    @property
    def p(self) -> float:
        """Counted from toys, without nuisances."""
        return self.alone.p

    @property
    def z(self) -> float:
        """Counted from toys, without nuisances; a lower bound where no toy lies beyond."""
        return self.alone.z

    @property
    def z_asymptotic(self) -> float:
        """Without nuisances."""
        return self.alone.z_asymptotic

    @property
    def z_nuisances(self) -> float | None:
        """Counted from toys in which the nuisances are drawn."""
        return None if self.widened is None else self.widened.z

    @property
    def z_asymptotic_nuisances(self) -> float | None:
        """The same, extrapolated."""
        return None if self.widened is None else self.widened.z_asymptotic

    def log_ratio(self, events: EventTable) -> Array:
        """Learned ln of the density of data over that of the reference at each event, (n,)."""
        return self._log_ratio(events)

    def differences(self, bins: int = 20) -> dict[str, float]:
        """How much of the difference each feature shows by itself, largest first.

        For the reference reweighted by the learned ratio, m', against the reference, m, in bins of equal yield:
        2 sum [ m' ln(m' / m) - m' + m ], in the units of the statistic.
        """
        v = self.reference.weight
        tilted = v * np.exp(self.log_ratio(self.reference))
        shown = {}
        for column in self.reference.columns:
            x = self.reference[column].astype(np.float64)
            order = np.argsort(x, kind="stable")
            index = np.empty(len(x), np.int64)
            index[order] = np.minimum((np.cumsum(v[order]) / v.sum() * bins).astype(np.int64), bins - 1)
            m, m2 = (np.bincount(index, w, minlength=bins) for w in (v, tilted))
            full = (m > 0) & (m2 > 0)
            shown[column] = float(2 * np.sum(m2[full] * np.log(m2[full] / m[full])) - 2 * np.sum(m2 - m))
        return dict(sorted(shown.items(), key=lambda item: -item[1]))

    def plot(self, *, most: int = 12, look: Look | None = None) -> Figure:
        """Data, reference and the reference times the learned ratio, for the features that differ most."""
        from hepaa.features.registry import feature_sets
        from hepaa.plots.two_samples import two_samples

        columns = list(self.differences())[:most]
        known = feature_sets().get(self.reference.feature_set)
        labels = {} if known is None else {c.name: (c.label, c.unit) for c in known.columns}
        f = self.log_ratio(self.reference)
        return two_samples(self.data, self.reference, f, columns=columns, labels=labels, look=look)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "without_nuisances": self.alone.to_dict(),
            "with_nuisances": None if self.widened is None else self.widened.to_dict(),
            "data_events": float(self.data.sum_weights),
            "differences": self.differences(),
        }

    def __str__(self) -> str:
        lines = [f"without nuisances: {self.alone}"]
        return "\n".join(lines + ([] if self.widened is None else [f"with nuisances:    {self.widened}"]))


@dataclass(frozen=True, eq=False)
class ExpectedTwoSample:
    """What a signal hypothesis would give: the same test on toys that contain it. No data go in.

    Attributes
    ----------
    alone : tuple of AmongToys
        One a draw, without nuisances.
    widened : tuple of AmongToys
        With them; empty if there are none.
    """

    alone: tuple[AmongToys, ...]
    widened: tuple[AmongToys, ...]

    @property
    def z(self) -> float:
        """Median Z without nuisances."""
        return float(np.median([outcome.best for outcome in self.alone]))

    @property
    def band(self) -> tuple[float, float]:
        """16th and 84th percentile of Z without nuisances."""
        low, high = np.quantile([outcome.best for outcome in self.alone], [0.16, 0.84])
        return float(low), float(high)

    @property
    def z_nuisances(self) -> float | None:
        """Median Z with nuisances."""
        return float(np.median([outcome.best for outcome in self.widened])) if self.widened else None
