"""Boosted trees: an ensemble as a classifier, and any of them as plain arrays that one compiled loop evaluates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa.compiled import kernel
from hepaa.errors import InputError
from hepaa.models.base import Detector
from hepaa.models.combined.growing import Grown, grow
from hepaa.models.parameters import between, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sklearn.ensemble import HistGradientBoostingClassifier

    from hepaa.models.base import Training

    Array = NDArray[np.float64]
    Whole = NDArray[np.int32]

_ROWS = 256  # whose features stay in the nearest cache while all trees look at them


@dataclass(frozen=True)
class Trees:
    """Members of boosted trees, all nodes of all trees one after the other.

    Attributes
    ----------
    feature : int32 (nodes,)
    threshold : (nodes,)
        A row goes left where its feature is at most this. A leaf has the largest number there is.
    left, right : int32 (nodes,)
        Where a row goes on; a leaf itself.
    value : (nodes,)
        Of a leaf, in log odds.
    root, depth : int32 (trees,)
        First node, and steps to the deepest leaf, of each tree.
    first_tree : int32 (members + 1,)
        Trees of member k are first_tree[k] up to first_tree[k + 1].
    baseline : (members,)
        Log odds before the first tree.
    """

    feature: Whole
    threshold: Array
    left: Whole
    right: Whole
    value: Array
    root: Whole
    depth: Whole
    first_tree: Whole
    baseline: Array

    @classmethod
    def of(cls, model: HistGradientBoostingClassifier) -> Trees:
        """Those of a fitted classifier of two classes, which is one member."""
        trees = [nodes.nodes for (nodes,) in model._predictors]
        sizes = np.array([len(tree) for tree in trees], dtype=np.int32)
        root = np.cumsum(sizes, dtype=np.int32) - sizes
        nodes = np.concatenate(trees)
        own, first = np.arange(len(nodes), dtype=np.int32), np.repeat(root, sizes)
        leaf = nodes["is_leaf"] == 1
        return cls(
            feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int32),
            threshold=np.where(leaf, np.finfo(np.float64).max, nodes["num_threshold"]),
            left=np.where(leaf, own, nodes["left"].astype(np.int32) + first),
            right=np.where(leaf, own, nodes["right"].astype(np.int32) + first),
            value=np.where(leaf, nodes["value"], 0.0),
            root=root,
            depth=np.array([tree["depth"].max() for tree in trees], dtype=np.int32),
            first_tree=np.array([0, len(trees)], dtype=np.int32),
            baseline=np.array([float(model._baseline_prediction.item())]),
        )

    @classmethod
    def grown(cls, members: Sequence[Grown], edges: Sequence[Array]) -> Trees:
        """What `grow` gave for each member; a code is the number of an edge of its feature."""
        columns = zip(*members, strict=True)
        baseline = np.array(next(columns))
        links, value, sizes, depth = (np.concatenate(arrays) for arrays in columns)
        feature, code, left, right = (np.ascontiguousarray(column) for column in links.T)
        root = np.cumsum(sizes, dtype=np.int32) - sizes
        first = np.repeat(root, sizes)
        leaf = left == np.arange(len(left)) - first
        threshold = np.full(len(leaf), np.finfo(np.float64).max)
        threshold[~leaf] = [edges[f][c] for f, c in zip(feature[~leaf], code[~leaf], strict=True)]
        counts = [len(member.sizes) for member in members]
        return cls(
            feature=feature,
            threshold=threshold,
            left=left + first,
            right=right + first,
            value=value,
            root=root,
            depth=depth,
            first_tree=np.cumsum([0, *counts], dtype=np.int32),
            baseline=baseline,
        )

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """For a file."""
        return {f"trees.{name}": value for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Trees:
        """What `to_arrays` gave.

        Raises
        ------
        InputError
            If a node leads out of the arrays.
        """
        made = cls(**{name: arrays[f"trees.{name}"] for name in cls.__dataclass_fields__})
        n, trees = len(made.value), len(made.root)
        links = np.concatenate([made.left, made.right, made.root])
        whole_arrays = {len(made.feature), len(made.threshold), len(made.left), len(made.right)} == {n}
        inside = whole_arrays and len(made.depth) == trees and links.min() >= 0 and links.max() < n
        counts = len(made.first_tree) == len(made.baseline) + 1 and made.first_tree[0] == 0
        rising = (np.diff(made.first_tree) >= 0).all() and made.first_tree[-1] == trees
        if not (inside and counts and rising and made.feature.min() >= 0):
            raise InputError("these trees lead out of their arrays: the file is damaged; save the detector again")
        return made


def log_odds(trees: Trees, x: NDArray[Any]) -> Array:
    """Log odds (n,) of class 1, the mean over the members, for finite rows x (n, d).

    For one member these are the bytes of scikit-learn's `decision_function`.

    Raises
    ------
    InputError
        If there are fewer features than the trees look at.
    """
    least = int(trees.feature.max(initial=0)) + 1
    if x.ndim != 2 or x.shape[1] < least:
        raise InputError(f"rows of shape {x.shape} for trees that look at {least} features: give (n, d)")
    out = np.zeros(len(x))
    t = trees
    nodes = (t.feature, t.threshold, t.left, t.right, t.value)
    _evaluate(np.ascontiguousarray(x, dtype=np.float64), nodes, t.root, t.depth, t.first_tree, t.baseline, out)
    return out


@kernel
def _evaluate(x: Array, nodes: Any, root: Whole, depth: Whole, first_tree: Whole, baseline: Array, out: Array) -> None:
    """All rows of a block take a step together: they do not wait for each other's memory, and nothing is guessed."""
    feature, threshold, left, right, value = nodes
    members = len(baseline)
    node = np.empty(_ROWS, np.int32)
    sums = np.empty(_ROWS)
    for start in range(0, len(x), _ROWS):
        rows = min(_ROWS, len(x) - start)
        for k in range(members):
            for i in range(rows):
                sums[i] = baseline[k]
            for t in range(first_tree[k], first_tree[k + 1]):
                for i in range(rows):
                    node[i] = root[t]
                for _ in range(depth[t]):
                    for i in range(rows):
                        at = node[i]
                        node[i] = left[at] if x[start + i, feature[at]] <= threshold[at] else right[at]
                for i in range(rows):
                    sums[i] += value[node[i]]
            for i in range(rows):
                out[start + i] += sums[i]
        for i in range(rows):
            out[start + i] /= members


