"""Public data sets: downloaded from where they are archived, continued where a download broke off, and checked.

A file has its name only when it is complete and its checksum right; until then it is NAME.part. Checksums are those
that independent users of the data have published, or, where there is none, those in the archive's own description.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from hepaa._version import __version__
from hepaa.errors import HepaaError, InputError, nearest
from hepaa.io.files import regular_file
from hepaa.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hepaa.progress import Reporter

SERVER = "https://zenodo.org"
_TIMEOUT_S = 60
_BLOCK = 1 << 20
_MB = 10**6
_GOES_ON = "what has arrived is kept, and the same command goes on from there"


@dataclass(frozen=True)
class File:
    """A file of a data set; `md5` in hexadecimal, or None to ask the server for it."""

    name: str
    md5: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A record of Zenodo: its number, and the files that are of use here, by what they are called here."""

    record: int
    doi: str
    citation: str
    parts: dict[str, File]


DATASETS = {
    "lhco-rd": Dataset(
        record=6466204,
        doi="10.5281/zenodo.6466204",
        citation="Kasieczka, Nachman, Shih, R&D Dataset for LHC Olympics 2020 (CC-BY-4.0)",
        parts={
            "features": File("events_anomalydetection_v2.features.h5", "271cf5e71fc756b2a8d2b32730689bdb"),
            "features-3prong": File("events_anomalydetection_Z_XY_qqq.features.h5"),
            "raw": File("events_anomalydetection_v2.h5"),
            "raw-3prong": File("events_anomalydetection_Z_XY_qqq.h5"),
        },
    )
}
"""What can be fetched, by name."""


def fetch(
    name: str,
    folder: str | Path = ".",
    parts: Iterable[str] = (),
    *,
    server: str = SERVER,
    report: Reporter | None = None,
) -> list[Path]:
    """Download files of a data set into a folder; a file that is there already, and right, is left alone.

    Parameters
    ----------
    name : str
        Key of `DATASETS`.
    folder : str or Path
        Made if it is not there.
    parts : names of the data set's parts
        Default: the first one.
    server : str
        Address of Zenodo, or of a server with the same paths.
    report : Reporter, optional
        Where progress goes.

    Returns
    -------
    list of Path
        One for each part.

    Raises
    ------
    InputError
        If there is no such data set or part, or a file of that name is there that is not the published one.
    HepaaError
        If the server cannot be reached or has no such file, the connection breaks, the disk is full or cannot be
        written to, or a checksum is wrong. The same call goes on from what has arrived.
    """
    if name not in DATASETS:
        raise InputError(f"no data set {name!r}; {nearest(name, DATASETS)}")
    dataset = DATASETS[name]
    wanted = list(dict.fromkeys(parts)) or list(dataset.parts)[:1]
    for part in wanted:
        if part not in dataset.parts:
            raise InputError(f"{name} has no part {part!r}; {nearest(part, dataset.parts)}")
    if not server.startswith(("http://", "https://")):
        raise InputError(f"server {server!r} is no address; it begins with https://")
    archive, target = Archive(server.rstrip("/"), dataset), Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        return [_get(archive, dataset.parts[part], target, report or Silent()) for part in wanted]
    except OSError as wrong:
        raise HepaaError(f"{wrong.filename or target}: {wrong.strerror or wrong}; {_GOES_ON}") from wrong


def _get(archive: Archive, file: File, folder: Path, report: Reporter) -> Path:
    import pooch

    path, md5 = folder / file.name, file.md5 or archive.md5(file.name)
    part = regular_file(path.with_name(f"{file.name}.part"))
    if regular_file(path).exists():
        if pooch.file_hash(str(path), alg="md5") != md5:
            raise InputError(f"{path}: is there, but not as published (MD5 sum {md5}); move it away and fetch again")
        return path
    pooch.get_logger().setLevel("WARNING")

    def download(_url: str, output_file: str, _pooch: Any) -> None:
        _download(archive, file.name, part, report).replace(output_file)

    try:
        pooch.retrieve(archive.address(file.name), f"md5:{md5}", fname=file.name, path=folder, downloader=download)
    except ValueError as wrong:
        raise HepaaError(
            f"{path}: what has arrived does not have the MD5 sum {md5}, so it is thrown away; try again, or get the "
            f"file from {archive.page}"
        ) from wrong
    return path


@dataclass(frozen=True)
class Archive:
    """A record on a server."""

    server: str
    dataset: Dataset

    @property
    def page(self) -> str:
        """Where a person finds the files."""
        return f"https://doi.org/{self.dataset.doi}"

    def address(self, name: str) -> str:
        """Of a file."""
        return f"{self.server}/records/{self.dataset.record}/files/{name}?download=1"

    def md5(self, name: str) -> str:
        """MD5 sum of a file in hexadecimal, as the record says."""
        address = f"{self.server}/api/records/{self.dataset.record}"
        with self.open(address) as answer:
            try:
                sums = {file["key"]: file["checksum"] for file in json.load(answer)["files"]}
                algorithm, _, md5 = sums[name].partition(":")
            except (ValueError, KeyError, TypeError, AttributeError) as wrong:
                raise HepaaError(f"{address} does not describe {name}; get the file from {self.page}") from wrong
        if algorithm != "md5" or not md5:
            raise HepaaError(f"{address} has {sums[name]!r} and no MD5 sum for {name}; get the file from {self.page}")
        return str(md5)

    def open(self, address: str, start: int = 0) -> Any:
        """The server's answer, from byte `start` on if it can do that; an answer with status 416 has nothing more."""
        request = Request(address, headers={"User-Agent": f"hepaa/{__version__}"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            return urlopen(request, timeout=_TIMEOUT_S)
        except HTTPError as answer:
            if answer.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return answer
            answer.close()
            raise HepaaError(f"{address}: the server says {answer.code} {answer.reason}; {self._by_hand}") from answer
        except (OSError, HTTPException) as wrong:
            raise HepaaError(f"{address} cannot be reached ({_reason(wrong)}); {self._by_hand}") from wrong

    @property
    def _by_hand(self) -> str:
        return f"try again later, or get the file from {self.page}"


def _download(archive: Archive, name: str, part: Path, report: Reporter) -> Path:
    """Go on from what `part` has of a file until it is whole; pooch checks it then."""
    have, total = part.stat().st_size if part.exists() else 0, None

    def broken(why: str) -> HepaaError:
        of = "" if total is None else f" of {total / 1e6:.1f}"
        return HepaaError(f"{part}: the connection broke after {have / 1e6:.1f}{of} MB ({why}); {_GOES_ON}")

    with archive.open(archive.address(name), have) as answer:
        if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return part
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0
        if (left := answer.headers.get("Content-Length")) is not None:
            total, free = have + int(left), shutil.disk_usage(part.parent).free
            if int(left) > free:
                raise HepaaError(
                    f"{part.parent}: {int(left) / 1e6:.0f} MB are still to come, and the disk has {free / 1e6:.0f} MB "
                    "left; make room, or give another folder"
                )
        size = None if total is None else -(-total // _MB)
        with part.open("ab" if have else "wb") as file, report.bar(part.stem, size) as advance:
            while True:
                try:
                    block = answer.read(_BLOCK)
                except (OSError, HTTPException) as wrong:
                    raise broken(_reason(wrong)) from wrong
                if not block:
                    break
                file.write(block)
                have += len(block)
                advance(have // _MB, "MB")
    if total is not None and have != total:
        raise broken("it was closed")
    return part


def _reason(wrong: Exception) -> str:
    return str(getattr(wrong, "reason", wrong)) or type(wrong).__name__
