"""The store: a folder of results under their keys. It is the whole state of a batch; everything else can be killed.

FOLDER/plan.json               what is to be done
FOLDER/results/ab/KEY.json     receipt of a result: counts, sums, histograms; its presence means "done"
FOLDER/results/ab/KEY.parquet  its table, where it has one; written before the receipt
FOLDER/journal/HOST-PID.jsonl  what each process began, finished and failed to do
FOLDER/failed.json             what is missing and why; absent when nothing is
FOLDER/log.txt                 progress, one line a minute
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.batch import keys
from hepaa.errors import InputError
from hepaa.io.files import atomic_paths, one_line, regular_file, remove_abandoned, sha256, write_json
from hepaa.io.sealed import read_sealed, require_types, sealed
from hepaa.io.texts import parse_json
from hepaa.table import EventTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hepaa.batch.shard import Shard

_NUMBER = float | int
_RECEIPT = {
    "key": str, "path": str, "start": int | None, "stop": int | None, "events": int, "sum_weights": _NUMBER,
    "sum_weights2": _NUMBER, "rest": list, "cross_section_pb": _NUMBER | None,
    "other_cross_section_pb": _NUMBER | None, "generated": _NUMBER | None, "generated_events": _NUMBER,
    "result": dict | None,
    "seconds": _NUMBER, "host": str, "pid": int, "rows": int | None, "table_bytes": int | None,
    "table_sha256": str | None,
}  # fmt: skip
_FAILURE = {
    "path": str, "start": int | None, "stop": int | None, "events": int | None, "good_events": int | None,
    "attempts": int, "reason": str,
}  # fmt: skip
_LINE = {"event": str, "key": str, "time": _NUMBER}
_LINES = {"began": {**_LINE, "shard": str}, "failed": {**_LINE, "error": str, "trace": str}, "stored": _LINE}


@dataclass(frozen=True)
class Store:
    """Results under their keys in a folder that all workers see.

    Attributes
    ----------
    folder : str
    """

    folder: str

    @property
    def root(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def create(self) -> None:
        """Make the folder where it is missing, and remove unfinished files that nobody can still be writing."""
        for part in ("results", "journal"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        for folder in (self.root, *(self.root / "results").glob("??")):
            remove_abandoned(folder)

    # -- results ------------------------------------------------------------------------------------------------------

    def _path(self, key: str, suffix: str) -> Path:
        keys.refuse_other(key)
        return Path(f"{self.folder}/results/{key[:2]}/{key}{suffix}")

    def keys(self) -> set[str]:
        """Keys of all results that are there."""
        return {path.stem for path in (self.root / "results").glob("*/*.json") if not path.name.startswith(".")}

    def receipt(self, key: str) -> dict[str, Any] | None:
        """Receipt of a result, or None where there is no whole result.

        Raises
        ------
        InputError
            If it is damaged, or that of another result.
        """
        path = self._path(key, ".json")
        try:
            receipt = read_sealed(path, "remove it to redo it", _RECEIPT)
        except FileNotFoundError:
            return None
        rest = receipt["rest"]
        if receipt["key"] != key or len(rest) != 3 or not all(isinstance(lost, _NUMBER) for lost in rest):
            raise InputError(f"{path}: is not the receipt of this result; remove it to redo it")
        size = receipt["table_bytes"]
        try:
            whole = size is None or self.table_path(key).stat().st_size == size
        except FileNotFoundError:
            whole = False
        return receipt if whole else None

    def receipts(self, shards: Iterable[Shard]) -> dict[str, dict[str, Any]]:
        """Receipts of those shards that have a whole result, by key."""
        stored = ((shard.key, self.receipt(shard.key)) for shard in shards)
        return {key: receipt for key, receipt in stored if receipt is not None}

    def table(self, key: str, receipt: dict[str, Any]) -> EventTable:
        """Table of a result; errors as `checked_table`."""
        return EventTable.load(self.checked_table(key, receipt))

    def checked_table(self, key: str, receipt: dict[str, Any]) -> Path:
        """File of the table of a result.

        Raises
        ------
        InputError
            If the result has no table, or its bytes are not those that its receipt was written for.
        """
        path = self.table_path(key)
        if receipt["table_sha256"] is None:
            raise InputError(f"{self._path(key, '.json')}: this result has no table, so there are no rows to merge")
        if sha256(path) != receipt["table_sha256"]:
            raise InputError(f"{path}: is not what was stored (SHA-256); remove it and run again to redo it")
        return path

    def run_path(self, key: str) -> Path:
        """Folder of the run of a card."""
        return self._path(key, ".run")

    def table_path(self, key: str) -> Path:
        """File of the table of a result."""
        return self._path(key, ".parquet")

    def put(self, key: str, receipt: dict[str, Any], table: EventTable | None) -> dict[str, Any]:
        """Store a result whole or not at all: temporary file, fsync, rename; the receipt last.

        Returns
        -------
        dict
            The receipt as it was stored.

        Raises
        ------
        OSError
            If the disk is full, or not to be written to.
        """
        place = self._path(key, ".json")
        place.parent.mkdir(parents=True, exist_ok=True)
        stored = {"key": key, **receipt, "rows": None, "table_bytes": None, "table_sha256": None}
        with atomic_paths(*([] if table is None else [self.table_path(key)]), place) as (*rows, partial):
            if table is not None:
                table.write(rows[0])
                written = {"table_bytes": rows[0].stat().st_size, "table_sha256": sha256(rows[0])}
                stored |= {"rows": table.n, **written}
            partial.write_text(json.dumps(sealed(stored)) + "\n", encoding="utf-8")
        return stored

    # -- journal ------------------------------------------------------------------------------------------------------

    def note(self, event: str, key: str, **more: Any) -> None:
        """Append one line to the journal of this process; each has its own, so that none waits for another."""
        line = {"event": event, "key": key, "time": round(time.time(), 3), **more}
        name = f"{socket.gethostname()}-{os.getpid()}.jsonl"
        with Path(f"{self.folder}/journal/{name}").open("a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps(line))  # a line that a full disk cut short is not joined to the next

    def journal(self) -> Iterator[dict[str, Any]]:
        """All lines of all journals; one that a killed process left half written, or is not ours, is passed over."""
        for path in sorted((self.root / "journal").glob("*.jsonl")):
            for line in regular_file(path).read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    noted = parse_json(line)
                    require_types(noted, _LINES[noted["event"]])
                except (ValueError, KeyError, TypeError):  # empty, or cut short by a kill or a full disk
                    continue
                yield {**noted, "process": path.stem}

    # -- failures -----------------------------------------------------------------------------------------------------

    @property
    def failures_path(self) -> Path:
        """`failed.json`."""
        return self.root / "failed.json"

    def write_failures(self, content: dict[str, Any] | None) -> None:
        """Write what is missing, or remove the list of an earlier attempt when nothing is."""
        if content is None:
            self.failures_path.unlink(missing_ok=True)
        else:
            write_json(content, self.failures_path)

    def failures(self) -> list[dict[str, Any]]:
        """What is missing and why: the entries of `failed.json`, none where there is no such file."""
        try:
            listed: list[dict[str, Any]] = parse_json(regular_file(self.failures_path).read_bytes())["shards"]
            for entry in listed:
                require_types(entry, _FAILURE)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as damage:
            raise InputError(f"{self.failures_path}: cannot be read ({one_line(damage)}); remove it") from damage
        return listed
