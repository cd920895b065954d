"""Small HTML tables for notebooks: what `_repr_html_` of tables, detectors, histograms and results is made of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def number(value: Any) -> str:
    """Integers in full, other numbers with four significant digits, anything else as it prints."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """An HTML table; every text in it is escaped."""
    cells = ["".join(f"<td>{escape(number(value))}</td>" for value in row) for row in rows]
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text(content: str, caption: str = "") -> str:
    """Text as it is, such as YAML, under a caption."""
    title = f"<p><b>{escape(caption)}</b></p>" if caption else ""
    return f"{title}<pre>{escape(content)}</pre>"
