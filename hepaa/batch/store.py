"""The store: a folder of results under their keys. It is the whole state of a batch; everything else can be killed.

FOLDER/plan.json               what is to be done
FOLDER/results/ab/KEY.json     receipt of a result: counts, sums, histograms; its presence means "done"
FOLDER/results/ab/KEY.parquet  its table, where it has one; written before the receipt
FOLDER/results/ab/KEY.group    receipts of small files that were computed together, one table under KEY.parquet for all
FOLDER/journal/HOST-PID.jsonl  what each process began, finished and failed to do
FOLDER/failed.json             what is missing and why; absent when nothing is
FOLDER/log.txt                 progress, one line a minute
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.batch import keys
from hepaa.errors import InputError
from hepaa.io.files import atomic_paths, one_line, regular_file, remove_abandoned, sha256, write_json
from hepaa.io.sealed import SEAL, digest, read_sealed, require_types, sealed
from hepaa.io.texts import parse_json
from hepaa.table import CutflowRow, EventTable, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hepaa.batch.shard import Shard

_NUMBER = float | int
_MEMBER = {
    "key": str, "path": str, "start": int | None, "stop": int | None, "events": int, "sum_weights": _NUMBER,
    "sum_weights2": _NUMBER, "rest": list, "cross_section_pb": _NUMBER | None,
    "other_cross_section_pb": _NUMBER | None, "generated": _NUMBER | None, "generated_events": _NUMBER,
    "result": dict | None,
    "seconds": _NUMBER, "host": str, "pid": int, "rows": int | None,
}  # fmt: skip
_TABLE = {"table_bytes": int | None, "table_sha256": str | None}
_RECEIPT = _MEMBER | _TABLE
_GROUP = {"key": str, "members": list, **_TABLE}
_GROUPED = {**_MEMBER, "cutflow": list}
_FAILURE = {
    "path": str, "start": int | None, "stop": int | None, "events": int | None, "good_events": int | None,
    "attempts": int, "reason": str,
}  # fmt: skip
_LINE = {"event": str, "key": str, "time": _NUMBER}
_LINES = {"began": {**_LINE, "shard": str}, "failed": {**_LINE, "error": str, "trace": str}, "stored": _LINE}


@dataclass(frozen=True, eq=False)
class Result:
    """What was computed of one shard: its key, its receipt, and its rows where it has any."""

    key: str
    receipt: dict[str, Any]
    table: EventTable | None


class Receipt(Mapping[str, Any]):
    """The receipt of a stored result, in a third of the memory of a dict: a batch holds one for each of its shards.

    Parameters
    ----------
    content : dict
    """

    __slots__ = ("_places", "_values")

    def __init__(self, content: dict[str, Any]) -> None:
        self._places, self._values = _places(tuple(content)), tuple(content.values())

    def __getitem__(self, name: str) -> Any:
        return self._values[self._places[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@lru_cache(maxsize=16)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Where each value of a receipt lies; one dict for all that have the same names."""
    return {name: place for place, name in enumerate(names)}


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

    def _names(self, suffix: str) -> set[str]:
        return {path.stem for path in (self.root / "results").glob(f"*/*{suffix}") if not path.name.startswith(".")}

    def keys(self) -> set[str]:
        """Keys of all results that are there."""
        return self._names(".json").union(*(self._group(name) for name in self._names(".group")))

    def receipt(self, key: str) -> Mapping[str, Any] | None:
        """Receipt of a result that was stored by itself, or None where there is no whole one.

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
        if receipt["key"] != key or not _is_sum(receipt["rest"]):
            raise InputError(f"{path}: is not the receipt of this result; remove it to redo it")
        return Receipt(receipt) if self._has_table(key, receipt) else None

    def _has_table(self, name: str, receipt: dict[str, Any]) -> bool:
        size = receipt["table_bytes"]
        try:
            return size is None or bool(self.table_path(name).stat().st_size == size)
        except FileNotFoundError:
            return False

    def _group(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Receipts of the results that were stored together under a name, by key; none where they are not whole."""
        path = self._path(name, ".group")
        try:
            group = read_sealed(path, "remove it to redo it", _GROUP)
            for stored in group["members"]:
                require_types(stored, _GROUPED)
        except FileNotFoundError:
            return {}
        except (TypeError, ValueError) as damage:
            raise InputError(f"{path}: cannot be read ({one_line(damage)}); remove it to redo it") from damage
        receipts = _members(group)
        sums = all(_is_sum(receipt["rest"]) for receipt in receipts.values())
        if group["key"] != name or name != _name(receipts) or not sums:
            raise InputError(f"{path}: is not the receipt of these results; remove it to redo them")
        return receipts if self._has_table(name, group) else {}

    def receipts(self, shards: Iterable[Shard]) -> dict[str, Mapping[str, Any]]:
        """Receipts of those shards that have a whole result, by key, in their order."""
        alone, grouped = self._names(".json"), dict[str, Mapping[str, Any]]()
        for name in self._names(".group"):
            grouped.update(self._group(name))
        stored = (
            (shard.key, self.receipt(shard.key) if shard.key in alone else grouped.get(shard.key)) for shard in shards
        )
        return {key: receipt for key, receipt in stored if receipt is not None}

    def group(self, shards: Sequence[Shard]) -> dict[str, Mapping[str, Any]]:
        """Receipts of shards if they were stored together, or of the one if it was stored by itself; else none."""
        if len(shards) > 1:
            return self._group(_name(shard.key for shard in shards))
        alone = self.receipt(shards[0].key)
        return {} if alone is None else {shards[0].key: alone}

    def new_receipts(self, read: set[str]) -> dict[str, Mapping[str, Any]]:
        """Receipts in the files that are not in `read`, which gets their names."""
        receipts: dict[str, Mapping[str, Any]] = {}
        for suffix in (".json", ".group"):
            for name in self._names(suffix):
                if name not in read:
                    read.add(name)
                    alone = self.receipt(name) if suffix == ".json" else None
                    receipts.update(self._group(name) if suffix == ".group" else {name: alone} if alone else {})
        return receipts

    def table(self, key: str, receipt: Mapping[str, Any]) -> EventTable:
        """Table of a result; errors as `checked_table`."""
        path = self.checked_table(key, receipt)
        if "group" not in receipt:
            return EventTable.load(path)
        whole = _loaded(str(path), receipt["table_sha256"])
        rows = whole[receipt["row"] : receipt["row"] + receipt["rows"]]
        return replace(
            rows,
            file=np.zeros_like(rows.file),
            sources=whole.sources[receipt["member"] : receipt["member"] + 1],
            cutflow=tuple(CutflowRow(*row) for row in receipt["cutflow"]),
        )

    def checked_table(self, key: str, receipt: Mapping[str, Any]) -> Path:
        """File of the table of a result, or of those that were stored with it.

        Raises
        ------
        InputError
            If the result has no table, or its bytes are not those that its receipt was written for.
        """
        path = self.table_path(receipt.get("group", key))
        if receipt["table_sha256"] is None:
            raise InputError(f"{path}: this result has no table, so there are no rows to merge")
        if sha256(path) != receipt["table_sha256"]:
            raise InputError(f"{path}: is not what was stored (SHA-256); remove it and run again to redo it")
        return path

    def is_whole_table(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> bool:
        """Whether these results, in this order, are all that is in one file of rows."""
        group = entries[0][1].get("group")
        if group is None:
            return len(entries) == 1
        return list(self._group(group)) == [key for key, _ in entries]

    def run_path(self, key: str) -> Path:
        """Folder of the run of a card."""
        return self._path(key, ".run")

    def table_path(self, key: str) -> Path:
        """File of the table of a result."""
        return self._path(key, ".parquet")

    def put(self, key: str, receipt: dict[str, Any], table: EventTable | None) -> Mapping[str, Any]:
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
        stored = {"key": key, **receipt, "rows": None if table is None else table.n}
        return Receipt(self._write(key, ".json", stored, table))

    def put_all(self, results: Sequence[Result]) -> dict[str, Mapping[str, Any]]:
        """Store results: those of several shards together, if their tables differ in nothing but their rows.

        Returns and raises as `put`, for each of them.
        """
        tables = [result.table for result in results if result.table is not None]
        if len(results) < 2 or len(tables) not in (0, len(results)) or not _alike(tables):
            return {result.key: self.put(result.key, result.receipt, result.table) for result in results}
        members = [
            {
                "key": result.key,
                **result.receipt,
                "rows": None if result.table is None else result.table.n,
                "cutflow": [] if result.table is None else [astuple(row) for row in result.table.cutflow],
            }
            for result in results
        ]
        name = _name(result.key for result in results)
        rows = concatenate(tables) if tables else None
        return _members(self._write(name, ".group", {"key": name, "members": members}, rows))

    def _write(self, name: str, suffix: str, content: dict[str, Any], table: EventTable | None) -> dict[str, Any]:
        place = self._path(name, suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        stored = {**content, "table_bytes": None, "table_sha256": None}
        with atomic_paths(*([] if table is None else [self.table_path(name)]), place) as (*rows, partial):
            if table is not None:
                table.write(rows[0])
                stored |= {"table_bytes": rows[0].stat().st_size, "table_sha256": sha256(rows[0])}
            plain = sealed(stored)
            partial.write_text(json.dumps(plain) + "\n", encoding="utf-8")
        return {name: value for name, value in plain.items() if name != SEAL}

    # -- journal ------------------------------------------------------------------------------------------------------

    def note(self, event: str, *keys: str, **more: Any) -> None:
        """Append a line for each key to the journal of this process, which is its own: none waits for another."""
        now = round(time.time(), 3)
        lines = ["\n" + json.dumps({"event": event, "key": key, "time": now, **more}) for key in keys]
        name = f"{socket.gethostname()}-{os.getpid()}.jsonl"
        with Path(f"{self.folder}/journal/{name}").open("a", encoding="utf-8") as stream:
            stream.write("".join(lines))  # a line that a full disk cut short is not joined to the next

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


def _members(group: dict[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Receipts of results that were stored together, by key, each with its place in their table."""
    shared = {**{key: group[key] for key in _TABLE}, "group": group["key"]}
    receipts: dict[str, Mapping[str, Any]] = {}
    row = 0
    for member, stored in enumerate(group["members"]):
        shared["host"] = sys.intern(stored["host"])
        receipts[stored["key"]] = Receipt({**stored, **shared, "member": member, "row": row})
        row += stored["rows"] or 0
    return receipts


def _name(keys: Iterable[str]) -> str:
    """Name under which results are stored together: 64 hexadecimal digits."""
    return digest(list(keys))


def _is_sum(rest: Any) -> bool:
    return len(rest) == 3 and all(isinstance(lost, _NUMBER) for lost in rest)


def _alike(tables: Sequence[EventTable]) -> bool:
    """Whether each of several tables can be told from their rows together: equal names, and one file each."""
    names = {
        (t.columns, tuple(t.spectators), t.processes, t.generators, t.feature_set, *sorted(t.units.items()))
        for t in tables
    }
    sources = {source for table in tables for source in table.sources}
    return len(names) < 2 and len(sources) == len(tables) and all(len(table.sources) == 1 for table in tables)


@lru_cache(maxsize=1)
def _loaded(path: str, _sha256: str) -> EventTable:
    """Rows that were stored together; whoever merges reads them in order, once."""
    return EventTable.load(path)
