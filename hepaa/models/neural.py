"""Detectors that are trained by the one loop: what they share, from building the model to saving it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models import onnx_export, serialise
from hepaa.models.choices import whole
from hepaa.models.device import pick_device, threads_for
from hepaa.models.estimator import Detector
from hepaa.models.training import Pool, Settings, Trainer, outputs, pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.estimator import Training
    from hepaa.models.optimiser import Parameters
    from hepaa.models.training import Model, Stage


class NeuralDetector(Detector):
    """A detector whose model is trained by `hepaa.models.training`.

    A subclass says which model (`_model`), which objective (`_stages`), and what the score of the model's outputs is
    (`_event_score`); numbers that its `_fit` learns besides are named in `fitted_numbers`, so that they are saved.
    Parameters that all of them have:

    Parameters
    ----------
    batch_size : int
    learning_rate : float
        Of Adam.
    seed : int
        Source of start values, order of events and noise. The same seed gives the same scores on the same machine.
    seeds : int
        How many models to train at once, with seeds seed, seed + 1, ...; the score is their mean.
    preprocess : "skewlog", "standard" or None
        Logarithm of skewed features and standardisation; standardisation alone; neither.
    contamination : float
        Fraction of training background that `predict` calls anomalous.
    validation_fraction : float
        Background held out of training; its loss is `history_["validation"]`.
    patience : int or None
        Stop when the validation loss has not fallen for so many epochs, and take the best weights.
    gradient_clip : float or None
        Largest norm of a member's gradient.
    weighted_loss : bool
        Events count in the loss with their weights; otherwise weights act on preprocessing and threshold alone.
    device : str or None
        Default: $HEPAA_DEVICE, else cuda, else mps, else cpu.
    verbose : bool
        Report epochs on standard error.
    callback : callable or None
        Called with (epoch, losses) after every epoch.

    Attributes
    ----------
    history_ : mapping of loss term -> list, one value an epoch
        Mean over the epoch and the members; "total" is the weighted sum. A term of the fine-tuning alone is 0 before.
    stage_starts_ : list of int
        First epoch of each stage of the training.
    """

    batch_size: int
    learning_rate: float
    seed: int
    seeds: int
    validation_fraction: float
    patience: int | None
    gradient_clip: float | None
    weighted_loss: bool
    device: str | None
    verbose: bool
    callback: Callable[[int, Mapping[str, float]], None] | None

    fitted_numbers: ClassVar[tuple[str, ...]] = ()
    history_: dict[str, list[float]]
    stage_starts_: list[int]
    parameters_: Parameters

    @property
    def finetune_from(self) -> int | None:
        """First epoch of the fine-tuning in `history_`; None for a detector without one."""
        return self.stage_starts_[1] if len(self.stage_starts_) > 1 else None

    @abstractmethod
    def _model(self, d: int) -> Model:
        """The model for d features."""

    @abstractmethod
    def _stages(self) -> list[Stage]:
        """Epochs and objectives, in order."""

    @abstractmethod
    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """Score of each event (..., B) from preprocessed x (..., B, d) and the model's outputs."""

    def _fit(self, training: Training) -> None:
        whole("seeds", self.seeds)
        whole("seed", self.seed, 0)
        stages = self._stages()
        settings = Settings(
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            gradient_clip=self.gradient_clip,
            validation_fraction=self.validation_fraction,
            patience=self.patience,
            verbose=self.verbose,
            callback=self.callback,
        )
        device = pick_device(self.device)
        background, anomalies = self._pools(training, device)
        self.model_: Model = self._model(self.n_features_in_)
        seeds = range(self.seed, self.seed + self.seeds)
        trainer = Trainer(self.model_, background, seeds, settings, anomalies)
        trainer.run(stages)
        self.history_ = trainer.history
        self.stage_starts_ = trainer.stage_starts
        self.parameters_ = trainer.parameters.copy()

    def _pools(self, t: Training, device: torch.device) -> tuple[Pool, Pool | None]:
        """Both classes on the device; where one has weights, so has the other."""
        weights = (t.weight, t.anomaly_weight) if self.weighted_loss else (None, None)
        weighted = any(w is not None for w in weights)

        def pool(x: Any, weight: Any, group: Any) -> Pool:
            w = (np.ones(len(x)) if weight is None else weight) if weighted else None
            return Pool(
                x=torch.from_numpy(x).to(device),
                weight=None if w is None else torch.from_numpy(w.astype(np.float32)).to(device),
                group=None if group is None else torch.from_numpy(group).to(device),
            )

        rare = pool(t.anomalies, weights[1], t.anomaly_group) if len(t.anomalies) else None
        return pool(t.background, weights[0], t.group), rare

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self.member_scores(x).mean(axis=0)
        return mean

    def member_scores(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (members, n) of rows that are preprocessed already (see `prepared`)."""
        data = torch.from_numpy(x).to(self.parameters_.flat.device)
        parts = []
        with torch.no_grad(), threads_for(self.parameters_.flat.numel() * 128.0):
            frozen = self.parameters_.frozen()
            for piece in pieces(self.parameters_, data):
                scores = self._piece_score(frozen, piece)
                parts.append(scores.reshape(self.seeds, -1).cpu().numpy())
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def _piece_score(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Score (..., B) of x (..., B, d); a subclass may leave out outputs that the score does not need."""
        return self._event_score(x, self.model_(p, x))

    def outputs(self, X: Any) -> dict[str, NDArray[np.float32]]:
        """All outputs of the model, by name, of shape (members, n, ...), and "x": the preprocessed rows (n, d).

        Raises
        ------
        NotFittedError, InputError
            As `anomaly_score`.
        """
        x = self.prepared(X)
        data = torch.from_numpy(x).to(self.parameters_.flat.device)
        with threads_for(self.parameters_.flat.numel() * 128.0):
            parts = list(outputs(self.model_, self.parameters_, data))
        return {name: torch.cat([p[name] for p in parts], dim=1).cpu().numpy() for name in parts[0]} | {"x": x}

    def save(self, path: str | Path) -> None:
        """Write the fitted detector: arrays as safetensors to `path`, all else as JSON beside it (suffix .json).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If `path` does not end in .safetensors.
        """
        serialise.save(self, path)

    def to_onnx(self, path: str | Path) -> None:
        """Write the fitted detector as ONNX: raw features in, score out; see `hepaa.models.onnx_export.export`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If the package onnx is missing, or this detector has no ONNX form.
        """
        onnx_export.export(self, path)

    def _onnx_score(self, graph: onnx_export.Graph, x: str) -> str:
        """Name of the score (members, n) in a graph, from the name of preprocessed features (n, d)."""
        del graph, x
        raise InputError(f"{type(self).__name__} has no ONNX form; save it and score with hepaa")

    def _restore(self, flat: NDArray[np.float32]) -> None:
        """Take parameters (members, P) as saved."""
        self.model_ = self._model(self.n_features_in_)
        layout = self.model_.init(torch.Generator().manual_seed(0))
        expected = sum(t.numel() for t in layout.values())
        if flat.shape != (self.seeds, expected):
            raise InputError(f"parameters have shape {flat.shape}, this model needs {(self.seeds, expected)}")
        device = pick_device(self.device)
        from hepaa.models.optimiser import Parameters

        shapes = [(name, tuple(t.shape)) for name, t in layout.items()]
        self.parameters_ = Parameters(torch.from_numpy(flat.copy()).to(device), shapes)
