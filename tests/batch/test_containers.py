"""Recipes of containers: pinned, compiled, and of the form that their builders take."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from hepaa import __version__
from hepaa.batch.containers import recipe
from hepaa.cli import main
from hepaa.demo import path
from hepaa.errors import InputError


def instructions(text):
    """Instructions of a Dockerfile, lines joined that end in a backslash, as (word, rest)."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def refuse_bad_shell(script):
    subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_dockerfile_is_pinned_and_compiles():
    found = instructions(recipe("docker"))
    assert [word for word, _ in found] == ["FROM", "ENV", "RUN", "ENTRYPOINT"]
    (_, image), (_, variables), (_, script), (_, entry) = found
    assert re.fullmatch(r"python:3\.\d+-slim", image)
    assert all(re.fullmatch(r"[A-Z_]+=\S+", pair) for pair in variables.split())
    refuse_bad_shell(script)
    assert f'"hepaa[batch]=={__version__}"' in script
    assert script.index("pip install") < script.index("hepaa compile")
    assert json.loads(entry) == ["hepaa"]


def test_the_apptainer_recipe_is_pinned_and_compiles():
    head, *sections = re.split(r"^%", recipe("apptainer"), flags=re.MULTILINE)
    assert "Bootstrap: docker\nFrom: python:" in head
    scripts = dict(section.split("\n", 1) for section in sections)
    assert list(scripts) == ["post", "environment", "runscript"]
    for script in scripts.values():
        refuse_bad_shell(script)
    assert f'"hepaa[batch]=={__version__}"' in scripts["post"]
    assert "hepaa compile" in scripts["post"]


def test_the_command_prints_or_writes_the_recipe(tmp_path):
    printed = CliRunner().invoke(main, ["batch", "container", "docker"], catch_exceptions=False).output
    CliRunner().invoke(
        main, ["batch", "container", "docker", "-o", str(tmp_path / "Dockerfile")], catch_exceptions=False
    )
    assert printed == (tmp_path / "Dockerfile").read_text() == recipe("docker")
    with pytest.raises(InputError, match="no recipe for 'podman'"):
        recipe("podman")


@pytest.mark.slow
def test_after_compiling_no_command_compiles_again(tmp_path):
    def compiled(*words):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
        subprocess.run([sys.executable, "-m", "hepaa.cli", *words], env=environment, cwd=tmp_path, check=True)
        return {file.relative_to(tmp_path) for file in tmp_path.rglob("*.nbc")}

    first = compiled("compile")
    for sample, feature_set in (("zh_chw.lhe.gz", "zh-paper"), ("dijet_vincia.h5", "dijet-hl")):
        assert compiled("features", str(path(sample)), "--set", feature_set, "-o", "t.parquet") == first
