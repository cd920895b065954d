"""Classifiers of the signal region's data against a background: that of the sidebands, sampled, or simulated."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hepaa.errors import InputError
from hepaa.models.combined.trees import fit_trees, log_odds
from hepaa.models.parameters import one_of, whole
from hepaa.search.methods.background import DensityModel, SidebandModel
from hepaa.search.methods.base import MassRows, Method, mass_rows
from hepaa.search.methods.residual import Residual
from hepaa.stats.flattening import QuantileFlattening

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.table import EventTable

    Array = NDArray[np.float64]

Decorrelation = Literal["flatten", "latent"] | None


@dataclass(eq=False)
class TreeMethod(Method):
    """Base of the methods that score with an ensemble of boosted trees; score: the mean log odds (arXiv:2309.13111).

    Parameters
    ----------
    decorrelate : "flatten", "latent" or None
        "flatten": the score becomes -ln of its p-value within the mass, whose quantiles are polynomials in the mass,
        learned on the sidebands. "latent": the trees see the residuals of the background's density in place of the
        features, in which the mass is hardly left (LaCATHODE, arXiv:2210.14924); those of the spline flow with
        `background` "flow".
    background : "mixture" or "flow"
        Density p(x | m) of the sidebands, where one is needed.
    degree : int
        Of the polynomials in the mass.
    members : int
        Of the ensemble, each on a random half of the events.

    The other parameters are those of `Method`.
    """

    members: int = 20
    decorrelate: Decorrelation = None
    background: DensityModel = "mixture"
    degree: int = 2

    def _fit(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> None:
        if self.decorrelate is not None:
            one_of("decorrelate", self.decorrelate, ("flatten", "latent"))
        if self.decorrelate == "latent" or self._needs_density():
            self.background_ = SidebandModel.of(self.background, sidebands, rng, degree=self.degree)
        other = self._reference(signal, sidebands, rng)
        x = np.concatenate([self._inputs(other), self._inputs(signal)])
        self.trees_ = fit_trees(x, np.repeat([0, 1], [other.n, signal.n]), None, self.members, rng)
        self._flat: QuantileFlattening | None = None
        if self.decorrelate == "flatten":
            score = log_odds(self.trees_, self._inputs(sidebands))
            self._flat = QuantileFlattening(degree=self.degree).fit(score, sidebands.mass)

    def _needs_density(self) -> bool:
        return False

    @abstractmethod
    def _reference(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> MassRows:
        """Events of background that the trees compare with the signal region."""

    def _inputs(self, rows: MassRows) -> Array:
        if self.decorrelate != "latent":
            return rows.x
        return self.background_.latent(rows)

    def _score(self, rows: MassRows) -> Array:
        score = log_odds(self.trees_, self._inputs(rows))
        return score if self._flat is None else self._flat.transform(score, rows.mass)


@dataclass(eq=False)
class Cwola(TreeMethod):
    """Signal region against sidebands: classification without labels (arXiv:1708.02949, 1805.02664).

    Features that move with the mass give themselves away, and the cut then makes a bump of background: decorrelate.

    The parameters are those of `TreeMethod`.
    """

    def _reference(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> MassRows:
        del signal, rng
        return sidebands


@dataclass(eq=False)
class Cathode(TreeMethod):
    """Signal region against samples of the sidebands' p(x | m) at the masses of the signal region (arXiv:2109.00546).

    Parameters
    ----------
    oversampling : int
        Samples for each event of the signal region.

    The other parameters are those of `TreeMethod`.
    """

    oversampling: int = 4

    def _needs_density(self) -> bool:
        return True

    def _reference(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> MassRows:
        del sidebands
        whole("oversampling", self.oversampling)
        mass = np.tile(signal.mass, self.oversampling)
        return MassRows(self.background_.sample(mass, rng), mass, signal.columns)


@dataclass(eq=False)
class Anode(Method):
    """Density of the signal region over that of the sidebands, both given the mass (arXiv:2001.04990).

    Parameters
    ----------
    background : "mixture" or "flow"
    degree, signal_degree : int
        Of the polynomials in the mass, over the sidebands and over the signal region.
    components, signal_components : int
        Of mixtures.

    The other parameters are those of `Method`; `members` are densities of the signal region from other starts, the mean
    of whose logarithms counts.
    """

    members: int = 3
    background: DensityModel = "mixture"
    degree: int = 2
    signal_degree: int = 1
    components: int = 25
    signal_components: int = 15

    def _fit(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> None:
        size = {"components": self.components} if self.background == "mixture" else {}
        own = {"components": self.signal_components} if self.background == "mixture" else {}
        self.background_ = SidebandModel.of(self.background, sidebands, rng, degree=self.degree, **size)
        self.signal_densities_ = [
            SidebandModel.of(self.background, signal, rng, degree=self.signal_degree, **own)
            for _ in range(self.members)
        ]

    def _score(self, rows: MassRows) -> Array:
        inside = [density.log_density(rows.x, rows.mass) for density in self.signal_densities_]
        return np.asarray(np.mean(inside, axis=0) - self.background_.log_density(rows.x, rows.mass))


@dataclass(eq=False)
class Idealised(Method):
    """Signal region against true background of the signal region: what a perfect sideband method would reach.

    Parameters
    ----------
    template : EventTable
        Background in the signal region, with the columns of the data.
    by : "residual" or "trees"
        How: `Residual`, with the template in place of the sidebands, or an ensemble of trees.
    degree : int
        Of the background's polynomials in the mass.

    The other parameters are those of `Method`.
    """

    template: EventTable | None = None
    by: Literal["residual", "trees"] = "residual"
    degree: int = 1

    def _fit(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> None:
        del sidebands
        if self.template is None:
            raise InputError("Idealised needs a template: a table of background in the signal region")
        one_of("by", self.by, ("residual", "trees"))
        rows = mass_rows(self.template, self.window, signal.columns)
        rows = rows[self.window.in_signal(rows.mass)]
        if rows.n < 10 * (rows.x.shape[1] + 1):
            raise InputError(f"the template holds {rows.n} events in the signal region, too few to learn from")
        if self.by == "residual":
            self.model_ = Residual(self.window, self.inputs, self.members, degree=self.degree)
            self.model_.learn(signal, rows, rng)
            self.signal_, self.background_ = self.model_.signal_, self.model_.background_
        else:
            x = np.concatenate([rows.x, signal.x])
            self.trees_ = fit_trees(x, np.repeat([0, 1], [rows.n, signal.n]), None, self.members, rng)

    def _score(self, rows: MassRows) -> Array:
        return self.model_._score(rows) if self.by == "residual" else log_odds(self.trees_, rows.x)
