"""One compiled loop that grows boosted trees of two classes on binned features, leaf by leaf.

The trees are those of scikit-learn's HistGradientBoostingClassifier (after LightGBM, Ke et al., NeurIPS 2017) with its
defaults. A search trains hundreds of them on the same events, of which that finds the bins, and asks for the loss of
the training half, each time anew: here an ensemble takes half of the CPU time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepaa.compiled import helper, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Single = NDArray[np.float32]
    Codes = NDArray[np.uint8]
    Rows = NDArray[np.uint32]
    Whole = NDArray[np.int32]
    Half = tuple[Codes, NDArray[np.bool_], Array]

LEAST_ROWS = 20
"""Of the training half, in a leaf."""
_LEAST_HESSIAN = 1e-3  # in a leaf
_FLOOR = 1e-15  # of the sum of hessians that a value is divided by
_TOLERANCE = 1e-7  # by which the loss has to fall
G, H, N = 0, 1, 2  # sums of gradients and hessians, and the number of rows, of a bin
FEATURE, CODE, LEFT, RIGHT = 0, 1, 2, 3  # of a node: a row goes left where its code of the feature is at most that


class Grown(NamedTuple):
    """Trees one after the other.

    Attributes
    ----------
    baseline : float
        Log odds before the first tree.
    links : int32 (nodes, 4)
        Feature, code, left and right node, which are numbers within a tree; a leaf is its own left and right node.
    value : (nodes,)
        Of a leaf.
    sizes, depths : int32 (trees,)
        Nodes, and steps to the deepest leaf.
    """

    baseline: float
    links: Whole
    value: Array
    sizes: Whole
    depths: Whole


@kernel
def grow(
    training: Half, validation: Half, bins: int, iterations: int, learning_rate: float, leaves: int, patience: int
) -> Grown:
    """Trees of one member, until the log loss of the validation half has not fallen for `patience` trees.

    Parameters
    ----------
    training, validation : (codes, y, weight)
        Bins of the features, uint8 (n, d), classes, bool (n,), and weights (n,).
    bins : int
        Codes are below.
    iterations, learning_rate, leaves, patience
        As in `fit_trees`.
    """
    codes, y, w = training
    n, d = codes.shape
    nodes = 2 * leaves - 1
    links, value = np.zeros((iterations * nodes, 4), np.int32), np.zeros(iterations * nodes)
    sizes, depths = np.zeros(iterations, np.int32), np.zeros(iterations, np.int32)
    total = signal = 0.0
    for i in range(n):
        total += w[i]
        signal += w[i] * y[i]
    baseline = np.log(signal / (total - signal))
    raw, raw_other = np.full(n, baseline), np.full(len(validation[1]), baseline)
    next_bin = _next_bins(codes, bins)
    g, h = np.empty(n, np.float32), np.empty(n, np.float32)
    work = (np.empty(n, np.uint32), np.empty(len(raw_other), np.uint32), np.empty(max(n, len(raw_other)), np.uint32),
            np.empty((leaves, d, bins, 3)))  # fmt: skip
    losses = np.empty(iterations + 1)
    losses[0] = _loss(raw_other, validation[1], validation[2])
    first = trees = 0
    for t in range(iterations):
        for i in range(n):
            e = np.exp(-abs(raw[i]))
            p = (1.0 if raw[i] >= 0 else e) / (1 + e)
            g[i], h[i] = w[i] * (p - y[i]), w[i] * e / (1 + e) ** 2
        own = links[first : first + nodes], value[first : first + nodes]
        sizes[t], depths[t] = _tree(codes, validation[0], g, h, raw, raw_other, next_bin, work, *own, learning_rate)
        first += sizes[t]
        trees = t + 1
        losses[trees] = _loss(raw_other, validation[1], validation[2])
        waited = trees - patience
        if waited >= 0 and losses[waited + 1 : trees + 1].min() >= losses[waited] - _TOLERANCE:
            break
    return Grown(baseline, links[:first].copy(), value[:first].copy(), sizes[:trees].copy(), depths[:trees].copy())


@helper
def _loss(raw: Array, y: NDArray[np.bool_], w: Array) -> float:
    """Mean log loss."""
    total = loss = 0.0
    for i in range(len(raw)):
        total += w[i]
        loss += w[i] * (np.log(1.0 + np.exp(-abs(raw[i]))) + max(raw[i], 0.0) - raw[i] * y[i])
    return loss / total


@helper
def _next_bins(codes: Codes, bins: int) -> Whole:
    """The next bin with rows after each, (d, bins): a cut is in the middle between the two."""
    n, d = codes.shape
    there = np.zeros((d, bins), np.bool_)
    for i in range(n):
        for f in range(d):
            there[f, codes[i, f]] = True
    following = np.zeros((d, bins), np.int32)
    for f in range(d):
        after = bins - 1
        for b in range(bins - 1, -1, -1):
            following[f, b] = after
            if there[f, b]:
                after = b
    return following


@helper
def _tree(
    codes: Codes, other: Codes, g: Single, h: Single, raw: Array, raw_other: Array, next_bin: Whole, work: Any,
    links: Whole, value: Array, learning_rate: float,
) -> tuple[int, int]:  # fmt: skip
    """Grow one tree, the node with the largest gain first, and add its values; its nodes and depth."""
    rows, rows_other, spare, sums = work
    nodes, leaves = len(value), len(sums)
    start, stop = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    start_other, stop_other = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    slot, depth = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    total = np.zeros((nodes, 2))
    best = np.zeros((nodes, 3))  # gain of the best cut, and the sums of what goes left
    for i in range(len(rows)):
        rows[i] = i
        total[0, G] += g[i]
        total[0, H] += h[i]
    for i in range(len(rows_other)):
        rows_other[i] = i
    stop[0], stop_other[0] = len(rows), len(rows_other)
    value[0] = -total[0, G] / (total[0, H] + _FLOOR)
    if len(rows) >= 2 * LEAST_ROWS and total[0, H] >= _LEAST_HESSIAN:
        _add(codes, rows, g, h, 0, len(rows), sums[0])
        best[0, 0], links[0, FEATURE], links[0, CODE], best[0, 1], best[0, 2] = _cut(
            sums[0], len(rows), total[0], value[0]
        )
    size = 1
    while (size + 1) // 2 < leaves:
        k = int(np.argmax(best[:size, 0]))
        if best[k, 0] <= 0:
            break
        one, two = size, size + 1
        size += 2
        f, b = links[k, FEATURE], links[k, CODE]
        links[k, CODE] = (b + next_bin[f, b]) // 2
        start[one], stop[two] = start[k], stop[k]
        stop[one] = start[two] = _divide(codes, rows, spare, start[k], stop[k], f, b)
        start_other[one], stop_other[two] = begin, end = start_other[k], stop_other[k]
        stop_other[one] = start_other[two] = _divide(other, rows_other, spare, begin, end, f, links[k, CODE])
        total[one, G], total[one, H] = best[k, 1], best[k, 2]
        total[two, G], total[two, H] = total[k, G] - best[k, 1], total[k, H] - best[k, 2]
        best[k, 0], links[k, LEFT], links[k, RIGHT] = 0.0, one, two
        small, large = (one, two) if stop[one] - start[one] < stop[two] - start[two] else (two, one)
        slot[small], slot[large] = (size - 1) // 2, slot[k]
        for child in (one, two):
            depth[child] = depth[k] + 1
            value[child] = -total[child, G] / (total[child, H] + _FLOOR)
        if (size + 1) // 2 == leaves or stop[large] - start[large] < 2 * LEAST_ROWS:
            continue
        _add(codes, rows, g, h, start[small], stop[small], sums[slot[small]])
        _subtract(sums[slot[large]], sums[slot[small]])
        for child in (one, two):
            m = stop[child] - start[child]
            if m >= 2 * LEAST_ROWS:
                best[child, 0], links[child, FEATURE], links[child, CODE], best[child, 1], best[child, 2] = _cut(
                    sums[slot[child]], m, total[child], value[child]
                )
    for k in range(size):
        if links[k, LEFT]:
            value[k] = 0.0
            continue
        links[k, FEATURE], links[k, CODE], links[k, LEFT], links[k, RIGHT] = 0, 0, k, k
        value[k] *= learning_rate
        for i in range(start[k], stop[k]):
            raw[rows[i]] += value[k]
        for i in range(start_other[k], stop_other[k]):
            raw_other[rows_other[i]] += value[k]
    return size, depth[:size].max()


@helper
def _add(codes: Codes, rows: Rows, g: Single, h: Single, start: int, stop: int, sums: Array) -> None:
    """Sums of the rows of a node (d, bins, 3)."""
    sums[:] = 0.0
    for k in range(start, stop):
        i = rows[k]
        for f in range(codes.shape[1]):
            b = codes[i, f]
            sums[f, b, G] += g[i]
            sums[f, b, H] += h[i]
            sums[f, b, N] += 1.0


@helper
def _subtract(sums: Array, less: Array) -> None:
    """What is left of a parent's sums in one child without those of the other."""
    for f in range(sums.shape[0]):
        for b in range(sums.shape[1]):
            for c in range(3):
                sums[f, b, c] -= less[f, b, c]


