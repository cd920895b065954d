"""Files that appear under their name only when they are whole, and what is known of a file: name, hash."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import stat
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hepaa.errors import InputError
from hepaa.io import remote
from hepaa.io.remote import is_remote

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def is_file(path: str | Path) -> bool:
    """Whether a file has this name; one that no file can have, as it is too long, is no file's."""
    return os.path.isfile(path)  # noqa: PTH113  (pathlib raises for such a name)


def refuse_input_as_output(output: str | Path, inputs: Iterable[str | Path]) -> None:
    """Raise InputError if `output` is one of the files that are read, whatever it is called there."""
    for path in inputs:
        if Path(output).exists() and Path(path).exists() and Path(output).samefile(path):
            raise InputError(f"{output}: is the input {path} itself; choose another output")


_NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file(path: str | Path) -> Path:
    """The path, unless it is a folder, or a FIFO, socket or device, of which the first or last byte may never come.

    Raises
    ------
    InputError
        If it is one of these. What is missing or may not be read is for the caller to find.
    """
    place = Path(path)
    try:
        form = _NO_FILES.get(stat.S_IFMT(place.stat().st_mode))
    except (OSError, ValueError):  # whoever opens it says better what is wrong
        return place
    if form:
        raise InputError(f"{path} is {form} and no regular file; give a file, with the content of that if need be")
    return place


def opened(path: str | os.PathLike[str]) -> io.BufferedReader | remote.RemoteFile:
    """A regular file here, or one on a server, for reading.

    Raises
    ------
    InputError
        As `regular_file`, or as `hepaa.io.remote.RemoteFile`.
    """
    return remote.RemoteFile(os.fspath(path)) if is_remote(path) else regular_file(os.fspath(path)).open("rb")


def refuse_unwritable(path: str | Path) -> None:
    """Raise InputError if a file cannot be written as `path`: no folder, no right to it, or something else is there.

    On a server nothing at all may be there.
    """
    if is_remote(path):
        remote.refuse_existing(str(path))
        return
    final = Path(path)
    if not final.parent.is_dir():
        raise InputError(f"{final}: the folder {final.parent} does not exist; make it first")
    if final.exists() and not final.is_file():
        raise InputError(f"{final}: is no regular file, and nothing else is replaced; choose another output")
    if not os.access(final.parent, os.W_OK | os.X_OK):
        raise InputError(f"{final}: the folder {final.parent} cannot be written to; choose another output")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`; it becomes `path` when the block ends, and is removed if the block fails.

    What goes to a server is written here first, in a temporary folder.
    """
    with atomic_paths(path) as (partial,):
        yield partial


@contextmanager
def atomic_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """`atomic_path` of several files: all are on the disk before the first gets its name; they get them in order."""
    with ExitStack() as stack:
        finals = [stack.enter_context(remote.staged(str(p))) if is_remote(p) else p for p in paths]
        with _local_paths(*finals) as partials:
            yield partials


@contextmanager
def _local_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    finals, partials, kept = [Path(path) for path in paths], list[Path](), 0
    try:
        for final in finals:
            refuse_unwritable(final)
            remove_abandoned(final.parent, final.name)
            prefix = f".{final.name}.hepaa-{_host()}-{os.getpid()}-"
            handle, name = tempfile.mkstemp(prefix=prefix, suffix=final.suffix, dir=final.parent)
            os.close(handle)
            partials.append(Path(name))
        yield tuple(partials)
        for partial in partials:
            partial.chmod(0o666 & ~_umask())
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
        for partial, final in zip(partials, finals, strict=True):
            partial.replace(final)
            kept += 1
    finally:
        for partial in partials[kept:]:
            partial.unlink(missing_ok=True)


_TEMPORARY = re.compile(r"\..+\.hepaa-([0-9a-f]{8})-([0-9]{1,7})-[a-z0-9_]{8}(\.[^.]*)?")
"""Names of files that are being written: for what, the host and the process."""

_ABANDONED_AFTER_S = 24 * 3600.0


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove unfinished files of hepaa, for one name or all, whose process is dead, or that lie untouched for a day."""
    begin = "." if name is None else f".{name}.hepaa-"
    with os.scandir(folder) as entries:
        for left in entries:
            writer = _TEMPORARY.fullmatch(left.name) if left.name.startswith(begin) else None
            if writer is not None and left.is_file(follow_symlinks=False):
                dead = writer[1] == _host() and not _lives(int(writer[2]))
                with suppress(FileNotFoundError):  # another process was faster
                    if dead or time.time() - left.stat().st_mtime > _ABANDONED_AFTER_S:
                        Path(left).unlink()


@lru_cache(maxsize=1)
def _host() -> str:
    """8 hexadecimal digits for this machine's name."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@lru_cache(maxsize=1)
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_REMEMBERED: dict[tuple[str, int, int | str], str] = {}


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; remembered while size and time of change stay the same.

    For a file on a server that keeps a checksum, that of the checksum: the file itself need not be read for it.
    """
    state = _state(path)
    return _REMEMBERED.get(state) or _sha256(*state)


def remember_sha256(path: str | Path, digest: str) -> None:
    """Take `digest` for the SHA-256 of a file as it is now: who has read it elsewhere need not read it here again."""
    _REMEMBERED[_state(path)] = digest


def _state(path: str | Path) -> tuple[str, int, int | str]:
    if is_remote(path):
        there = remote.state(str(path))
        return str(path), there.size, there.modified
    state = regular_file(path).stat()
    return os.path.realpath(path), state.st_size, state.st_mtime_ns


@lru_cache(maxsize=4096)
def _sha256(path: str, _size: int, _modified: int | str) -> str:
    if is_remote(path) and (known := remote.checksum(path)):
        return hashlib.sha256(f"{_size} {known}".encode()).hexdigest()
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(content: Any, path: str | Path, *, indent: int | None = 2) -> None:
    """JSON with sorted layout left to the caller; NaN and infinity are refused, for no reader agrees on them.

    Without `indent` it is written several times faster.
    """
    write_text(json.dumps(content, indent=indent, allow_nan=False) + "\n", path)


def write_text(content: str, path: str | Path) -> None:
    """Text in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(content, encoding="utf-8")


_LONGEST_NAME = 100


def file_name(name: str) -> str:
    """A name of a detector or process as part of a file's name: not empty, not hidden, 100 bytes at most."""
    plain = re.sub(r"[^\w.+-]+", "-", name).strip("-.").encode()[:_LONGEST_NAME].decode(errors="ignore")
    return plain or "unnamed"


def file_names(names: Iterable[str]) -> dict[str, str]:
    """The `file_name` of each of several names; they stay apart also where a disk knows no capitals."""
    return distinct(names, file_name, key=str.casefold)


def distinct(
    names: Iterable[T], spelt: Callable[[T], str], *, key: Callable[[str], str] = str, joint: str = "-"
) -> dict[T, str]:
    """Other spellings of names, one for each: the second of two that fall together ends in 2, and so on.

    Parameters
    ----------
    names : iterable of str, or of anything hashable that has a name
    spelt : function
        A name as it is to be written, such as without the characters that a format does not take.
    key : function
        Two spellings are the same if this gives the same of them.
    joint : str
        Between a name and its number.
    """
    spellings: dict[T, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = spelt(name)
        numbered = (f"{plain}{joint}{i}" for i in count(2))
        spelling = next(s for s in chain([plain], numbered) if key(s) not in taken)
        spellings[name] = spelling
        taken.add(key(spelling))
    return spellings


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line of bearable length."""
    return " ".join(str(error).split())[:200] or type(error).__name__
