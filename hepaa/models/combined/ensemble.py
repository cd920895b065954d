"""Several detectors as one: the mean of their scores, or the combination of how rare each of them calls an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from sklearn.base import clone

from hepaa.errors import InputError
from hepaa.models.base import Detector, pretrained
from hepaa.models.parameters import between, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import NDArray

    from hepaa.models.base import Training

    Array = NDArray[np.float64]

Method = Literal["score", "fisher", "max"]
_METHODS: tuple[Method, ...] = get_args(Method)
_TAIL = 0.01


class Rarity:
    """-log of the share of background that scores higher, continued smoothly beyond the background.

    Linear interpolation of the empirical distribution; above the score that a hundredth of the background exceeds, an
    exponential with the mean excess there (the generalised Pareto tail of shape 0), so that the order of the most
    anomalous events is kept.

    Parameters
    ----------
    scores : (n,)
        Of background.
    weight : (n,), optional
        Negative weights count as 0.
    """

    def __init__(self, scores: Array, weight: Array | None = None) -> None:
        order = np.argsort(scores, kind="stable")
        s = scores[order]
        w = np.ones(len(s)) if weight is None else np.maximum(weight[order], 0.0)
        below = (np.cumsum(w) - 0.5 * w) / w.sum()
        self.tail_ = float(np.interp(1 - _TAIL, below, s))
        above = s > self.tail_
        excess = float(np.average(s[above] - self.tail_, weights=w[above])) if w[above].sum() > 0 else 0.0
        self.excess_ = max(excess, 1e-9 * (1 + abs(self.tail_)))
        grid = np.linspace(0, 1 - _TAIL, min(len(s), 2000))
        self.shares_, self.scores_ = grid, np.interp(grid, below, s)
        self.spread_ = max(float(s[-1] - s[0]), 1e-300)

    def arrays(self) -> dict[str, Array]:
        """All that there is to keep."""
        numbers = np.array([self.tail_, self.excess_, self.spread_])
        return {"shares": self.shares_, "scores": self.scores_, "numbers": numbers}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From what `arrays` gave."""
        made = cls.__new__(cls)
        made.shares_, made.scores_ = arrays["shares"], arrays["scores"]
        made.tail_, made.excess_, made.spread_ = (float(v) for v in arrays["numbers"])
        return made

    def __call__(self, scores: Array) -> Array:
        """-log p (m,), 0 or more up to a term of 1e-6 that orders the scores below all background."""
        inside = -np.log1p(-np.interp(scores, self.scores_, self.shares_))
        beyond = -np.log(_TAIL) + (scores - self.tail_) / self.excess_
        rare: Array = np.where(scores > self.tail_, beyond, inside)
        return rare + 1e-6 * np.arctan((scores - self.tail_) / self.spread_)


def named(name_or_detector: str | Detector, seed: int) -> Detector:
    """A detector that is not trained yet, from a name or an estimator (left as it is)."""
    from hepaa.models.presets import detector

    if isinstance(name_or_detector, str):
        return detector(name_or_detector, seed=seed)
    if not isinstance(name_or_detector, Detector):
        raise InputError(f"{name_or_detector!r} is no detector; give the name of one, such as 'vae-zh'")
    unfitted: Detector = clone(name_or_detector)
    return unfitted


def within(name_or_detector: str | Detector, parent: Detector, seed: int) -> Detector:
    """A detector for what `parent` has preprocessed, not trained yet, from a name or an estimator (left as it is).

    Preprocessing is done already: the member adopts it, so that it can score in the units of the features.
    """
    member = named(name_or_detector, seed)
    if pretrained(member.encoder, member.own_encoders) is not None:
        raise InputError(f"{type(member).__name__} has an encoder; give it to {type(parent).__name__} instead")
    member.preprocess, member.preprocessor_ = parent.preprocess, parent.preprocessor_
    member.n_features_in_ = parent._width
    return member


def train_within(name_or_detector: str | Detector, parent: Detector, training: Training, seed: int) -> Detector:
    """`within`, trained."""
    member = within(name_or_detector, parent, seed)
    member._check_parameters()
    member._check_training(training)
    member._fit(training)
    return member


