"""Keys: what a stored result depends on, as one hash. Equal keys mean equal results; any change gives another key."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
import re
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hepaa._version import __version__
from hepaa.errors import InputError, nearest
from hepaa.io import remote
from hepaa.io.files import opened, sha256
from hepaa.io.remote import is_remote
from hepaa.io.sealed import digest
from hepaa.io.sniff import split_key

if TYPE_CHECKING:
    from collections.abc import Mapping

Identity = Literal["content", "stat"]
IDENTITIES: tuple[Identity, ...] = ("content", "stat")

_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = ("numpy", "awkward", "numba", "fastjet", "pyarrow", "uproot", "h5py", "torch")
_NO_RESULTS = ("cli", "plots", "report", "simulate", "demo")
_EDGE = 1 << 16
_TIMES = ("mtime_ns", "modified")
_KEY = re.compile("[0-9a-f]{64}")


def refuse_other(key: str) -> None:
    """Raise InputError for anything but 64 hexadecimal digits, such as a key that leads out of the store."""
    if not _KEY.fullmatch(key):
        raise InputError(f"{key[:100]!r} is no key of a result, which has 64 hexadecimal digits; make the plan again")


def identify(path: str, how: Identity, known: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Size, time and hash that tell one state of a file from another.

    Parameters
    ----------
    path : str
        A file; `file:name` for something inside it; root://host//file.
    how : "content" or "stat"
        "content": SHA-256 of all bytes, so that a copy, or a file put back, is the same. "stat": size, time of change,
        and SHA-256 of the first and last 64 KiB (there ROOT keeps its UUID, and LHE its run block), for inputs too
        large to be read twice. A file on a server is known by the checksum that the server gives, either way, if it
        gives one.
    known : mapping of state -> SHA-256, optional
        Contents that were hashed before: keys as `state_of` gives them.

    Returns
    -------
    dict
        `sha256`, `edges` or `checksum`; `size` in bytes; `mtime_ns`, or as its server says it, `modified`.

    Raises
    ------
    InputError
        If the file cannot be read, or `how` is unknown.
    """
    if how not in IDENTITIES:
        raise InputError(f"files cannot be identified by {how!r}; {nearest(str(how), IDENTITIES)}")
    file, _ = split_key(path)
    try:
        state = _state(file)
        if is_remote(file) and (checksum := remote.checksum(file)):
            return state | {"checksum": checksum}
        if how == "content":
            # a server that does not say when a file changed may have another one of the same size
            seen = (known or {}).get(state_of(file, state)) if any(state[t] for t in _TIMES if t in state) else None
            return state | {"sha256": seen or sha256(file)}
        with opened(file) as stream:
            edges = hashlib.sha256(stream.read(_EDGE))
            stream.seek(max(state["size"] - _EDGE, 0))
            edges.update(stream.read(_EDGE))
        return state | {"edges": edges.hexdigest()}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error


def state_of(file: str, identity: Mapping[str, Any]) -> str:
    """Name of one state of a file, under which its SHA-256 is remembered."""
    name = file if is_remote(file) else os.path.realpath(file)
    return "|".join([name, *(str(identity[n]) for n in ("size", *_TIMES) if n in identity)])


def _state(file: str) -> dict[str, Any]:
    """Size and time of change of a file, here or on a server."""
    if is_remote(file):
        return vars(remote.state(file)).copy()
    stat = Path(file).stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def changed(path: str, identity: Mapping[str, Any]) -> bool:
    """True if size or time of change of a file differ from those in `identity`."""
    if "size" not in identity:
        return False
    return any(identity[name] != value for name, value in _state(split_key(path)[0]).items())


def request_of(task: Any, code: Mapping[str, str]) -> dict[str, Any]:
    """The part of a key that all shards of a task share: its options and the versions of the code."""
    return {"task": task.to_dict(), "code": code | task.code()}


def result_key(
    path: str, identity: Mapping[str, Any], events: tuple[int, int] | None, request: Mapping[str, Any]
) -> str:
    """Key of the result of one task on one shard: 64 hexadecimal digits; `request` as `request_of` gives it.

    It depends on the name and the content of the input, the range of events, every option of the task (feature set,
    selection, hash of the model ...), and the versions of the code. The time of change counts only where the content
    was not read.
    """
    by_content = "sha256" in identity or "checksum" in identity
    content = {k: v for k, v in identity.items() if k not in _TIMES or not by_content}
    return digest({"path": path, "input": content, "events": events, **request})


@lru_cache(maxsize=1)
def _libraries() -> dict[str, str]:
    installed = {"python": platform.python_version(), "hepaa": __version__}
    for name in _LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "none"
    return installed


def versions() -> dict[str, str]:
    """Versions of Python, of hepaa and of the libraries whose arithmetic enters a result, on this machine."""
    return {**_libraries(), "source": source_digest()}


@lru_cache(maxsize=1)
def source_digest() -> str:
    """16 hexadecimal digits of the code of the package and its schemas, so that an edit is another version.

    Commands, figures, reports, simulation and demo are left out: no stored result passes through them.
    """
    code = hashlib.sha256()
    for path in sorted([*_PACKAGE.rglob("*.py"), *_PACKAGE.rglob("*.yaml")]):
        name = path.relative_to(_PACKAGE)
        if name.parts[0] not in _NO_RESULTS:
            code.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()[:16]


def function_digest(function: Any) -> str:
    """16 hexadecimal digits of the file a function was written in; "" for those of the package itself."""
    source = _foreign_source(function)
    return "" if source is None else sha256(source)[:16]


@lru_cache(maxsize=64)
def _foreign_source(function: Any) -> str | None:
    """The file that a function was written in, which each shard asks for; None for those of the package."""
    module = inspect.getmodule(function)
    source = inspect.getsourcefile(function) if module is not None else None
    return None if source is None or _PACKAGE in Path(source).resolve().parents else source
