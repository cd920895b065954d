"""A signal on top of a background that the sidebands fix, by expectation maximisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from hepaa.models.density import gaussians
from hepaa.models.parameters import between, whole
from hepaa.search.methods.background import DensityModel, SidebandModel
from hepaa.search.methods.base import Method

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.search.methods.base import MassRows
    from hepaa.search.windows import Window

    Array = NDArray[np.float64]

_RATIO = 1e3
"""Largest likelihood ratio that enters the screening: an event where background has no density decides nothing."""
_Z = 8.0
"""Evidence beyond which the members of a bag count the same."""


@dataclass(frozen=True, eq=False)
class FittedSignal:
    """The signal that was found: a bag of Gaussians in the residuals of the features, one for each resampling.

    Attributes
    ----------
    fraction, error : float
        Part of the signal region's events that is signal, in excess of what the same Gaussian takes in the sidebands,
        and its standard deviation: of the likelihood and over the bag together.
    z : float
        fraction / error of the fit to all events. It was chosen among many starts and is no significance.
    evidence : float64 (b,)
        The same of each member of the bag.
    log_weights, means, covariances : (b,), (b, d), (b, d, d)
    """

    fraction: float
    error: float
    z: float
    evidence: Array
    log_weights: Array
    means: Array
    covariances: Array
    window: Window
    background: SidebandModel

    def sample(self, n: int, rng: np.random.Generator | None = None) -> Array:
        """Features (n, d) of signal events, at masses spread evenly over the signal region."""
        rng = np.random.default_rng(0) if rng is None else rng
        weights = np.exp(self.log_weights)
        member = rng.choice(len(weights), n, p=weights / weights.sum())
        roots = np.linalg.cholesky(self.covariances)
        noise = rng.standard_normal((n, self.means.shape[1]))
        r = self.means[member] + np.einsum("nij,nj->ni", roots[member], noise)
        return self.background.density.residuals_.inverse(r, rng.uniform(*self.window.signal, n))


@dataclass(eq=False)
class Residual(Method):
    """Signal region = (1 - w) background + w signal; the sidebands fix the background, the signal is one Gaussian.

    After R-ANODE (arXiv:2312.11629) with a mixture and expectation maximisation in place of flows and gradients, so in
    a second. Starts come from a score test: which of many places holds more events in the signal region than in the
    sidebands, each divided by the background's density. `members` resamplings of the signal region start anew, and
    the mean of their densities, weighted by their evidence, is the signal: a bag, because single fits miss weak
    signals. Score: log p_signal(x) / p_background(x | m).

    Parameters
    ----------
    background : "mixture" or "flow"
        `ConditionalMixture`, or `ConditionalFlow` for eight inputs and more.
    components, degree, shrinkage
        Of the background, as `ConditionalMixture`.
    centres : int
        Places that the score test looks at, events of the signal region.
    scales : tuple of float
        Widths there, in units of the residuals.
    starts : int
        Best places from which each member starts.
    iterations : int
    prior_events, prior_width : float
        Each covariance is averaged with prior_width^2 times the unit matrix as if that had been seen in `prior_events`.

    The other parameters are those of `Method`.

    Attributes
    ----------
    background_ : SidebandModel
    signal_ : FittedSignal
    """

    background: DensityModel = "mixture"
    components: int = 25
    degree: int = 2
    shrinkage: float = 1e-3
    centres: int = 300
    scales: tuple[float, ...] = (0.35, 0.7)
    starts: int = 4
    iterations: int = 40
    prior_events: float = 10.0
    prior_width: float = 0.3

    def _fit(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> None:
        self.learn(signal, sidebands, rng)

    def learn(self, signal: MassRows, reference: MassRows, rng: np.random.Generator) -> None:
        """Find a signal that the `reference` does not have: sidebands, or a template of background."""
        for name in ("centres", "starts", "iterations"):
            whole(name, getattr(self, name))
        between("prior_width", self.prior_width, 0, ends="none")
        mixture = {"components": self.components, "shrinkage": self.shrinkage} if self.background == "mixture" else {}
        self.background_ = SidebandModel.of(self.background, reference, rng, degree=self.degree, **mixture)
        self._find(signal, reference[rng.permutation(reference.n)[: signal.n]], rng)

    def _find(self, signal: MassRows, reference: MassRows, rng: np.random.Generator) -> None:
        """Find the signal; `reference` are events in which there should be none."""
        r, log_b = self.background_.residuals(signal)
        r_0, log_0 = self.background_.residuals(reference)
        resampled = np.concatenate([np.ones((1, signal.n)), rng.poisson(1.0, (self.members, signal.n))])
        means, covariances, member = self._starts(r, log_b, r_0, log_0, resampled, rng)
        values, weights = gaussians.products(r).astype(np.float32), resampled[member].T.astype(np.float32)
        log_b32, log_0_32 = log_b.astype(np.float32), log_0.astype(np.float32)
        fraction = np.full(len(member), 0.01)
        total = weights.sum(axis=0)
        unit = np.eye(r.shape[1])
        for _ in range(self.iterations):
            odds = _log_ratio(values, log_b32, np.log(fraction / (1 - fraction)), means, covariances)
            np.negative(odds, out=odds)
            np.exp(odds, out=odds)
            odds += 1
            share = np.divide(weights, odds, out=odds)
            mass, means, covariances = gaussians.moments((share.T @ values).astype(np.float64) + 1e-12, r.shape[1])
            prior = self.prior_events * self.prior_width**2 * unit
            covariances = (covariances * mass[:, None, None] + prior) / (mass + self.prior_events)[:, None, None]
            fraction = np.clip(mass / total, 1e-5, 0.5)
        # a member is judged by the events that its resampling left out; the fit to all, having none, by all
        left_out = ((member == 0) | (weights == 0)).astype(np.float32)
        none, values_0 = np.zeros(len(member)), gaussians.products(r_0).astype(np.float32)
        q = np.expm1(_log_ratio(values, log_b32, none, means, covariances))
        q_0 = np.expm1(_log_ratio(values_0, log_0_32, none, means, covariances))
        excess, error = _excess(q, left_out, q_0)
        evidence = excess / error
        best = np.array(
            [np.flatnonzero(member == b)[np.argmax(evidence[member == b])] for b in range(self.members + 1)]
        )
        bag = best[1:]
        log_weights = np.clip(evidence[bag], 0.0, _Z) ** 2 / 2
        self.signal_ = FittedSignal(
            fraction=float(excess[best[0]]),
            error=float(np.hypot(error[best[0]], np.std(excess[bag]) if len(bag) > 1 else 0.0)),
            z=float(evidence[best[0]]),
            evidence=evidence[bag],
            log_weights=log_weights - logsumexp(log_weights),
            means=means[bag],
            covariances=covariances[bag],
            window=self.window,
            background=self.background_,
        )

    def _starts(
        self, r: Array, log_b: Array, r_0: Array, log_0: Array, resampled: Array, rng: np.random.Generator
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        """Means and covariances to start from, and the member that each belongs to.

        The score of the likelihood in the fraction, at none, is the mean of p_s / p_b - 1. Its mean in the reference
        is taken off, so that places where the background's density is wrong do not count.
        """
        d = r.shape[1]
        centres = r[rng.permutation(len(r))[: self.centres]]
        weights = (resampled / resampled.sum(axis=1, keepdims=True)).astype(np.float32)
        z = []
        squares, squares_0 = _squares(r, centres), _squares(r_0, centres)
        for scale in self.scales:
            ratio, ratio_0 = _ratio(squares, log_b, scale, d), _ratio(squares_0, log_0, scale, d)
            mean = weights @ ratio
            mean_0, variance_0 = ratio_0.mean(axis=0), ratio_0.var(axis=0)
            np.square(ratio, out=ratio)
            variance = weights @ ratio - mean**2
            z.append((mean - mean_0) / np.sqrt(variance / len(r) + variance_0 / len(r_0) + np.float32(1e-12)))
        score = np.stack(z, axis=1).reshape(len(resampled), -1)  # (members + 1, scales x centres)
        means, covariances, member = [], [], []
        for b, order in enumerate(np.argsort(-score, axis=1)):
            taken: list[Array] = []
            for place in order:
                scale, centre = self.scales[place // len(centres)], centres[place % len(centres)]
                if all(((centre - other) ** 2).sum() > 0.25 for other in taken):
                    taken.append(centre)
                    covariances.append(scale**2 * np.eye(d))
                if len(taken) == self.starts:
                    break
            means += taken
            member += [b] * len(taken)
        return np.array(means), np.array(covariances), np.array(member)

    def _score(self, rows: MassRows) -> Array:
        r, log_b = self.background_.residuals(rows)
        signal = self.signal_
        return gaussians.log_density(r, signal.log_weights, signal.means, signal.covariances) - log_b


def _log_ratio(
    values: NDArray[np.float32], log_b: NDArray[np.float32], log_weights: Array, means: Array, covariances: Array
) -> NDArray[np.float32]:
    """log of weighted Gaussians over the background (n, k), within -60 .. 20.

    Beyond, no share changes, and below e^20 the square of a ratio still is a number of single precision.
    """
    table = gaussians.coefficients(log_weights, means, covariances).astype(np.float32)
    ratio: NDArray[np.float32] = values @ table
    ratio -= log_b[:, None]
    np.clip(ratio, -60.0, 20.0, out=ratio)
    return ratio


def _squares(r: Array, centres: Array) -> NDArray[np.float32]:
    """Squared distances of residuals (n, d) and centres (k, d), float32 (n, k)."""
    x, c = r.astype(np.float32), centres.astype(np.float32)
    squares = x @ (-2 * c.T)
    squares += (x**2).sum(axis=1)[:, None]
    squares += (c**2).sum(axis=1)
    return np.asarray(squares)


def _ratio(squares: NDArray[np.float32], log_b: Array, scale: float, d: int) -> NDArray[np.float32]:
    """Round Gaussians of width `scale` over the background's density, float32 (n, k), from squared distances."""
    ratio: NDArray[np.float32] = squares * np.float32(-0.5 / scale**2)
    ratio -= (log_b + d * np.log(scale * np.sqrt(2 * np.pi))).astype(np.float32)[:, None]
    np.minimum(ratio, np.float32(np.log(_RATIO)), out=ratio)
    np.exp(ratio, out=ratio)
    return ratio


