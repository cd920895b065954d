"""The rules of the house that import-linter does not hold: what starts fast, where a library stays, public names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

import hepaa
from hepaa.cli import main

PACKAGE = Path(hepaa.__file__).parent
HEAVY = ("torch", "matplotlib", "numba", "awkward", "sklearn", "pandas", "uproot", "h5py")
FACE = [
    "AnoRand", "AnomalyAwareFlow", "AnomalyAwareVAE", "CardError", "ContrastiveEncoder", "ContrastiveVAE",
    "Ensemble", "EventTable", "Events", "Flow", "GaussianMixture", "HepaaError", "IncompleteError", "InputError",
    "IsolationForest", "NearestNeighbours", "NeuralClassifier", "OutlierModel", "PseudoLabelled", "RelevantDensity",
    "Sample", "SkewLogStandardize", "Source", "StreamedTable", "SumOfSquares", "SupervisedBoosting", "TreeEnsemble",
    "TruncatedInputError", "VAE", "__version__", "batch", "concatenate", "conformal_pvalues", "detector", "features",
    "from_pylhe", "iterate", "leave_one_generator_out", "load_detector", "mix", "open", "plots", "probe",
    "search", "select_objects", "significance", "split", "stats",
]  # fmt: skip


@cache
def sources():
    """Syntax tree of every module of the package."""
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("words", [["-c", "import hepaa"], ["-m", "hepaa", "--help"], ["-m", "hepaa.cli", "--help"]])
def test_start_up_imports_nothing_heavy(words):
    code = "import sys, runpy\n"
    code += "import hepaa\n" if words[0] == "-c" else "sys.argv = ['hepaa', '--help']\n"
    if words[0] == "-m":
        code += f"try:\n    runpy.run_module({words[1]!r}, run_name='__main__')\nexcept SystemExit:\n    pass\n"
    code += f"print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_the_public_face_is_a_list_that_is_kept():
    assert sorted(hepaa.__all__) == sorted(FACE)
    for name in FACE:
        assert name == "__version__" or hepaa.__getattr__(name) is getattr(hepaa, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hepaa.nothing


def test_every_command_has_help_with_an_example():
    for name in main.commands:
        text = CliRunner().invoke(main, [name, "--help"]).output
        assert f"Example: hepaa {name}" in text, name


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("torch", ("models", "detectors.py")),
        ("matplotlib", ("plots", "report", "search")),
        ("mplhep", ("plots", "report")),
        ("dask", ("batch",)),
        ("distributed", ("batch",)),
        ("uproot", ("io", "simulate")),
        ("h5py", ("io", "simulate")),
        ("pooch", ("io",)),
        ("pickle", ()),
        ("joblib", ()),
    ],
)
def test_a_library_stays_in_its_room(library, rooms):
    users = {path.relative_to(PACKAGE).parts[0] for path, tree in sources().items() if library in set(imports(tree))}
    assert users <= set(rooms)


def test_no_class_name_stands_for_two_things():
    names = Counter(
        node.name for tree in sources().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, n in names.items() if n > 1] == []


def test_the_top_level_holds_what_the_house_says():
    root = PACKAGE.parent
    if not (root / "pyproject.toml").is_file():
        pytest.skip("an installed package has no checkout around it")
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    allowed = {"pyproject.toml", "hepaa", "analyses", "tests", "README.md", "noxfile.py", "LICENSE", "CITATION.cff",
               "CHANGELOG.md"}  # fmt: skip
    assert {name for name in top if not name.startswith(".")} <= allowed
