"""Files that hold the same events: listed twice, matched by a pattern too, or there once more as a copy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hepaa.errors import InputError
from hepaa.io.files import sha256
from hepaa.io.sniff import split_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def repetitions(paths: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Positions (later, earlier) of each two paths with the same content and the same name inside it."""
    files = [split_key(path) for path in paths]
    sizes = {file: Path(file).stat().st_size for file, _ in files if Path(file).is_file()}
    several = Counter(sizes[file] for file, _ in files if file in sizes)
    earlier: dict[tuple[str, str], list[int]] = {}
    for i, (file, key) in enumerate(files):
        # a file whose size no other has is no copy, and need not be read for it
        content = sha256(file) if file in sizes and several[sizes[file]] > 1 else file
        same = earlier.setdefault((content, key), [])
        yield from ((i, other) for other in same)
        same.append(i)


def refuse_repetitions(paths: Sequence[str]) -> None:
    """Raise InputError if events would be there twice."""
    for later, earlier in repetitions(paths):
        raise InputError(
            f"{paths[later]} holds the events of {paths[earlier]}, which would count twice; leave one of them out"
        )