def _excess(q: Array, weight: Array, q_0: Array) -> tuple[Array, Array]:
    """Fractions of k densities in the signal region less those in the reference, and errors, (k,).

    q = p_s / p_b - 1 in events (n, k) of weights (n, k), and in those of the reference (n_0, k). A narrow density has
    often no event of the reference, which then says by itself neither how negative its fraction may be nor how well it
    is known: both regions say so together.
    """
    lowest = -0.5 / np.maximum(np.maximum(q.max(axis=0), q_0.max(axis=0)), 1.0)
    fraction, information = _fraction(q, weight, lowest)
    fraction_0, information_0 = _fraction(q_0, np.ones((len(q_0), 1), q_0.dtype), lowest)
    inside = (weight * q**2 / ((1 + fraction * q) * (1 + fraction_0 * q))).sum(axis=0) / weight.sum(axis=0)
    information_0 = (information_0 + len(q_0) * inside) / 2
    return fraction - fraction_0, np.sqrt(1 / information + 1 / information_0)


def _fraction(q: Array, weight: Array, lowest: Array) -> tuple[Array, Array]:
    """Most likely fractions of densities with these p_s / p_b - 1 (n, k), events having weights, and information."""
    fraction = np.full(q.shape[1], 1e-3)
    for _ in range(12):
        slope = q / (1 + fraction * q)
        weighted = weight * slope
        information = (weighted * slope).sum(axis=0)
        before, fraction = fraction, np.clip(fraction + weighted.sum(axis=0) / information, lowest, 0.5)
        if np.abs(fraction - before).max() < 1e-9:
            break
    return fraction, information
