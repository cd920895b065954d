"""Progress of a batch: a bar or lines by `hepaa.progress`, and one line a minute in the folder's `log.txt`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepaa.batch.plan import Plan
    from hepaa.progress import Reporter

_LOG_EVERY_S = 60.0


class Meter:
    """Progress: a bar, and one line a minute in `log.txt`."""

    def __init__(self, plan: Plan, stored: dict[str, Any], folder: Path, progress: Reporter) -> None:
        self._total, self._done = len({shard.key for shard in plan.shards}), 0
        self._events, self._weights, self._files = 0, 0.0, set[str]()
        self._unit = plan.unit
        self._count(stored)
        self._done_before, self._events_before = self._done, self._events
        self._path, self._progress = folder / "log.txt", progress
        self._began = self._logged = time.monotonic()

    def __enter__(self) -> Meter:
        self._bar = self._progress.bar("shards", self._total)
        self._advance = self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__(None, None, None)
        self._log()

    def update(self, receipts: dict[str, Mapping[str, Any]]) -> None:
        """More receipts came."""
        self._count(receipts)
        self._advance(self._done, self._words())
        if time.monotonic() - self._logged >= _LOG_EVERY_S:
            self._log()

    def _count(self, receipts: dict[str, Mapping[str, Any]]) -> None:
        for receipt in receipts.values():
            if "error" not in receipt:
                self._done += 1
                self._events += receipt["events"]
                self._weights += receipt["sum_weights"]
                self._files.add(receipt["path"])

    def _words(self) -> str:
        spent, new = max(time.monotonic() - self._began, 1e-9), self._done - self._done_before
        left = f"{spent / new * (self._total - self._done):.0f} s" if new else "unknown"
        rate = (self._events - self._events_before) / spent
        counted = f"{self._events} {self._unit}, {rate:.4g} {self._unit}/s"
        if self._unit == "events":  # toys share one file, and have no weights
            counted = f"{len(self._files)} files, {counted}, sum of weights {self._weights:.6g}"
        return f"{counted}, left {left}"

    def _log(self) -> None:
        self._logged = time.monotonic()
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self._done}/{self._total} shards, {self._words()}\n"
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError as full:
            self._progress.say(f"{self._path}: cannot be written ({full.strerror})")
