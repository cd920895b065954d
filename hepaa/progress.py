"""Progress of long work: bars on a terminal, plain lines in a batch log."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECONDS_BETWEEN_LINES = 30.0


class Advance(Protocol):
    """Moves a bar to (number done) and says a few words beside it."""

    def __call__(self, done: int, words: str = "") -> None: ...


class Reporter(Protocol):
    """Shows progress to the user."""

    def say(self, text: str) -> None:
        """One line that stays."""
        ...

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Advance]:
        """A bar for the time of the block; `total` None where nobody knows."""
        ...


class Silent:
    """Says nothing: the default inside the library."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002
        """Nothing."""
        yield lambda done, words="": None  # noqa: ARG005


class Lines:
    """Plain lines on standard error, at most one every half minute for each bar."""

    def say(self, text: str) -> None:
        """One line."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Advance]:
        """Lines `title: done/total words`."""
        last = time.monotonic()

        def advance(done: int, words: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES:
                last = now
                self.say(f"{title}: {done}{f'/{total}' if total else ''} {words}".rstrip())

        yield advance


class Bars:
    """Bars by rich, for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(text, markup=False)

    @contextmanager
    def bar(self, title: str, total: int | None) -> Iterator[Advance]:
        """A bar that vanishes when done."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                   TextColumn("{task.fields[words]}"))  # fmt: skip
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(title, total=total, words="")

            def advance(done: int, words: str = "") -> None:
                progress.update(task, completed=done, words=words)

            yield advance


def reporter() -> Reporter:
    """Bars where standard error is a terminal, lines where it is a file or a batch log."""
    return Bars() if sys.stderr.isatty() else Lines()
