"""Tables "published | here": printed, kept as JSON in `analyses/results`, and written into the README from there.

Run `python analyses/table.py` to write the README's section again from all results.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- results: written by analyses/table.py -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Row:
    """One line: what was measured, the printed value, and the value of each seed here, to so many digits."""

    name: str
    published: str
    values: list[float]
    digits: int = 3


def publish(key: str, title: str, rows: list[Row], *, keep: bool = True) -> None:
    """Print a table, and keep it as `results/KEY.json` if asked."""
    print(markdown(title, rows))
    if not keep:
        return
    RESULTS.mkdir(exist_ok=True)
    content = {"title": title, "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{key}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def markdown(title: str, rows: list[Row]) -> str:
    """The table: published | here (mean +- standard deviation over seeds) | n."""
    lines = [f"| {title} | published | here | seeds |", "|---|---|---|---|"]
    for row in rows:
        mean, digits = np.mean(row.values), row.digits
        spread = f" ± {np.std(row.values, ddof=1):.{digits}f}" if len(row.values) > 1 else ""
        lines.append(f"| {row.name} | {row.published} | {mean:.{digits}f}{spread} | {len(row.values)} |")
    return "\n".join(lines) + "\n"


def section() -> str:
    """All tables, from the JSON files in alphabetical order."""
    tables = []
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        tables.append(markdown(content["title"], [Row(**row) for row in content["rows"]]))
    return f"{BEGIN}\n\n" + "\n".join(tables) + f"\n{END}"


def main() -> None:
    """Write the README's results section."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    README.write_text(before + section() + after, encoding="utf-8")


if __name__ == "__main__":
    main()
