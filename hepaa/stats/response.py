"""How the background of binned yields answers to nuisance parameters that its samples and bins share.

This is the model of HistFactory and of the workspaces (`hepaa.stats.workspace`): a normalisation multiplies the yield
of a sample (log-normal: 1.1 at +1 standard deviation, 1.21 at +2, 1/1.1 at -1), a shape adds to it bin by bin, and a
linear shift is a shape of the whole background. Significances and limits that are quoted take it from here, so that
they are those of a fit of the workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Response:
    """Background over its nominal value, bin by bin, as a function of k nuisance parameters with unit Gaussians.

    Attributes
    ----------
    share : float64 (samples, bins)
        Of the samples in the nominal background of a bin.
    log_up, log_down : float64 (k, samples)
        Logarithm of the factor on the sample at +1 and -1 standard deviation.
    up, down : float64 (k, samples, bins)
        What is added to the sample there, over the nominal background of the bin.
    """

    share: NDArray[np.float64]
    log_up: NDArray[np.float64]
    log_down: NDArray[np.float64]
    up: NDArray[np.float64]
    down: NDArray[np.float64]

    @classmethod
    def linear(cls, shifts: ArrayLike, bins: int, factors: ArrayLike = ()) -> Self:
        """Of relative shifts of the whole background, (k, bins), and of factors on it at +1 standard deviation, (m,).

        Raises
        ------
        InputError
            If a shift is not finite, or there are other than one a bin.
        """
        r = np.asarray(shifts, dtype=np.float64)
        r = np.empty((0, bins)) if r.size == 0 else np.atleast_2d(r)
        if r.shape[1:] != (bins,) or not np.all(np.isfinite(r)):
            raise InputError(f"shared shifts of shape {r.shape} for {bins} bins: give one finite number a bin")
        log = np.concatenate([np.zeros(len(r)), np.log(np.asarray(factors, dtype=np.float64))])[:, None]
        added = np.concatenate([r, np.zeros((len(log) - len(r), bins))])[:, None, :]
        return cls(np.ones((1, bins)), log, -log, added, -added).acting()

    def acting(self) -> Self:
        """Without nuisance parameters that move nothing."""
        rows = np.zeros(len(self), bool)
        for x in (self.log_up, self.log_down, self.up, self.down):
            rows |= np.any(x != 0, axis=tuple(range(1, x.ndim)))
        return type(self)(self.share, self.log_up[rows], self.log_down[rows], self.up[rows], self.down[rows])

    def of(self, bins: NDArray[np.bool_]) -> Self:
        """In some of the bins alone."""
        inside = self.share[:, bins], self.log_up, self.log_down, self.up[:, :, bins], self.down[:, :, bins]
        return type(self)(*inside).acting()

    def __len__(self) -> int:
        """Number of nuisance parameters."""
        return len(self.up)

    def __call__(self, t: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The background over its nominal value at parameters t, (bins,), and its slopes in them, (k, bins)."""
        log, log_slope = _interpolated(t[:, None], self.log_up, self.log_down)
        added, slope = _interpolated(t[:, None, None], self.up, self.down)
        factor = np.exp(np.sum(log, axis=0))[:, None]
        yields = factor * (self.share + np.sum(added, axis=0))
        return np.sum(yields, axis=0), np.sum(log_slope[:, :, None] * yields + factor * slope, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        share = np.asarray(content["share"], dtype=np.float64)
        samples, bins = share.shape
        shapes = {"log_up": (-1, samples), "log_down": (-1, samples), "up": (-1, samples, bins)}
        shapes["down"] = shapes["up"]
        return cls(share, **{k: np.asarray(content[k], dtype=np.float64).reshape(v) for k, v in shapes.items()})


def response_of(shifts: ArrayLike | Response | None, bins: int) -> Response:
    """The response that relative shifts of the whole background stand for, or the one that is there already."""
    return shifts if isinstance(shifts, Response) else Response.linear(() if shifts is None else shifts, bins)


def _interpolated(
    t: NDArray[np.float64], up: NDArray[np.float64], down: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Change at t standard deviations, and its slope: linear beyond 1, in between the polynomial that joins smoothly.

    It has the value, slope and curvature of the lines at -1 and +1: HistFactory's piecewise interpolation (code 4p).
    """
    half, bend = (up - down) / 2, (up + down) / 16
    inner = t * (half + t * bend * (15 + t**2 * (3 * t**2 - 10)))
    inner_slope = half + t * bend * (30 + t**2 * (18 * t**2 - 40))
    value = np.where(t > 1, t * up, np.where(t < -1, -t * down, inner))
    return value, np.where(t > 1, up, np.where(t < -1, -down, inner_slope))
