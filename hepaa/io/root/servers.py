"""ROOT files on servers: where uproot gets the bytes of one that `hepaa.io.remote` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uproot.source.chunk import Chunk, Source
from uproot.source.coalesce import coalesce_requests
from uproot.source.futures import TrivialFuture

from hepaa.io import remote

if TYPE_CHECKING:
    from queue import Queue


class RemoteSource(Source):
    """Parts of a file on a server, those that are asked for at once in one request.

    Parameters
    ----------
    file_path : str
        Its address.
    **_options
        Of uproot, for sources that need them.
    """

    def __init__(self, file_path: str, **_options: Any) -> None:
        super().__init__()
        self._file_path = file_path
        self._state = remote.state(file_path)
        self._closed = False

    def __repr__(self) -> str:
        return f"<RemoteSource {self._file_path!r}>"

    def __enter__(self) -> RemoteSource:
        return self

    def __exit__(self, *problem: object) -> None:
        self._closed = True

    @property
    def closed(self) -> bool:
        """Whether no more is read."""
        return self._closed

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        return self._state.size

    def chunk(self, start: int, stop: int) -> Chunk:
        """Bytes start .. stop of the file."""
        return Chunk(self, start, stop, self._asked([(start, stop)], first=True))

    def chunks(self, ranges: list[tuple[int, int]], notifications: Queue[Any]) -> list[Chunk]:
        """Bytes of several ranges; uproot takes them from the queue."""
        return list(coalesce_requests(ranges, self._asked, self, notifications))

    def _asked(self, ranges: list[tuple[int, int]], *, first: bool = False) -> TrivialFuture:
        self._num_requests += 1
        self._num_requested_chunks += len(ranges)
        self._num_requested_bytes += sum(stop - start for start, stop in ranges)
        parts = remote.ranges(self._file_path, self._state, ranges)
        return TrivialFuture(parts[0] if first else parts)
