"""The steps of an epoch, in two ways: torch operations for any model, one compiled loop for small VAEs."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from hepaa.models.engine.batches import Deal, Pool
    from hepaa.models.engine.optimiser import Adam, MemberParameters
    from hepaa.models.losses.terms import Term, TrainingBatch

    Model = Callable[..., Mapping[str, Tensor]]

# Multiply-adds of a step (parameters x events) above which torch's matrix products win against the compiled loop.
_FUSED_BELOW = 5e6


class Diverged(Exception):
    """In a step of a member, `what` is no finite number."""

    def __init__(self, member: int, step: int, what: str) -> None:
        super().__init__(f"member {member}, step {step}: {what} is not finite")
        self.member, self.step, self.what = member, step, what


def autocast(device: torch.device, wanted: bool) -> AbstractContextManager[Any]:
    """bfloat16 matrix products where they are wanted and the device is cuda; nothing elsewhere."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if wanted and device.type == "cuda" else nullcontext()


class TorchSteps:
    """Steps of torch operations, on any device; members where `active` (K, 1) is 0 stay as they are."""

    def __init__(
        self, model: Model, terms: Sequence[Term], parameters: MemberParameters, optimiser: Adam, *, amp: bool = False
    ) -> None:
        self.model, self.terms, self.parameters, self.optimiser, self.amp = model, terms, parameters, optimiser, amp
        self.device = parameters.flat.device
        self.active: Tensor | None = None

    def run(self, deal: Deal, background: Pool, anomalies: Pool | None, weights: Sequence[float], sums: Tensor) -> int:
        """Train on all batches of `deal`; add the value of each term (terms, K) to `sums`; returns how many there were.

        Raises
        ------
        Diverged
            When a gradient is not finite; the message names step and term.
        """
        factors = torch.tensor(weights, device=self.device)
        of_members = torch.zeros(len(self.terms), *sums.shape[1:], device=self.device)
        totals = of_members if len(self.parameters) > 1 else of_members[:, 0]
        count = 0
        for batch in deal.batches(background, anomalies):
            values, loss = self._loss(batch, factors)
            gradient = self._gradient(loss)
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            if not float(norm.sum()) < float("inf"):
                raise self.diagnosis(batch, weights, count)
            self.optimiser.step(gradient, self.active, norm)
            totals += values.detach()
            count += 1
        sums += of_members
        return count

    def _loss(self, batch: TrainingBatch, factors: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(self.device, self.amp):
            out = self._outputs(batch)
            values = torch.stack([term(batch, out).float() for term in self.terms])
        return values, factors @ values if values.dim() == 1 else (factors @ values).sum()

    def _outputs(self, batch: TrainingBatch) -> Mapping[str, Tensor]:
        return self.model(self.parameters.tensors, batch.x, batch.noise)

    def _gradient(self, loss: Tensor) -> Tensor:
        return self.parameters.gradient(loss)

    def diagnosis(self, batch: TrainingBatch, weights: Sequence[float], step: int) -> Diverged:
        """The first term that is not finite in a batch, in value or gradient, and the member it happens to."""
        members = len(self.parameters)
        for term, weight in zip(self.terms, weights, strict=True):
            with autocast(self.device, self.amp):
                value = weight * term(batch, self.model(self.parameters.tensors, batch.x, batch.noise)).float()
            finite = {term.name: torch.isfinite(value.detach()).reshape(members)}
            if value.requires_grad:
                grads = torch.autograd.grad(value.sum(), list(self.parameters.tensors.values()), allow_unused=True)
                good = [torch.isfinite(g.reshape(members, -1)).all(dim=1) for g in grads if g is not None]
                finite[f"gradient of {term.name}"] = torch.stack(good).all(dim=0)
            for name, ok in finite.items():
                if not ok.all():
                    return Diverged(int((~ok).nonzero()[0]), step, name)
        return Diverged(0, step, "gradient")
