"""Text that people and programs wrote, as data: YAML and JSON within bounds, so that a small file cannot ask for much.

The bounds are far above what cards, schemas and metadata need: 4 MB of YAML, 200,000 values with what aliases repeat,
40 levels of nesting, and 300 digits a number (more fit into no float).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from hepaa.errors import InputError
from hepaa.io.files import regular_file

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES = 4_000_000
MOST_VALUES = 200_000
MOST_LEVELS = 40
MOST_DIGITS = 300


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    InputError
        If it cannot be read, is no regular file, no UTF-8 and no YAML, or is out of bounds.
    """
    regular_file(path)
    try:
        with path.open("rb") as stream:
            packed = stream.read(MOST_BYTES + 1)
        return parse_yaml(packed.decode("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as broken:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(broken).split())}") from broken


def parse_yaml(text: str) -> Any:
    """What a YAML text says.

    Raises
    ------
    InputError
        If it is no YAML, or out of bounds; the message has the line, and no name of a file.
    """
    if len(text) > MOST_BYTES:
        raise InputError(f"more than {MOST_BYTES:,} bytes of YAML; shorten it, with patterns for names of files")
    try:
        return yaml.load(text, Loader=_Bounded)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark
        line = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise InputError(f"{wrong.problem or wrong.context}{line}") from wrong
    except yaml.YAMLError as wrong:
        raise InputError(" ".join(str(wrong).split())) from wrong
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as wrong:
        # what PyYAML raises for values that do not fit their tag, such as 2001-99-99, !!int "" and !!bool maybe
        raise InputError(f"a value of another kind than it looks or says ({wrong})") from wrong


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises
    ------
    json.JSONDecodeError
        If it is no JSON, or out of bounds: also where `json.loads` has another word for it.
    """
    try:
        content = json.loads(text, parse_int=_whole)
        if (b"\\u" if isinstance(text, bytes) else "\\u") in text:  # type: ignore[operator]
            json.dumps(content, ensure_ascii=False).encode()  # half of a character cannot be written anywhere
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as wrong:
        reason = "nested too deeply" if isinstance(wrong, RecursionError) else str(wrong)
        raise json.JSONDecodeError(reason, "", 0) from wrong
    return content


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


class _Bounded(yaml.SafeLoader):
    """YAML's basic types, with every value counted as often as aliases repeat it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = 0
        self._values = 0
        self._sizes: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before, anchor = self._values, getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor in self.anchors and anchor not in self._sizes:
                self._refuse(f"*{anchor} lies inside of what it stands for", event)
            self._values += self._sizes.get(str(anchor), 0)
        else:
            self._values += 1
        if self._values > MOST_VALUES:
            self._refuse(f"more than {MOST_VALUES:,} values, with those that aliases repeat", event)
        if self._levels >= MOST_LEVELS:
            self._refuse(f"nested more than {MOST_LEVELS} levels deep", event)
        self._levels += 1
        node = super().compose_node(parent, index)
        self._levels -= 1
        if isinstance(node, yaml.ScalarNode):
            node.value.encode()  # half of a character, which "\\ud800" stands for, cannot be written anywhere
        if anchor is not None and not isinstance(event, yaml.AliasEvent):
            self._sizes[anchor] = self._values - before
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag in _NUMBERS and isinstance(node, yaml.ScalarNode) and len(node.value) > MOST_DIGITS:
            self._refuse(f"a number of {len(node.value):,} digits", node)
        return super().construct_object(node, deep=deep)

    @staticmethod
    def _refuse(reason: str, place: Any) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=reason, problem_mark=place.start_mark)


_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
