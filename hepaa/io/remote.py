"""Files on servers: root://, https://, s3:// and whatever else fsspec knows, read and written as if they lay here.

An address names one file, or the same file on several servers: `root://a//f|root://b//f`; the first that answers is
read. A server that is gone is asked again, TRIES times within about a minute, and that is said on standard error.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
import time
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hepaa.errors import HepaaError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")

BLOCK = 2 << 20
"""Bytes that are asked of a server at a time: enough to hide the way there, few enough for the index of a file."""
_BLOCKS = 32  # that are kept, of all files
WAITS_S = (4.0, 8.0, 16.0, 32.0)
"""Seconds between one try and the next."""
TRIES = len(WAITS_S) + 1
_TIMEOUT_S = 30

_SCHEME = r"[a-z][a-z0-9+]+://"
_ABSENT = re.compile(r"\[3011\]|no such file|\[Errno 2\]", re.IGNORECASE)
_REFUSED = re.compile(r"\[30(?!15|24)\d\d\]|Invalid address|CERTIFICATE_VERIFY_FAILED")
"""How XRootD numbers a refusal; another try helps only where no server has the file now (3015), or one is busy. And how
TLS says that a server is not trusted here; the environment's SSL_CERT_FILE names certificates to trust."""
_BUSY, _GONE = (408, 429), (404, 410)
_PACKAGES = {"root": "fsspec-xrootd", "http": "aiohttp", "https": "aiohttp", "s3": "s3fs"}
_MODIFIED = ("mtime", "LastModified", "Last-Modified", "ETag", "created")

_down: set[str] = set()
"""Servers that did not answer when they were last asked; of several, they are asked last."""


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path is an address such as root://host//file."""
    return re.match(_SCHEME, os.fspath(path)) is not None


def alternatives(address: str) -> list[str]:
    """The addresses of one file: those between bars."""
    return re.split(rf"\|(?={_SCHEME})", address)


@dataclass(frozen=True)
class _Place:
    """One of the places where a file is."""

    address: str

    @property
    def scheme(self) -> str:
        return self.address.partition("://")[0]

    @property
    def server(self) -> str:
        return re.sub(rf"({_SCHEME}[^/]*).*", r"\1", self.address)

    @property
    def filesystem(self) -> Any:
        return _filesystem(self.server, self.scheme)

    @property
    def path(self) -> str:
        """The name of the file as its filesystem takes it."""
        return str(self.filesystem._strip_protocol(self.address))


@lru_cache(maxsize=64)
def _filesystem(server: str, scheme: str) -> Any:
    """The filesystem of fsspec for one server.

    Raises
    ------
    InputError
        If there is none for the scheme, or the package that it needs is missing.
    """
    fsspec = import_module("fsspec")
    try:
        if scheme == "root":
            _let_reconnect()
            return fsspec.url_to_fs(f"{server}//", timeout=_TIMEOUT_S)[0]
        if scheme in ("http", "https"):
            limits = {"total": None, "sock_connect": _TIMEOUT_S, "sock_read": _TIMEOUT_S}
            client = {"timeout": import_module("aiohttp").ClientTimeout(**limits)}
            return fsspec.filesystem(scheme, client_kwargs=client)
        return fsspec.filesystem(scheme)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        remedy = f"pip install {package}" if package else f"{error}"
        raise InputError(f"{server}: {scheme}:// needs a package that is not installed: {remedy}") from error
    except ValueError as error:
        raise InputError(f"{server}: {scheme}:// is unknown ({error}); use root://, https:// or s3://") from error


def _let_reconnect() -> None:
    """Let XRootD give up a server soon, and ask it again when it is asked to; what the environment says is kept."""
    client = import_module("XRootD.client")
    for name, seconds in {"ConnectionWindow": 10, "ConnectionRetry": 1, "StreamErrorWindow": 0}.items():
        client.EnvPutInt(name, seconds)


class _MissingError(InputError):
    """A file that no server has."""


