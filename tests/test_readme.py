"""What the README shows is what the project does: its Python example runs, its results are the analyses' own."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import hepaa
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


@pytest.mark.slow
def test_the_python_example_of_a_search_runs(readme, capsys):
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[1]
    rng = np.random.default_rng(0)
    mass = 2600 + rng.exponential(700, 25_000)
    mass = mass[mass < 5500]

    def table(n, label):
        return hepaa.EventTable.build(
            np.column_stack([mass[:n], rng.normal(size=(n, 2))]), ("mjj", "a", "b"), label=label
        )

    few = code.replace("toys=500", "toys=10").replace("toys=200", "toys=20")
    exec(compile(few, "README.md", "exec"), {"data": table(20_000, -1), "reference": table(5000, 0)})
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"-?\d\.\d+ \d \(.+\)", lines[0])
    assert lines[1].startswith("global ")
    assert lines[1].endswith("10 toys")
    assert len(lines) == 3


def test_the_results_are_those_that_the_analyses_wrote(readme, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "analyses"))
    page = importlib.import_module("page")
    assert page.front() in readme
    assert page.page() == page.PAGE.read_text(encoding="utf-8")
