"""Posteriors of a VAE that are richer than a Gaussian: flows that start from a sample of it.

Every flow is invertible, starts near the identity, and gives the logarithm of its Jacobian determinant. Its numbers are
parameters, the same for all events; with `context` > 0 the encoder adds to them, event by event, a linear function of
so many numbers (amortised flows).
"""

from __future__ import annotations

from math import ceil, e, log, pi, prod
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch.nn import functional as F

from hepaa.models.nets.zuko_flows import Autoregressive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

PosteriorKind = Literal[
    "gaussian", "planar", "sylvester-orthogonal", "sylvester-householder", "sylvester-triangular", "conv", "iaf", "maf",
    "spline",
]  # fmt: skip
POSTERIORS: tuple[PosteriorKind, ...] = get_args(PosteriorKind)
_SMALL = 0.01  # size of start values that keep a flow near the identity


def above_minus_one(x: Tensor) -> Tensor:
    """A smooth rising function with values above -1 that is 0 at 0: softplus(x + log(e - 1)) - 1."""
    return F.softplus(x + log(e - 1)) - 1


def _times(z: Tensor, matrix: Tensor) -> Tensor:
    """z (..., B, a) times a matrix of each event (..., B, a, b), or one for all of them (..., 1, a, b)."""
    if matrix.shape[-3] == 1:
        return z @ matrix.squeeze(-3)
    return (z[..., None, :] @ matrix).squeeze(-2)


