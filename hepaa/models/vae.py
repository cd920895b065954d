"""The variational autoencoder and its Anomaly-Aware form (arXiv:2504.11520)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from hepaa.errors import InputError
from hepaa.models.choices import between, one_of, whole, widths
from hepaa.models.networks import GaussianVAE
from hepaa.models.neural import NeuralDetector
from hepaa.models.schedules import Linear, schedule
from hepaa.models.terms import (
    ERRORS,
    KL,
    NORMALISATIONS,
    PENALTIES,
    AnomalyPenalty,
    ErrorKind,
    Normalisation,
    Penalty,
    Reconstruction,
    reconstruction_error,
)
from hepaa.models.training import Model, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from hepaa.models.estimator import Preprocess, Training
    from hepaa.models.onnx_export import Graph


class Autoencoder(Model, Protocol):
    """A model that can give the reconstruction alone."""

    def reconstruct(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x_hat (..., B, d) for x (..., B, d), without noise."""
        ...


class VAE(NeuralDetector):
    """Variational autoencoder; an event is as anomalous as it is badly reconstructed.

    Loss: E(x) + beta KL, with E the reconstruction error summed over features (Kingma and Welling, arXiv:1312.6114).
    Network: d - hidden - (mu, log variance) - reversed hidden - d, ReLU between. Score: E(x) with z = mu.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers.
    latent : int
        Dimensions of the latent space.
    beta : float
        Weight of the KL term.
    reconstruction : "mse", "huber" or "bce"
        E(x); "bce" is for features in [0, 1], such as images, with preprocess=None.
    epochs : int

    The other parameters and the attributes are those of `hepaa.models.neural.NeuralDetector`.
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (16,),
        latent: int = 2,
        beta: float = 1.0,
        reconstruction: ErrorKind = "mse",
        epochs: int = 50,
        batch_size: int = 128,
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
        self.hidden = hidden
        self.latent = latent
        self.beta = beta
        self.reconstruction = reconstruction
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.seeds = seeds
        self.preprocess = preprocess
        self.contamination = contamination
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.gradient_clip = gradient_clip
        self.weighted_loss = weighted_loss
        self.device = device
        self.verbose = verbose
        self.callback = callback

    model_: Autoencoder

    def _model(self, d: int) -> Autoencoder:
        return GaussianVAE(d, self.hidden, self.latent)

    def _stages(self) -> list[Stage]:
        return [Stage(self.epochs, (Reconstruction(self.reconstruction), KL(weight=schedule(self.beta))))]

    def _fit(self, training: Training) -> None:
        one_of("reconstruction", self.reconstruction, ERRORS)
        whole("epochs", self.epochs)
        whole("latent", self.latent)
        widths("hidden", self.hidden)
        between("beta", self.beta, 0)
        if self.reconstruction == "bce":
            for x in (training.background, training.anomalies):
                if len(x) and not (x.min() >= 0 and x.max() <= 1):
                    raise InputError(
                        f"reconstruction 'bce' needs features in [0, 1]; these reach from {x.min():g} to {x.max():g}: "
                        "scale them and set preprocess=None, or take reconstruction='mse'"
                    )
        super()._fit(training)

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        return reconstruction_error(self.reconstruction, x, out["x_hat"])

    def _piece_score(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self._event_score(x, {"x_hat": self.model_.reconstruct(p, x)})

    def _onnx_score(self, graph: Graph, x: str) -> str:
        net = GaussianVAE(self.n_features_in_, self.hidden, self.latent)
        x_hat = graph.mlp(net.decoder, graph.first(graph.mlp(net.encoder, x), self.latent))
        if self.reconstruction == "bce":  # softplus(x_hat) - x x_hat
            softplus = graph.add("Softplus", x_hat)
            return graph.sum_last(graph.add("Sub", softplus, graph.add("Mul", x, x_hat)))
        off = graph.add("Sub", x, x_hat)
        square = graph.add("Mul", off, off)
        if self.reconstruction == "huber":
            size = graph.add("Abs", off)
            line = graph.add("Sub", graph.add("Mul", size, graph.constant(2.0)), graph.constant(1.0))
            square = graph.add("Where", graph.add("Less", size, graph.constant(1.0)), square, line)
        return graph.sum_last(square)


class AnomalyAwareVAE(VAE):
    """VAE that is fine-tuned to reconstruct labelled anomalies badly (Anomaly Awareness, arXiv:2504.11520).

    First `epochs` epochs on background alone, as VAE. Then `finetune_epochs` epochs in which a fraction
    `anomaly_fraction` of every batch are labelled anomalies, which the objective

        mean over background of (E + beta KL)  -  lambda * mean over anomalies of penalty(E)

    rewards for a large error; lambda rises linearly from 0 to `lambda_max`. Adam starts afresh.

    Parameters
    ----------
    lambda_max : float
    finetune_epochs : int
        Background passes of the fine-tuning.
    anomaly_fraction : float
    penalty : "clip", "hinge" or "log"
        See `hepaa.models.terms.penalty`; "clip" is the published one.
    clip : float or None
        Error beyond which an anomaly earns no more; None is no bound.
    normalisation : "per-class", "batch" or "literal"
        What the sums are divided by, which the source does not say. "per-class": as above. "batch": one mean over the
        batch, to which an anomaly adds -lambda penalty(E). "literal": the same, and it adds E + beta KL too.

    The other parameters are those of `VAE`. `fit` takes labelled anomalies as rows with label 1.
    """

    uses_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (16,),
        latent: int = 2,
        beta: float = 1.0,
        reconstruction: ErrorKind = "mse",
        epochs: int = 50,
        lambda_max: float = 1.0,
        finetune_epochs: int = 10,
        anomaly_fraction: float = 0.1,
        penalty: Penalty = "clip",
        clip: float | None = 200.0,
        normalisation: Normalisation = "per-class",
        batch_size: int = 128,
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
        self.lambda_max = lambda_max
        self.finetune_epochs = finetune_epochs
        self.anomaly_fraction = anomaly_fraction
        self.penalty = penalty
        self.clip = clip
        self.normalisation = normalisation

    def _fit(self, training: Training) -> None:
        one_of("penalty", self.penalty, PENALTIES)
        one_of("normalisation", self.normalisation, NORMALISATIONS)
        whole("finetune_epochs", self.finetune_epochs)
        whole("batch_size", self.batch_size, 2)
        between("lambda_max", self.lambda_max, 0)
        between("anomaly_fraction", self.anomaly_fraction, 0, 1, ends="none")
        if self.clip is not None:
            between("clip", self.clip, 0, ends="high")
        super()._fit(training)

    def _stages(self) -> list[Stage]:
        objective = (
            Reconstruction(self.reconstruction, self.normalisation),
            KL(self.normalisation, schedule(self.beta)),
            AnomalyPenalty(
                self.reconstruction,
                self.penalty,
                self.clip,
                self.normalisation,
                Linear(0.0, self.lambda_max, self.finetune_epochs),
            ),
        )
        finetune = Stage(self.finetune_epochs, objective, anomaly_fraction=self.anomaly_fraction, watch=False)
        return [*super()._stages(), finetune]
