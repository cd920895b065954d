"""Losses of a training as lines of JSON, one an epoch, for whoever watches it from outside."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hepaa.errors import InputError
from hepaa.io.files import regular_file
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping


class MetricsFile:
    """A callback that appends {"epoch": ..., "seconds": ..., the losses} to a file, and flushes it.

    A training that starts writes the file anew; one that goes on from a checkpoint keeps the lines of the epochs
    before. "seconds" is the time since this object was made.

    Parameters
    ----------
    path : str or Path
        Usually ends in .jsonl.

    Raises
    ------
    InputError
        If the folder does not exist, the file cannot be written, or another file than one of metrics has its name.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise InputError(f"metrics {self.path}: the folder {self.path.parent} does not exist; make it first")
        if not _is_of_metrics(regular_file(self.path)):
            raise InputError(f"metrics {self.path}: is there, and no file of metrics; choose another name")
        self.start = time.monotonic()
        self.begun = False

    def __call__(self, epoch: int, losses: Mapping[str, float]) -> None:
        """Write the line of an epoch."""
        line = json.dumps({"epoch": epoch, "seconds": round(time.monotonic() - self.start, 3), **losses})
        try:
            if not self.begun:
                self.path.write_text(self._before(epoch), encoding="utf-8")
                self.begun = True
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise InputError(f"metrics {self.path} cannot be written ({error.strerror})") from error

    def _before(self, epoch: int) -> str:
        """Lines of the epochs before `epoch` that the file has already."""
        if not epoch or not self.path.exists():
            return ""
        lines = self.path.read_text(encoding="utf-8").splitlines()[:epoch]
        return "".join(line + "\n" for line in lines)


def _is_of_metrics(path: Path) -> bool:
    """True if a file is missing or empty, or begins with the line of an epoch."""
    try:
        with path.open("rb") as stream:
            first = stream.readline(10_000)
        return not first or "epoch" in dict(parse_json(first))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError):
        return False
