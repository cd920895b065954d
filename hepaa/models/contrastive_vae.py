"""VAE whose latent space is ordered by generators or by views: enriched background (BEAD)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models.choices import between, one_of, whole
from hepaa.models.contrastive import NTXent, SupCon
from hepaa.models.networks import GaussianVAE
from hepaa.models.posteriors import Planar, divergence
from hepaa.models.schedules import Fixed, Linear, schedule
from hepaa.models.terms import KL, ErrorKind, Reconstruction
from hepaa.models.training import Stage
from hepaa.models.vae import VAE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from hepaa.models.estimator import Preprocess, Training
    from hepaa.models.onnx_export import Graph
    from hepaa.models.schedules import Schedule
    from hepaa.models.terms import Term

Contrastive = Literal["supcon", "ntxent"]
Posterior = Literal["gaussian", "planar"]
_CONTRASTIVE: tuple[Contrastive, ...] = ("supcon", "ntxent")
_POSTERIORS: tuple[Posterior, ...] = ("gaussian", "planar")


class ContrastiveNet:
    """A GaussianVAE with a flow on its posterior and two noisy views of each event, where asked.

    Outputs are those of `GaussianVAE`, and in training `view_a`, `view_b` (..., B, latent): the latent means of
    x + view_noise * N(0, 1). With a flow, `kl` is log q(z|x) - log p(z) at the sample, a one-sample estimate of the KL.
    """

    def __init__(
        self, d: int, hidden: Sequence[int], latent: int, planar: Planar | None, view_noise: float | None
    ) -> None:
        self.vae = GaussianVAE(d, hidden, latent)
        self.d, self.latent, self.planar, self.view_noise = d, latent, planar, view_noise
        self.noise = latent + (2 * d if view_noise is not None else 0)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.vae.init(generator) | (self.planar.init(generator) if self.planar else {})

    def reconstruct(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x_hat (..., B, d) from the end point of the flow that starts at mu."""
        if self.planar is None:
            return self.vae.reconstruct(p, x)
        return self.vae.decoder(p, self.planar(p, self.vae.encoder(p, x)[..., : self.latent])[0])

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        eps = None if noise is None else noise[..., : self.latent]
        if self.planar is None:
            out = self.vae(p, x, eps)
        else:
            mu, logvar = torch.split(self.vae.encoder(p, x), self.latent, -1)
            start = mu if eps is None else torch.addcmul(mu, torch.exp(0.5 * logvar), eps)
            z, log_det = self.planar(p, start)
            out = {"mu": mu, "logvar": logvar, "z": z, "x_hat": self.vae.decoder(p, z)}
            out["kl"] = divergence(start, mu, logvar, z, log_det)
        if self.view_noise is not None and noise is not None:
            smear = noise[..., self.latent :] * self.view_noise
            both = torch.cat([x + smear[..., : self.d], x + smear[..., self.d :]], dim=-2)
            means = self.vae.encoder(p, both)[..., : self.latent]
            out["view_a"], out["view_b"] = torch.split(means, x.shape[-2], -2)
        return out


class ContrastiveVAE(VAE):
    """VAE with a contrastive term on the latent means, after BEAD's enriched backgrounds.

    Loss: E(x) + beta KL + contrastive_weight * C. C is SupCon with the events of the same generator as positives, so
    that every generator gets a cluster of its own, or NT-Xent between two smeared views of each event. Score: E(x) with
    z = mu; `hepaa.scores` has the latent ones, such as the distance from the nearest generator cluster.

    Parameters
    ----------
    contrastive : "supcon" or "ntxent"
        "supcon" needs groups: `fit(X, groups=g)`, or a table with two generators or more.
    contrastive_weight : float
    temperature : float
        T of both losses.
    anneal_epochs : int or None
        The contrastive weight rises linearly from 0 over so many epochs; None: it is there from the start.
    view_noise : float
        Standard deviation of the smearing of the views of "ntxent", in preprocessed units.
    posterior : "gaussian" or "planar"
        "planar" sends the Gaussian sample through planar flows.
    flow_steps : int
        How many.

    The other parameters and the attributes are those of `VAE`; "contrastive" joins `history_`.
    """

    def __init__(
        self,
        *,
        contrastive: Contrastive = "supcon",
        contrastive_weight: float = 1.0,
        temperature: float = 0.1,
        anneal_epochs: int | None = None,
        view_noise: float = 0.1,
        posterior: Posterior = "gaussian",
        flow_steps: int = 4,
        hidden: tuple[int, ...] = (16,),
        latent: int = 2,
        beta: float = 1.0,
        reconstruction: ErrorKind = "mse",
        epochs: int = 50,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        seed: int = 0,
        seeds: int = 1,
        preprocess: Preprocess = "skewlog",
        contamination: float = 0.05,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        gradient_clip: float | None = None,
        weighted_loss: bool = True,
        device: str | None = None,
        verbose: bool = False,
        callback: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        super().__init__(
            hidden=hidden,
            latent=latent,
            beta=beta,
            reconstruction=reconstruction,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
            seeds=seeds,
            preprocess=preprocess,
            contamination=contamination,
            validation_fraction=validation_fraction,
            patience=patience,
            gradient_clip=gradient_clip,
            weighted_loss=weighted_loss,
            device=device,
            verbose=verbose,
            callback=callback,
        )
        self.contrastive = contrastive
        self.contrastive_weight = contrastive_weight
        self.temperature = temperature
        self.anneal_epochs = anneal_epochs
        self.view_noise = view_noise
        self.posterior = posterior
        self.flow_steps = flow_steps

    def _fit(self, training: Training) -> None:
        one_of("contrastive", self.contrastive, _CONTRASTIVE)
        one_of("posterior", self.posterior, _POSTERIORS)
        whole("flow_steps", self.flow_steps)
        between("view_noise", self.view_noise, 0, ends="high")
        between("contrastive_weight", self.contrastive_weight, 0)
        between("temperature", self.temperature, 0.03)
        if self.anneal_epochs is not None:
            whole("anneal_epochs", self.anneal_epochs)
        if self.contrastive == "supcon":
            groups = np.zeros(0, np.int64) if training.group is None else training.group
            names, numbers = np.unique(groups, return_inverse=True)
            if len(names) < 2:
                raise InputError(
                    "contrastive='supcon' needs background of two groups (generators) or more, and there is "
                    f"{'one' if len(names) else 'none'}; pass groups, or take contrastive='ntxent'"
                )
            training = replace(training, group=numbers)
        else:
            training = replace(training, group=None)
        super()._fit(training)

    def _model(self, d: int) -> ContrastiveNet:
        planar = Planar(self.latent, self.flow_steps) if self.posterior == "planar" else None
        return ContrastiveNet(
            d, self.hidden, self.latent, planar, self.view_noise if self.contrastive == "ntxent" else None
        )

    def _onnx_score(self, graph: Graph, x: str) -> str:
        if self.posterior != "gaussian":
            raise InputError(f"a ContrastiveVAE with a {self.posterior} posterior has no ONNX form; save it instead")
        return super()._onnx_score(graph, x)

    def _stages(self) -> list[Stage]:
        w = self.contrastive_weight
        ramp: Schedule = Fixed(w) if self.anneal_epochs is None else Linear(0.0, w, self.anneal_epochs)
        contrast: Term = (SupCon if self.contrastive == "supcon" else NTXent)(self.temperature, ramp)
        return [Stage(self.epochs, (Reconstruction(self.reconstruction), KL(weight=schedule(self.beta)), contrast))]
