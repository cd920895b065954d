"""Workers of dask.distributed."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa.batch.executors.local import POLL_S, Answer, Function, loss
from hepaa.errors import IncompleteError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Dask:
    """Workers of dask.distributed: the scheduler at an address, or a client that is connected already.

    Attributes
    ----------
    address : str
        "tcp://HOST:PORT"; "" where a client is given.
    client : distributed.Client, optional
    timeout_s : float
        How long to wait for the scheduler.
    """

    address: str = ""
    client: Any = None
    timeout_s: float = 30.0

    def __call__(self, items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
        """Map over the workers; a scheduler that goes away loses what was not back yet."""
        if self.client is not None:
            return _over_dask(self.client, items, function, accumulator)
        from distributed import Client

        try:
            client = Client(self.address, timeout=self.timeout_s, set_as_default=False)
        except OSError as failure:
            return accumulator, IncompleteError(f"no dask scheduler answers at {self.address} ({failure})")
        with client:
            return _over_dask(client, items, function, accumulator)


def _over_dask(client: Any, items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
    # not pure: dask would take equal calls for one and give the old answer, failures included
    futures = client.map(function, items, pure=False, retries=0)
    finished: queue.Queue[Any] = queue.Queue()
    for future in futures:
        future.add_done_callback(finished.put)
    lost: list[str] = []
    left = len(futures)
    while left:
        try:
            future = finished.get(timeout=POLL_S)
        except queue.Empty:
            if client.status != "running":
                lost += [f"the dask scheduler went away (the client is {client.status})"] * left
                break
            continue
        left -= 1
        if future.status == "finished":
            accumulator += future.result()
        else:
            failure = future.exception() if future.status == "error" else "the scheduler forgot it"
            lost.append(f"{future.status}: {failure}")
    return accumulator, loss(lost, len(items))
