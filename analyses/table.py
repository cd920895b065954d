"""Tables "published | here": printed, and kept as JSON in `analyses/results`; `page.py` makes the results page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One line: what was measured, the printed value, and the value of each seed here, to so many digits.

    Without values it is one of the literature alone.
    """

    name: str
    published: str
    values: list[float]
    digits: int = 3


@dataclass(frozen=True)
class Line:
    """One line of a table with columns of its own: the values of each seed under each heading, to so many digits.

    All lines of a table have the headings of the first; what a line has no values for stays empty.
    """

    name: str
    cells: dict[str, list[float]]
    digits: int = 3


def publish(key: str, title: str, rows: list[Row] | list[Line], *, keep: bool = True) -> None:
    """Print a table, and keep it as `results/KEY.json` if asked."""
    print(markdown(title, rows))
    if not keep:
        return
    RESULTS.mkdir(exist_ok=True)
    content = {"title": title, "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{key}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def markdown(title: str, rows: list[Row] | list[Line]) -> str:
    """The table: published | here (mean +- standard deviation over seeds) | n; or the columns of its lines | n."""
    columns = list(rows[0].cells) if isinstance(rows[0], Line) else ["published", "here"]
    lines = [f"| {' | '.join([title, *columns, 'seeds'])} |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        if isinstance(row, Line):
            shown = [spread(row.cells.get(column, []), row.digits) for column in columns]
            n = max(len(values) for values in row.cells.values())
        else:
            shown, n = [row.published, spread(row.values, row.digits)], len(row.values)
        lines.append(f"| {' | '.join([row.name, *shown, str(n or '')])} |")
    return "\n".join(lines) + "\n"


def spread(values: list[float], digits: int) -> str:
    """Mean and, of two values or more, standard deviation."""
    mean = f"{np.mean(values):.{digits}f}" if values else ""
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean
