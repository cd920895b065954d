"""Spline flow of features given a mass: for many features, where a mixture of Gaussians runs out of events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from hepaa.models.density.conditional import ConditionalDensity
from hepaa.models.density.flow import Flow, FlowNet
from hepaa.models.engine.device import threads_for
from hepaa.models.nets.zuko_flows import call_with, zuko_flow
from hepaa.models.parameters import between, whole, widths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, NDArray
    from torch import Tensor

    from hepaa.models.density.conditional import Array
    from hepaa.models.engine.training import TrainableModel

_ROWS = 8192  # that go through the flow at once


class _Given(torch.nn.Module):
    """A flow of all columns but the last, given the last, as a module's forward: its parameters can be exchanged."""

    def __init__(self, flow: Any, result: Literal["log density", "latent", "sample"]) -> None:
        super().__init__()
        self.flow, self.result = flow, result

    def forward(self, x: Tensor) -> Tensor:
        """log p (B,), or the other end of the flow (B, d), for rows (B, d + 1)."""
        rows, distribution = x[:, :-1], self.flow(x[:, -1:])
        if self.result == "log density":
            return torch.as_tensor(distribution.log_prob(rows))
        transform = distribution.transform if self.result == "latent" else distribution.transform.inv
        return torch.as_tensor(transform(rows))


class _Net(FlowNet):
    """A spline flow given the last column, as a function of its parameters."""

    def __init__(self, d: int, transforms: int, hidden: tuple[int, ...], bins: int) -> None:
        flow = zuko_flow(d, bins, context=1, transforms=transforms, hidden_features=hidden)
        self.module = _Given(flow, "log density").requires_grad_(False)
        self.ends = {end: _Given(flow, end) for end in ("latent", "sample")}


class _ResidualFlow(Flow, abstract=True):
    """The flow as the engine trains it: the last column is the mass, and its score is -log p(r | t)."""

    def _model(self, d: int) -> TrainableModel:
        return _Net(d - 1, self.transforms, tuple(self.hidden), self.bins)


class ConditionalFlow(ConditionalDensity):
    """Autoregressive rational-quadratic splines (Durkan et al., arXiv:1906.04032) for the residuals, given the mass.

    `latent` is the flow's Gaussian space, in which features no longer depend on the mass (LaCATHODE, arXiv:2210.14924).

    Parameters
    ----------
    transforms : int
        How many one after the other.
    hidden : tuple of int
        Widths of each transform's hidden layers.
    bins : int
        Of a spline.
    epochs, batch_size : int
    learning_rate : float
        Of Adam.
    validation_fraction : float
        Events held out of training; the flow of the epoch that suits them best is kept.

    The other parameters and the attributes are those of `ConditionalDensity`.

    Attributes
    ----------
    history_ : mapping of loss term -> list, one value an epoch
    """

    transforms: int = 3
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 8
    epochs: int = 15
    batch_size: int = 2048
    learning_rate: float = 5e-3
    validation_fraction: float = 0.1

    def _fit(self, r: Array, t: Array, weight: Array | None) -> None:
        for name in ("transforms", "epochs", "batch_size"):
            whole(name, getattr(self, name))
        whole("bins", self.bins, 2)
        widths("hidden", self.hidden)
        between("learning_rate", self.learning_rate, 0, ends="high")
        between("validation_fraction", self.validation_fraction, 0, 1, ends="none")
        self.flow_ = self._flow().fit(np.column_stack([r, t]), sample_weight=weight)
        self.history_ = self.flow_.history_

    def _flow(self) -> _ResidualFlow:
        names = ("transforms", "hidden", "bins", "epochs", "batch_size", "learning_rate", "validation_fraction", "seed")
        own: dict[str, Any] = {name: getattr(self, name) for name in names}
        return _ResidualFlow(preprocess=None, measure="preprocessed", patience=3, **own)

    def _log_density(self, r: Array, t: Array) -> Array:
        return -self.flow_._score(np.column_stack([r, t]).astype(np.float32))

    def _sample(self, t: Array, rng: np.random.Generator) -> Array:
        d = self.flow_.n_features_in_ - 1
        return self._through("sample", rng.standard_normal((len(t), d)), t)

    def latent(self, X: ArrayLike, mass: ArrayLike) -> Array:
        """Where the flow takes events: standard normal (n, d) at every mass; X (n, d), mass (n,)."""
        x, m = self._checked(X, mass)
        return self._through("latent", self.residuals_(x, m)[0], (m - self.residuals_.centre) / self.residuals_.width)

    def _through(self, end: str, rows: Array, t: Array) -> Array:
        """The flow in one direction, in float64: a spline that is steep loses digits on its way back."""
        net: Any = self.flow_.model_
        parameters = {name: p.double() for name, p in self.flow_.parameters_.frozen().items()}
        data = torch.from_numpy(np.column_stack([rows, t])).to(self.flow_.parameters_.flat.device)
        with torch.no_grad(), threads_for(0):
            parts = [call_with(net.ends[end], parameters, part).cpu().numpy() for part in torch.split(data, _ROWS)]
        return np.concatenate([np.empty((0, rows.shape[1])), *parts])

    def to_record(self) -> dict[str, Any]:
        """All else that is in the file, as JSON."""
        return super().to_record() | {"history": self.history_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> Self:
        """The fitted density from the two parts of its file."""
        made = super().from_arrays(arrays, record)
        made.history_ = record["history"]
        return made

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self.flow_._arrays()

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.flow_ = self._flow()
        self.flow_.n_features_in_, self.flow_.preprocessor_ = self.n_features_in_ + 1, None
        self.flow_._restore(arrays, {"history": {}, "stage_starts": [0]})
