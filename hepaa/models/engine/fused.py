"""The training step of a small VAE as one compiled loop: forward, gradient and Adam without an operation's overhead.

A step of a 16-2 net on 128 events is 0.2 million multiply-adds, some ten microseconds; as torch operations it takes a
millisecond or two. The objective is that of `terms.py` with squared errors: reconstruction, KL and anomaly penalty.
`fused_steps.can_fuse` says whether a model and its terms are of this kind. Gradients equal autograd's to the rounding
of float32.

Events are worked on in blocks of `T`, of `T_SCORES` where no gradient is needed; activations lie in memory as (neuron,
event), so that a loop over the events of a block is a vector instruction. The last block is filled up with events that
count nothing: an event's numbers do not depend on its company.
"""

from __future__ import annotations

from math import exp, isfinite, log1p, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hepaa.compiled import inlined, reordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int64]

T = 64  # events at once: a block of a 16-2 net and its gradients stay in the first cache
T_SCORES = 256  # a loop over more events pays its start less often; without gradients there is room
_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
NO_PENALTY, CLIP, HINGE, LOG = range(4)


class Net(NamedTuple):
    """Where everything lies.

    Attributes
    ----------
    layers : int64 (layers, 6)
        Inputs, outputs, place of the weights (inputs x outputs, then the bias) in the flat parameters, first row of
        the input and of the output among the activations, and whether ReLU follows; encoder first.
    encoder : int
        How many layers belong to the encoder.
    latent, head, z, x_hat, rows : int
        Dimensions of the latent space; first row of (mu, log variance), of (z, sigma, noise), and of the output; rows
        in all. The input's are the first.
    """

    layers: Integers
    encoder: int
    latent: int
    head: int
    z: int
    x_hat: int
    rows: int


class Objective(NamedTuple):
    """Factors of the terms in this epoch, and what their sums are divided by."""

    reconstruction: float
    kl: float
    anomaly: float
    literal: bool  # anomalies pay the background's terms too, and all sums are divided by the batch
    per_class: bool  # sums are divided by the events of their class
    penalty: int
    clip: float


class EventRows(NamedTuple):
    """Events of one class: x (n, d), and weight (n,), of length 0 where all are 1."""

    x: Floats
    weight: Floats