class _Flow:
    """What flows of a few numbers a step share: where the numbers come from, and the sum over steps.

    A subclass names its numbers and their start values (`_start`) and makes one step (`_step`); there, numbers have
    shape (..., E, their own shape), E being 1 or the number of events.
    """

    def __init__(self, latent: int, steps: int, context: int = 0) -> None:
        self.latent, self.steps, self.context = latent, steps, context
        start = self._start(torch.Generator().manual_seed(0))
        self.shapes = {name: tuple(values.shape) for name, values in start.items()}

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Numbers of all steps (steps, ...) that make a flow near the identity."""
        raise NotImplementedError

    def _step(self, k: int, n: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        """Step k: its end point, and log |det| or, before a sum over the last axis, its summands."""
        raise NotImplementedError

    def _draw(self, generator: torch.Generator, bound: float, *shape: int) -> Tensor:
        return torch.empty(self.steps, *shape).uniform_(-bound, bound, generator=generator)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member: the flow starts near the identity."""
        parameters = {f"posterior.{name}": values for name, values in self._start(generator).items()}
        if self.context:
            total = sum(prod(shape) for shape in self.shapes.values())
            bound = _SMALL * self.context**-0.5
            shape = (self.context, total)
            parameters["posterior.context"] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        return parameters

    def _numbers(self, p: Mapping[str, Tensor], context: Tensor | None) -> dict[str, Tensor]:
        """All numbers, with an axis for the events."""
        own = {name: p[f"posterior.{name}"].unsqueeze(-len(shape) - 1) for name, shape in self.shapes.items()}
        if not self.context or context is None:
            return own
        added = torch.split(context @ p["posterior.context"], [prod(s) for s in self.shapes.values()], dim=-1)
        return {
            name: own[name] + part.reshape(*part.shape[:-1], *shape)
            for part, (name, shape) in zip(added, self.shapes.items(), strict=True)
        }

    def __call__(self, p: Mapping[str, Tensor], z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """End point (..., B, latent) and log |det dz'/dz| (..., B) of the flow from z (..., B, latent)."""
        numbers = self._numbers(p, context)
        log_det = torch.zeros_like(z[..., 0])
        for k in range(self.steps):
            step = {name: numbers[name].select(-len(shape), k) for name, shape in self.shapes.items()}
            z, change = self._step(k, step, z)
            log_det = log_det + change
        return z, log_det


class Planar(_Flow):
    """z -> z + u tanh(w.z + b) (Rezende and Mohamed, arXiv:1505.05770, eq. 10).

    u is bent along w so that w.u > -1, which makes every step invertible (appendix A.1 there, with a bend that leaves
    u = 0 as it is).
    """

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        width = self.latent**-0.5
        return {
            "u": self._draw(generator, _SMALL, self.latent),
            "w": self._draw(generator, width, self.latent),
            "b": self._draw(generator, width, 1),
        }

    def _step(self, k: int, n: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        del k
        u, w, b = n["u"], n["w"], n["b"]
        wu = (w * u).sum(-1, keepdim=True)
        slope = above_minus_one(wu)
        bent = u + (slope - wu) * w / w.square().sum(-1, keepdim=True).clamp(min=1e-12)
        h = torch.tanh((z * w).sum(-1, keepdim=True) + b)
        return z + bent * h, torch.log1p((1 - h.square()) * slope)[..., 0]


class _Sylvester(_Flow):
    """z -> z + Q R tanh(R~ Q^T z + b) (van den Berg et al., arXiv:1803.05649, eq. 13).

    Q has m orthonormal columns; R and R~ are upper triangular, with diagonals within (-1, 1): invertible (theorem 2).
    """

    def _columns(self) -> int:
        return self.latent

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        m = self._columns()
        # above the diagonal R, below it the transpose of R~
        mix = {"mix": self._draw(generator, _SMALL, m, m)} if m > 1 else {}
        return mix | {
            "r": self._draw(generator, _SMALL, m),
            "s": self._draw(generator, 1.0, m),
            "b": self._draw(generator, m**-0.5, m),
        }

    def _basis(self, k: int, n: Mapping[str, Tensor]) -> Tensor:
        """Q (..., E, latent, m) of step k."""
        raise NotImplementedError

    def _step(self, k: int, n: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        q, r, s = self._basis(k, n), torch.tanh(n["r"]), torch.tanh(n["s"])
        unity = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device)
        outer, inner = r[..., None] * unity, s[..., None] * unity  # R, and R~ transposed
        if "mix" in n:
            outer, inner = outer + torch.triu(n["mix"], 1), inner + torch.tril(n["mix"], -1)
        h = torch.tanh(_times(_times(z, q), inner) + n["b"])
        moved = z + _times(_times(h, outer.transpose(-1, -2)), q.transpose(-1, -2))
        return moved, torch.log1p((1 - h.square()) * (r * s)).sum(-1)


class OrthogonalSylvester(_Sylvester):
    """Sylvester flow in a subspace of half the latent dimensions.

    Q is the orthogonal factor of a free matrix; the QR decomposition takes the place of the paper's iteration (its
    eq. 14) and is exact.
    """

    def _columns(self) -> int:
        return ceil(self.latent / 2)

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        free = torch.randn(self.steps, self.latent, self._columns(), generator=generator)
        return {**super()._start(generator), "q": free}

    def _basis(self, k: int, n: Mapping[str, Tensor]) -> Tensor:
        del k
        q, r = torch.linalg.qr(n["q"])
        # the decomposition with a positive diagonal is unique, and smooth in the matrix
        unique: Tensor = q * torch.sign(r.diagonal(dim1=-2, dim2=-1))[..., None, :]
        return unique


class HouseholderSylvester(_Sylvester):
    """Sylvester flow with Q a product of Householder reflections: as many as latent dimensions, at most 8."""

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        vectors = torch.randn(self.steps, min(self.latent, 8), self.latent, generator=generator)
        return {**super()._start(generator), "v": vectors}

    def _basis(self, k: int, n: Mapping[str, Tensor]) -> Tensor:
        del k
        v = F.normalize(n["v"], dim=-1)
        q = torch.eye(self.latent, dtype=v.dtype, device=v.device).expand(*v.shape[:-2], -1, -1)
        for i in range(v.shape[-2]):
            one = v[..., i, :]
            q = q - 2 * (q @ one[..., None]) * one[..., None, :]
        return q


class TriangularSylvester(_Sylvester):
    """Sylvester flow with Q the identity and the reversal of the order in turn."""

    def _basis(self, k: int, n: Mapping[str, Tensor]) -> Tensor:
        q = torch.eye(self.latent, dtype=n["b"].dtype, device=n["b"].device)
        return (q if k % 2 == 0 else q.flip(0))[None]


class Conv(_Flow):
    """z -> z + u * tanh(conv(z, w)), with dilated kernels of up to three numbers (Zheng, Yang, Carbonell, 1711.02255).

    Component i depends on components i, i + dilation, ...; every other step runs in the reverse order, and the dilation
    doubles as long as the kernel fits. u is bent so that w_1 u_i > -1, which makes every step invertible.
    """

    def _start(self, generator: torch.Generator) -> dict[str, Tensor]:
        kernel = min(3, self.latent)
        return {"u": self._draw(generator, _SMALL, self.latent), "w": self._draw(generator, kernel**-0.5, kernel)}

    def _dilation(self, k: int) -> int:
        reach = self.shapes["w"][-1] - 1
        dilation = 1
        for _ in range(k // 2):
            dilation = 2 * dilation if 2 * dilation * reach < self.latent else 1
        return dilation

    def _step(self, k: int, n: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        u, w = n["u"], n["w"]
        kernel, dilation = w.shape[-1], self._dilation(k)
        x = z if k % 2 == 0 else z.flip(-1)
        padded = F.pad(x, (0, (kernel - 1) * dilation))
        shifted = [w[..., j : j + 1] * padded[..., j * dilation : j * dilation + self.latent] for j in range(kernel)]
        h = torch.tanh(torch.stack(shifted).sum(0))
        wu = w[..., :1] * u
        slope = above_minus_one(wu)
        near = wu.abs() < 1e-4
        # slope / (w u), which tends to (e - 1) / e for w u -> 0
        bend = torch.where(near, (e - 1) / e + 0 * wu, slope / torch.where(near, 1.0, wu))
        moved = x + u * bend * h
        return (moved if k % 2 == 0 else moved.flip(-1)), torch.log1p((1 - h.square()) * bend * wu).sum(-1)


Posterior = _Flow | Autoregressive
_FLOWS: dict[str, type[_Flow]] = {
    "planar": Planar,
    "sylvester-orthogonal": OrthogonalSylvester,
    "sylvester-householder": HouseholderSylvester,
    "sylvester-triangular": TriangularSylvester,
    "conv": Conv,
}


def posterior_flow(kind: PosteriorKind, latent: int, steps: int, context: int = 0) -> Posterior | None:
    """The flow of a posterior by name, of `steps` steps; None for "gaussian"."""
    if kind in ("iaf", "maf", "spline"):
        return Autoregressive(kind, latent, steps, context)
    return None if kind == "gaussian" else _FLOWS[kind](latent, steps, context)


def log_posterior(noise: Tensor | None, logvar: Tensor, log_det: Tensor | None) -> Tensor:
    """log q(z|x) (..., B) at the end point of a flow from mu + exp(logvar / 2) noise; noise None is mu."""
    density = -0.5 * (logvar + log(2 * pi)).sum(-1)
    if noise is not None:
        density = density - 0.5 * noise.square().sum(-1)
    return density if log_det is None else density - log_det
