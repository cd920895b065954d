"""The background of a window from its sidebands: p(x | m), and how well it closes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import ks_2samp

from hepaa.models.combined.trees import fit_trees, log_odds
from hepaa.models.density.conditional import ConditionalMixture
from hepaa.models.parameters import one_of
from hepaa.stats.performance import auc, auc_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.models.density.conditional import ConditionalDensity
    from hepaa.search.methods.base import MassRows

    Array = NDArray[np.float64]

DensityModel = Literal["mixture", "flow"]


@dataclass(frozen=True)
class Closure:
    """How far samples of a density are from events that it did not see.

    Attributes
    ----------
    auc, error : float
        Of boosted trees that tell samples from events, on a half that they did not see; 0.5 is closure.
    z : float
        (auc - 0.5) / error.
    ks : tuple of float
        Kolmogorov-Smirnov p-value of each input. Events that it was learned from move a density with them, at most as
        far as their own distribution: as much is allowed for, and p of a right density is not too small, nor uniform.
    events : int
    """

    auc: float
    error: float
    z: float
    ks: tuple[float, ...]
    events: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class SidebandModel:
    """p(x | m) with the sideband events that it was learned from.

    Attributes
    ----------
    density : ConditionalDensity
    rows : MassRows
    """

    density: ConditionalDensity
    rows: MassRows

    @classmethod
    def of(
        cls, model: DensityModel, rows: MassRows, rng: np.random.Generator, *, degree: int, **mixture: Any
    ) -> SidebandModel:
        """Learned from the rows, by `ConditionalMixture` with these options, or by `ConditionalFlow`."""
        one_of("background", model, ("mixture", "flow"))
        seed = int(rng.integers(2**31))
        if model == "flow":
            from hepaa.models.density.conditional_flow import ConditionalFlow

            return cls(ConditionalFlow(degree=degree, seed=seed).fit(rows.x, rows.mass), rows)
        return cls(ConditionalMixture(degree=degree, seed=seed, **mixture).fit(rows.x, rows.mass), rows)

    def log_density(self, X: Array, mass: Array) -> Array:
        """log p(x | m), (n,)."""
        return self.density.log_density(X, mass)

    def sample(self, mass: Array, rng: np.random.Generator) -> Array:
        """One event (n, d) for each mass (n,)."""
        return self.density.sample(mass, rng)

    def residuals(self, rows: MassRows) -> tuple[Array, Array]:
        """Residuals (n, d) of events, and the log of the density in them (n,)."""
        r, log_slope = self.density.residuals_(rows.x, rows.mass)
        return r, self.density.log_density(rows.x, rows.mass) - log_slope

    def latent(self, rows: MassRows) -> Array:
        """Coordinates (n, d) in which the mass is hardly left: residuals, or the base space of a flow."""
        return self.density.latent(rows.x, rows.mass)

    def closure(self, *, seed: int = 0) -> Closure:
        """Learn again from a random half of the sideband events, and compare samples with the other half."""
        rng = np.random.default_rng(seed)
        first = rng.permutation(self.rows.n) % 2 == 0
        learned, held_out = self.rows[first], self.rows[~first]
        again = type(self.density)(**self.density.get_params(deep=False)).fit(learned.x, learned.mass)
        return compare_samples(again, held_out, rng, learned=learned.n)


def compare_samples(density: ConditionalDensity, rows: MassRows, rng: np.random.Generator, *, learned: int) -> Closure:
    """Closure of a density at the masses of events that it did not see, having learned from so many others."""
    samples = density.sample(rows.mass, rng)
    x, y = np.concatenate([samples, rows.x]), np.repeat([0, 1], rows.n)
    half = rng.permutation(len(y)) % 2 == 0
    score = log_odds(fit_trees(x[half], y[half], None, 4, rng), x[~half])
    value, error = auc(y[~half], score), auc_error(y[~half], score)
    spread = np.sqrt(2 / rows.n + 1 / learned)  # of samples, of events, and of what was learned
    ks = tuple(float(kolmogorov(ks_2samp(a, b).statistic / spread)) for a, b in zip(samples.T, rows.x.T, strict=True))
    return Closure(value, error, (value - 0.5) / max(error, 1e-9), ks, rows.n)