class Rates(NamedTuple):
    """Of Adam: step length, decay of both means, epsilon, the longest gradient (infinity: any), decay of weights."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    clip: float
    weight_decay: float


@inlined
def _affine(p: Floats, layer: Integers, a: Floats) -> None:
    n_in, n_out, at, source, target, relu = layer
    width = a.shape[1]
    for o in range(n_out):
        out = a[target + o]
        bias = p[at + n_in * n_out + o]
        for b in range(width):
            out[b] = bias
        even = n_in - n_in % 4  # four inputs a pass: fewer loads and stores of the sum
        for i in range(0, even, 4):
            w0, w1 = p[at + i * n_out + o], p[at + (i + 1) * n_out + o]
            w2, w3 = p[at + (i + 2) * n_out + o], p[at + (i + 3) * n_out + o]
            x0, x1, x2, x3 = a[source + i], a[source + i + 1], a[source + i + 2], a[source + i + 3]
            for b in range(width):
                out[b] += (w0 * x0[b] + w1 * x1[b]) + (w2 * x2[b] + w3 * x3[b])
        for i in range(even, n_in):
            w, x = p[at + i * n_out + o], a[source + i]
            for b in range(width):
                out[b] += w * x[b]
        if relu:
            for b in range(width):
                out[b] = _ZERO if out[b] < _ZERO else out[b]  # NaN stays


@inlined
def _affine_back(p: Floats, layer: Integers, a: Floats, delta: Floats, gradient: Floats, inner: bool) -> None:
    """Adds to the gradient; from the outputs' deltas to the inputs', where the input is not that of the net."""
    n_in, n_out, at, source, target, relu = layer
    for o in range(n_out):
        d, out = delta[target + o], a[target + o]
        if relu:
            for b in range(T):
                d[b] = d[b] if out[b] > _ZERO else _ZERO
        total = _ZERO
        for b in range(T):
            total += d[b]
        gradient[at + n_in * n_out + o] += total
        for i in range(n_in):
            x = a[source + i]
            total = _ZERO
            for b in range(T):
                total += x[b] * d[b]
            gradient[at + i * n_out + o] += total
    if inner:
        for i in range(n_in):
            into = delta[source + i]
            for b in range(T):
                into[b] = _ZERO
            for o in range(n_out):
                w, d = p[at + i * n_out + o], delta[target + o]
                for b in range(T):
                    into[b] += w * d[b]


@inlined
def _sample(net: Net, a: Floats, kl: Floats) -> None:
    """z = mu + sigma noise, and the KL divergence of each event."""
    n = net.latent
    for b in range(T):
        kl[b] = _ZERO
    for j in range(n):
        mu, logvar = a[net.head + j], a[net.head + n + j]
        z, sigma, noise = a[net.z + j], a[net.z + n + j], a[net.z + 2 * n + j]
        for b in range(T):
            sigma[b] = exp(_HALF * logvar[b])
        for b in range(T):
            z[b] = mu[b] + sigma[b] * noise[b]
            kl[b] += _HALF * (mu[b] * mu[b] + sigma[b] * sigma[b] - logvar[b] - _ONE)


@inlined
def _sample_back(net: Net, a: Floats, delta: Floats, kl_share: Floats) -> None:
    n = net.latent
    for j in range(n):
        mu, sigma, noise = a[net.head + j], a[net.z + n + j], a[net.z + 2 * n + j]
        d_z, d_mu, d_logvar = delta[net.z + j], delta[net.head + j], delta[net.head + n + j]
        for b in range(T):
            d_mu[b] = d_z[b] + kl_share[b] * mu[b]
            d_logvar[b] = _HALF * (d_z[b] * noise[b] * sigma[b] + kl_share[b] * (sigma[b] * sigma[b] - _ONE))


@inlined
def _errors(net: Net, a: Floats, error: Floats) -> None:
    width = a.shape[1]
    for b in range(width):
        error[b] = _ZERO
    for f in range(net.rows - net.x_hat):
        x, x_hat = a[f], a[net.x_hat + f]
        for b in range(width):
            error[b] += (x_hat[b] - x[b]) * (x_hat[b] - x[b])


@inlined
def _penalty(kind: int, error: float, clip: float) -> tuple[float, float]:
    """`terms.penalty` and its slope."""
    if kind == CLIP:
        return min(error, clip), 1.0 if error <= clip else 0.0
    if kind == HINGE:
        bounded = min(error, clip)
        return bounded - bounded * bounded / (2.0 * clip), 1.0 - bounded / clip
    if kind == LOG:
        return clip * log1p(error / clip), 1.0 / (1.0 + error / clip)
    return error, 1.0


@inlined
def add_gradient(  # one batch
    p: Floats, net: Net, objective: Objective, common: EventRows, order: Integers, rare: EventRows, dealt: Integers,
    noise: Floats, a: Floats, delta: Floats, gradient: Floats, sums: NDArray[np.float64],
) -> None:  # fmt: skip
    """Adds the objective's gradient in a batch to `gradient` (P,), and the values of its three terms to `sums` (3,).

    The batch are the events `order` of `common`, then the events `dealt` of `rare`; noise (events, latent). `a` and
    `delta` are scratch, (rows, T).
    """
    inliers = len(order)
    size = inliers + len(dealt)
    paying = size if objective.literal else inliers
    count = inliers if objective.per_class else size
    count_rare = len(dealt) if objective.per_class else size
    d, n = common.x.shape[1], net.latent
    kl, error = np.empty(T, np.float32), np.empty(T, np.float32)
    kl_share, share = np.empty(T, np.float32), np.empty(T, np.float32)
    for start in range(0, size, T):
        filled = min(T, size - start)
        for b in range(T):
            e = start + b if b < filled else start
            if e < inliers:
                for f in range(d):
                    a[f, b] = common.x[order[e], f]
            else:
                for f in range(d):
                    a[f, b] = rare.x[dealt[e - inliers], f]
            for j in range(n):
                a[net.z + 2 * n + j, b] = noise[e, j]
        for k in range(net.encoder):
            _affine(p, net.layers[k], a)
        _sample(net, a, kl)
        for k in range(net.encoder, len(net.layers)):
            _affine(p, net.layers[k], a)
        _errors(net, a, error)
        for b in range(T):
            share[b] = kl_share[b] = _ZERO
            if b >= filled:
                continue
            e = start + b
            weight = 1.0
            if e < inliers:
                weight = float(common.weight[order[e]]) if len(common.weight) else 1.0
            else:
                weight = float(rare.weight[dealt[e - inliers]]) if len(rare.weight) else 1.0
                value, slope = _penalty(objective.penalty, float(error[b]), objective.clip)
                sums[2] -= weight * value / count_rare
                share[b] = np.float32(-objective.anomaly * weight * slope / count_rare)
            if e < paying:
                sums[0] += weight * error[b] / count
                sums[1] += weight * kl[b] / count
                share[b] += np.float32(objective.reconstruction * weight / count)
                kl_share[b] = np.float32(objective.kl * weight / count)
        for f in range(d):
            x, x_hat, d_x = a[f], a[net.x_hat + f], delta[net.x_hat + f]
            for b in range(T):
                d_x[b] = _TWO * share[b] * (x_hat[b] - x[b])
        for k in range(len(net.layers) - 1, net.encoder - 1, -1):
            _affine_back(p, net.layers[k], a, delta, gradient, True)
        _sample_back(net, a, delta, kl_share)
        for k in range(net.encoder - 1, -1, -1):
            _affine_back(p, net.layers[k], a, delta, gradient, k > 0)


@inlined
def _adam(
    p: Floats, gradient: Floats, mean: Floats, square: Floats, norm: float, step: int, moves: bool, rates: Rates
) -> None:
    """One step of Adam from a gradient of length `norm`; see `optimiser.Adam`."""
    shrink = np.float32(min(rates.clip / (norm + 1e-12), 1.0))
    root = sqrt(1.0 - rates.beta2**step)
    rate = np.float32(rates.learning_rate * root / (1.0 - rates.beta1**step) if moves else 0.0)
    keep = np.float32(1.0 - rates.learning_rate * rates.weight_decay if moves else 1.0)
    epsilon = np.float32(rates.epsilon * root)
    new_mean, new_square = np.float32(1.0 - rates.beta1), np.float32(1.0 - rates.beta2)
    old_square = np.float32(rates.beta2)
    for i in range(len(p)):
        g = gradient[i] * shrink
        mean[i] += (g - mean[i]) * new_mean
        square[i] = square[i] * old_square + g * g * new_square
        p[i] = p[i] * keep - rate * mean[i] / (np.sqrt(square[i]) + epsilon)


@reordered
def train(
    p: Floats, mean: Floats, square: Floats, steps: int, moves: bool, net: Net, objective: Objective, rates: Rates,
    common: EventRows, order: Integers, rare: EventRows, dealt: Integers, noise: Floats, sizes: tuple[int, int],
    sums: NDArray[np.float64],
) -> int:  # fmt: skip
    """Train on batches of `sizes` = (background, anomalies) until `order` is used up; the last batch may be smaller.

    Returns
    -------
    Number of the first step whose gradient is not finite, from 0: the parameters are those before it. -1 if none is.
    """
    gradient = np.empty(len(p), np.float32)
    a, delta = np.zeros((net.rows, T), np.float32), np.zeros((net.rows, T), np.float32)
    size, size_rare = sizes
    taken, taken_rare, step = 0, 0, 0
    while taken < len(order):
        k = min(size, len(order) - taken)
        r = -(-size_rare * k // size)
        gradient[:] = _ZERO
        drawn = noise[taken + taken_rare : taken + taken_rare + k + r]
        add_gradient(
            p, net, objective, common, order[taken : taken + k], rare, dealt[taken_rare : taken_rare + r], drawn,
            a, delta, gradient, sums,
        )  # fmt: skip
        norm2 = 0.0
        for i in range(len(p)):
            norm2 += float(gradient[i]) * float(gradient[i])
        if not isfinite(norm2):
            return step
        step += 1
        _adam(p, gradient, mean, square, sqrt(norm2), steps + step, moves, rates)
        taken, taken_rare = taken + k, taken_rare + r
    return -1


@reordered
def score(p: Floats, net: Net, x: Floats, out: NDArray[np.float64]) -> None:
    """Adds the squared error of x (n, d) reconstructed from z = mu to `out` (n,)."""
    a, error = np.zeros((net.rows, T_SCORES), np.float32), np.empty(T_SCORES, np.float32)
    for start in range(0, len(x), T_SCORES):
        filled = min(T_SCORES, len(x) - start)
        for b in range(T_SCORES):
            for f in range(x.shape[1]):
                a[f, b] = x[start + min(b, filled - 1), f]
        for k in range(net.encoder):
            _affine(p, net.layers[k], a)
        for j in range(net.latent):
            for b in range(T_SCORES):
                a[net.z + j, b] = a[net.head + j, b]
        for k in range(net.encoder, len(net.layers)):
            _affine(p, net.layers[k], a)
        _errors(net, a, error)
        for b in range(filled):
            out[start + b] += error[b]


def lay_out(encoder: tuple[int, ...], decoder: tuple[int, ...]) -> Net:
    """The net of a `GaussianVAE` with these widths, (d, ..., 2 latent) and (latent, ..., d)."""
    latent = decoder[0]
    layers, at, row = [], 0, encoder[0]

    def add(widths: tuple[int, ...], source: int) -> int:
        nonlocal at, row
        for i in range(len(widths) - 1):
            n_in, n_out = widths[i], widths[i + 1]
            layers.append((n_in, n_out, at, source, row, int(i < len(widths) - 2)))
            at, source, row = at + (n_in + 1) * n_out, row, row + n_out
        return source

    head = add(encoder, 0)
    z, row = row, row + 3 * latent
    x_hat = add(decoder, z)
    return Net(np.array(layers, np.int64), len(encoder) - 1, latent, head, z, x_hat, row)
