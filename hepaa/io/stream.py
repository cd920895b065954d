"""Byte streams: a file of any compression as a sliding window of plain bytes, read one block ahead in a thread.

The compression is recognised by content (magic bytes), never by the name of the file. Gzip goes through
python-isal, which decompresses about three times faster than zlib and without the GIL; zstd through pyarrow;
xz and bz2 through the standard library.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast

import numpy as np

from hepaa.errors import HepaaError, InputError
from hepaa.io.files import opened
from hepaa.io.remote import RemoteFile, handle, is_remote

if TYPE_CHECKING:
    import builtins
    from concurrent.futures import Future
    from types import TracebackType

    from numpy.typing import NDArray

BLOCK = 1 << 20
"""Bytes read at a time: long enough to hide the hand-over between threads, short enough to stay in cache."""

_PART = 1 << 14
"""Bytes asked of a decompressor at a time: where its data break it gives nothing of what was asked for."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bz2"}


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
        The file does not exist, is a folder or a device, or may not be read.
    """
    try:
        with opened(path) as file:
            start = file.read(6)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from error
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "none")


def _open_raw(path: str, compression: str) -> _Raw:
    if compression == "none":
        return RemoteFile(path) if is_remote(path) else Path(path).open("rb", buffering=0)
    if compression == "zstd":
        import pyarrow as pa

        packed = pa.PythonFile(RemoteFile(path), mode="r") if is_remote(path) else pa.OSFile(path)
        return cast("_Raw", pa.CompressedInputStream(packed, "zstd"))
    module = import_module({"gzip": "isal.igzip", "xz": "lzma", "bz2": "bz2"}[compression])
    return cast("_Raw", module.open(handle(path), "rb"))


class ByteStream:
    """A window that slides over the plain bytes of a file.

    The window is `data[start:stop]`; `advance(keep)` moves it on by one block and keeps everything from index `keep`
    of the old window in front of the new bytes, so that a record cut by the end of a block is seen whole. The next
    block is read and decompressed in a thread meanwhile.

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
        Offset in the uncompressed file of `data[0]`.
    block : int
        Bytes read at a time.

    Raises
    ------
    InputError
        The file cannot be read.
    StreamError
        By `advance`: the compressed data end early or are damaged. Every byte before that was in the window,
        but for 16 KiB at most (of bz2, a block of its own).
    """

    def __init__(self, path: str | os.PathLike[str], *, block: int = BLOCK) -> None:
        self.path = os.fspath(path)
        self.compression = compression(self.path)
        self.block = block
        self._raw = _open_raw(self.path, self.compression)
        # A plain file is read faster than a thread is woken.
        plain = self.compression == "none"
        self._part = self.block if plain else _PART
        self._pool = None if plain else ThreadPoolExecutor(1, thread_name_prefix="hepaa-stream")
        self._window = b""
        self._error: Exception | None = None
        self._ended = False
        self.data: NDArray[np.uint8] = np.frombuffer(self._window, np.uint8)
        self.start = self.stop = self.origin = 0
        self._pending = self._ahead()

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
        self._raw.close()

    def _ahead(self) -> Future[memoryview] | None:
        return None if self._pool is None else self._pool.submit(self._read)

    def _read(self) -> memoryview:
        # Runs in the thread. A failure is kept until the bytes before it have been handed out.
        block, n = memoryview(bytearray(self.block)), 0
        try:
            while n < len(block) and (more := self._raw.readinto(block[n : n + self._part])):
                n += more
        except Exception as error:  # decompressors raise OSError, EOFError, zlib.error, LZMAError, ArrowException ...
            self._error = error
        return block[:n]

    def advance(self, keep: int) -> bool:
        """Slide the window on by one block, keeping `data[keep:stop]` in front; False at the end of the file.

        A window that is kept doubles, so that what is read again and again as it grows is read in linear time.
        """
        if self._ended:
            return False
        kept, blocks = self.stop - keep, list[memoryview]()
        while sum(map(len, blocks)) < max(kept, 1) and (block := self._next()):
            blocks.append(block)
        if not blocks:
            self._ended = True
            if isinstance(self._error, HepaaError):  # a server that is gone: the file itself is no shorter
                raise self._error
            if self._error is not None:
                reason = str(self._error) or type(self._error).__name__
                problem = f"the {self.compression} data end early or are damaged ({reason})"
                if self.compression == "none":
                    problem = f"cannot be read on ({reason})"
                raise StreamError(f"{self.path}: {problem}") from self._error
            return False
        self._window = b"".join((memoryview(self._window)[keep : self.stop], *blocks))
        self.origin += keep
        self.start, self.stop = 0, len(self._window)
        self.data = np.frombuffer(self._window, np.uint8)
        return True

    def _next(self) -> memoryview:
        """The next block; an empty one at the end of the file, or where it breaks."""
        if self._pending is None:
            return memoryview(b"") if self._error else self._read()
        block = self._pending.result()
        self._pending = self._ahead() if block and not self._error else None
        return block

    def bytes(self, start: int, stop: int) -> builtins.bytes:
        """Copy of `data[start:stop]`."""
        return self._window[start:stop]

    def find(self, text: builtins.bytes, start: int, stop: int) -> int:
        """First index of `text` in `data[start:stop]`, or -1."""
        return self._window.find(text, start, stop)

    def rfind(self, text: builtins.bytes, start: int, stop: int) -> int:
        """Last index of `text` in `data[start:stop]`, or -1."""
        return self._window.rfind(text, start, stop)
