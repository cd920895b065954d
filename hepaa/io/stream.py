"""Byte streams: a file of any compression as a sliding window of plain bytes, read one block ahead in a thread.

The compression is recognised by content (magic bytes), never by the name of the file. Gzip goes through
python-isal, which decompresses about three times faster than zlib and without the GIL; zstd through pyarrow;
xz and bz2 through the standard library.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable
    from types import TracebackType

    from numpy.typing import NDArray

BLOCK = 1 << 20
"""Bytes read at a time: long enough to hide the hand-over between threads, short enough to stay in cache."""

BEHIND = 32
"""Bytes in a window's array that come behind its end, whatever they are: kernels may look at words of eight there."""

_HEADROOM = 64 << 10
_PAGE = 4096
_TYPICAL = 5  # text of events is so many times as long as what a compressor makes of it
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bz2",
}


class StreamError(InputError):
    """A compressed stream that ends early or is damaged; what came before it is good."""


class _Raw(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...
    def close(self) -> None: ...


def compression(path: str | os.PathLike[str]) -> str:
    """Compression of a file by its first bytes: "none", "gzip", "zstd", "xz" or "bz2".

    Raises
    ------
    InputError
        The file does not exist, is a folder, or may not be read.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from error
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "none")


def _open_raw(path: str, kind: str) -> _Raw:
    if kind == "gzip":
        from isal import igzip

        gzip: Any = igzip.IGzipFile
        return cast("_Raw", gzip(path, "rb"))
    if kind == "zstd":
        import pyarrow as pa

        return cast("_Raw", pa.CompressedInputStream(pa.OSFile(path), "zstd"))
    if kind == "xz":
        import lzma

        return cast("_Raw", lzma.open(path, "rb"))
    if kind == "bz2":
        import bz2

        return cast("_Raw", bz2.open(path, "rb"))
    return cast("_Raw", Path(path).open("rb", buffering=0))


def _closed() -> int:
    raise ValueError("read of a stream that is closed")


class _Block:
    """Memory for one block, with room before it for what is kept of the one before, and `BEHIND` bytes after it.

    The block starts on a page: to a buffer some bytes off, as allocators give it, some processors copy many times more
    slowly.
    """

    def __init__(self, size: int) -> None:
        self.bytes = bytearray(_PAGE + _HEADROOM + size + BEHIND)
        address = np.frombuffer(self.bytes, np.uint8).ctypes.data
        self.first = _HEADROOM + -address % _PAGE
        self.target = memoryview(self.bytes)[self.first : self.first + size]


class ByteStream:
    """A window that slides over the plain bytes of a file.

    The window is `data[start:stop]`; `advance(keep)` moves it on by one block and keeps everything from index `keep`
    of the old window in front of the new bytes, so that a record cut by the end of a block is seen whole. The next
    block is read and decompressed in a thread meanwhile. Arrays of an old window are overwritten: copy what must stay.

    Attributes
    ----------
    path : str
        The file, as given.
    compression : str
        "none", "gzip", "zstd", "xz" or "bz2".
    data : uint8 array
        Buffer that holds the window.
    start, stop : int
        Bounds of the window in `data`.
    origin : int
        Offset in the uncompressed file of `data[0]` (negative when the buffer has unused room in front).
    expected : int
        Bytes in the uncompressed file, as far as its size on disk tells: a guess where it is compressed.
    block : int
        Bytes read at a time.

    Raises
    ------
    InputError
        The file cannot be read.
    StreamError
        By `advance`: the compressed data end early or are damaged. Every byte before that was in the window.
    """

    def __init__(self, path: str | os.PathLike[str], *, block: int = BLOCK) -> None:
        self.path = os.fspath(path)
        self.compression = compression(self.path)
        self.block = block
        self.expected = Path(self.path).stat().st_size * (1 if self.compression == "none" else _TYPICAL)
        self._raw = _open_raw(self.path, self.compression)
        # A plain file is read faster than a thread is woken.
        plain = self.compression == "none"
        self._pool = None if plain else ThreadPoolExecutor(1, thread_name_prefix="hepaa-stream")
        self._buffer = bytearray(0)
        self._memory: _Block | None = None  # of the window; None: it is longer than a block
        self._spare = _Block(block)
        self._error: Exception | None = None
        self._ended = False
        self.data: NDArray[np.uint8] = np.frombuffer(self._buffer, np.uint8)
        self.start = self.stop = self.origin = 0
        self._next = self._ahead(self._spare)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and close the file."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
        self._next = _closed  # what reads on holds the stream, and the stream it: the windows would outlive both
        self._raw.close()

    def _ahead(self, free: _Block) -> Callable[[], int]:
        if self._pool is None:
            return partial(self._fill, free)
        return self._pool.submit(self._fill, free).result

    def _fill(self, free: _Block) -> int:
        # Runs in the thread. A failure is kept until the bytes before it have been handed out.
        self._spare = free
        view, at = free.target, 0
        try:
            while at < len(view):
                n = self._raw.readinto(view[at:])
                if not n:
                    break
                at += n
        except Exception as error:  # decompressors raise OSError, EOFError, zlib.error, LZMAError, ArrowException ...
            self._error = error
        return at

    def advance(self, keep: int) -> bool:
        """Slide the window on by one block, keeping `data[keep:stop]` in front; False at the end of the file."""
        if self._ended:
            return False
        fresh = self._next()
        if fresh == 0:
            self._ended = True
            if self._error is not None:
                reason = str(self._error) or type(self._error).__name__
                what = f"the {self.compression} data end early or are damaged ({reason})"
                if self.compression == "none":
                    what = f"cannot be read on ({reason})"
                raise StreamError(f"{self.path}: {what}") from self._error
            return False
        new, kept = self._spare, self.stop - keep
        position = self.origin + keep
        if kept <= _HEADROOM:
            start = new.first - kept
            new.bytes[start : new.first] = memoryview(self._buffer)[keep : self.stop]
            free = self._memory or _Block(self.block)
            self._memory, self._buffer = new, new.bytes
        else:
            start, free = 0, new
            parts = (memoryview(self._buffer)[keep : self.stop], new.target[:fresh], bytearray(BEHIND))
            self._memory, self._buffer = None, bytearray(b"".join(parts))
        self.start, self.stop = start, start + kept + fresh
        self.origin = position - start
        self.data = np.frombuffer(self._buffer, np.uint8)
        self._next = self._ahead(free) if self._error is None else int
        return True

    def bytes(self, start: int, stop: int) -> builtins.bytes:
        """Copy of `data[start:stop]`."""
        return bytes(memoryview(self._buffer)[start:stop])

    def find(self, what: builtins.bytes, start: int, stop: int) -> int:
        """First index of `what` in `data[start:stop]`, or -1."""
        return self._buffer.find(what, start, stop)

    def rfind(self, what: builtins.bytes, start: int, stop: int) -> int:
        """Last index of `what` in `data[start:stop]`, or -1."""
        return self._buffer.rfind(what, start, stop)