class Ensemble(Detector):
    """Several detectors, trained on the same events and preprocessing, with one score.

    Parameters
    ----------
    members : list of names or detectors
        Names are those of `hepaa.detector`. Their `preprocess` and `contamination` are not used.
    method : "score", "fisher" or "max"
        "score": mean of the scores, for detectors that score in the same unit, such as densities (-log p): the
        geometric mean of the densities, whose errors average out. The others turn each score into -log p, p being the
        share of training background above it (`Rarity`): "fisher" is the sum (Fisher 1925), for an event that all
        members find unusual; "max" the largest, for one that any of them does.
    handicap : (members,) or None
        With "max": what is taken off each member's -log p, in nats. A member that is right about some anomalies
        alone adds its own rare background to what all anomalies have to stand out from; with a handicap of h it speaks
        for an event only if it finds it exp(h) times rarer than the others do.
    slope : (members,) or None
        With "max": what each member's -log p is multiplied by before. A member with a share p^b of its anomalies above
        the share p of background speaks with a likelihood ratio b p^(b-1), whose logarithm rises as (1 - b)(-log p):
        more steeply for one that finds most of them.
    seed : int
        Of the members that have one and are given by name.

    The other parameters and the attributes are those of `Detector`; all members have its preprocessing.

    Attributes
    ----------
    members_ : list of fitted detectors
    """

    uses_labels: ClassVar[bool] = True
    savable: ClassVar[bool] = True

    members: Sequence[str | Detector] = ("flow", "gaussian-mixture")
    method: Method = "score"
    handicap: Sequence[float] | None = None
    slope: Sequence[float] | None = None
    seed: int = 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("method", self.method, _METHODS)
        if isinstance(self.members, str) or not len(self.members):
            raise InputError(f"members is {self.members!r}; give a list of detectors, such as ['flow', 'vae-zh']")
        for what, numbers in (("handicap", self.handicap), ("slope", self.slope)):
            if numbers is None:
                continue
            if self.method != "max":
                raise InputError(f"{what} is for method 'max', not for {self.method!r}")
            if isinstance(numbers, (int, float, str)) or len(numbers) != len(self.members):
                raise InputError(f"{what} is {numbers!r}; give one number for each of {len(self.members)} members")
            for number in numbers:
                between(f"a {what}", number, 0)
        for name_or_detector in self.members:
            named(name_or_detector, self.seed)._check_parameters()

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        for name_or_detector in self.members:
            within(name_or_detector, self, self.seed)._check_training(training)

    def _fit(self, training: Training) -> None:
        self.members_: list[Detector] = []
        self.rarity_: list[Rarity] = []
        for name_or_detector in self.members:
            member = train_within(name_or_detector, self, training, self.seed)
            self.members_.append(member)
            if self.method != "score":
                self.rarity_.append(Rarity(member._score(training.background), training.weight))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of all members.

        Raises
        ------
        InputError
            If a member cannot be saved, or was given as an object.
        """
        out: dict[str, NDArray[Any]] = {}
        for i, (name, member) in enumerate(zip(self.members, self.members_, strict=True)):
            if not isinstance(name, str):
                raise InputError(
                    f"member {type(member).__name__} was given as an object, which a file has no name for; to save the "
                    "ensemble, give its members by the names of presets"
                )
            if not member.savable:
                raise InputError(f"member {name!r} cannot be saved: it has no format but pickle")
            out |= {f"{i}.{key}": array for key, array in member._arrays().items()}
        for i, rarity in enumerate(self.rarity_):
            out |= {f"{i}.rarity.{key}": array for key, array in rarity.arrays().items()}
        return out

    def _record(self) -> dict[str, Any]:
        return {"members": [member._record() for member in self.members_]}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        self.members_, self.rarity_ = [], []
        for i, name in enumerate(self.members):
            own = {k.removeprefix(f"{i}."): v for k, v in arrays.items() if k.startswith(f"{i}.")}
            member = within(name, self, self.seed)
            member._restore(own, record["members"][i])
            self.members_.append(member)
            if self.method != "score":
                self.rarity_.append(Rarity.of_arrays({k.removeprefix("rarity."): v for k, v in own.items()}))

    def member_scores(self, x: NDArray[np.float32]) -> Array:
        """Score, or rarity, of each member, (members, n), for rows that are preprocessed already (see `prepared`)."""
        scores = [member._score(x) for member in self.members_]
        if self.method != "score":
            scores = [rarity(s) for rarity, s in zip(self.rarity_, scores, strict=True)]
        return np.stack(scores)

    def _score(self, x: NDArray[np.float32]) -> Array:
        scores = self.member_scores(x)
        if self.method == "score":
            return np.asarray(scores.mean(axis=0))
        if self.slope is not None:
            scores *= np.asarray(self.slope, dtype=np.float64)[:, None]
        if self.handicap is not None:
            scores -= np.asarray(self.handicap, dtype=np.float64)[:, None]
        return np.asarray(scores.sum(axis=0) if self.method == "fisher" else scores.max(axis=0))
