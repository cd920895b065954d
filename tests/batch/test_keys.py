"""Keys follow the code that results pass through, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hepaa
from hepaa.batch import keys


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's sources that `keys` takes for the package."""
    folder = tmp_path / "hepaa"
    shutil.copytree(Path(hepaa.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(keys, "_PACKAGE", folder)
    yield folder
    keys.source_digest.cache_clear()


def digest():
    keys.source_digest.cache_clear()
    return keys.versions()["source"]


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("stats/performance.py", True), ("run/pipeline.py", True), ("io/lhe/read.py", True), ("batch/work.py", True),
        ("models/vae/vae.py", True), ("cli/files.py", False), ("plots/style.py", False), ("report/page.py", False),
        ("simulate/__init__.py", False), ("demo/__init__.py", False),
    ],
)  # fmt: skip
def test_an_edit_changes_the_key_if_results_pass_through_the_code(package, module, counts):
    before = digest()
    assert digest() == before
    source = package / module
    source.write_text(source.read_text() + "\n# an edit\n")
    assert (digest() != before) == counts


def test_a_new_module_and_a_new_name_change_the_key(package):
    before = digest()
    (package / "stats" / "new.py").write_text("")
    added = digest()
    assert added != before
    (package / "stats" / "new.py").rename(package / "stats" / "newer.py")
    assert digest() not in (before, added)
