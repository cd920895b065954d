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
import re
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.files import atomic_paths, write_json
from hepaa.table import EventTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hepaa.batch.shard import Shard

_ABANDONED_AFTER_S = 24 * 3600.0
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.")
"""How temporary names of results begin; hidden files of others stay."""


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
        """Make the folder where it is missing, and remove temporary files that nobody can still be writing."""
        for part in ("results", "journal"):
            (self.root / part).mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _ABANDONED_AFTER_S
        for left in (self.root / "results").glob("*/.*"):
            if not _TEMPORARY.match(left.name) or left.stat().st_mtime >= oldest:
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)

    # -- results ------------------------------------------------------------------------------------------------------

    def _path(self, key: str, suffix: str) -> Path:
        return Path(f"{self.folder}/results/{key[:2]}/{key}{suffix}")

    def keys(self) -> set[str]:
        """Keys of all results that are there."""
        return {path.stem for path in (self.root / "results").glob("*/*.json") if not path.name.startswith(".")}

    def receipt(self, key: str) -> dict[str, Any] | None:
        """Receipt of a result, or None where there is no whole result."""
        try:
            receipt: dict[str, Any] = json.loads(self._path(key, ".json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as damage:
            raise InputError(f"{self._path(key, '.json')}: cannot be read ({damage}); remove it to redo it") from damage
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

    def table(self, key: str) -> EventTable:
        """Table of a result."""
        return EventTable.load(self._path(key, ".parquet"))

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
        stored = {**receipt, "rows": None, "table_bytes": None}
        with atomic_paths(*([] if table is None else [self.table_path(key)]), place) as (*rows, partial):
            if table is not None:
                table.write(rows[0])
                stored |= {"rows": table.n, "table_bytes": rows[0].stat().st_size}
            partial.write_text(json.dumps(stored, allow_nan=False) + "\n", encoding="utf-8")
        return stored

    # -- journal ------------------------------------------------------------------------------------------------------

    def note(self, event: str, key: str, **more: Any) -> None:
        """Append one line to the journal of this process; each has its own, so that none waits for another."""
        line = {"event": event, "key": key, "time": round(time.time(), 3), **more}
        name = f"{socket.gethostname()}-{os.getpid()}.jsonl"
        with Path(f"{self.folder}/journal/{name}").open("a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps(line))  # a line that a full disk cut short is not joined to the next

    def journal(self) -> Iterator[dict[str, Any]]:
        """All lines of all journals; a line that a killed process left half written is passed over."""
        for path in sorted((self.root / "journal").glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    noted = json.loads(line)
                except ValueError:  # empty, or cut short by a kill or a full disk
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
