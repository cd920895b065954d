"""Pages of the guide: their blocks in order, run as they stand, and what they show compared with what comes out."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "analyses" / "guide"
BLOCK = re.compile(r"(<!-- noexec: [^\n]+ -->\n)?```(\S+)([^\n]*)\n(.*?)\n```\n", re.DOTALL)
NUMBER = r"[-+]?\d*\.\d+(?:e[-+]?\d+)?"
TOLERANCE = 0.05
"""Relative: a training ends a little elsewhere on another processor."""


@dataclass(frozen=True)
class Block:
    """Code or a command, with the output that the page shows after it; None where it shows none."""

    language: str
    code: str
    line: int
    output: str | None
    noexec: bool
    reason: str | None


def pages() -> list[Path]:
    """All pages with something to run, in the order of their names."""
    return sorted(
        page for page in FOLDER.glob("*.md") if re.search(r"^```(python|bash)", page.read_text(), re.MULTILINE)
    )


def blocks(page: Path) -> list[Block]:
    """Python and shell blocks; a `text` block that follows with nothing but blank lines between is the output."""
    text = page.read_text(encoding="utf-8")
    there = list(BLOCK.finditer(text))
    code = []
    for block, after in zip(there, [*there[1:], None], strict=True):
        if block[2] not in ("python", "bash"):
            continue
        follows = after is not None and after[2] == "text" and not text[block.end() : after.start()].strip()
        code.append(
            Block(
                language=block[2],
                code=block[4],
                line=text.count("\n", 0, block.start(2)) + 1,
                output=after[4] if follows else None,
                noexec=".noeval" in block[3],
                reason=block[1],
            )
        )
    return code


def path() -> str:
    """Where the shell looks for commands: beside this Python first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(page: Path, folder: Path) -> None:
    """Run the blocks of a page in a folder, Python ones in one namespace, and compare what each prints.

    Raises
    ------
    AssertionError
        A command fails, or prints something else than the page shows; the message gives the page and the line.
    """
    names: dict[str, object] = {"__name__": "__main__"}
    environment = os.environ | {"PATH": path()}
    with contextlib.chdir(folder):
        for block in blocks(page):
            if block.noexec:
                continue
            place = f"{page.name}, line {block.line}"
            if block.language == "python":
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    exec(compile("\n" * block.line + block.code, page.name, "exec"), names)
                output = printed.getvalue()
            else:
                done = subprocess.run(
                    ["bash", "-euo", "pipefail", "-c", block.code],
                    capture_output=True, text=True, check=False, env=environment,
                )  # fmt: skip
                assert done.returncode == 0, f"{place}: {done.stdout}{done.stderr}"
                output = done.stdout
            assert block.output is None or alike(block.output, output), f"{place} prints\n{output}"


def alike(shown: str, printed: str) -> bool:
    """Whether an output is as shown: `...` stands for anything, blanks are alike, and so are decimal numbers nearby."""
    pieces = re.split(rf"(\.\.\.|{NUMBER}|\s+)", shown.strip())
    pattern = "".join(
        ".*?"
        if piece == "..."
        else rf"({NUMBER})"
        if re.fullmatch(NUMBER, piece)
        else r"\s+"
        if piece.isspace()
        else re.escape(piece)
        for piece in pieces
    )
    match = re.fullmatch(pattern, printed.strip(), re.DOTALL)
    if match is None:
        return False
    expected = [piece for piece in pieces if re.fullmatch(NUMBER, piece)]
    return all(near(one, float(other)) for one, other in zip(expected, match.groups(), strict=True))


def near(shown: str, value: float) -> bool:
    """Within the tolerance, or within a unit of the last digit that is shown."""
    digits = len(shown.partition(".")[2].partition("e")[0])
    exponent = int(shown.partition("e")[2] or 0)
    return abs(value - float(shown)) <= max(TOLERANCE * abs(float(shown)), 1.01 * 10.0 ** (exponent - digits))
