"""JSON files that carry their own checksum: a flipped bit is an error, never another value."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.files import atomic_path, one_line, regular_file
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SEAL = "sha256"
"""Key of the checksum: that of all other keys and values, however they are spelled."""


def digest(content: Any) -> str:
    """SHA-256 of JSON content in its one canonical spelling; NaN and infinity have none."""
    text = hashlib.sha256()
    for part in _spelled(content):
        text.update(part.encode())
    return text.hexdigest()


def _spelled(content: Any) -> Iterator[str]:
    """The canonical spelling; of a mapping with long lists, such as a plan, one entry at a time, for it is large."""
    if not isinstance(content, dict):
        yield _canonical(content)
        return
    start = "{"
    for name in sorted(content):
        yield f"{start}{_canonical(name)}:"
        start = ","
        if isinstance(content[name], list) and content[name]:
            for i, entry in enumerate(content[name]):
                yield ("," if i else "[") + _canonical(entry)
            yield "]"
        else:
            yield _canonical(content[name])
    yield "}" if content else "{}"


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content, as JSON gives it back, with its checksum."""
    plain = json.loads(json.dumps(content, allow_nan=False))
    return {**plain, SEAL: digest(plain)}


def write_sealed(content: Mapping[str, Any], path: Path) -> None:
    """Write a mapping with names as keys, at all depths, as JSON with its checksum, and no second copy in memory."""
    text = hashlib.sha256()
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as stream:
        for part in _spelled(content):
            text.update(part.encode())
            stream.write(f',"{SEAL}":"{text.hexdigest()}"}}\n' if part == "}" else part)  # no other is a brace


def read_sealed(path: Path, remedy: str, types: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `write_sealed` wrote.

    Parameters
    ----------
    path : Path
    remedy : str
        What to do if it cannot be read.
    types : mapping of key -> type, optional
        See `require_types`.

    Raises
    ------
    FileNotFoundError
        If there is no file.
    InputError
        If it cannot be read, its checksum is wrong, or values have other types.
    """
    try:
        content = unsealed(parse_json(regular_file(path).read_bytes()))
        if types is not None:
            require_types(content, types)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError) as damage:
        raise InputError(f"{path}: cannot be read ({one_line(damage)}); {remedy}") from damage
    return content


def unsealed(content: Any) -> dict[str, Any]:
    """What was sealed; raises ValueError or TypeError where it is not sealed, or has changed since."""
    if not isinstance(content, dict) or SEAL not in content:
        raise ValueError("it has no checksum")
    plain = {name: value for name, value in content.items() if name != SEAL}
    if digest(plain) != content[SEAL]:
        raise ValueError("its content has another checksum")
    return plain


def require_names(*lists: Any) -> None:
    """Raise TypeError unless each is a list of texts."""
    for names in lists:
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"{names!r} is no list of names")


def require_types(content: Any, types: Mapping[str, Any]) -> None:
    """Raise unless `content` is a mapping (TypeError) with exactly these keys (ValueError) and types (TypeError)."""
    if not isinstance(content, dict):
        raise TypeError(f"a mapping is expected, not {type(content).__name__}")
    if content.keys() != types.keys():
        raise ValueError(f"other keys than expected: {', '.join(sorted(content.keys() ^ types.keys()))[:200]}")
    for name, expected in types.items():
        if not isinstance(content[name], expected):
            raise TypeError(f"{name} is no {getattr(expected, '__name__', expected)}")
