"""What the README shows is what the project does: its Python example runs, its results are the analyses' own."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import guide

from hepaa.cli import main
from hepaa.demo import path as demo_path

ROOT = Path(__file__).parents[1]
INSTALLING = re.compile(r"python -m pip install (nox && nox -s (?P<session>\w+)|(?P<torch>torch==\S+) \.)")


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


def commands(readme):
    """Lines of the console blocks of the README and of the guide's front page, without their comments."""
    text = readme + (guide.FOLDER / "index.md").read_text(encoding="utf-8")
    lines = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).splitlines()
    return [line.partition(" #")[0].strip() for line in lines]


def noxfile():
    """Parsed, and what its sessions run by name, as words."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {}
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.decorator_list:
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call) and ast.unparse(n.func) == "session.run"]
            sessions[function.name] = [[a.value for a in c.args if isinstance(a, ast.Constant)] for c in calls]
    return tree, sessions


def test_commands_that_install_name_what_there_is(readme):
    tree, sessions = noxfile()
    (torch,) = [n.value.value for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "TORCH"]
    installing = [m for m in map(INSTALLING.fullmatch, commands(readme)) if m]
    assert len(installing) == 4
    assert {m["session"] for m in installing if m["session"]} == {"demo", "tests"}
    assert {m["torch"] for m in installing if m["torch"]} == {torch}
    assert sessions["demo"] == [["hepaa", "demo"]]
    for page in [ROOT / "README.md", *guide.FOLDER.glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for words in re.findall(r"`nox -s ([a-z ]+)", text):
            assert set(words.split()) <= set(sessions), (page.name, words)
        for command in re.findall(r"`hepaa ([a-z]+)", text):
            assert command in main.commands, (page.name, command)


@pytest.mark.slow
def test_the_other_commands_run_as_they_stand(readme, tmp_path):
    shutil.copy(demo_path("zh_sm.root"), tmp_path / "events.root")
    lines = [line for line in commands(readme) if not INSTALLING.fullmatch(line)]
    assert lines[0] == "hepaa info events.root"
    assert lines[-1] == "hepaa demo"  # what `nox -s demo` runs, too
    for line in lines:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PATH": guide.path()},
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    for written in ("search-run/report.html", "zh-run/report.html", "hepaa-demo/search/figures/spectrum.png"):
        assert (tmp_path / written).is_file()


def test_the_front_page_is_short(readme):
    assert len(readme.splitlines()) <= 150
    assert readme.count("\n| [") <= 15 + 8  # claims, and the rows that lead to the guide


def test_the_results_are_those_that_the_analyses_wrote(readme, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "analyses"))
    page = importlib.import_module("page")
    assert page.front() in readme
    assert page.page() == page.PAGE.read_text(encoding="utf-8")
