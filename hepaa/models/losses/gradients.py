"""Pieces of the VAE whose gradients are written by hand: one node each where autograd would have twenty.

Small nets spend their time in the overhead of operations; these are the ones that every step needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


class _Latent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        mu, logvar = h.chunk(2, dim=-1)
        sigma = torch.exp(0.5 * logvar)
        z = mu.clone() if noise is None else torch.addcmul(mu, sigma, noise)
        kl = torch.addcmul(mu.square(), sigma, sigma).sub_(logvar).sum(-1).sub_(mu.shape[-1]).mul_(0.5)
        ctx.save_for_backward(mu, sigma, noise)
        return z, kl

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        mu, sigma, noise = ctx.saved_tensors
        grad_z, grad_kl = grads
        weight = grad_kl[..., None]
        through_sigma = (sigma.square() - 1).mul_(weight)
        if noise is not None:
            through_sigma.addcmul_(grad_z * noise, sigma)
        return torch.cat([torch.addcmul(grad_z, weight, mu), through_sigma.mul_(0.5)], dim=-1), None


def gaussian_latent(h: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sample and KL divergence of a Gaussian posterior: z (..., B, n) and KL (..., B) from h = (mu, log variance).

    z = mu + exp(logvar / 2) * noise, or mu without noise; KL = -1/2 sum(1 + logvar - mu^2 - exp(logvar)).
    """
    z, kl = _Latent.apply(h, noise)  # type: ignore[no-untyped-call]
    return z, kl


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, x_hat: Tensor) -> Tensor:
        off = x_hat - x
        ctx.save_for_backward(off)
        return off.square().sum(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        (off,) = ctx.saved_tensors
        return None, off * (2 * grads[0])[..., None]


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Sum over features of (x - x_hat)^2, (..., B); x is taken as constant."""
    error: Tensor = _SquaredError.apply(x, x_hat)  # type: ignore[no-untyped-call]
    return error
