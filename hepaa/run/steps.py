"""Steps after a training: one that fails is told at the end, and takes nothing else with it."""

from __future__ import annotations

import math
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hepaa.errors import IncompleteError
from hepaa.io.files import one_line, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hepaa.progress import Reporter

FAILURES = "failures.txt"


class IncompleteRun(IncompleteError):
    """A run whose results are in `folder`, but for the steps that the message names."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.folder)


class Steps:
    """The steps of a run that may fail without losing what the others have made.

    Attributes
    ----------
    failed : dict of step -> exception
    """

    def __init__(self, progress: Reporter) -> None:
        self.failed: dict[str, Exception] = {}
        self._progress = progress

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Go on after the block if it fails; `raise_failures` raises in the end."""
        try:
            yield
        except Exception as error:  # a training of hours must not be lost whatever fails after it
            self.failed[name] = error
            self._progress.say(f"{name} failed: {one_line(error)}")

    def without_nan(self, content: Any, name: str) -> Any:
        """The same content of a JSON file with None in place of NaN and infinities, each of which is a failed step."""
        if isinstance(content, dict):
            return {key: self.without_nan(value, f"{name}: {key}") for key, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.without_nan(value, f"{name}: {i}") for i, value in enumerate(content)]
        if isinstance(content, float) and not math.isfinite(content):
            self.failed[name] = ValueError(f"the number is {content}; it is null in the file")
            return None
        return content

    def write_failures(self, folder: Path) -> None:
        """Write `failures.txt` with the traceback of every failed step, if there is one."""
        if self.failed:
            texts = [f"{name}\n{''.join(traceback.format_exception(error))}" for name, error in self.failed.items()]
            write_text("\n".join(texts), folder / FAILURES)

    def raise_failures(self, folder: Path) -> None:
        """Raise IncompleteRun that names the failed steps of a run whose results lie in `folder`."""
        if self.failed:
            name, error = next(iter(self.failed.items()))
            more = f", and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
            words = f"{folder}: all is there but {name} ({one_line(error)}){more}; see {folder / FAILURES}"
            raise IncompleteRun(words, folder)