def _attempt(address: str, operation: Callable[[Any, str], T]) -> T:
    """`operation(filesystem, path)` at the first place of an address that answers.

    Raises
    ------
    _MissingError
        If the file is at none of the places.
    InputError
        If a server refuses.
    HepaaError
        If no server answers, after the last try.
    """
    places = [_Place(a) for a in alternatives(address)]
    refusal: Exception | None = None
    began = time.monotonic()
    for number, wait in enumerate((*WAITS_S, None), start=1):
        reasons: list[str] = []
        for place in sorted(places, key=lambda p: p.server in _down):
            try:
                result = operation(place.filesystem, place.path)
            except Exception as failure:
                error = _cause(failure)
                if _is_absent(error):
                    places.remove(place)
                    continue
                if isinstance(error, HepaaError):
                    raise
                if not _is_passing(error):
                    refusal = error
                    places.remove(place)
                    continue
                reasons.append(f"{place.server}: {_reason(error)}")
                _forget(place)
                if place.server not in _down and len(places) > 1:
                    sys.stderr.write(f"hepaa: {reasons[-1]}; trying the other servers of {Path(place.path).name}\n")
                _down.add(place.server)
            else:
                _down.discard(place.server)
                return result
        if not places and refusal is not None:
            raise InputError(f"{address}: is refused ({_reason(refusal)}); check the address") from refusal
        if not places:
            raise _MissingError(f"{address} does not exist; check the address")
        said = "; ".join(reasons)
        if wait is None:
            break
        sys.stderr.write(f"hepaa: {said}; try {number + 1} of {TRIES} in {wait:g} s\n")
        sys.stderr.flush()
        time.sleep(wait)
    raise HepaaError(
        f"{address}: no answer in {TRIES} tries over {time.monotonic() - began:.0f} s ({said}); run again when the "
        "server is back, or name another one after a bar: root://a//file|root://b//file"
    )


def _forget(place: _Place) -> None:
    """Close what is open at a place that failed: a broken connection stays broken."""
    with suppress(Exception):  # what is broken does not close either
        place.filesystem.invalidate_cache(place.path)


def _reason(error: BaseException) -> str:
    text = re.sub(r"<bound method .*?>> ", "", str(error))  # XRootD names its own function there
    return " ".join(text.split())[:200] or type(error).__name__


def _cause(error: Exception) -> Exception:
    """What went wrong: fsspec says that a file does not exist where a web server does not answer."""
    cause = error.__cause__
    return cause if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) else error


