"""What a VAE can score events by, learned on its training background and saved with it."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from hepaa.errors import InputError
from hepaa.models.clusters import CLUSTER_METRICS, Clusters
from hepaa.models.combined.ensemble import Rarity
from hepaa.models.parameters import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from hepaa.models.base import Training
    from hepaa.models.vae.vae import VAE

    Array = NDArray[np.float64]

OneScore = Literal["reconstruction", "kl", "elbo", "importance", "flow", "mahalanobis", "euclidean", "cosine"]
ScoreKind = OneScore | Literal["rank", "fisher"]
ONE_SCORES: tuple[OneScore, ...] = get_args(OneScore)
COMBINATIONS = ("rank", "fisher")
SCORES: tuple[str, ...] = (*ONE_SCORES, *COMBINATIONS)
_SAMPLES = 50
_ROWS = 1 << 16  # scored at once: all outputs of so many events are in memory


def parts_of(kind: ScoreKind, combined: Sequence[OneScore]) -> tuple[OneScore, ...]:
    """The scores that have to be computed."""
    return tuple(combined) if kind in COMBINATIONS else (cast("OneScore", kind),)


def check_score(kind: ScoreKind, combined: Sequence[OneScore], posterior: str) -> None:
    """Raise InputError for a score that is unknown, or that this posterior does not have."""
    one_of("scored_by", kind, SCORES)
    if isinstance(combined, str) or len(set(combined)) != len(combined) or len(combined) < 2:
        raise InputError(
            f"combined is {combined!r}; give two scores or more, such as ['reconstruction', 'mahalanobis']"
        )
    for part in combined:
        one_of("a score in combined", part, ONE_SCORES)
    if "flow" in parts_of(kind, combined) and posterior == "gaussian":
        raise InputError("scored_by='flow' is the density of a flow; take one as posterior, such as posterior='planar'")


def check_events(parts: Sequence[OneScore], training: Training, latent: int) -> None:
    """Raise InputError for training events on which a score cannot be learned."""
    if not set(parts) & set(CLUSTER_METRICS):
        return
    if training.stream is not None:
        raise InputError("clusters of the latent space need a table in memory; read the parts with EventTable.load")
    Clusters.check(training.group, len(training.background), latent)


class Scoring:
    """The score of a trained VAE.

    Parameters
    ----------
    kind : one of SCORES
    combined : sequence of ONE_SCORES
        What "rank" and "fisher" combine.
    """

    def __init__(self, kind: ScoreKind, combined: Sequence[OneScore]) -> None:
        self.kind, self.parts = kind, parts_of(kind, combined)
        self.clusters: dict[str, Clusters] = {}
        self.rarity: dict[str, Rarity] = {}

    def fit(self, vae: VAE, training: Training) -> Self:
        """Learn clusters and distributions of scores on training background."""
        x = training.background
        metrics = [part for part in self.parts if part in CLUSTER_METRICS]
        if metrics:
            mu = np.concatenate([vae.outputs_of(rows)["mu"] for rows in _pieces(x)], axis=1).astype(np.float64)
            for metric in metrics:
                clusters = Clusters(metric)
                self.clusters[metric] = clusters.fit(mu, training.group, training.weight)
        if self.kind in COMBINATIONS:
            scores = self._each(vae, x)
            self.rarity = {part: Rarity(values, training.weight) for part, values in scores.items()}
        return self

    def __call__(self, vae: VAE, x: NDArray[np.float32]) -> Array:
        """Score (n,) of preprocessed rows x (n, d)."""
        scores = self._each(vae, x)
        if self.kind not in COMBINATIONS:
            return scores[self.parts[0]]
        rare = np.stack([self.rarity[part](values) for part, values in scores.items()])
        return np.asarray(rare.sum(axis=0) if self.kind == "fisher" else -np.expm1(-rare).mean(axis=0))

    def _each(self, vae: VAE, x: NDArray[np.float32]) -> dict[str, Array]:
        pieces = [self._of_piece(vae, rows) for rows in _pieces(x)]
        return {part: np.concatenate([piece[part] for piece in pieces]) for part in self.parts}

    def _of_piece(self, vae: VAE, x: NDArray[np.float32]) -> dict[str, Array]:
        out = vae.outputs_of(x)
        kl = out["kl"].astype(np.float64)
        scores: dict[str, Array] = {}
        for part in self.parts:
            if part in self.clusters:
                scores[part] = self.clusters[part].distances(out["mu"].astype(np.float64)).min(axis=1)
            elif part == "kl":
                scores[part] = kl.mean(axis=0)
            elif part == "flow":
                # the divergence at mu is log q(mu|x) - log|det| - log p(z): without the first, minus the flow's density
                own = -0.5 * (out["logvar"].astype(np.float64) + log(2 * pi)).sum(axis=-1)
                scores[part] = (kl - own).mean(axis=0)
            elif part == "importance":
                scores[part] = vae.importance_of(x, _SAMPLES, 0)
            else:
                error = vae.reconstruction_errors(x)
                scores[part] = error if part == "reconstruction" else error + vae.beta * kl.mean(axis=0)
        return scores

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that there is to keep."""
        return {
            f"score.{part}.{name}": values
            for fitted in (self.clusters, self.rarity)
            for part, learned in fitted.items()
            for name, values in learned.arrays().items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From what `arrays` gave."""
        for part in self.parts:
            prefix = f"score.{part}."
            own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
            if part in CLUSTER_METRICS:
                self.clusters[part] = Clusters.of_arrays(part, own)
            if self.kind in COMBINATIONS:
                self.rarity[part] = Rarity.of_arrays(own)
        return self


def _pieces(x: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [x[start : start + _ROWS] for start in range(0, len(x), _ROWS)]
