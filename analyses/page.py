"""The results page, the front table of the README and the numbers of the guide, from what the scripts have left.

`sections.py` says what each section asks; numbers in its sentences and in the front table are looked up in the results,
so that a page never says what a table does not. Run `python analyses/page.py` to write both again.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import table
from sections import CLAIMS, SECTIONS, Section, anchor

HERE = Path(__file__).parent
PAGE, README, FIGURES = HERE / "README.md", HERE.parent / "README.md", HERE / "figures"
BEGIN, END = "<!-- results: written by analyses/page.py -->", "<!-- end of results -->"
INTRODUCTION = """# Results

Every number of this page is measured by the scripts of this folder and written by `page.py`; `nox -s analyses` runs all
of them, in under two hours on two cores. A script's docstring says more, what was tried in vain included. Where not
said otherwise, a value is mean ± standard deviation over seeds, and a seed draws its own split, its own labels and its
own start of training. "Published" is a number that a source prints, and nothing else; a published form that was run
here is called a rerun. AUC is the area under the ROC curve, AUC-PR the average precision, SIC the significance
improvement eps_S / sqrt(eps_B). "Ceiling" is what a classifier reaches that is given all labels, or the exact
likelihood ratio.
"""


@cache
def content(key: str) -> dict[str, Any]:
    """A results file."""
    found: dict[str, Any] = json.loads((table.RESULTS / f"{key}.json").read_text(encoding="utf-8"))
    return found


def rows(key: str) -> list[Any]:
    """Its rows or lines."""
    kept = content(key)["rows"]
    return [(table.Line if "cells" in row else table.Row)(**row) for row in kept]


def value(reference: str) -> str:
    """Mean and spread that `KEY | ROW` or `KEY | ROW | COLUMN` names; an error if there is no such row."""
    key, name, *column = (word.strip() for word in reference.split("|"))
    row = {row.name: row for row in rows(key)}[name]
    return table.spread(row.cells[column[0]] if column else row.values, row.digits)


def filled(text: str) -> str:
    """A text with the values in place of its references in braces."""
    return re.sub(r"\{([^{}]+)\}", lambda found: value(found[1]), text)


def keys(section: Section) -> list[str]:
    """Results of a section, in the order of its patterns."""
    return [path.stem for pattern in section.tables for path in sorted(table.RESULTS.glob(f"{pattern}.json"))]


def scripts(section: Section, above: str = "") -> str:
    """Links to the scripts of a section, from this folder or one that lies `above` it, such as "../"."""
    paths = [path for pattern in section.scripts for path in sorted(HERE.glob(f"{pattern}.py"))]
    return ", ".join(f"[`{path.name}`]({above}{path.name})" for path in paths)


def shown(section: Section) -> str:
    """A section: the question, the answer, the tables and figures that there are."""
    said = {"Asked": section.asked, "Events": section.events, "What comes out": filled(section.outcome)}
    lines = [f"## {section.question}", "", *(f"**{lead}:** {text}\n" for lead, text in said.items())]
    if section.words:
        lines += [*(f"- *{word}*: {meaning}" for word, meaning in section.words.items()), ""]
    if section.in_view:
        lines += [f"**Signals in view** when settings were chosen: {section.in_view}", ""]
    for key in keys(section):
        lines += [table.markdown(content(key)["title"], rows(key))]
        if (table.RESULTS / f"{key}.csv").is_file():
            lines += [f"All of it: [`{key}.csv`](results/{key}.csv).", ""]
    for name, caption in section.figures.items():
        if (FIGURES / f"{name}.png").is_file():
            lines += [f"![{caption}](figures/{name}.png)", "", f"*{caption}*", ""]
    return re.sub("\n{3,}", "\n\n", "\n".join([*lines, f"Scripts: {scripts(section)}.", ""]))


def page() -> str:
    """All sections that have results, and at the end the results that no section names."""
    there = {section: keys(section) for section in SECTIONS if keys(section)}
    named = {key for kept in there.values() for key in kept}
    others = [path.stem for path in sorted(table.RESULTS.glob("*.json")) if path.stem not in named]
    contents = "\n".join(f"- [{s.question}](#{anchor(s.question)})" for s in there)
    parts = [INTRODUCTION, contents + "\n", *map(shown, there)]
    if others:
        parts.append("## Tables without a section\n")
        parts += [table.markdown(content(key)["title"], rows(key)) for key in others]
    return "\n".join(parts)


def front() -> str:
    """The README's table: published, here, ceiling, one line a claim."""
    lines = ["| | published | here | ceiling |", "|---|---|---|---|"]
    for claim in CLAIMS:
        link = f"[{claim.name}](analyses/README.md#{anchor(claim.question)})"
        lines.append(f"| {link} | {filled(claim.published)} | {filled(claim.here)} | {filled(claim.ceiling)} |")
    return "\n".join([BEGIN, "", *lines, "", END])


def refreshed(text: str) -> str:
    """A page of the guide with the values that its comments name: `0.90 ± 0.01<!-- KEY / ROW / COLUMN -->`."""

    def now(kept: re.Match[str]) -> str:
        return f"{value(kept[1].replace(' / ', ' | '))}<!-- {kept[1]} -->"

    return re.sub(r"-?[\d.]+ ± [\d.]+<!-- (.+?) -->", now, text)


def main() -> None:
    """Write the page, the README's table, and the numbers of the guide."""
    PAGE.write_text(page(), encoding="utf-8")
    for guide in (HERE / "guide").glob("*.md"):
        guide.write_text(refreshed(guide.read_text(encoding="utf-8")), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    README.write_text(before + front() + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
