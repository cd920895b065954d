"""The variational autoencoder, with a choice of encoder, posterior, prior and reconstruction error."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from hepaa.errors import InputError, nearest
from hepaa.models.engine.device import generator
from hepaa.models.engine.fused_steps import fused_scores, is_small_vae
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.engine.training import Stage, pieces
from hepaa.models.losses.disco import DisCo
from hepaa.models.losses.reconstruction import ERRORS, PARTICLE_ERRORS, ErrorKind, EventError
from hepaa.models.losses.schedules import Fixed, Linear
from hepaa.models.losses.terms import KL, CapacityKL, Normalisation, Ramp, Reconstruction
from hepaa.models.nets.encoders import ENCODERS, PARTICLE_ENCODERS, EncoderKind, jets_of
from hepaa.models.nets.latent import LatentNet
from hepaa.models.nets.mlp import GaussianVAE
from hepaa.models.nets.posteriors import POSTERIORS, PosteriorKind, posterior_flow
from hepaa.models.nets.pretrained import encoding
from hepaa.models.nets.priors import PRIORS, PriorKind, prior_of
from hepaa.models.parameters import between, one_of, whole, widths
from hepaa.models.vae.scoring import OneScore, ScoreKind, Scoring, check_events, check_score, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.base import Training
    from hepaa.models.embedding.encoder import ContrastiveEncoder
    from hepaa.models.losses.terms import Term
    from hepaa.models.nets.pretrained import EncoderTraining


class VAE(NeuralDetector):
    """Variational autoencoder; an event is as anomalous as it is badly reconstructed, unless asked otherwise.

    Loss: E(x) + beta KL, with E the reconstruction error summed over features (Kingma and Welling, arXiv:1312.6114).
    Network: d - hidden - (mu, log variance) - reversed hidden - d, ReLU between. Score: E(x) with z = mu, or, with a
    flow, with z its image of mu; see `scored_by` for others.

    Parameters
    ----------
    hidden : tuple of int
        Widths of the encoder's hidden layers.
    latent : int
        Dimensions of the latent space.
    beta : float
        Weight of the KL term.
    beta_epochs : int or None
        beta rises linearly from 0 over so many epochs (a warm-up, against a latent space that is not used); None: it is
        there from the start.
    capacity : float or None
        The loss has beta |KL - C| in place of beta KL, C rising linearly from 0 to `capacity` [nats] over the epochs;
        `history_["kl"]` is then |KL - C| (arXiv:1804.03599).
    reconstruction : "mse", "mae", "huber", "bce", "gaussian", "pt-weighted" or "emd"
        E(x); see `hepaa.models.losses.reconstruction.EventError`. "bce" is for features in [0, 1], such as images, with
        preprocess=None, "gaussian" learns the variance of every feature, the last two are for particles.
    posterior : one of `hepaa.models.nets.posteriors.POSTERIORS`
        "gaussian", or the flow that the Gaussian sample goes through: "planar", "sylvester-orthogonal",
        "sylvester-householder", "sylvester-triangular", "conv", "iaf", "maf", "spline".
    flow_steps, flow_context : int
        Steps of the flow; how many numbers the encoder gives to it, 0 for a flow that is the same for all events.
    prior : "standard", "mixture", "vamp" or "dirichlet"
        N(0, 1); learned Gaussians; the posteriors of learned pseudo-inputs; Dirichlet, whose latent space is a simplex
        (see `hepaa.models.nets.priors`).
    components : int
        Of the two learned priors.
    concentration : float
        alpha of the Dirichlet: below 1 events gather at the corners.
    encoder : "mlp", "deepsets", "transformer" or "conv"
        The second and third take jets (feature sets "constituents-..."), in any order of the particles of a jet, the
        last square images; all three with preprocess=None. See `hepaa.models.nets.encoders` for what `hidden` is there.
        Or a pre-trained ContrastiveEncoder, or its file.
    encoder_training : "frozen" or "fine-tune"
        Of a pre-trained encoder. "frozen": the VAE is one of its embedding. "fine-tune": the VAE's encoder starts from
        its weights and is trained on, with an affine layer behind it, and the decoder makes the particles again.
    particles : int or None
        Particles of a jet: the columns are jets x particles x (share of pT, delta eta, delta phi), share 0 for padding.
    decorrelate : str or None
        Column of the training table, such as "mjj", that the score is to be independent of in background.
    disco_weight : float
        Weight of the penalty for it; see `hepaa.models.losses.disco.DisCo`.
    scored_by : "reconstruction", or another of `hepaa.models.vae.scoring.SCORES`
        What the anomaly score is (`score` of a run card); all are higher for more anomalous events and averaged over
        members. "kl": the divergence of the posterior from the prior; "elbo": E + beta KL; "importance": an estimate of
        -log p(x) from 50 samples (`hepaa.scores.importance_weighted`); "flow": minus the log-density that the flow of
        the posterior, on top of the prior, gives to mu. "mahalanobis", "euclidean", "cosine": distance of mu from the
        nearest cluster of training background, one cluster for each group (generator). "rank", "fisher": the mean share
        of training background that scores lower, or the sum of -log of the shares that score higher, over `combined`.
    combined : list of scores
        What "rank" and "fisher" combine.

    The other parameters and the attributes are those of `hepaa.models.engine.neural.NeuralDetector`.
    """

    sources: ClassVar[dict[str, str]] = {
        "": "Kingma2013",
        "capacity": "Burgess2018",
        "reconstruction gaussian": "Rybkin2020",
        "reconstruction emd": "Komiske2019 Feydy2018",
        "posterior planar": "Rezende2015",
        "posterior sylvester-orthogonal": "vandenBerg2018",
        "posterior sylvester-householder": "vandenBerg2018",
        "posterior sylvester-triangular": "vandenBerg2018",
        "posterior iaf": "Kingma2016",
        "posterior maf": "Papamakarios2017",
        "posterior spline": "Durkan2019",
        "prior vamp": "Tomczak2017",
        "prior dirichlet": "Srivastava2017",
        "encoder deepsets": "Komiske2018",
        "decorrelate": "Kasieczka2020",
    }

    own_encoders: ClassVar[tuple[str, ...]] = ENCODERS

    hidden: tuple[int, ...] = (16,)
    latent: int = 2
    beta: float = 1.0
    beta_epochs: int | None = None
    capacity: float | None = None
    reconstruction: ErrorKind = "mse"
    posterior: PosteriorKind = "gaussian"
    flow_steps: int = 4
    flow_context: int = 0
    prior: PriorKind = "standard"
    components: int = 10
    concentration: float = 1.0
    encoder: EncoderKind | ContrastiveEncoder | str | Path = "mlp"
    encoder_training: EncoderTraining = "frozen"
    particles: int | None = None
    decorrelate: str | None = None
    disco_weight: float = 10.0
    scored_by: ScoreKind = "reconstruction"
    combined: Sequence[OneScore] = ("reconstruction", "kl", "mahalanobis")

    def _model(self, d: int) -> LatentNet:
        plain = (self.posterior, self.prior, self._network()) == ("gaussian", "standard", "mlp")
        if plain and self.reconstruction != "gaussian":
            return GaussianVAE(d, self.hidden, self.latent)
        return self._latent_net(d)

    def _latent_net(self, d: int) -> LatentNet:
        """The model in its general form, with the same parameters."""
        context = 0 if self.posterior == "gaussian" else self.flow_context
        both = encoding(self._network(), d, self.hidden, self.latent, 2 * self.latent + context, self.particles)
        unit = self.reconstruction == "bce"
        return LatentNet(
            *both,
            self.latent,
            posterior=posterior_flow(self.posterior, self.latent, self.flow_steps, context),
            context=context,
            prior=prior_of(self.prior, self.latent, d, self.components, self.concentration, unit=unit),
            variances=d if self.reconstruction == "gaussian" else 0,
        )

    def _error(self) -> EventError:
        of_jets = self.reconstruction in PARTICLE_ERRORS
        return EventError(self.reconstruction, (self.particles or 0) if of_jets else 0)

    def _reconstruction(self, normalisation: Normalisation = "per-class") -> Reconstruction:
        return Reconstruction(self._error(), normalisation)

    def _kl(self, normalisation: Normalisation = "per-class", *, grown: bool = False) -> Term:
        """The KL term; `grown`: beta and capacity have reached their ends."""
        if self.capacity is None:
            warm = grown or self.beta_epochs is None
            return KL(normalisation, Fixed(self.beta) if warm else Linear(0.0, self.beta, self.beta_epochs or 1))
        start = self.capacity if grown else 0.0
        return CapacityKL(Ramp(self.beta, Linear(start, self.capacity, self.epochs)), normalisation)

    def _stages(self) -> list[Stage]:
        return [Stage(self.epochs, (self._reconstruction(), self._kl(), *self._penalties()))]

    def _penalties(self) -> tuple[Term, ...]:
        """Terms of all stages that are not there by default."""
        if self.decorrelate is None:
            return ()
        return (DisCo(self._error(), Fixed(self.disco_weight)),)

    def _spectator(self, X: Any) -> NDArray[np.float32] | None:
        if self.decorrelate is None:
            return None
        if not hasattr(X, "columns"):
            raise InputError(f"decorrelate={self.decorrelate!r} names a column: train on an EventTable or a data frame")
        if not hasattr(X, "spectators") and self.decorrelate not in X.columns:
            raise InputError(f"decorrelate: no column {self.decorrelate!r}; {nearest(self.decorrelate, X.columns)}")
        values = np.asarray(X[self.decorrelate], dtype=np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"decorrelate: column {self.decorrelate!r} holds NaN or infinite values")
        return values

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("reconstruction", self.reconstruction, ERRORS)
        one_of("posterior", self.posterior, POSTERIORS)
        one_of("prior", self.prior, PRIORS)
        self._check_encoder(self.encoder_training)
        check_score(self.scored_by, self.combined, self.posterior)
        whole("latent", self.latent, 2 if self.prior == "dirichlet" else 1)
        whole("flow_steps", self.flow_steps)
        whole("flow_context", self.flow_context, 0)
        whole("components", self.components)
        widths("hidden", self.hidden)
        between("beta", self.beta, 0)
        between("disco_weight", self.disco_weight, 0)
        between("concentration", self.concentration, 0, ends="none")
        if self.beta_epochs is not None:
            whole("beta_epochs", self.beta_epochs)
        if self.capacity is not None:
            between("capacity", self.capacity, 0)
            if self.beta_epochs is not None:
                raise InputError("beta_epochs and capacity are two ways to begin without a KL term; take one of them")
        if self.particles is not None:
            whole("particles", self.particles)
        if (self._of_particles or self.encoder == "conv") and self.preprocess is not None:
            what = f"encoder={self.encoder!r}" if self.encoder != "mlp" else f"reconstruction={self.reconstruction!r}"
            raise InputError(f"{what} takes jets or images as they are: set preprocess=None")
        if self._of_particles and self.prior == "vamp":
            raise InputError("prior='vamp' has no pseudo-inputs that are jets; take prior='mixture'")

    @property
    def _of_particles(self) -> bool:
        """Whether the features have to be particles of jets."""
        return self.encoder in PARTICLE_ENCODERS or self.reconstruction in PARTICLE_ERRORS

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        check_events(parts_of(self.scored_by, self.combined), training, self.latent)
        if self.decorrelate is not None and training.stream is not None:
            raise InputError("decorrelate needs a table in memory; read the parts with EventTable.load")
        if self._of_particles:
            jets_of(training.background.shape[1], self.particles)
        if self.reconstruction == "bce":
            for x in (training.background, training.anomalies):
                if len(x) and not (x.min() >= 0 and x.max() <= 1):
                    raise InputError(
                        f"reconstruction 'bce' needs features in [0, 1]; these reach from {x.min():g} to {x.max():g}: "
                        "scale them and set preprocess=None, or take reconstruction='mse'"
                    )

    def _fit(self, training: Training) -> None:
        super()._fit(training)
        self.scoring_ = Scoring(self.scored_by, self.combined).fit(self, training)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return super()._arrays() | self.scoring_.arrays()

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        super()._restore(arrays, record)
        self.scoring_ = Scoring(self.scored_by, self.combined).restore(arrays)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.reconstruction_errors(x) if self.scored_by == "reconstruction" else self.scoring_(self, x)

    def reconstruction_errors(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """E(x) of each of the preprocessed rows (n,), members averaged."""
        return super()._score(x)

    def to_onnx(self, path: str | Path) -> None:
        """Write the fitted detector as ONNX; see `NeuralDetector.to_onnx`.

        Raises
        ------
        NotFittedError, InputError
            As there, and for a score other than the reconstruction error.
        """
        if self.scored_by != "reconstruction":
            raise InputError(f"scored_by={self.scored_by!r} has no ONNX form; save the detector and score with hepaa")
        super().to_onnx(path)

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        return self._error()(x, out)

    def member_scores(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (members, n) of rows that are preprocessed already (see `prepared`)."""
        if self.reconstruction == "mse" and is_small_vae(self.model_, self.parameters_, 512):
            return fused_scores(self.model_, self.parameters_, x)
        return super().member_scores(x)

    def _piece_score(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        net = cast("LatentNet", self.model_)
        out = {"x_hat": net.reconstruct(p, x)}
        if self.reconstruction == "gaussian":
            out["x_logvar"] = p["decoder.logvar"]
        return self._event_score(x, out)

    def _averaged(self, out: Mapping[str, NDArray[np.float32]], function: Callable[..., Tensor]) -> NDArray[np.float64]:
        """function(x, outputs) of `outputs`, in float64, averaged over members."""
        tensors = {name: torch.from_numpy(values.astype(np.float64)) for name, values in out.items()}
        if "x_logvar" in tensors:
            tensors["x_logvar"] = tensors["x_logvar"][:, :1]  # there once for every piece of events
        x = tensors["x"].expand(len(out["x_hat"]), -1, -1)
        return np.asarray(function(x, tensors).mean(0).numpy())

    def event_errors(self, out: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """E(x) of each event (n,) from the `outputs` of events, members averaged."""
        return self._averaged(out, self._error())

    def feature_errors(self, out: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Share of every feature in E(x) (n, d) from the `outputs` of events, members averaged.

        Raises
        ------
        InputError
            If the error is the energy mover's distance.
        """
        if self.reconstruction == "emd":
            raise InputError("the energy mover's distance compares whole jets: a feature has no share in it")
        return self._averaged(out, self._error().features)

    def importance_weighted(self, X: Any, samples: int, seed: int) -> NDArray[np.float64]:
        """See `hepaa.scores.importance_weighted`."""
        whole("samples", samples)
        return self.importance_of(self.prepared(X), samples, seed)

    @torch.no_grad()
    def importance_of(self, x: NDArray[np.float32], samples: int, seed: int) -> NDArray[np.float64]:
        """The same of rows that are preprocessed already."""
        data = torch.from_numpy(x).to(self.parameters_.flat.device)
        noise = torch.randn(samples, self.latent, generator=generator(seed, "importance")).to(data.device)
        net, error, frozen = self._latent_net(self._width), self._error(), self.parameters_.frozen()
        parts = []
        for piece in pieces(self.parameters_, data):
            each = []
            for eps in noise:
                out, ratio = net.sample(frozen, piece, eps.expand(*piece.shape[:-1], -1))
                each.append((-error(piece, out) - ratio).double())
            weight = torch.logsumexp(torch.stack(each), dim=0) - log(samples)
            parts.append(-weight.reshape(self.seeds, -1).cpu().numpy())
        return np.asarray(np.concatenate(parts, axis=1).mean(axis=0))
