"""JSON files that carry their own checksum: a flipped bit is an error, never another value."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.files import one_line, regular_file, write_json
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEAL = "sha256"
"""Key of the checksum: that of all other keys and values, however they are spelled."""


def digest(content: Any) -> str:
    """SHA-256 of JSON content in its one canonical spelling; NaN and infinity have none."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content, as JSON gives it back, with its checksum."""
    plain = json.loads(json.dumps(content, allow_nan=False))
    return {**plain, SEAL: digest(plain)}


def write_sealed(content: Mapping[str, Any], path: Path) -> None:
    """Write a mapping as JSON with its checksum."""
    write_json(sealed(content), path, indent=None)


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
