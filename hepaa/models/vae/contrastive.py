"""VAE whose latent space is ordered by generators or by views: enriched background (BEAD)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models.losses.contrastive import NTXent, SupCon
from hepaa.models.losses.schedules import Fixed, Linear
from hepaa.models.nets.latent import LatentNet
from hepaa.models.parameters import between, one_of, whole
from hepaa.models.vae.vae import VAE
from hepaa.models.vae.views import VIEWS, ViewKind, view_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.base import Training
    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import Term
    from hepaa.models.vae.views import View

Contrastive = Literal["supcon", "ntxent"]
_CONTRASTIVE: tuple[Contrastive, ...] = get_args(Contrastive)


class ContrastiveNet(LatentNet):
    """An autoencoder that in training also gives the latent means of two random views of each event.

    Outputs are those of the autoencoder, and with noise `view_a`, `view_b` (..., B, latent).
    """

    def __init__(self, net: LatentNet, view: View) -> None:
        super().__init__(net.encoder, net.decoder, net.latent, net.posterior, net.context, net.prior, net.variances)
        self.view = view
        self.noise = net.noise + 2 * view.noise

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        if noise is None:
            return super().__call__(p, x)
        own, first, second = noise.tensor_split((self.latent, self.latent + self.view.noise), dim=-1)
        out = super().__call__(p, x, own)
        views = torch.cat([self.view(x, first), self.view(x, second)], dim=-2)
        out["view_a"], out["view_b"] = self.means(p, views).chunk(2, dim=-2)
        return out


class ContrastiveVAE(VAE):
    """VAE with a contrastive term on the latent means, after BEAD's enriched backgrounds.

    Loss: E(x) + beta KL + contrastive_weight * C. C is SupCon with the events of the same generator as positives, so
    that every generator gets a cluster of its own, or NT-Xent between two random views of each event. Score: E(x) with
    z = mu, or `scored_by` a latent one, such as the distance from the nearest generator cluster.

    Parameters
    ----------
    contrastive : "supcon" or "ntxent"
        "supcon" needs groups: `fit(X, groups=g)`, or a table with two generators or more.
    contrastive_weight : float
    temperature : float
        T of both losses.
    anneal_epochs : int or None
        The contrastive weight rises linearly from 0 over so many epochs; None: it is there from the start.
    views : "noise" or "physical"
        Views of "ntxent": normal noise on the preprocessed features, or another orientation and smeared momenta: of the
        particles of jets where `particles` is given, and else of the columns that are momenta (`views.py`).
    view_noise : float
        Standard deviation of the noise, in preprocessed units; the relative smearing of momenta for "physical".

    The other parameters and the attributes are those of `VAE`; "contrastive" joins `history_`.
    """

    sources: ClassVar[dict[str, str]] = {
        "": "BEAD",
        "contrastive supcon": "Khosla2020",
        "contrastive ntxent": "Chen2020",
    }

    batch_size: int = 512
    contrastive: Contrastive = "supcon"
    contrastive_weight: float = 1.0
    temperature: float = 0.1
    anneal_epochs: int | None = None
    views: ViewKind = "noise"
    view_noise: float = 0.1

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("contrastive", self.contrastive, _CONTRASTIVE)
        one_of("views", self.views, VIEWS)
        between("view_noise", self.view_noise, 0, ends="high")
        between("contrastive_weight", self.contrastive_weight, 0)
        between("temperature", self.temperature, 0.03)
        if self.anneal_epochs is not None:
            whole("anneal_epochs", self.anneal_epochs)

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        groups = 0 if training.group is None else len(np.unique(training.group))
        if self.contrastive == "supcon" and groups < 2:
            raise InputError(
                "contrastive='supcon' needs background of two groups (generators) or more, and there is "
                f"{'one' if groups else 'none'}; pass groups, or take contrastive='ntxent'"
            )

    def _fit(self, training: Training) -> None:
        group = training.group
        super()._fit(replace(training, group=None if group is None else np.unique(group, return_inverse=True)[1]))

    def _model(self, d: int) -> LatentNet:
        net = super()._model(d)
        if self.contrastive == "supcon":
            return net
        view = view_of(self.views, d, self.particles, self._names(), self.preprocessor_, self.view_noise)
        return ContrastiveNet(net, view)

    def _penalties(self) -> tuple[Term, ...]:
        w = self.contrastive_weight
        ramp: Schedule = Fixed(w) if self.anneal_epochs is None else Linear(0.0, w, self.anneal_epochs)
        contrast: Term = (SupCon if self.contrastive == "supcon" else NTXent)(self.temperature, ramp)
        return contrast, *super()._penalties()
