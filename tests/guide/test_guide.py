"""The guide: every block of every page runs, in order, and prints what the page shows."""

from __future__ import annotations

import importlib
import re

import pytest
from helpers import guide

if not guide.FOLDER.is_dir():
    pytest.skip("an installed package has no guide beside it", allow_module_level=True)

QUICK = "questions.md"
NOTEBOOKS = ("anomaly-awareness.md", "own.md")
PAGES = guide.pages()


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=page.stem, marks=[] if page.name == QUICK else pytest.mark.slow) for page in PAGES],
)
def test_a_page_runs_as_it_stands(page, tmp_path):
    guide.run(page, tmp_path)


def test_blocks_that_are_not_run_say_why_and_are_few():
    left_out = [(page.name, block) for page in PAGES for block in guide.blocks(page) if block.noexec]
    assert [f"{name}, line {block.line}" for name, block in left_out if block.reason is None] == []
    assert len(left_out) <= 5


def test_every_page_is_in_the_contents_and_opens_as_a_notebook():
    contents = (guide.FOLDER / "index.md").read_text(encoding="utf-8").split()
    for page in PAGES:
        assert page.stem in contents
        assert page.read_text(encoding="utf-8").startswith("---\njupytext:\n"), page.name


def test_every_fence_of_a_page_is_understood():
    """A block that the pattern missed would be shown and never run."""
    for page in PAGES:
        fences = re.findall(r"^```(\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences) <= {"python", "bash", "text", "yaml"}, page.name
        assert sum(name in ("python", "bash") for name in fences) == len(guide.blocks(page))


def test_measured_numbers_are_those_that_the_analyses_wrote(monkeypatch):
    monkeypatch.syspath_prepend(str(guide.FOLDER.parent))
    refreshed = importlib.import_module("page").refreshed
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert refreshed(text) == text, "run `python analyses/page.py`"
        assert re.findall(r"\d ± [\d.]+(?![\d.]*<!--)", text) == [], page.name


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("Z = 1.50 of 3", "Z =  1.51 of 3\n", True),
        ("Z = 1.50 of 3", "Z = 1.70 of 3", False),
        ("Z = 1.50 of 3", "Z = 1.50 of 4", False),
        ("a ... c", "a b\nb c", True),
        ("a", "a b", False),
        ("p < 2.0e-05", "p < 2.04e-05", True),
        ("p < 2.0e-05", "p < 2.0e-04", False),
    ],
)
def test_outputs_are_compared(shown, printed, same):
    assert guide.alike(shown, printed) is same


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the kernel's libraries warn of each other
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_page_runs_as_a_notebook(name, tmp_path, monkeypatch):
    jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: pip install 'hepaa[docs]'")
    client = pytest.importorskip("nbclient", reason="nbclient is not installed: pip install 'hepaa[docs]'")
    monkeypatch.setenv("PATH", guide.path())
    notebook = jupytext.read(guide.FOLDER / name)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == sum(not block.noexec for block in guide.blocks(guide.FOLDER / name))
    client.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in code)
