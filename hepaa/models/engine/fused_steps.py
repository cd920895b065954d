"""Steps of the small VAE in one pass, gradients included: which models may take them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hepaa.models.engine.steps import _FUSED_BELOW, TorchSteps
from hepaa.models.losses.schedules import ONE
from hepaa.models.losses.terms import KL, PENALTIES, AnomalyPenalty, Reconstruction
from hepaa.models.nets.mlp import GaussianVAE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.engine import fused
    from hepaa.models.engine.batches import Deal, Pool
    from hepaa.models.engine.optimiser import Adam, MemberParameters
    from hepaa.models.losses.terms import Term


class FusedSteps(TorchSteps):
    """Steps in one compiled loop, `hepaa.models.engine.fused`, member after member."""

    def __init__(self, model: Any, terms: Sequence[Term], parameters: MemberParameters, optimiser: Adam) -> None:
        super().__init__(model, terms, parameters, optimiser)
        from hepaa.models.engine import fused

        self.fused = fused
        self.net = fused.lay_out(model.encoder.sizes, model.decoder.sizes)

    def _objective(self, weights: Sequence[float]) -> fused.Objective:
        anomaly: Any = self.terms[2] if len(self.terms) > 2 else None  # see `can_fuse` for their order
        clip = None if anomaly is None else anomaly.clip
        normalisation = self.terms[0].normalisation  # type: ignore[attr-defined]
        return self.fused.Objective(
            reconstruction=float(weights[0]),
            kl=float(weights[1]),
            anomaly=float(weights[2]) if anomaly is not None else 0.0,
            literal=normalisation == "literal",
            per_class=normalisation == "per-class",
            penalty=self.fused.NO_PENALTY if clip is None else 1 + PENALTIES.index(anomaly.penalty),
            clip=float("inf") if clip is None else float(clip),
        )

    def run(self, deal: Deal, background: Pool, anomalies: Pool | None, weights: Sequence[float], sums: Tensor) -> int:
        """See `TorchSteps`."""
        fused, adam = self.fused, self.optimiser
        objective = self._objective(weights)
        b1, b2 = adam.betas
        clip = float("inf") if adam.clip is None else float(adam.clip)

        def events(pool: Pool | None) -> Any:
            x = np.empty((0, background.x.shape[1]), np.float32) if pool is None else pool.x.numpy()
            weight = None if pool is None else pool.weight
            return fused.EventRows(x, np.empty(0, np.float32) if weight is None else weight.numpy())

        common, rare = events(background), events(anomalies if deal.rare else None)
        steps = -(-deal.order.shape[1] // deal.common)
        for k in range(len(self.parameters)):
            values = np.zeros(3)
            p, mean, square = (t[k].numpy() for t in (self.parameters.flat, adam.mean, adam.square))
            moves = self.active is None or bool(self.active[k] > 0)
            step = adam.learning_rate * (1.0 if adam.scale is None else float(adam.scale[k]))
            rates = fused.Rates(step, b1, b2, adam.epsilon, clip, float(adam.weight_decay))
            order, noise = deal.order[k].numpy(), deal.noise[k].numpy()  # type: ignore[index]
            dealt = np.empty(0, np.int64) if deal.dealt is None else deal.dealt[k].numpy()
            failed = fused.train(
                p, mean, square, adam.steps, moves, self.net, objective, rates,
                common, order, rare, dealt, noise, (deal.common, deal.rare), values,
            )  # fmt: skip
            if failed >= 0:
                batch = next(b for i, b in enumerate(deal.batches(background, anomalies)) if i == failed)
                raise self.diagnosis(batch, weights, failed)
            sums[:, k] += torch.from_numpy(values)[: len(self.terms)]
        adam.steps += steps
        return steps


def is_small_vae(model: Any, parameters: MemberParameters, events: int) -> bool:
    """Whether this is a `GaussianVAE` on the CPU that a compiled loop over so many events beats torch on."""
    if type(model) is not GaussianVAE or parameters.flat.device.type != "cpu":
        return False
    nets: tuple[Any, Any] = model.encoder, model.decoder
    known = [name for net in nets for layer in net.layers for name in layer]
    return [name for name, _ in parameters.layout] == known and parameters.flat[0].numel() * events < _FUSED_BELOW


def can_fuse(model: Any, terms: Sequence[Term], parameters: MemberParameters, batch_size: int) -> bool:
    """Whether `fused` trains this model with these terms: a small VAE with squared errors.

    Weight decay and schedules of the learning rate are known to both; any other term goes to torch's operations.
    """
    if not is_small_vae(model, parameters, batch_size):
        return False
    kinds = [type(term) for term in terms]
    if kinds[:2] != [Reconstruction, KL] or kinds[2:] not in ([], [AnomalyPenalty]):
        return False
    normalisation = terms[0].normalisation  # type: ignore[attr-defined]
    plain: list[Any] = [Reconstruction(normalisation=normalisation), KL(normalisation)]
    if terms[2:]:
        penalty: Any = terms[2]
        plain.append(replace(AnomalyPenalty(), penalty=penalty.penalty, clip=penalty.clip, normalisation=normalisation))
    return all(replace(term, weight=ONE) == known_one for term, known_one in zip(terms, plain, strict=True))  # type: ignore[type-var]


def fused_scores(model: Any, parameters: MemberParameters, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """|x - x_hat|^2 (K, n) of rows x (n, d) with z = mu."""
    from hepaa.models.engine import fused

    net = fused.lay_out(model.encoder.sizes, model.decoder.sizes)
    scores = np.zeros((len(parameters), len(x)))
    for k, out in enumerate(scores):
        fused.score(parameters.flat[k].numpy(), net, np.require(x, np.float32, ["C", "W"]), out)
    return scores