def fit_trees(
    x: NDArray[Any],
    y: NDArray[Any],
    weight: Array | None,
    members: int,
    rng: np.random.Generator,
    *,
    iterations: int = 100,
    learning_rate: float = 0.2,
    leaves: int = 16,
    bins: int = 63,
    patience: int = 10,
) -> Trees:
    """An ensemble of boosted trees that tells class 1 from class 0; both count the same (arXiv:2309.13111).

    Each member is grown on a random half of each class, until the loss of the other half has not fallen for `patience`
    trees; see `hepaa.models.combined.growing`.

    Parameters
    ----------
    x : (n, d)
    y : (n,)
        0 or 1.
    weight : (n,) or None
        None of them negative.
    members : int
    rng : numpy.random.Generator
        Of the halves.
    iterations, leaves, bins, patience : int
        Most trees of a member, leaves of a tree, bins of a feature (up to 255).
    learning_rate : float

    Raises
    ------
    InputError
        If a class has fewer than 2 events with a weight, a value is not finite, or a weight is negative.
    """
    y = np.asarray(y) == 1
    w = np.ones(len(y)) if weight is None else np.array(weight, dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all() and np.isfinite(x).all()):
        raise InputError("trees need finite features, and finite weights, none of them negative")
    classes = [np.flatnonzero((y == label) & (w > 0)) for label in (False, True)]
    n = sum(len(rows) for rows in classes)
    for rows, name in zip(classes, ("background", "signal"), strict=True):
        if len(rows) < 2:
            raise InputError(f"{len(rows)} events of {name} are too few for trees: give 2, one to learn, one to stop")
        w[rows] *= n / (2 * w[rows].sum())
    edges = [quantile_edges(x[:, i], w, bins) for i in range(x.shape[1])]
    codes = np.column_stack([np.searchsorted(e, x[:, i]).astype(np.uint8) for i, e in enumerate(edges)])
    grown, most_bins = [], max(map(len, edges)) + 1
    for _ in range(members):
        shuffled = [rng.permutation(rows) for rows in classes]
        halves = [np.concatenate([rows[i::2] for rows in shuffled]) for i in range(2)]
        training, validation = ((codes[half], y[half], w[half]) for half in halves)
        grown.append(grow(training, validation, most_bins, iterations, float(learning_rate), leaves, patience))
    return Trees.grown(grown, edges)


def quantile_edges(values: NDArray[Any], weight: Array, bins: int) -> Array:
    """Values below which lie 1/bins, 2/bins, ... of the weight; distinct, and fewer where values repeat."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weight[order])
    return np.unique(values[order][np.searchsorted(total, np.arange(1, bins) / bins * total[-1])]).astype(np.float64)


class TreeDetector(Detector, abstract=True):
    """Base of the detectors that learn boosted trees from labelled anomalies; score: the mean log odds of `trees_`."""

    uses_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    savable: ClassVar[bool] = True

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return log_odds(self.trees_, x)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return self.trees_.to_arrays()

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        del record
        self.trees_ = Trees.from_arrays(arrays)


class TreeEnsemble(TreeDetector):
    """Ensemble of boosted trees of background against labelled anomalies; score: the mean of their log odds.

    Each member learns on a random half of the events and stops on the other (arXiv:2309.13111), so that few and noisy
    labels are not learned by heart; both classes count the same whatever their numbers and weights. See `fit_trees`.

    Parameters
    ----------
    members : int
    iterations : int
        Most trees of a member.
    learning_rate : float
    leaves : int
        Of a tree.
    bins : int
        That each feature is cut into, 2 .. 255.
    patience : int
        Trees without a lower loss on the other half, after which a member stops.
    seed : int

    The other parameters and the attributes are those of `Detector`.

    Attributes
    ----------
    trees_ : Trees
    """

    takes_negative_weights: ClassVar[bool] = False
    sources: ClassVar[dict[str, str]] = {"": "Finke2023 Ke2017"}

    members: int = 20
    iterations: int = 100
    learning_rate: float = 0.2
    leaves: int = 16
    bins: int = 63
    patience: int = 10
    seed: int = 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name, least in (("members", 1), ("iterations", 1), ("leaves", 2), ("bins", 2), ("patience", 1)):
            whole(name, getattr(self, name), least)
        between("bins", self.bins, 2, 255)
        between("learning_rate", self.learning_rate, 0, ends="high")

    def _fit(self, training: Training) -> None:
        classes = (training.background, training.anomalies)
        weights = [
            np.ones(len(rows)) if w is None else w
            for rows, w in zip(classes, (training.weight, training.anomaly_weight), strict=True)
        ]
        self.trees_ = fit_trees(
            np.concatenate(classes),
            np.repeat([0, 1], [len(rows) for rows in classes]),
            np.concatenate(weights),
            self.members,
            np.random.default_rng(self.seed),
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            leaves=self.leaves,
            bins=self.bins,
            patience=self.patience,
        )
