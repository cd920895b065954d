"""What every detector shares: how data come in, how scores, thresholds and labels go out."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, dataclass_transform, get_args

import numpy as np
from sklearn.base import BaseEstimator, clone

from hepaa import html
from hepaa.errors import InputError
from hepaa.io.files import refuse_unwritable
from hepaa.models import saving
from hepaa.models.parameters import between, one_of, seed, typed
from hepaa.table.preprocess import NotFitted, SkewLogStandardize, align, event_weights, matrix, refuse_not_finite
from hepaa.table.streamed import StreamedTable, is_streamed

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from hepaa.models.embedding.encoder import ContrastiveEncoder
    from hepaa.models.engine.streaming import Stream

_PREPROCESSING = ("mean_", "scale_", "skewness_", "log_")
_ENCODER = "ContrastiveEncoder"
_NOT_SAVED = ("callback", "checkpoint", "device", "metrics", "verbose")  # they belong to a session, not to a model

Preprocess = Literal["skewlog", "standard"] | None
NegativeWeights = Literal["signed", "absolute"]
Balance = Literal["groups"] | Mapping[int | str, float] | None


@dataclass(frozen=True)
class Training:
    """What `fit` was given, checked: preprocessed float32 rows, weights of mean 1 or None, groups or None.

    `stratum` is what `balance` draws by, with the `shares` of its values; `spectator` is a column of the background
    that is not trained on, but that the score is to be independent of. With a `stream`, `background` are the rows of
    its first window alone.
    """

    background: NDArray[np.float32]
    weight: NDArray[np.float64] | None
    group: NDArray[np.int64] | None
    anomalies: NDArray[np.float32]
    anomaly_weight: NDArray[np.float64] | None
    anomaly_group: NDArray[np.int64] | None
    stratum: NDArray[np.int64] | None = None
    shares: dict[int, float] | None = None
    spectator: NDArray[np.float32] | None = None
    stream: Stream | None = None


DETECTORS: dict[str, type[Detector]] = {}
"""Every class of detectors that has been imported, by its name: what presets, members and saved files name."""


@dataclass_transform(kw_only_default=True, eq_default=False, field_specifiers=(field,))
class Estimator(BaseEstimator):
    """A scikit-learn estimator whose parameters are the annotated fields of its class and of those above it.

    They make a constructor that takes keywords alone, from whose signature scikit-learn reads `get_params`, `clone` and
    `repr`. What `fit` learns is no field, and is not annotated in a class.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(kw_only=True, eq=False, repr=False)(cls)


