"""Contrastive terms on the latent space, in memory that grows with the batch and not with its square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from hepaa.errors import InputError
from hepaa.models.losses.schedules import ONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import Batch

_TILE = 1 << 18  # pairs at once: a megabyte, which stays in the cache


class _CompiledLogPartition(torch.autograd.Function):
    """`_LogPartition` of float32 on the CPU, in compiled loops over pairs; see `pair_kernels`."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float) -> Tensor:
        """(..., n) for z (..., n, d)."""
        from hepaa.models.losses import pairs as pair_kernels

        members = z.detach().reshape(-1, *z.shape[-2:]).transpose(-1, -2).contiguous().numpy()
        bounds = [float((m * m).sum(axis=0).max()) / temperature for m in members]
        sums = [pair_kernels.partition_sums(m, 1 / temperature, c) for m, c in zip(members, bounds, strict=True)]
        ctx.members, ctx.bounds, ctx.sums, ctx.temperature, ctx.shape = members, bounds, sums, temperature, z.shape
        logs = [np.log(s) + np.float32(c) for s, c in zip(sums, bounds, strict=True)]
        return torch.from_numpy(np.stack(logs)).reshape(z.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient (..., n, d)."""
        from hepaa.models.losses import pairs as pair_kernels

        upstream = grads[0].reshape(len(ctx.members), -1).contiguous().numpy()
        parts = [
            pair_kernels.partition_gradient(m, g / s, 1 / ctx.temperature, c).T
            for m, g, s, c in zip(ctx.members, upstream, ctx.sums, ctx.bounds, strict=True)
        ]
        return torch.from_numpy(np.stack(parts)).reshape(ctx.shape), None


class _LogPartition(torch.autograd.Function):
    """log sum over a != i of exp(z_i . z_a / T), row tile by row tile; the backward pass makes the tiles again.

    With E_ia = exp(z_i.z_a / T - c), 0 on the diagonal, S_i its row sums and g the incoming gradient, the gradient is
    sum_a E_ia (g_i / S_i + g_a / S_a) z_a / T, because E is symmetric: one product of E with (z, z g / S).
    """

    @staticmethod
    def _tiles(z: Tensor, temperature: float) -> Iterator[tuple[slice, Tensor]]:
        n = z.shape[-2]
        step = max(1, _TILE // (n * max(1, z[..., 0, 0].numel())))
        scaled = z.transpose(-1, -2) / temperature
        bound = _LogPartition._bound(z, temperature)
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            tile = torch.matmul(z[..., rows, :], scaled).sub_(bound).exp_()
            tile.diagonal(offset=start, dim1=-2, dim2=-1).zero_()
            yield rows, tile

    @staticmethod
    def _bound(z: Tensor, temperature: float) -> Tensor:
        """c: no exponent is above it (Cauchy-Schwarz)."""
        return z.square().sum(-1).max() / temperature

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float) -> Tensor:
        """(..., n) for z (..., n, d)."""
        sums = torch.cat([tile.sum(-1) for _, tile in _LogPartition._tiles(z, temperature)], dim=-1)
        ctx.save_for_backward(z, sums)
        ctx.temperature = temperature
        return sums.log() + _LogPartition._bound(z, temperature)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient (..., n, d); see the class."""
        z, sums = ctx.saved_tensors
        share = (grads[0] / sums)[..., None]
        both = torch.cat([z, z * share], dim=-1)
        parts = []
        for rows, tile in _LogPartition._tiles(z, ctx.temperature):
            as_anchor, as_partner = torch.matmul(tile, both).chunk(2, dim=-1)
            parts.append(as_anchor * share[..., rows, :] + as_partner)
        return torch.cat(parts, dim=-2) / ctx.temperature, None


def log_partition(z: Tensor, temperature: float) -> Tensor:
    """log sum over a != i of exp(z_i . z_a / T) of each row, (..., n) for z (..., n, d), n >= 2.

    The differences between exponents must stay within float32, about 80.
    """
    compiled = z.dtype == torch.float32 and z.device.type == "cpu"
    with torch.autocast(z.device.type, enabled=False):
        function = _CompiledLogPartition if compiled else _LogPartition
        found: Tensor = function.apply(z if z.dtype == torch.float64 else z.float(), temperature)  # type: ignore[no-untyped-call]
    return found


def _refuse_temperature(temperature: float) -> None:
    if not temperature >= 0.03:
        raise InputError(f"temperature is {temperature}; below 0.03 the exponentials leave the range of float32")


@dataclass(frozen=True)
class SupCon:
    """Supervised contrastive loss on latent means, positives being the events of the same group.

    -mean_i 1/|P(i)| sum_{p in P(i)} log(exp(z_i.z_p / T) / sum_{a != i} exp(z_i.z_a / T)), z on the unit sphere
    (Khosla et al., arXiv:2004.11362, eq. 2). Events without a positive in the batch do not count.
    """

    temperature: float = 0.1
    weight: Schedule = ONE
    name: str = "contrastive"

    def __post_init__(self) -> None:
        _refuse_temperature(self.temperature)

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term; 0 where no event has a positive."""
        if batch.group is None:
            raise InputError("SupCon needs the group of every event: pass groups, or a table with generators")
        z = F.normalize(out["mu"], dim=-1)
        if z.shape[-2] < 2:
            return torch.zeros_like(z[..., 0, 0])
        member = F.one_hot(batch.group, int(batch.group.max()) + 1).to(z.dtype)
        positives = torch.matmul(member, member.sum(-2)[..., None])[..., 0] - 1
        # the sum over positives of z_i.z_p is z_i . (sum of the group - z_i): no matrix of pairs is needed
        group_sum = torch.matmul(member, torch.matmul(member.transpose(-1, -2), z))
        attraction = (z * (group_sum - z)).sum(-1) / (self.temperature * positives.clamp(min=1))
        counts = (positives > 0).to(z.dtype)
        if batch.weight is not None:
            counts = counts * batch.weight
        loss = (log_partition(z, self.temperature) - attraction) * counts
        return loss.sum(-1) / (positives > 0).sum(-1).clamp(min=1)


@dataclass(frozen=True)
class NTXent:
    """Normalised temperature-scaled cross-entropy of two views of each event (Chen et al., arXiv:2002.05709, eq. 1).

    The outputs carry the latent means of the views as `view_a` and `view_b`, (..., B, latent).
    """

    temperature: float = 0.1
    weight: Schedule = ONE
    name: str = "contrastive"

    def __post_init__(self) -> None:
        _refuse_temperature(self.temperature)

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term; 0 without noise, for there are no views then."""
        if "view_a" not in out:
            return torch.zeros_like(out["mu"][..., 0, 0])
        size = batch.x.shape[-2]
        z = F.normalize(torch.cat([out["view_a"], out["view_b"]], dim=-2), dim=-1)
        a, b = z[..., :size, :], z[..., size:, :]
        agreement = (a * b).sum(-1) / self.temperature
        partition = log_partition(z, self.temperature)
        loss = 0.5 * (partition[..., :size] + partition[..., size:]) - agreement
        return batch.average(loss, slice(None), size)
