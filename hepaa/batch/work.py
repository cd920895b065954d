"""The function that executors map, and the receipts that it gives."""

from __future__ import annotations

import gc
import os
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from threadpoolctl import ThreadpoolController

from hepaa.batch import keys
from hepaa.batch.store import Result, Store
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.files import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepaa.batch.plan import Plan
    from hepaa.batch.shard import Shard


_TIDYING = 0.01
"""Share of the time that may go into looking for cycles: readers of ROOT files leave some, which hold buffers."""

_UNTIDY_S = 5.0
"""How long a worker works before it looks for the first time."""


class Receipts(dict[str, Mapping[str, Any]]):
    """Receipts of shards by key: the accumulator of a batch. They add up in any order, for no key comes twice."""

    def __add__(self, other: dict[str, Mapping[str, Any]]) -> Receipts:
        return Receipts({**self, **other})

    def __iadd__(self, other: dict[str, Mapping[str, Any]]) -> Receipts:
        self.update(other)
        return self


class Watched(Receipts):
    """Receipts that tell of every addition."""

    def __init__(self, tell: Callable[[dict[str, Mapping[str, Any]]], None]) -> None:
        super().__init__()
        self._tell = tell

    def __iadd__(self, other: dict[str, Mapping[str, Any]]) -> Receipts:
        self.update(other)
        self._tell(other)
        return self


@dataclass(frozen=True)
class Work:
    """The function that executors map: shards in, their receipts out, their results in the store.

    A failure is a receipt too, with `error`: an exception would end some executors, and could not always be sent.

    Attributes
    ----------
    folder : str
        Of the store.
    plan : Plan
        Without its shards; groups of these are the items.
    """

    folder: str
    plan: Plan

    def __call__(self, group: tuple[Shard, ...]) -> Receipts:
        """Compute and store the shards of a group, unless they are there already; one that fails loses only itself."""
        store = Store(self.folder)
        here = {"host": socket.gethostname(), "pid": os.getpid()}
        receipts, computed = Receipts(), list[Result]()
        try:
            _check_versions(self.plan.versions)
            receipts.update(store.group(group))
            with _pools(self.plan.tasks[group[0].task].needs).limit(limits=1):  # sums do not depend on the cores
                for shard in group:
                    if shard.key not in receipts:
                        try:
                            computed.append(self._compute(shard, store, here))
                        except Exception as failure:  # whatever goes wrong with one shard must not end the others
                            receipts[shard.key] = _failed(failure, shard, store, here)
            receipts.update(store.put_all(computed))
            store.note("stored", *(result.key for result in computed))
        except Exception as failure:  # of all: other versions, or a full disk
            receipts.update(
                {shard.key: _failed(failure, shard, store, here) for shard in group if shard.key not in receipts}
            )
        _TIDY()
        return receipts

    def _compute(self, shard: Shard, store: Store, here: dict[str, Any]) -> Result:
        if shard.changed():
            raise InputError(f"{shard.path}: the file has changed since the plan was made; run again")
        store.note("began", shard.key, shard=shard.describe())
        shard.prepare()
        began = time.monotonic()
        part = self.plan.tasks[shard.task].compute(shard)
        if shard.changed():
            raise InputError(f"{shard.path}: the file changed while it was read; run again")
        receipt = {
            "path": shard.path,
            "start": shard.start,
            "stop": shard.stop,
            **vars(part.tally),
            "result": part.result,
            "seconds": round(time.monotonic() - began, 6),
            **here,
        }
        return Result(shard.key, receipt, part.table)

    def stored(self, read: set[str]) -> Receipts:
        """Receipts in the files of the store that are not in `read`, which gets their names."""
        return Receipts(Store(self.folder).new_receipts(read))


def _failed(failure: Exception, shard: Shard, store: Store, here: dict[str, Any]) -> dict[str, Any]:
    text = one_line(failure)
    reason = text if isinstance(failure, InputError) else f"{type(failure).__name__}: {text}"
    answer: dict[str, Any] = {"error": reason, **here}
    if isinstance(failure, TruncatedInputError):
        answer["good_events"] = failure.good_events
    try:
        store.note("failed", shard.key, error=answer["error"], trace=traceback.format_exc())
    except OSError as full:  # the disk that failed the shard fails the journal too; the receipt still tells
        answer["error"] += f"; and the journal cannot be written ({full.strerror})"
    return answer


class _Tidy:
    """Collects garbage now and then, so that a worker is as small after 1,000 files as after 10."""

    def __init__(self) -> None:
        self._next: float | None = None

    def __call__(self) -> None:
        now = time.monotonic()
        if self._next is None:
            self._next = now + _UNTIDY_S
        elif now >= self._next:
            gc.collect()  # takes 0.1 s where many modules are loaded
            ended = time.monotonic()
            self._next = ended + (ended - now) / _TIDYING


_TIDY = _Tidy()


@lru_cache(maxsize=8)
def _pools(needs: tuple[str, ...]) -> ThreadpoolController:
    """Thread pools of the libraries that are loaded once a task has what it needs; to find them takes 5 ms."""
    for module in needs:
        import_module(module)
    return ThreadpoolController()


def _check_versions(planned: dict[str, str]) -> None:
    here = keys.versions()
    other = [
        f"{name} {here.get(name, 'none')} here, {was} there" for name, was in planned.items() if here.get(name) != was
    ]
    if other:
        raise InputError(
            f"{socket.gethostname()} has other versions than the machine that made the plan ({'; '.join(other)}); "
            "install the same, or use one container"
        )
