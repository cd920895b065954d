"""Contrastive terms on the latent space; on the CPU in memory that grows with the batch and not with its square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from hepaa.errors import InputError
from hepaa.models.losses.schedules import ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import TrainingBatch


class _CompiledLogPartition(torch.autograd.Function):
    """`log_partition` of float32 on the CPU, in compiled loops over pairs."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, temperature: float) -> Tensor:
        """(..., n) for z (..., n, d)."""
        from hepaa.models.losses.pairs import partition_sums

        members = z.detach().reshape(-1, *z.shape[-2:]).transpose(-1, -2).contiguous().numpy()
        bounds = [float((m * m).sum(axis=0).max()) / temperature for m in members]
        sums = [partition_sums(m, 1 / temperature, c) for m, c in zip(members, bounds, strict=True)]
        ctx.members, ctx.bounds, ctx.sums, ctx.temperature, ctx.shape = members, bounds, sums, temperature, z.shape
        logs = [np.log(s) + np.float32(c) for s, c in zip(sums, bounds, strict=True)]
        return torch.from_numpy(np.stack(logs)).reshape(z.shape[:-1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Gradient (..., n, d)."""
        from hepaa.models.losses.pairs import partition_gradient

        upstream = grads[0].reshape(len(ctx.members), -1).contiguous().numpy()
        parts = [
            partition_gradient(m, g / s, 1 / ctx.temperature, c).T
            for m, g, s, c in zip(ctx.members, upstream, ctx.sums, ctx.bounds, strict=True)
        ]
        return torch.from_numpy(np.stack(parts)).reshape(ctx.shape), None


def log_partition(z: Tensor, temperature: float) -> Tensor:
    """log sum over a != i of exp(z_i . z_a / T) of each row, (..., n) for z (..., n, d), n >= 2.

    The differences between exponents must stay within float32, about 80.
    """
    with torch.autocast(z.device.type, enabled=False):
        if z.dtype == torch.float32 and z.device.type == "cpu":
            compiled: Tensor = _CompiledLogPartition.apply(z, temperature)  # type: ignore[no-untyped-call]
            return compiled
        z = z if z.dtype == torch.float64 else z.float()
        itself = torch.eye(z.shape[-2], dtype=torch.bool, device=z.device)
        pairs = (z @ z.transpose(-1, -2) / temperature).masked_fill(itself, float("-inf"))
        return pairs.logsumexp(-1)


@dataclass(frozen=True)
class _Contrastive:
    temperature: float = 0.1
    weight: Schedule = ONE
    name: str = "contrastive"

    def __post_init__(self) -> None:
        if not self.temperature >= 0.03:
            raise InputError(
                f"temperature is {self.temperature}; below 0.03 the exponentials leave the range of float32"
            )


class SupCon(_Contrastive):
    """Supervised contrastive loss on latent means, positives being the events of the same group.

    -mean_i 1/|P(i)| sum_{p in P(i)} log(exp(z_i.z_p / T) / sum_{a != i} exp(z_i.z_a / T)), z on the unit sphere
    (Khosla et al., arXiv:2004.11362, eq. 2). Events without a positive in the batch do not count.
    """

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
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


class NTXent(_Contrastive):
    """Normalised temperature-scaled cross-entropy of two views of each event (Chen et al., arXiv:2002.05709, eq. 1).

    The outputs carry the latent means of the views as `view_a` and `view_b`, (..., B, latent).
    """

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
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
