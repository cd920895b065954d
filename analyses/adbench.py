"""ADBench's data sets by its protocol (arXiv:2206.09426): 70/30 by class, 10,000 rows at most, z-scores.

A row of a table is a data set; CIFAR10, SVHN, MVTec-AD and 20news are means over their subsets at hand.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST_ROWS, TEST = 10_000, 0.3
IN_PARTS = ("CIFAR10", "SVHN", "MVTec-AD", "20news")
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def sets(data: Path) -> dict[str, list[Path]]:
    """Files of each data set at hand, by its name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((data / "adbench").glob("*/*.npz")):
        first, _, rest = path.stem.partition("_")
        found.setdefault(first if first in IN_PARTS else rest, []).append(path)
    return found


@cache
def content(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and labels: 1 is an anomaly."""
    with np.load(path) as file:
        return file["X"].astype(np.float64), file["y"].astype(np.int64)


def chosen(y: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A random share of the rows of each class, one at least, as a mask; how many does not depend on the seed."""
    mask = np.zeros(len(y), bool)
    rng = np.random.default_rng([seed, 30])
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == label))
        mask[rows[: max(1, round(share * len(rows)))]] = True
    return mask


def divided(X: np.ndarray, y: np.ndarray, share: float, seed: int) -> Split:
    """Rows that are left, a random share of each class, and the labels of both."""
    mask = chosen(y, share, seed)
    return X[~mask], X[mask], y[~mask], y[mask]


def split(path: Path, seed: int) -> Split:
    """Training rows, test rows, training labels, test labels."""
    X, y = content(path)
    if len(X) > MOST_ROWS:
        mask = chosen(y, MOST_ROWS / len(X), seed)
        X, y = X[mask], y[mask]
    return divided(X, y, TEST, seed + 1000)


def splits(path: Path, seeds: Sequence[int], *, labelled: bool) -> list[Split]:
    """The splits of all seeds, with the columns of `varying`."""
    return varying([split(path, seed) for seed in seeds], labelled=labelled)


def varying(found: list[Split], *, labelled: bool) -> list[Split]:
    """Splits with the columns alone that vary in every training part, so that all can be trained together.

    Among its normal rows, where labels are known; otherwise among all.
    """
    kept = np.all(
        [np.ptp((train[y == 0] if labelled else train).astype(np.float32), axis=0) > 0 for train, _, y, _ in found],
        axis=0,
    )
    return [(train[:, kept], test[:, kept], y_train, y_test) for train, test, y_train, y_test in found]