@helper
def _cut(sums: Array, n: int, total: Array, value: float) -> tuple[float, int, int, float, float]:
    """Gain of the best cut of a node, 0 where there is none, its feature and code, and the sums of what goes left."""
    gain, feature, code, left_g, left_h = 0.0, 0, 0, 0.0, 0.0
    for f in range(sums.shape[0]):
        sum_g = sum_h = count = 0.0
        for b in range(sums.shape[1] - 1):
            sum_g += sums[f, b, G]
            sum_h += sums[f, b, H]
            count += sums[f, b, N]
            rest_g, rest_h = total[G] - sum_g, total[H] - sum_h
            if count < LEAST_ROWS or sum_h < _LEAST_HESSIAN:
                continue
            if n - count < LEAST_ROWS or rest_h < _LEAST_HESSIAN:
                break
            here = total[G] * value + sum_g * sum_g / (sum_h + _FLOOR) + rest_g * rest_g / (rest_h + _FLOOR)
            if here > gain:
                gain, feature, code, left_g, left_h = here, f, b, sum_g, sum_h
    return gain, feature, code, left_g, left_h


@helper
def _divide(codes: Codes, rows: Rows, spare: Rows, start: int, stop: int, feature: int, code: int) -> int:
    """Put the rows of a node that go left first, all in their order; where the others begin."""
    at, others = start, 0
    for k in range(start, stop):
        i = rows[k]
        goes_left = codes[i, feature] <= code
        rows[at] = i
        spare[others] = i
        at += goes_left
        others += not goes_left
    rows[at:stop] = spare[:others]
    return at
