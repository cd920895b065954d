"""What is in a file: recognised by its content, never by its name."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from hepaa.errors import InputError
from hepaa.io.files import one_line, opened, regular_file
from hepaa.io.remote import handle, is_remote

HEAD_BYTES = 1 << 16

_MAGICS = {b"root": "root", b"\x89HDF\r\n\x1a\n": "hdf5", b"PAR1": "parquet", b"\x93NUMPY": "npy", b"PK\x03\x04": "zip"}
_REFUSED = (
    (re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE),
     "is a web page (HTML), most likely an error page saved by a download: fetch the file again"),
    (re.compile(rb"version https://git-lfs"),
     "is a Git LFS pointer, not the file itself: run `git lfs pull` where it came from"),
    (re.compile(rb"\x80[\x02-\x05]"),
     "looks like a Python pickle, which is never read: save it as npz, CSV, HDF5 or Parquet"),
    (re.compile(rb"%PDF"), "is a PDF"),
    (re.compile(rb"\s*[\[{]\s*[\"{\[]"), "looks like JSON, which holds no events that hepaa reads"),
)  # fmt: skip
_KNOWN = "LHE, LHEH5, HepMC, LHCO and BEAD HDF5, CSV, npz, npy, ROOT and Parquet files are read"


@dataclass(frozen=True)
class EventFile:
    """What a path leads to.

    Attributes
    ----------
    format : str
        "lhe", "lheh5", "hepmc", "lhco", "lhco-features", "bead", "root", "events" (event records in Parquet) or
        "table" (an EventTable).
    path : str
        The file.
    key : str
        What was asked for inside it, after a colon: a tree, group, data set or array; "" if nothing was.
    """

    format: str
    path: str
    key: str = ""


def split_key(path: str) -> tuple[str, str]:
    """File and inner name of `file:name`; the name is "" where the whole is a file, or there is no colon.

    "f.root:tree", "f.h5:features" and "root://host//f.root:dir/tree" have one; "C:/f.root" has none.
    """
    if is_remote(path):
        match = re.fullmatch(r"(.*?\.(?:root|h5|hdf5?|npz)):([^:|]+)", path)
        return (match[1], match[2]) if match else (path, "")
    head, colon, tail = path.rpartition(":")
    if not colon or len(head) <= 1 or Path(path).exists():
        return path, ""
    return head, tail


def sniff(path: str | Path) -> EventFile:
    """Recognise the format of a file.

    Parameters
    ----------
    path : str or Path
        A file, `file:name` for something inside a ROOT, HDF5 or npz file, or root://host//file.

    Raises
    ------
    InputError
        If the file is missing, empty, no regular file, or nothing that is read; the message says what it looks like.
    """
    name, key = split_key(str(path))
    if not is_remote(name):
        _refuse_absent(name)
    try:
        with opened(name) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{name} cannot be read ({error.strerror})") from error
    if not head:
        raise InputError(f"{name} is empty (0 bytes); write or download it again")
    container = _container(head)
    if container is None and key:
        raise InputError(f"{name} is a text file: there is nothing called {key!r} inside it")
    match container:
        case None:
            form = _text_format(name)
        case "hdf5":
            form = _hdf5_format(name, key)
        case "parquet":
            form = _parquet_format(name)
        case "zip":
            form = _zip_format(name)
        case _:
            form = "root" if container == "root" else "lhco-features"
    return EventFile(form, name, key)


def _refuse_absent(name: str) -> None:
    file = Path(name)
    if file.is_dir():
        raise InputError(f"{name} is a folder; name files in it, for example '{file / '*.root'}'")
    if not file.exists():
        raise InputError(f"{name} does not exist; check the path (the current folder is {Path.cwd()})")
    regular_file(file)


def _container(head: bytes) -> str | None:
    return next((form for magic, form in _MAGICS.items() if head.startswith(magic)), None)


def _text_format(path: str) -> str:
    from hepaa.io.stream import ByteStream

    with ByteStream(path, block=HEAD_BYTES) as stream:
        if not stream.advance(stream.stop):
            raise InputError(f"{path} is empty inside its {stream.compression} compression; write it again")
        head = stream.bytes(stream.start, stream.stop)
    for pattern, message in _REFUSED:
        if pattern.match(head):
            raise InputError(f"{path} {message}")
    if b"<LesHouchesEvents" in head:
        return "lhe"
    if re.match(rb"\s*HepMC::", head):
        return "hepmc"
    if inner := _container(head):
        raise InputError(f"{path} is a compressed {inner} file; decompress it first, it is compressed inside already")
    if re.search(rb"^\s*<(event|init)>\s*$", head, re.MULTILINE):
        raise InputError(
            f"{path} has LHE blocks but no <LesHouchesEvents> tag before them; its head is lost, copy it again"
        )
    if b"\x00" in head:
        raise InputError(f"{path} is binary data of no known format (it begins {head[:8]!r}); {_KNOWN}")
    lines = head.decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    first = lines[0] if lines else ""
    if first.replace(" ", "").startswith("evtwt,met,metphi,njets"):
        return "bead"
    if _looks_like_table(lines):
        return "lhco-features"
    raise InputError(f"{path} is text of no known format (it begins {first[:40]!r}); {_KNOWN}")


def _looks_like_table(lines: list[str]) -> bool:
    """Two or more fields in the first line, as many in the second, a number among those."""
    rows = [line for line in lines[:2] if line.strip()]
    if not rows:
        return False
    delimiter = next((d for d in ",;\t" if d in rows[0]), None)
    fields = [row.lstrip("# ").split(delimiter) for row in rows]
    if len(fields[0]) < 2 or len(fields[0]) != len(fields[-1]):
        return False
    return any(re.fullmatch(r"\s*\"?[-+]?(\d+\.?\d*|\.\d+|inf|nan)([eE][-+]?\d+)?\"?\s*", f) for f in fields[-1])


def _hdf5_format(path: str, key: str) -> str:
    from hepaa.io import hdf5 as hdftable
    from hepaa.io.lhco.read import is_raw

    with hdftable.opened(path) as file:
        names = set(file)
        if not key and {"events", "jets", "constituents"} <= names:
            return "bead"
        if not key and "init" in names and ({"event", "particle"} <= names or {"events", "particles"} <= names):
            return "lheh5"
        tables = [hdftable.choose(file, path, key)] if key else list(hdftable.find_tables(file))
        if not tables:
            content = ", ".join(file) or "nothing"
            raise InputError(
                f"{path} is HDF5, but holds no table of events and is neither LHEH5 nor BEAD; it has: {content}"
            )
    return "lhco" if any(is_raw(t) for t in tables) else "lhco-features"


def _parquet_format(path: str) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(handle(path)).metadata or {}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is a broken Parquet file ({one_line(error)}); copy or write it again") from error
    if b"hepaa.events" in metadata:
        return "events"
    if b"hepaa" in metadata:
        return "table"
    return "lhco-features"


def _zip_format(path: str) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(handle(path)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is a broken zip or npz file ({one_line(error)}); copy or write it again") from error
    if any(n.endswith(".npy") for n in names):
        return "lhco-features"
    if any(n.endswith("data.pkl") for n in names):
        raise InputError(f"{path} is a PyTorch file (pickle), which is never read; save the arrays as npz")
    raise InputError(f"{path} is a zip archive: unpack it and name the files in it")
