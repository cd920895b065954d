"""Normalising flow: a density of the background, whose improbable events are the anomalous ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch

from hepaa.models.density.units import MEASURES, Measure, log_volume, traced_log_volume
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.engine.training import Stage
from hepaa.models.losses.schedules import ONE
from hepaa.models.nets.zuko_flows import call_with, zuko_flow
from hepaa.models.parameters import one_of, whole, widths

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.engine.training import TrainableModel
    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import TrainingBatch

Kind = Literal["spline", "maf"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


class _LogDensity(torch.nn.Module):
    """log p(x) of a zuko flow as a module's forward, so that its parameters can be exchanged for a call."""

    def __init__(self, flow: torch.nn.Module) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor) -> Tensor:
        """log p (B,) of x (B, d)."""
        density: Tensor = self.flow().log_prob(x)
        return density


class FlowNet:
    """A zuko flow as a function of its parameters. Outputs: `log_density` (..., B)."""

    noise = 0

    def __init__(self, d: int, kind: Kind, transforms: int, hidden: tuple[int, ...], bins: int) -> None:
        flow = zuko_flow(d, bins if kind == "spline" else None, transforms=transforms, hidden_features=hidden)
        self.module: torch.nn.Module = _LogDensity(flow).requires_grad_(False)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member, uniform in +-1/sqrt(inputs of the layer), torch's default for linear layers.

        Those of a flow of one feature, which depends on no other, are no layer: +-1.
        """
        parameters = {}
        for prefix, module in self.module.named_modules():
            for name, tensor in module.named_parameters(prefix, recurse=False):
                bound = module.in_features**-0.5 if isinstance(module, torch.nn.Linear) else 1.0
                parameters[name] = torch.empty_like(tensor).uniform_(-bound, bound, generator=generator)
        return parameters

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        del noise
        return {"log_density": call_with(self.module, p, x)}


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """Mean of -log p(x) over the background of a batch."""

    weight: Schedule = ONE
    name: str = "nll"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        rows, count = batch.background("per-class")
        return -batch.average(out["log_density"][..., rows], rows, count)


class Flow(NeuralDetector):
    """Normalising flow on the features; score: -log p(x), by default per unit of the features as given.

    Parameters
    ----------
    kind : "spline" or "maf"
        Autoregressive rational-quadratic splines (Durkan et al., arXiv:1906.04032) or affine maps (MAF, Papamakarios
        et al., arXiv:1705.07057).
    transforms : int
        How many one after the other.
    hidden : tuple of int
        Widths of each transform's hidden layers.
    bins : int
        Of a spline.
    measure : "features" or "preprocessed"
        Units of the density: those of the features as given, so that it does not depend on `preprocess`, or those of
        the preprocessed features, which the flow is trained on; see `hepaa.models.density.units.log_volume`.

    The other parameters and the attributes are those of `NeuralDetector`; early stopping is on by default
    (`validation_fraction`, `patience`), for a density overfits where an autoencoder does not.
    """

    sources: ClassVar[dict[str, str]] = {"kind spline": "Durkan2019", "kind maf": "Papamakarios2017"}

    kind: Kind = "spline"
    transforms: int = 3
    hidden: tuple[int, ...] = (64, 64)
    bins: int = 8
    measure: Measure = "features"
    batch_size: int = 512
    validation_fraction: float = 0.1
    patience: int | None = 5
    gradient_clip: float | None = 5.0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("kind", self.kind, _KINDS)
        one_of("measure", self.measure, MEASURES)
        whole("transforms", self.transforms)
        whole("bins", self.bins, 2)
        widths("hidden", self.hidden)

    def _model(self, d: int) -> TrainableModel:
        return FlowNet(d, self.kind, self.transforms, tuple(self.hidden), self.bins)

    def _stages(self) -> list[Stage]:
        return [Stage(self.epochs, (NegativeLogLikelihood(),))]

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        del x
        return -out["log_density"]

    def member_scores(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """-log p (members, n) of rows that are preprocessed already (see `prepared`)."""
        return super().member_scores(x) + log_volume(self.preprocessor_, x, self.measure)

    def _traced_score(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        score = super()._traced_score(p, x).double()
        return score + traced_log_volume(self.preprocessor_, x, self.measure)
