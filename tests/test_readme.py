"""What the README shows is what the project does: its Python example runs, its results are the analyses' own."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import pytest

from hepaa.demo import path as demo_path

ROOT = Path(__file__).parents[1]


@pytest.fixture
def readme():
    if not (ROOT / "README.md").is_file():
        pytest.skip("an installed package has no README beside it")
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_python_example_runs(readme, tmp_path, monkeypatch, capsys):
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    for name, sample in (("sm.lhe.gz", "zh_sm.lhe.gz"), ("eft.lhe.gz", "zh_chw.lhe.gz")):
        shutil.copy(demo_path(sample), tmp_path / name)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    best_sic, z = map(float, capsys.readouterr().out.split())
    assert best_sic >= 1
    assert z == pytest.approx(1.3, abs=0.2)  # s / sqrt(b + sigma_b^2) = 1.41, less for the non-Gaussian tail
    assert (tmp_path / "aa.safetensors").is_file()


def test_the_front_page_is_short(readme):
    assert len(readme.splitlines()) <= 150
    assert readme.count("\n| [") <= 15 + 8  # claims, and the rows that lead to the guide


def test_the_results_are_those_that_the_analyses_wrote(readme, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "analyses"))
    page = importlib.import_module("page")
    assert page.front() in readme
    assert page.page() == page.PAGE.read_text(encoding="utf-8")
