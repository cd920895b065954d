"""Parameters of K members in one flat block of memory, and Adam on all of them in a handful of operations."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


class MemberParameters:
    """Named parameters of K members, views of one tensor `flat` (K, P).

    Attributes
    ----------
    flat : float32 (K, P)
    layout : tuple of (name, shape of one member)
    tensors : mapping of name -> leaf tensor; shape (K, *shape), or `shape` for one member
    """

    def __init__(self, flat: Tensor, layout: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self.flat = flat
        self.layout = tuple((name, tuple(shape)) for name, shape in layout)
        members = len(flat)
        self.tensors: dict[str, Tensor] = {}
        start = 0
        for name, shape in self.layout:
            stop = start + prod(shape)
            view = flat[:, start:stop].view(members, *shape)
            self.tensors[name] = (view[0] if members == 1 else view).detach().requires_grad_()
            start = stop

    @classmethod
    def stack(cls, members: Sequence[Mapping[str, Tensor]], device: torch.device) -> MemberParameters:
        """Parameters of K members with the same names and shapes."""
        flat = torch.stack([torch.cat([t.reshape(-1) for t in m.values()]) for m in members]).to(device)
        return cls(flat, [(name, tuple(t.shape)) for name, t in members[0].items()])

    def __len__(self) -> int:
        return len(self.flat)

    def frozen(self) -> dict[str, Tensor]:
        """The tensors, without gradients."""
        return {name: t.detach() for name, t in self.tensors.items()}

    def copy(self) -> MemberParameters:
        """The same values in memory of their own."""
        return MemberParameters(self.flat.clone(), self.layout)

    def gradient(self, loss: Tensor) -> Tensor:
        """Gradient (K, P) of a scalar; every parameter must take part in it."""
        grads = torch.autograd.grad(loss, list(self.tensors.values()))
        return torch.cat([g.reshape(len(self.flat), -1) for g in grads], dim=1)


class Adam:
    """Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1) on a flat block; members do not see each other.

    With a weight decay it is AdamW (Loshchilov and Hutter, arXiv:1711.05101): parameters shrink by the learning rate
    times the decay before every step, apart from the gradient.

    Parameters
    ----------
    flat : (K, P)
        Updated in place.
    learning_rate : float
        The other constants are the paper's.
    clip : float or None
        The gradient of each member is scaled down to this norm when it is longer.
    weight_decay : float

    Attributes
    ----------
    scale : (K, 1) or None
        Factor of each member's learning rate.
    """

    betas = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(
        self, flat: Tensor, learning_rate: float, clip: float | None = None, weight_decay: float = 0.0
    ) -> None:
        self.flat, self.learning_rate, self.clip, self.weight_decay = flat, learning_rate, clip, weight_decay
        self.scale: Tensor | None = None
        self.mean = torch.zeros_like(flat)
        self.square = torch.zeros_like(flat)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, active: Tensor | None = None, norm: Tensor | None = None) -> None:
        """Move by one step; members where `active` (K, 1) is 0 stay. `norm` (K, 1) of the gradient, if known."""
        if self.clip is not None:
            norm = gradient.norm(dim=1, keepdim=True) if norm is None else norm
            gradient = gradient * (self.clip / (norm + 1e-12)).clamp_(max=1.0)
        b1, b2 = self.betas
        self.steps += 1
        self.mean.lerp_(gradient, 1 - b1)
        self.square.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        root = (1 - b2**self.steps) ** 0.5
        rate = self.learning_rate * root / (1 - b1**self.steps)
        scale = self.square.sqrt().add_(self.epsilon * root)
        move = self.scale if active is None else active if self.scale is None else active * self.scale
        if self.weight_decay:
            decay = self.learning_rate * self.weight_decay
            self.flat.mul_(1 - decay * (torch.ones_like(self.flat[:, :1]) if move is None else move))
        self.flat.addcdiv_(self.mean if move is None else self.mean * move, scale, value=-rate)