class Detector(Estimator):
    """Base of all detectors: a scikit-learn estimator whose scores are higher for more anomalous events.

    `fit` takes an EventTable, a data frame or an (n, d) array. Rows with label 0 are background and the only ones that
    a detector takes as normal; rows with label 1 are labelled anomalies, which detectors that learn from them use and
    others leave out; rows with label -1 (data) are left out. Without labels, every row is background. A table brings
    its own labels, weights and generators (as groups).

    The sign is that of PyOD, not that of scikit-learn's outlier detectors: `decision_function` equals `anomaly_score`,
    `predict` gives 1 for an anomaly and 0 else. Columns are matched by name, in any order, where both sides have names.

    Parameters
    ----------
    preprocess : "skewlog", "standard" or None
        Logarithm of skewed features and standardisation; standardisation alone; neither.
    contamination : float
        Fraction of training background that `predict` calls anomalous.
    encoder : ContrastiveEncoder, path or None
        A pre-trained encoder, fitted, or its .safetensors file, that rows go through first: the detector is one of its
        embedding, which `preprocess` then acts on. Detectors with a network of their own also take the name of one, and
        can fine-tune (`encoder_training` of VAE and NeuralClassifier). The encoder is saved with the detector.
    negative_weights : "signed" or "absolute"
        Train with weights as they are, or with their absolute values, for detectors that cannot take negative ones.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : (d,), if the training data had names
    threshold_ : float
        Score above which `predict` says anomaly: a fraction `contamination` of the training background lies above.
    data_ : dict
        Numbers of training events and the hash of their values.
    """

    uses_labels: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    savable: ClassVar[bool] = False
    takes_negative_weights: ClassVar[bool] = True
    fitted_arrays: ClassVar[tuple[str, ...]] = ()
    """Attributes that hold all that a savable detector has learned, besides what all have."""
    own_encoders: ClassVar[tuple[str, ...]] = ()
    """Networks that can stand in place of a pre-trained encoder."""
    sources: ClassVar[dict[str, str]] = {}
    """Keys of `hepaa/report/sources.bib` by what they are for: "" the class, "NAME VALUE" a parameter that has this
    value, "NAME" one that is neither None nor 0. Classes below it cite them too."""

    preprocess: Preprocess = "skewlog"
    contamination: float = 0.05
    encoder: Any = None
    encoder_ = cast("ContrastiveEncoder | None", None)  # no field: what `fit` makes of the parameter
    negative_weights: NegativeWeights = "signed"

    def _repr_html_(self) -> str:
        """Settings that are not the default, and what was learned, for notebooks."""
        defaults = {f.name: f.default for f in fields(cast("Any", self))}
        settings = {k: v for k, v in self.get_params(deep=False).items() if v != defaults[k]}
        title = f"{type(self).__name__}, {'trained' if hasattr(self, 'threshold_') else 'not trained yet'}"
        parts = [html.table(["parameter", "value"], [(k, repr(v)) for k, v in settings.items()], caption=title)]
        if hasattr(self, "threshold_"):
            rows: list[tuple[str, Any]] = [("background events", self.data_["background"])]
            rows += [("labelled anomalies", self.data_["anomalies"])] if self.uses_labels else []
            losses = getattr(self, "history_", {})
            rows += [("features", self.n_features_in_), ("threshold of the score", self.threshold_)]
            rows += [(f"last loss: {term}", float(values[-1])) for term, values in losses.items()]
            parts.append(html.table(["training", ""], rows))
        return "".join(parts)

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        # scikit-learn's own would win over `_repr_html_`
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def __sklearn_clone__(self) -> Self:
        made: Self = super().__sklearn_clone__()
        made.encoder = self.encoder  # what was given is trained already
        return made

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "threshold_")  # what `fit` learns last

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        if not abstract:
            DETECTORS[cls.__name__] = cls

    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train.

        Parameters
        ----------
        X : EventTable, DataFrame or (n, d) array
            Detectors that are trained by the engine also take a `StreamedTable`, or the path or paths of its parts.
        y : int (n,), optional
            0 background, 1 labelled anomaly, -1 not to be trained on. Default: the table's labels, else all 0.
        sample_weight : (n,), optional
            Default: the table's weights, else 1. Used in preprocessing, in the losses and for the threshold.
        groups : int (n,), optional
            Group of each event. Default: the table's generators.

        Raises
        ------
        InputError
            If a value is NaN or infinite, a feature is constant, a class that is needed is empty, or lengths differ.
        """
        self._check_parameters()
        if is_streamed(X):
            if any(values is not None for values in (y, sample_weight, groups)):
                raise InputError(
                    "a streamed table brings its own labels, weights and generators; leave out y, "
                    "sample_weight and groups"
                )
            return self._fit_stream(X if isinstance(X, StreamedTable) else StreamedTable(X))
        training = self._prepare(X, y, sample_weight, groups)
        self._check_training(training)
        self._fit(training)
        scores = self._score(training.background)
        self.threshold_ = weighted_quantile(scores, 1 - self.contamination, training.weight)
        return self

    def check(self, X: Any = None, **fit: Any) -> None:
        """Raise InputError for what would stop `fit` before its first step: parameters, and events where X is given.

        Parameters
        ----------
        X, **fit
            As for `fit`; a table in memory.
        """
        self._check_parameters()
        if X is not None:
            again: Detector = clone(self)
            again._check_training(again._prepare(X, fit.get("y"), fit.get("sample_weight"), fit.get("groups")))

    def _check_parameters(self) -> None:
        """Raise InputError for parameters of the wrong type or out of range."""
        for parameter in fields(cast("Any", self)):
            typed(parameter.name, getattr(self, parameter.name), str(parameter.type))
        between("contamination", self.contamination, 0, 1, ends="none")
        one_of("negative_weights", self.negative_weights, get_args(NegativeWeights))
        pretrained(self.encoder, self.own_encoders)
        if self.preprocess is not None:
            checked_threshold(self.preprocess)
        if "seed" in self._get_param_names():
            seed("seed", getattr(self, "seed"))  # noqa: B009  (the base has none)

    def _check_training(self, training: Training) -> None:
        """Raise InputError for events that this detector cannot be trained on."""
        if self.needs_labels and not len(training.anomalies):
            raise InputError(
                f"{type(self).__name__} learns from labelled anomalies, but none of the {len(training.background)} "
                "training events has label 1; label some, or take a detector that needs none, such as VAE"
            )
        n_negative = 0 if training.weight is None else int((training.weight < 0).sum())
        if n_negative and not self.takes_negative_weights:
            raise InputError(
                f"{n_negative} of {len(training.background)} background events have negative weights, with which "
                f"{type(self).__name__} cannot be trained; set negative_weights='absolute', or take a detector that "
                "can use them (VAE, Flow)"
            )

    def _fit_stream(self, table: StreamedTable) -> Self:
        raise InputError(
            f"{type(self).__name__} trains on a table in memory; read {table.paths[0]} with EventTable.load"
        )

    @abstractmethod
    def _fit(self, training: Training) -> None:
        """Train on preprocessed rows."""

    @abstractmethod
    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Scores (n,) of preprocessed rows (n, d)."""

    def _prepare(self, X: Any, y: Any, sample_weight: Any, groups: Any) -> Training:
        numbers, names = matrix(X)
        n = len(numbers)
        if hasattr(X, "label") and hasattr(X, "X"):
            y = X.label if y is None else y
            sample_weight = X.weight if sample_weight is None else sample_weight
            groups = X.generator if groups is None else groups
        if n < 2:
            raise InputError(f"n_samples = {n}: training needs at least 2 background events")
        labels = np.zeros(n, np.int64) if y is None else _integers(y, n, "y")
        inlier, rare = labels == 0, labels == 1
        if not inlier.any():
            raise InputError(
                f"none of the {n} training events has label 0: a detector learns from background; "
                "label it 0, or pass the features alone (table.X) to train on all events"
            )
        if inlier.sum() < 2:
            raise InputError(f"n_samples = {int(inlier.sum())}: training needs at least 2 background events")
        taught = rare if self.uses_labels else np.zeros(n, bool)
        refuse_not_finite(numbers[inlier | taught], names)
        w = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if w is not None and w.shape != (n,):
            raise InputError(f"sample_weight has shape {w.shape} for {n} events; give one weight an event")
        if w is not None and self.negative_weights == "absolute":
            w = np.abs(w)
        g = None if groups is None else _integers(groups, n, "groups")
        weight = mean_one(w, inlier)
        spectator = self._spectator(X)
        self._remember(numbers, names, inlier, rare, X)
        self.encoder_ = pretrained(self.encoder, self.own_encoders)
        common = self._embedded(numbers[inlier])
        self.preprocessor_: SkewLogStandardize | None = None
        if self.preprocess is not None:
            names = self._seen_names()
            self.preprocessor_ = SkewLogStandardize(checked_threshold(self.preprocess))
            self.preprocessor_.fit(common if names is None else Named(common, names), None, weight)
        return Training(
            background=self._preprocessed(common),
            weight=weight,
            group=None if g is None else g[inlier],
            anomalies=self._transform(numbers[taught]),
            anomaly_weight=mean_one(w, taught),
            anomaly_group=None if g is None else g[taught],
            spectator=None if spectator is None else spectator[inlier],
        )

    def _spectator(self, X: Any) -> NDArray[np.float32] | None:
        """A column (n,) that the score is to be independent of, where a detector is asked for that."""
        del X
        return None

    def _remember(self, numbers: NDArray[Any], names: tuple[str, ...] | None, inlier: Any, rare: Any, X: Any) -> None:
        self.n_features_in_ = numbers.shape[1]
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        values = np.ascontiguousarray(numbers, dtype=np.float32)
        self.data_: dict[str, Any] = {
            "background": int(inlier.sum()),
            "anomalies": int(rare.sum()) if self.uses_labels else 0,
            "sha256": hashlib.sha256(values.tobytes() + inlier.tobytes() + rare.tobytes()).hexdigest(),
            "sources": [s.sha256 for s in getattr(X, "sources", ())],
        }

    def _encodes_first(self) -> bool:
        """Whether rows go through a pre-trained encoder before all else."""
        return self.encoder_ is not None and getattr(self, "encoder_training", "frozen") == "frozen"

    @property
    def _width(self) -> int:
        """How many columns the model sees."""
        return self.encoder_.width if self.encoder_ is not None and self._encodes_first() else self.n_features_in_

    def _embedded(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Rows of the training's columns as the preprocessing sees them."""
        if self.encoder_ is None or not self._encodes_first():
            return numbers
        names = self._names()
        return self.encoder_.transform(numbers if names is None else Named(numbers, names))

    def _seen_names(self) -> tuple[str, ...] | None:
        """Names of what the preprocessing sees."""
        return None if self._encodes_first() else self._names()

    def _transform(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        return self._preprocessed(self._embedded(numbers))

    def _preprocessed(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        if self.preprocessor_ is None:
            return np.require(numbers, np.float32, ["C", "W"])  # torch wants memory it may write to
        if not len(numbers):
            return np.empty(numbers.shape, np.float32)
        names = self._seen_names()
        return self.preprocessor_.transform(numbers if names is None else Named(numbers, names))

    def _names(self) -> tuple[str, ...] | None:
        return tuple(self.feature_names_in_) if hasattr(self, "feature_names_in_") else None

    def prepared(self, X: Any) -> NDArray[np.float32]:
        """Rows as the model sees them: columns in the order of training, preprocessed, float32 (n, d).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If a column is missing or a value is NaN or infinite.
        """
        if not hasattr(self, "n_features_in_") or not hasattr(self, "threshold_"):
            raise NotFitted(f"this {type(self).__name__} is not fitted yet: call fit first")
        numbers, names = matrix(X)
        numbers = align(numbers, names, self._names(), self.n_features_in_, type(self).__name__)
        refuse_not_finite(numbers, self._names())
        return self._transform(numbers)

    def anomaly_score(self, X: Any) -> NDArray[np.float64]:
        """Score of each event, float64 (n,): higher is more anomalous.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If a column is missing or a value is NaN or infinite.
        """
        if not is_streamed(X):
            x = self.prepared(X)
            return self._score(x) if len(x) else np.empty(0)
        table = X if isinstance(X, StreamedTable) else StreamedTable(X)
        parts = [self._score(self.prepared(Named(chunk.X, table.columns))) for chunk in table.chunks()]
        return np.concatenate([np.empty(0), *parts])

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """The same as `anomaly_score`: PyOD's name and sign."""
        return self.anomaly_score(X)

    def predict(self, X: Any) -> NDArray[np.int64]:
        """1 for events whose score is above `threshold_`, 0 for others (PyOD's convention), (n,)."""
        return (self.anomaly_score(X) > self.threshold_).astype(np.int64)

    def fit_predict(self, X: Any, y: ArrayLike | None = None, **fit: Any) -> NDArray[np.int64]:
        """`fit`, then `predict` on the same events."""
        return self.fit(X, y, **fit).predict(X)

    def save(self, path: str | Path) -> None:
        """Write the fitted detector: arrays as safetensors to `path`, all else as JSON beside it (suffix .json).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If `path` does not end in .safetensors, or the state of this detector is no set of arrays: hepaa writes no
            pickles.
        """
        self.check_output(path)
        saving.save(self, path)

    def check_output(self, path: str | Path) -> None:
        """Raise InputError where `save` could not write `path` after a training."""
        if not self.savable:
            raise InputError(
                f"{type(self).__name__} cannot be saved to {path}: it has no format but pickle, which hepaa neither "
                "writes nor reads; keep its parameters and training table and fit it again"
            )
        for part in saving.pair(path):
            refuse_unwritable(part)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> Self:
        """The fitted detector from the two parts of its file; see `hepaa.models.saving`."""
        made = cls(**record["parameters"])
        made.n_features_in_ = record["n_features"]
        if record["feature_names"] is not None:
            made.feature_names_in_ = np.array(record["feature_names"], dtype=object)
        made.encoder_ = pretrained(made.encoder, cls.own_encoders)
        made.preprocessor_ = None
        if made.preprocess is not None:
            made.preprocessor_ = fitted = SkewLogStandardize(checked_threshold(made.preprocess))
            fitted.n_features_in_, names = made._width, made._seen_names()
            if names is not None:
                fitted.feature_names_in_ = np.array(names, dtype=object)
            for name in _PREPROCESSING:
                setattr(fitted, name, arrays[f"preprocess.{name}"])
        made.data_, made.threshold_ = record["data"], record["threshold"]
        made._restore(arrays, record)
        return made

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays of the file: what `fit` has learned, and the preprocessing."""
        fitted = self.preprocessor_
        names = _PREPROCESSING if fitted is not None else ()
        encoder = {} if self.encoder_ is None else self.encoder_.to_arrays()
        return (
            self._arrays()
            | {f"preprocess.{name}": np.asarray(getattr(fitted, name)) for name in names}
            | {f"encoder.{name}": values for name, values in encoder.items()}
        )

    def to_record(self) -> dict[str, Any]:
        """All else that is in the file, as JSON."""
        names = self._names()
        record = {
            "parameters": {k: v for k, v in self.get_params(deep=False).items() if k not in _NOT_SAVED},
            "feature_names": None if names is None else list(names),
            "n_features": self.n_features_in_,
            "width": self._width,
            "threshold": self.threshold_,
            **self._record(),
            "data": self.data_,
        }
        if self.encoder_ is not None:
            record["encoder"] = self.encoder_.to_record()
            record["parameters"].pop("encoder")
        return record

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What `fit` has learned, as arrays."""
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.fitted_arrays}

    def _record(self) -> dict[str, Any]:
        """What else it has learned, as JSON."""
        return {}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        """Become what `_arrays` and `_record` describe; parameters and preprocessing are there already."""
        del record
        for name in self.fitted_arrays:
            setattr(self, name, arrays[name])


class Named:
    """A matrix (n, d) with the names of its columns."""

    def __init__(self, X: NDArray[Any], columns: tuple[str, ...]) -> None:
        self.X, self.columns = X, columns


def pretrained(value: Any, kinds: Sequence[str] = ()) -> ContrastiveEncoder | None:
    """The fitted encoder that a parameter `encoder` stands for; None for None, and for a network of the `kinds`.

    Raises
    ------
    InputError
        If it is none of these, is not fitted, or its file cannot be read.
    """
    if value is None or (isinstance(value, str) and value in kinds):
        return None
    cls: Any = DETECTORS[_ENCODER]
    if isinstance(value, str) and kinds and not value.endswith(".safetensors"):
        one_of("encoder", value, kinds)
    if isinstance(value, str | Path):
        value = saving.load(value, {_ENCODER: cls})
    if not isinstance(value, cls):
        raise InputError(f"encoder is {value!r}; give a fitted {_ENCODER} or its .safetensors file")
    if not value.__sklearn_is_fitted__():
        raise InputError(f"the {_ENCODER} given as encoder is not fitted yet: call its fit first")
    return cast("ContrastiveEncoder", value)


def checked_threshold(preprocess: str) -> float | None:
    """Skewness above which features are logged, for the parameter `preprocess`."""
    if preprocess not in ("skewlog", "standard"):
        raise InputError(f"preprocess is {preprocess!r}; it must be 'skewlog', 'standard' or None")
    return 1.0 if preprocess == "skewlog" else None


def _integers(values: Any, n: int, what: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.shape == (n, 1):
        array = array[:, 0]
    if array.shape != (n,):
        raise InputError(f"{what} has shape {array.shape} for {n} events; give one number an event")
    try:
        whole = array.astype(np.int64)
        same = np.array_equal(whole, array.astype(np.float64))
    except (TypeError, ValueError):
        same = False
    if not same:
        raise InputError(f"{what} must be whole numbers, one an event; it holds {array[:3].tolist()} ...")
    return whole


def mean_one(w: NDArray[np.float64] | None, rows: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Weights of `rows`, scaled to mean 1; None if all are equal."""
    n = int(rows.sum())
    if w is None or not n:
        return None
    checked = event_weights(w[rows], n)
    return None if checked is None else checked * (n / checked.sum())


def weighted_quantile(values: NDArray[np.float64], q: float, weight: NDArray[np.float64] | None) -> float:
    """Smallest value such that at least a fraction q of the weight lies at or below it; values (n,), weight (n,).

    Negative weights count with their sign; the first crossing is taken.
    """
    if weight is None:
        return float(np.quantile(values, q, method="inverted_cdf"))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    crossing = np.flatnonzero(below >= q * below[-1] * (1 - 1e-12))
    return float(values[order[crossing[0]]])
