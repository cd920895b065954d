"""Detectors that are trained by the one loop: what they share, from building the model to saving it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hepaa.errors import InputError, nearest
from hepaa.models import onnx
from hepaa.models.base import Detector, Training, checked_threshold, mean_one, pretrained, weighted_quantile
from hepaa.models.engine.batches import shares_of
from hepaa.models.engine.device import pick_device, threads_for
from hepaa.models.engine.metrics import MetricsFile
from hepaa.models.engine.optimiser import MemberParameters
from hepaa.models.engine.parallel import own_device
from hepaa.models.engine.streaming import Stream, Survey, pick
from hepaa.models.engine.training import Pool, Settings, Trainer, outputs, pieces
from hepaa.models.nets.pretrained import TRAININGS
from hepaa.models.parameters import one_of, whole
from hepaa.models.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Self

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.base import Balance
    from hepaa.models.engine.rates import Schedule
    from hepaa.models.engine.training import Callback, Stage, TrainableModel
    from hepaa.models.nets.pretrained import EncoderTraining
    from hepaa.table.streamed import StreamedTable


class NeuralDetector(Detector, abstract=True):
    """A detector whose model is trained by `hepaa.models.engine.training`.

    A subclass says which model (`_model`), which objective (`_stages`), and what the score of the model's outputs is
    (`_event_score`); numbers that its `_fit` learns besides are named in `fitted_numbers`, so that they are saved.
    Under torchrun the processes train one model together, and the first one writes files; see `engine/parallel.py`.
    Parameters that all of them have:

    Parameters
    ----------
    epochs, batch_size : int
    learning_rate : float
        Of Adam.
    weight_decay : float
        Decoupled from the gradient, which makes AdamW of Adam (arXiv:1711.05101).
    schedule : "plateau", "cosine" or None
        Of the learning rate in each stage: halved when the validation loss, or without one the training loss, has not
        fallen for five epochs; half a cosine to 0; or constant. See `hepaa.models.engine.rates`.
    seed : int
        Source of start values, order of events and noise. The same seed gives the same scores on the same machine.
    seeds : int
        How many models to train at once, with seeds seed, seed + 1, ...; the score is their mean.
    validation_fraction : float
        Background held out of training; its loss is `history_["validation"]`.
    patience : int or None
        Stop when the validation loss has not fallen for so many epochs, and take the best weights.
    gradient_clip : float or None
        Largest norm of a member's gradient.
    balance : "groups", mapping of group -> share, or None
        Draw so many events of each group (generator) in every batch: the same number, or in proportion to the shares.
        An epoch has as many events as the background, in that composition; a rare group is dealt out again. Weights
        then count within a group, with a mean of 1. Keys are numbers of groups, or names of a table's generators.
    weighted_loss : bool
        Events count in the loss with their weights; otherwise weights act on preprocessing and threshold alone.
    device : str or None
        Default: $HEPAA_DEVICE, else cuda, else mps, else cpu.
    verbose : bool
        Report epochs on standard error.
    callback : callable or None
        Called with (epoch, losses) after every epoch.
    metrics : path or None
        The same as lines of JSON; see `hepaa.models.engine.metrics.MetricsFile`.
    checkpoint : path or None
        A .safetensors file that is written after every epoch. If it is there already, and of the same training, `fit`
        goes on from it, to the result of a training without a break; delete it to start anew.
    amp : bool
        Matrix products in bfloat16, on cuda alone.

    Attributes
    ----------
    history_ : mapping of loss term -> list, one value an epoch
        Mean over the epoch and the members; "total" is the weighted sum. A term of the fine-tuning alone is 0 before.
    stage_starts_ : list of int
        First epoch of each stage of the training.
    """

    savable: ClassVar[bool] = True
    fitted_numbers: ClassVar[tuple[str, ...]] = ()
    scores_in_float64: ClassVar[bool] = False
    """Then rounded: where the threshold is the score of an event, and no event's may depend on those beside it."""

    epochs: int = 50
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = None
    seed: int = 0
    seeds: int = 1
    validation_fraction: float = 0.0
    patience: int | None = None
    gradient_clip: float | None = None
    balance: Balance = None
    weighted_loss: bool = True
    device: str | None = None
    verbose: bool = False
    callback: Callable[[int, Mapping[str, float]], None] | None = None
    metrics: str | Path | None = None
    checkpoint: str | Path | None = None
    amp: bool = False

    @property
    def finetune_from(self) -> int | None:
        """First epoch of the fine-tuning in `history_`; None for a detector without one."""
        return self.stage_starts_[1] if len(self.stage_starts_) > 1 else None

    @abstractmethod
    def _model(self, d: int) -> TrainableModel:
        """The model for d features."""

    def _check_encoder(self, training: EncoderTraining) -> None:
        """Raise InputError for an encoder that cannot be a part of the network, where it is to be fine-tuned."""
        one_of("encoder_training", training, TRAININGS)
        if training == "frozen":
            return
        encoder = pretrained(self.encoder, self.own_encoders)
        if encoder is None:
            raise InputError(f"encoder_training='fine-tune' needs a pre-trained encoder; encoder is {self.encoder!r}")
        if encoder.seeds > 1:
            raise InputError(f"an encoder of {encoder.seeds} members cannot be fine-tuned; pre-train it with seeds=1")
        if self.preprocess is not None or encoder.preprocess is not None:
            raise InputError(
                "an encoder is fine-tuned on rows as they are: set preprocess=None here and in its training"
            )

    def _network(self) -> Any:
        """The kind of network that encodes, or the pre-trained encoder that is to be fine-tuned."""
        if self._encodes_first():
            return "mlp"
        return self.encoder if self.encoder_ is None else self.encoder_

    @abstractmethod
    def _stages(self) -> list[Stage]:
        """Epochs and objectives, in order."""

    @abstractmethod
    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """Score of each event (..., B) from preprocessed x (..., B, d) and the model's outputs."""

    def _prepare(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Training:
        training = super()._prepare(X, y, sample_weight, groups)
        if self.balance is None:
            return training
        group = training.group
        wanted: Any = self.balance
        if not isinstance(wanted, str):
            names = list(getattr(X, "generators", ()) if groups is None else ())
            for key in wanted:
                if isinstance(key, str) and key not in names:
                    raise InputError(f"balance has a share for {key!r}; {nearest(key, names)}")
            wanted = {names.index(k) if isinstance(k, str) else int(k): v for k, v in wanted.items()}
        shares = shares_of(wanted, None if group is None else torch.from_numpy(group))
        return replace(training, stratum=group, shares=shares)

    def _fit_stream(self, table: StreamedTable) -> Self:
        """`fit` on a table in parts: one pass for statistics, then one an epoch."""
        if self.negative_weights == "absolute":
            raise InputError("negative_weights='absolute' needs a table in memory; read the parts with EventTable.load")
        if pretrained(self.encoder, self.own_encoders) is not None:
            raise InputError("a pre-trained encoder needs a table in memory; read the parts with EventTable.load")
        if self.balance is not None:
            raise InputError("balance needs a table in memory; mix the generators into the parts, and set balance=None")
        survey = Survey.of(table, keep_anomalies=self.uses_labels, preprocess=self.preprocess is not None)
        if self.needs_labels and not survey.anomalies:
            raise InputError(f"{type(self).__name__} learns from labelled anomalies, but no event has label 1")
        self.n_features_in_, self.feature_names_in_ = len(table.columns), np.array(table.columns, dtype=object)
        self.data_ = {
            "background": survey.background,
            "anomalies": survey.anomalies if self.uses_labels else 0,
            "sha256": survey.sha256,
            "sources": table.sources,
        }
        self.preprocessor_ = self.encoder_ = None
        if self.preprocess is not None:
            self.preprocessor_ = survey.preprocessor(checked_threshold(self.preprocess))
        fraction = self.validation_fraction
        stream = Stream(
            survey, self._transform, validation_fraction=fraction, seed=self.seed, weighted=self.weighted_loss
        )
        rare = survey.rare
        anomalies = np.concatenate([np.empty((0, self.n_features_in_), np.float32), *(c.X for c in rare)])
        weight = np.concatenate([np.empty(0), *(c.weight for c in rare)])
        first = stream.first
        training = Training(
            background=first.x.numpy(),
            weight=None if first.weight is None else first.weight.double().numpy(),
            group=None if first.group is None else first.group.numpy(),
            anomalies=self._transform(anomalies),
            anomaly_weight=mean_one(weight, np.ones(len(weight), bool)),
            anomaly_group=np.concatenate([np.empty(0, np.int64), *(c.generator for c in rare)]),
            stream=stream,
        )
        self._check_training(training)
        self._fit(training)
        scores, weights = [], []
        for chunk in table.chunks():
            background = pick(chunk, chunk.label == 0)
            if len(background):
                scores.append(self._score(self._transform(background.X)))
                weights.append(background.weight)
        weight_of_all = None if survey.equal_weights else np.concatenate(weights)
        self.threshold_ = weighted_quantile(np.concatenate(scores), 1 - self.contamination, weight_of_all)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        whole("epochs", self.epochs)
        whole("seeds", self.seeds)
        self._settings(None, None)

    def _fit(self, training: Training) -> None:
        stream = training.stream
        if stream is not None and not np.shares_memory(training.background, stream.first.x.numpy()):
            raise InputError(f"{type(self).__name__} works on the whole background: give it a table in memory")
        metrics = None if self.metrics is None else MetricsFile(self.metrics)
        callbacks = [c for c in (self.callback, metrics if is_first() else None) if c is not None]

        def report(epoch: int, losses: Mapping[str, float]) -> None:
            for callback in callbacks:
                callback(epoch, losses)

        settings = self._settings(report, training.shares)
        device = own_device(pick_device(self.device))
        background, anomalies = self._pools(training, device)
        if stream is not None:
            background = stream.to(device).validation
        stages = self._stages()
        self.model_: TrainableModel = self._model(training.background.shape[1])
        seeds = range(self.seed, self.seed + self.seeds)
        trainer = Trainer(self.model_, background, seeds, settings, anomalies, stream)
        trainer.run(stages)
        self.history_ = trainer.history
        self.stage_starts_ = trainer.stage_starts
        self.parameters_ = trainer.parameters.copy()

    def _settings(self, callback: Callback | None, shares: dict[int, float] | None) -> Settings:
        """This detector's parameters of the training loop, with a callback and the shares of `balance`."""
        names = {f.name for f in fields(Settings)} - {"callback", "balance", "fused"}
        return Settings(**{name: getattr(self, name) for name in names}, callback=callback, balance=shares)

    def _pools(self, t: Training, device: torch.device) -> tuple[Pool, Pool | None]:
        """Both classes on the device; where one has weights, so has the other."""
        weights = (t.weight, t.anomaly_weight) if self.weighted_loss else (None, None)
        weighted = any(w is not None for w in weights)

        def pool(x: Any, weight: Any, group: Any, stratum: Any = None, spectator: Any = None) -> Pool:
            w = (np.ones(len(x)) if weight is None else weight) if weighted else None
            if w is not None and stratum is not None:
                w = _mean_one_in_each(w, stratum)
            return Pool(
                x=torch.from_numpy(x).to(device),
                weight=None if w is None else torch.from_numpy(w.astype(np.float32)).to(device),
                group=None if group is None else torch.from_numpy(group).to(device),
                stratum=None if stratum is None else torch.from_numpy(stratum),
                spectator=None if spectator is None else torch.from_numpy(spectator).to(device),
            )

        rare = pool(t.anomalies, weights[1], t.anomaly_group) if len(t.anomalies) else None
        return pool(t.background, weights[0], t.group, t.stratum, t.spectator), rare

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(self.member_scores(x).mean(axis=0))

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
        if not self.scores_in_float64:
            return self._event_score(x, self.model_(p, x))
        precise = x.double()
        return self._event_score(precise, self.model_({name: t.double() for name, t in p.items()}, precise)).float()

    def outputs(self, X: Any) -> dict[str, NDArray[np.float32]]:
        """All outputs of the model, by name, of shape (members, n, ...), and "x": the preprocessed rows (n, d).

        Raises
        ------
        NotFittedError, InputError
            As `anomaly_score`.
        """
        return self.outputs_of(self.prepared(X))

    def outputs_of(self, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """The same of rows that are preprocessed already."""
        data = torch.from_numpy(x).to(self.parameters_.flat.device)
        with threads_for(self.parameters_.flat.numel() * 128.0):
            parts = list(outputs(self.model_, self.parameters_, data))
        return {name: torch.cat([p[name] for p in parts], dim=1).cpu().numpy() for name in parts[0]} | {"x": x}

    def to_onnx(self, path: str | Path) -> None:
        """Write the fitted detector as ONNX: raw features in, score out; see `hepaa.models.onnx.export`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If the package onnx is missing, or this detector has no ONNX form.
        """
        onnx.export(self, path)

    def _traced_score(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Score (n,) of preprocessed x (n, d) with one member's parameters, in operations that ONNX knows."""
        return self._event_score(x, self.model_(p, x)) if self.scores_in_float64 else self._piece_score(p, x)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {"parameters": self.parameters_.flat.detach().cpu().numpy()}

    def _record(self) -> dict[str, Any]:
        return {
            "layout": [[name, list(shape)] for name, shape in self.parameters_.layout],
            "seeds": list(range(self.seed, self.seed + self.seeds)),
            "numbers": {name: float(getattr(self, name)) for name in self.fitted_numbers},
            "history": self.history_,
            "stage_starts": self.stage_starts_,
        }

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        flat = arrays["parameters"]
        self.history_, self.stage_starts_ = record["history"], record["stage_starts"]
        for name in self.fitted_numbers:
            setattr(self, name, record["numbers"][name])
        self.model_ = self._model(self._width)
        layout = self.model_.init(torch.Generator().manual_seed(0))
        expected = sum(t.numel() for t in layout.values())
        if flat.shape != (self.seeds, expected):
            raise InputError(f"parameters have shape {flat.shape}, this model needs {(self.seeds, expected)}")
        device = pick_device(self.device)
        shapes = [(name, tuple(t.shape)) for name, t in layout.items()]
        self.parameters_ = MemberParameters(torch.from_numpy(flat.copy()).to(device), shapes)


def _mean_one_in_each(w: NDArray[np.float64], stratum: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights (n,) scaled to a mean of 1 in each stratum."""
    _, kind = np.unique(stratum, return_inverse=True)
    sums = np.bincount(kind, w)
    if sums.min() <= 0:
        raise InputError("balance: the weights of a group do not have a positive sum; leave the group out")
    return np.asarray(w * (np.bincount(kind) / sums)[kind])
