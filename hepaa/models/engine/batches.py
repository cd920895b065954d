"""Which events make a batch: members with their sources of random numbers, shuffles, shares of groups, anomalies.

Everything that is drawn is drawn on the CPU from generators of the member, so that a seed means the same on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import torch

from hepaa.errors import InputError
from hepaa.models.engine.device import generator
from hepaa.models.losses.terms import TrainingBatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

# Numbers gathered at once: large enough that gathering costs nothing, small enough to stay in the cache.
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Pool:
    """Events of one class on the device: x (n, d), and weight (n,) of mean 1, group (n,) or None.

    `stratum` (n,) int64, on the CPU, is what `balance` goes by; default: the group. `spectator` (n,) is of background.
    """

    x: Tensor
    weight: Tensor | None = None
    group: Tensor | None = None
    stratum: Tensor | None = None
    spectator: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


def shares_of(balance: str | Mapping[int, float], stratum: Tensor | None) -> dict[int, float]:
    """Share of each stratum, with a sum of 1; equal ones for "groups".

    Raises
    ------
    InputError
        If there are no strata, shares are given for others, or one is not positive.
    """
    present = [] if stratum is None else torch.unique(stratum).tolist()
    if not present:
        raise InputError("balance draws from every group in turn: pass groups, or a table with generators")
    if isinstance(balance, str) and balance != "groups":
        raise InputError(f"balance is {balance!r}; it must be 'groups', a share for each group, or None")
    shares = dict.fromkeys(present, 1.0) if isinstance(balance, str) else {k: float(v) for k, v in balance.items()}
    if set(shares) != set(present):
        raise InputError(
            f"balance has shares for groups {sorted(shares)}, the background is of {present}; name the same"
        )
    if not all(0 < share < float("inf") for share in shares.values()):
        raise InputError(f"balance has shares {shares}; each must be a positive number")
    total = sum(shares.values())
    return {k: shares[k] / total for k in present}


def apportion(n: int, shares: Sequence[float]) -> list[int]:
    """n in whole parts in proportion to `shares`, by largest remainders: none is off by 1 or more."""
    exact = [n * share for share in shares]
    parts = [int(e) for e in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: parts[i] - exact[i])
    for i in by_remainder[: n - sum(parts)]:
        parts[i] += 1
    return parts


@dataclass
class Strata:
    """Rows of each stratum among a member's training events, and where in an epoch its events stand.

    The k-th of m events of a stratum stands at (k + 1/2) / m of the epoch, so every batch has the composition of the
    epoch, to within an event or so of each stratum, and the epoch has it exactly.
    """

    rows: list[Tensor]
    places: list[Tensor]

    @classmethod
    def build(cls, train: Tensor, stratum: Tensor, shares: Mapping[int, float]) -> Strata:
        """Of training rows (n,) and the stratum of every event of the pool."""
        of = stratum[train]
        rows = [train[of == k] for k in shares]
        empty = [k for k, r in zip(shares, rows, strict=True) if not len(r)]
        if empty:
            raise InputError(f"no training event of group {empty[0]} is left to draw from; lower validation_fraction")
        counts = apportion(len(train), list(shares.values()))
        times = torch.cat([(torch.arange(m, dtype=torch.float64) + 0.5) / max(m, 1) for m in counts])
        place = torch.empty(len(times), dtype=torch.int64)
        place[torch.argsort(times, stable=True)] = torch.arange(len(times))
        return cls(rows, list(torch.split(place, counts)))

    def draw(self, source: torch.Generator) -> Tensor:
        """Rows of an epoch (n,): each stratum in whole random permutations, one after the other."""
        order = torch.empty(sum(len(p) for p in self.places), dtype=torch.int64)
        for rows, places in zip(self.rows, self.places, strict=True):
            order[places] = rows[_permutations(len(rows), len(places), source)]
        return order


def _permutations(pool: int, count: int, source: torch.Generator) -> Tensor:
    """`count` indices below `pool`: whole random permutations, one after the other, the last one cut."""
    if not count:
        return torch.empty(0, dtype=torch.int64)
    return torch.cat([torch.randperm(pool, generator=source) for _ in range(ceil(count / pool))])[:count]


@dataclass
class Member:
    """Sources of random numbers of one member, and its events."""

    order: torch.Generator
    noise: torch.Generator
    anomaly_order: torch.Generator
    train: Tensor
    validation: Tensor
    strata: Strata | None = None

    @classmethod
    def build(cls, seed: int, n: int, held_out: int) -> Member:
        """Member `seed`, of n events `held_out` of which are for validation."""
        everything = torch.randperm(n, generator=generator(seed, "split")) if held_out else torch.arange(n)
        return cls(
            order=generator(seed, "order"),
            noise=generator(seed, "noise"),
            anomaly_order=generator(seed, "anomalies"),
            train=everything[held_out:].sort().values,
            validation=everything[:held_out].sort().values,
        )

    @property
    def generators(self) -> tuple[torch.Generator, ...]:
        """All whose state is that of the training."""
        return self.order, self.noise, self.anomaly_order

    def draw(self, window: int | None = None) -> Tensor:
        """Events of an epoch in random order; with `window`, all of so many events of a stream."""
        if window is not None:
            return torch.randperm(window, generator=self.order)
        if self.strata is not None:
            return self.strata.draw(self.order)
        return self.train[torch.randperm(len(self.train), generator=self.order)]

    def deal(self, pool: int, count: int) -> Tensor:
        """`count` indices of anomalies: whole random permutations of `pool`, one after the other."""
        return _permutations(pool, count, self.anomaly_order)


@dataclass(frozen=True)
class Deal:
    """What every member is dealt for an epoch, or for a window of a stream.

    Attributes
    ----------
    order : int64 (K, n)
        Background.
    dealt : int64 (K, m) or None
        Anomalies.
    noise : (K, n + m, z) or None
        Standard normal numbers, those of a batch together.
    common, rare : int
        Background events and anomalies of a batch; the last one may be smaller.
    """

    order: Tensor
    dealt: Tensor | None
    noise: Tensor | None
    common: int
    rare: int

    @classmethod
    def draw(
        cls, members: Sequence[Member], common: int, rare: int, *, anomalies: int, noise: int, window: int | None = None
    ) -> Deal:
        """Draw from every member's sources; `anomalies` is the number of labelled ones."""
        order = torch.stack([m.draw(window) for m in members])
        full, rest = divmod(order.shape[1], common)
        count = full * rare + ceil(rare * rest / common)
        rows = order.shape[1] + count
        return cls(
            order=order,
            dealt=torch.stack([m.deal(anomalies, count) for m in members]) if rare else None,
            noise=torch.stack([torch.randn(rows, noise, generator=m.noise) for m in members]) if noise else None,
            common=common,
            rare=rare,
        )

    def batches(self, background: Pool, anomalies: Pool | None) -> Iterator[TrainingBatch]:
        """All batches, with tensors (K, B, ...), or (B, ...) for one member."""
        members, n = self.order.shape
        full, rest = divmod(n, self.common)
        size = self.common + self.rare
        at_once = max(1, _BLOCK // (size * background.x.shape[1] * members))
        cuts = [(min(at_once, full - s), self.common, self.rare) for s in range(0, full, at_once)]
        if rest:
            cuts.append((1, rest, ceil(self.rare * rest / self.common)))
        a = b = 0
        for steps, k, r in cuts:
            c, d = a + steps * k, b + steps * r
            dealt = None if self.dealt is None else self.dealt[:, b:d]
            noise = None if self.noise is None else self.noise[:, a + b : c + d]
            yield from self._block(background, anomalies, steps, self.order[:, a:c], dealt, noise)
            a, b = c, d

    @staticmethod
    def _block(
        background: Pool, anomalies: Pool | None, steps: int, order: Tensor, dealt: Tensor | None, noise: Tensor | None
    ) -> Iterator[TrainingBatch]:
        """`steps` batches of equal composition: all their events are gathered at once, a batch is a view."""
        members = len(order)

        def apart(block: Tensor) -> list[Any]:
            return list(block.unbind(1)) if members > 1 else list(block[0].unbind(0))

        def gather(name: str) -> list[Any]:
            values = getattr(background, name)
            if values is None:
                return [None] * steps
            block = _pick(values, order, steps)
            if dealt is not None and anomalies is not None and name != "spectator":
                block = torch.cat([block, _pick(getattr(anomalies, name), dealt, steps)], dim=2)
            return apart(block)

        rare = dealt.shape[1] // steps if dealt is not None else 0
        noises: list[Any] = [None] * steps
        if noise is not None:
            noises = apart(noise.to(background.x.device).view(members, steps, -1, noise.shape[-1]))
        columns = (gather(name) for name in ("x", "weight", "group", "spectator"))
        for x, weight, group, spectator, eps in zip(*columns, noises, strict=True):
            yield TrainingBatch(x=x, anomalies=rare, noise=eps, weight=weight, group=group, spectator=spectator)


def _pick(values: Tensor, index: Tensor, steps: int) -> Tensor:
    """Rows (K, steps, B, ...) of `values` (n, ...) for indices (K, steps * B)."""
    rows = values.index_select(0, index.reshape(-1).to(values.device))
    return rows.view(len(index), steps, -1, *values.shape[1:])