def _status(error: Exception) -> Any:
    """Number of the answer of a web server, or of S3."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    return getattr(error, "status", metadata.get("HTTPStatusCode"))


def _is_absent(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError) or _status(error) in _GONE:
        return True
    return isinstance(error, OSError) and bool(_ABSENT.search(str(error)))


def _is_passing(error: Exception) -> bool:
    """Whether another try may help: the server is not reached, or is busy."""
    status = _status(error)
    if isinstance(status, int):
        return status >= 500 or status in _BUSY
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) or _REFUSED.search(str(error)):
        return False
    library = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or library in ("aiohttp", "botocore") or "closed file" in str(error)


@dataclass(frozen=True)
class FileState:
    """What a server says of a file.

    Attributes
    ----------
    size : int
        Bytes.
    modified : str
        Time of change, or a tag that changes with the content; "" where the server tells neither.
    """

    size: int
    modified: str


def state(address: str) -> FileState:
    """Size and time of change of a file.

    Raises
    ------
    InputError
        If it does not exist, or its server does not say how long it is.
    """
    described = _attempt(address, _described)
    if described.get("type") == "directory":
        raise InputError(f"{address} is a folder; name files in it, for example {address.rstrip('/')}/*.root")
    if described.get("size") is None:
        raise InputError(f"{address}: the server does not say how long the file is; download it first")
    modified = next((str(described[name]) for name in _MODIFIED if described.get(name)), "")
    return FileState(int(described["size"]), modified)


def exists(address: str) -> bool:
    """Whether there is a file or folder at an address."""
    try:
        _attempt(address, _described)
    except _MissingError:
        return False
    return True


def _described(filesystem: Any, path: str) -> dict[str, Any]:
    filesystem.dircache.clear()  # listings of before
    described: dict[str, Any] = filesystem.info(path)
    return described


def checksum(address: str) -> str | None:
    """What the server takes for the checksum of a file, such as "adler32:c9f96f8b"; None where it gives none."""

    def ask(filesystem: Any, path: str) -> str | None:
        if _protocol(filesystem) == "root":
            try:
                return ":".join(filesystem.checksum(path))
            except OSError as error:
                if _REFUSED.search(str(error)) and not _is_absent(error):  # of its kind: it has none
                    return None
                raise
        tag = str(filesystem.info(path).get("ETag", "")).strip('"') if _protocol(filesystem) == "s3" else ""
        return f"md5:{tag}" if re.fullmatch("[0-9a-f]{32}", tag) else None

    return _attempt(address, ask)


def _protocol(filesystem: Any) -> str:
    names = filesystem.protocol
    return str(names if isinstance(names, str) else names[0])


def glob(pattern: str) -> list[str]:
    """Addresses that a pattern with `*`, `?` or `[...]` stands for, sorted; of each file at all places of the pattern.

    The files are those of the first server that answers.
    """
    patterns = alternatives(pattern)
    bases = [re.sub(r"[^/]*[*?\[].*", "", p) for p in patterns]
    if len({p.removeprefix(b) for p, b in zip(patterns, bases, strict=True)}) > 1:
        raise InputError(f"{pattern}: alternatives end in the same pattern, after the folders where it applies")

    def listed(filesystem: Any, path: str) -> list[str]:
        filesystem.dircache.clear()
        folder = re.sub(r"[^/]*[*?\[].*", "", path)
        filesystem.info(folder.rstrip("/") or "/")  # a listing is empty where no server answers
        return sorted(str(name).lstrip("/").removeprefix(folder.lstrip("/")) for name in filesystem.glob(path))

    try:
        names = _attempt(pattern, listed)
    except _MissingError:
        return []
    return ["|".join(base + name for base in bases) for name in names]


def has_magic(address: str) -> bool:
    """Whether an address is a pattern; a `?` in one of the web begins its query."""
    rests = [re.sub(rf"{_SCHEME}[^/]*", "", part) for part in alternatives(address)]
    return any(re.search(r"[*\[]" if address.startswith("http") else r"[*?\[]", rest) for rest in rests)


class RemoteFile(io.RawIOBase):
    """A file on a server, opened for reading; the blocks last read of it are kept.

    Parameters
    ----------
    address : str
        One address, or several with bars between them.

    Raises
    ------
    InputError, HepaaError
        As `state`; also of every read, for a server may go at any time.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.state = state(address)
        self._at = 0

    def __repr__(self) -> str:
        return self.address  # what h5py and uproot call the file

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a byte."""
        self._at = max(offset + (0, self._at, self.state.size)[whence], 0)
        return self._at

    def tell(self) -> int:
        """The byte that is read next."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer, or as much of it as there is left of the file."""
        view, n = memoryview(buffer).cast("B"), 0
        while n < len(view) and self._at < self.state.size:
            block = memoryview(_block(self.address, self.state, self._at // BLOCK))
            part = block[self._at % BLOCK :][: len(view) - n]
            view[n : n + len(part)] = part
            n += len(part)
            self._at += len(part)
        return n


@lru_cache(maxsize=_BLOCKS)
def _block(address: str, described: FileState, number: int) -> bytes:
    """One block of one state of a file; the steps that recognise, describe and read it share them."""
    return ranges(address, described, [(number * BLOCK, min((number + 1) * BLOCK, described.size))])[0]


def ranges(address: str, described: FileState, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
    """Bytes start .. stop of a file, of each range that is wanted, in one request where the protocol has one.

    Raises
    ------
    InputError
        If a server sends whole files only, or another file than the others.
    """
    several = len(alternatives(address)) > 1

    def ask(filesystem: Any, path: str) -> list[bytes]:
        if several and (size := int(filesystem.info(path)["size"])) != described.size:
            raise InputError(f"{address}: one has {described.size} bytes, another {size}; name copies of one file")
        if len(wanted) == 1:
            parts = [filesystem.cat_file(path, start=wanted[0][0], end=wanted[0][1])]
        else:
            starts, stops = ([bounds[i] for bounds in wanted] for i in (0, 1))
            parts = filesystem.cat_ranges([path] * len(wanted), starts, stops)
        for part, (start, stop) in zip(parts, wanted, strict=True):
            if isinstance(part, Exception):
                raise part
            if len(part) > stop - start:
                raise InputError(f"{address}: the server gives whole files only, no parts; download it first")
            if len(part) < stop - start:
                raise OSError(f"{len(part)} of {stop - start} bytes came from byte {start} on")
        return parts

    return _attempt(address, ask)


def handle(path: str | os.PathLike[str]) -> Any:
    """What a library reads a file from that opens those here by itself: their path; of others, what is opened."""
    name = os.fspath(path)
    return RemoteFile(name) if is_remote(name) else name


def is_folder(address: str) -> bool:
    """Whether there is a folder at an address; of the web, none is known."""
    return bool(_attempt(address, _described).get("type") == "directory")


def files_in(address: str) -> list[str]:
    """Names of all files in a folder and below, from there, sorted.

    Raises
    ------
    InputError
        If a name leads out of the folder: a copy would be written beside it.
    """

    def listed(filesystem: Any, path: str) -> list[str]:
        filesystem.dircache.clear()
        folder = path.strip("/") + "/"
        return sorted(str(name).lstrip("/").removeprefix(folder) for name in filesystem.find(path.rstrip("/")))

    names = _attempt(address, listed)
    for name in names:
        if ".." in name.split("/"):
            raise InputError(f"{address}: a file there is called {name!r}, which leads out of it; fetch files by name")
    return names


def fetch(address: str, target: Path) -> None:
    """Copy a file from a server, or a folder with all files in it and below."""
    if not is_folder(address):
        _copy(address, target)
        return
    target.mkdir()
    for name in files_in(address):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy("|".join(f"{place.rstrip('/')}/{name}" for place in alternatives(address)), copy)


def _copy(address: str, target: Path) -> None:
    with RemoteFile(address) as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, BLOCK)


def refuse_existing(address: str) -> None:
    """Raise InputError if something is at an address already, or nothing can be written there."""
    places = [_Place(a) for a in alternatives(address)]
    if len(places) > 1:
        raise InputError(f"{address}: an output goes to one server; name one")
    if places[0].scheme in ("http", "https"):
        raise InputError(f"{address}: files on the web are only read; write to root:// or s3://, or here")
    if exists(address):
        raise InputError(f"{address}: exists already, and nothing on a server is replaced; choose another output")


def put(local: Path, address: str) -> str:
    """Copy a file to a server, where it gets its name when it is whole, and give its checksum.

    The server's own checksum is compared if it has one, else the file is read back.

    Raises
    ------
    InputError
        If something is there already.
    HepaaError
        If it does not arrive as it was sent; nothing of it stays there.
    """
    refuse_existing(address)
    partial = f"{address}.hepaa-{os.getpid()}-{os.urandom(4).hex()}"

    def send(filesystem: Any, path: str) -> bool:
        with local.open("rb") as source, filesystem.open(path, "wb") as target:
            shutil.copyfileobj(source, target, BLOCK)
        return True

    try:
        _attempt(partial, send)
        there, here = _sums(partial, local)
        if there != here:
            raise HepaaError(f"{address}: arrived damaged ({there} there, {here} here); write it again")  # noqa: TRY301
        refuse_existing(address)
        place = _Place(address)
        _attempt(partial, lambda filesystem, path: [filesystem.mv(path, place.path)])
    except BaseException:
        with suppress(Exception):  # the error that is on its way says more
            _Place(partial).filesystem.rm(_Place(partial).path)
        raise
    return here


def _sums(address: str, local: Path) -> tuple[str, str]:
    """Size and checksum of a file on a server, and of the one here that it was made from, by the same rule."""
    there = checksum(address) or ""
    rule = there.partition(":")[0]
    if rule not in ("adler32", "md5"):
        with local.open("rb") as stream:
            return f"sha256:{sha256(address)}", f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    size, digest, running = 0, hashlib.md5(usedforsecurity=False), 1
    with local.open("rb") as stream:
        while block := stream.read(BLOCK):
            size, running = size + len(block), zlib.adler32(block, running)
            digest.update(block)
    here = f"{running:08x}" if rule == "adler32" else digest.hexdigest()
    return f"{state(address).size} bytes, {there}", f"{size} bytes, {rule}:{here}"


def sha256(address: str) -> str:
    """SHA-256 of all bytes of a file, which are read for it."""
    with RemoteFile(address) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def put_all(local: Path, address: str) -> dict[str, str]:
    """`put` of a file, or of all files of a folder; hidden files go last, for they list the others.

    Returns
    -------
    dict of address -> checksum
    """
    if not local.is_dir():
        return {address: put(local, address)}
    refuse_existing(address)
    files: Mapping[str, Path] = {p.relative_to(local).as_posix(): p for p in local.rglob("*") if p.is_file()}
    order = sorted(files, key=lambda name: (name.startswith("."), name))
    return {f"{address.rstrip('/')}/{name}": put(files[name], f"{address.rstrip('/')}/{name}") for name in order}


@contextmanager
def staged(address: str, folder: Path | None = None) -> Iterator[Path]:
    """A name here for what goes to an address, file or folder; what has it at the end is copied there.

    It lies in `NAME-XXXXXXXX.staged` in `folder`, or where temporary files do. What else is written beside it goes
    there too, but for the folder of a batch, NAME.batch, which stays.

    Raises
    ------
    InputError
        Before the block, if nothing can be written there or something is there already.
    HepaaError
        If the copy fails; the message says where the results are kept.
    """
    refuse_existing(address)
    parent, _, name = address.rstrip("/").rpartition("/")
    mark = hashlib.sha256(address.encode()).hexdigest()[:8]
    stage = Path(tempfile.mkdtemp(prefix="hepaa-")) if folder is None else folder / f"{name}-{mark}.staged"
    stage.mkdir(exist_ok=True)
    try:
        yield stage / name
    finally:
        _deliver(stage, parent, name)
        if folder is None:
            shutil.rmtree(stage)
        elif not any(stage.iterdir()):
            stage.rmdir()


def _deliver(stage: Path, parent: str, name: str) -> None:
    for made in sorted(p for p in stage.iterdir() if not p.name.startswith(".") and p.name != f"{name}.batch"):
        try:
            sums = put_all(made, f"{parent}/{made.name}")
        except HepaaError as error:
            raise HepaaError(f"{error}; the results are kept in {made}") from error
        said = next(iter(sums.values())) if made.is_file() else f"{len(sums)} files, each with its checksum"
        sys.stderr.write(f"hepaa: copied to {parent}/{made.name} ({said})\n")
        shutil.rmtree(made) if made.is_dir() else made.unlink()
