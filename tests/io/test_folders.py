"""A folder of results is whole or not there, and nothing that hepaa did not write is ever lost."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hepaa.errors import IncompleteError, InputError
from hepaa.io.folders import MANIFEST, new_folder, refuse_output


def write(folder, text="new"):
    (folder / "models").mkdir()
    (folder / "models" / "a.txt").write_text(text)
    (folder / "results.json").write_text(text)


def make(path, text="new", then=lambda: None, **options):
    """A folder made in one go; `then` is what happens before it is complete."""
    with new_folder(path, **options) as folder:
        write(folder, text)
        then()


def fail():
    raise InputError("no events")


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def tree(folder):
    """Every file below a folder with the hash of its content."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != MANIFEST
    }


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with new_folder(tmp_path / "out") as folder:
        write(folder)
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "models" / "a.txt").read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="no events"):
        make(tmp_path / "out", then=fail)
    assert names(tmp_path) == []


def test_an_existing_folder_is_replaced_only_when_asked_for_and_only_if_hepaa_made_it(tmp_path):
    make(tmp_path / "out", "old")
    with pytest.raises(InputError, match="exists already"):
        make(tmp_path / "out")
    make(tmp_path / "out", "new", overwrite=True)
    assert (tmp_path / "out" / "results.json").read_text() == "new"
    assert names(tmp_path) == ["out"]

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="hepaa did not make this folder"):
        make(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"


@pytest.mark.parametrize("name", ["notes.txt", "results.json", "models/b.txt"])
def test_a_folder_with_somebodys_files_is_not_replaced(name, tmp_path):
    make(tmp_path / "out", "old")
    (tmp_path / "out" / name).write_text("my own words")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=f"did not write {name}"):
        make(tmp_path / "out", overwrite=True)
    assert tree(tmp_path) == before


def test_files_that_come_into_the_old_folder_meanwhile_are_kept(tmp_path):
    make(tmp_path / "out", "old")
    with pytest.raises(IncompleteError, match="are kept"):
        make(tmp_path / "out", then=lambda: (tmp_path / "out" / "notes.txt").write_text("my words"), overwrite=True)
    assert (tmp_path / "out" / "results.json").read_text() == "new"
    (notes,) = tmp_path.rglob("notes.txt")
    assert notes.read_text() == "my words"


def test_a_folder_that_appears_meanwhile_is_kept_and_so_are_the_results(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").write_text("theirs")
    with pytest.raises(IncompleteError, match="out-1"):
        make(tmp_path / "out", then=lambda: shutil.copytree(tmp_path / "theirs", tmp_path / "out"))
    assert (tmp_path / "out" / "a").read_text() == "theirs"
    assert (tmp_path / "out-1" / "results.json").read_text() == "new"


def test_the_second_of_two_writers_is_told_at_once(tmp_path):
    with new_folder(tmp_path / "out") as folder:
        write(folder)
        code = f"from hepaa.io.folders import new_folder\nwith new_folder({str(tmp_path / 'out')!r}): pass"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert f"process {os.getpid()} on" in second.stderr
    assert (tmp_path / "out" / "results.json").read_text() == "new"


def test_a_filesystem_without_locks_is_refused_before_the_work(tmp_path, monkeypatch):
    def without(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", without)
    with pytest.raises(InputError, match=r"no file locks \(Function not implemented\)"):
        make(tmp_path / "out")
    assert names(tmp_path) == []


def test_outputs_that_could_touch_an_input_are_refused(tmp_path, monkeypatch):
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "a.lhe").write_text("")
    monkeypatch.chdir(tmp_path / "data" / "sub")
    for bad in (".", "..", "../..", "../sub/../sub"):
        with pytest.raises(InputError, match="working folder"):
            refuse_output(bad)
    monkeypatch.chdir(tmp_path)
    for bad in ("data", "data/sub/..", tmp_path / "data"):
        with pytest.raises(InputError, match="must not be or contain the input"):
            refuse_output(bad, ["data/a.lhe"])
    with pytest.raises(InputError, match="lies inside the input"):
        refuse_output("data/out", ["data"])
    refuse_output("data/out", ["data/a.lhe"])


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_whole_folder_and_the_next_run_nothing_of_the_dead_one(tmp_path):
    out, bystander = tmp_path / "out", tmp_path / "thesis.tex"
    bystander.write_text("years")
    code = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from hepaa.io.folders import new_folder
        print("go", flush=True)
        n = 0
        while True:
            n += 1
            with new_folder({str(out)!r}, overwrite=True) as folder:
                for i in range(20):
                    (folder / f"{{i}}.txt").write_text(str(n))
    """)
    rng = random.Random(1)
    for _ in range(100):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        contents = [
            [p.read_text() for p in folder.glob("*.txt")]
            for folder in (out, tmp_path / ".out.hepaa-old")
            if folder.is_dir()
        ]
        assert not contents or any(len(texts) == 20 and len(set(texts)) == 1 for texts in contents)
    make(out, "last", overwrite=True)
    assert names(tmp_path) == ["out", "thesis.tex"]
    assert bystander.read_text() == "years"
    assert (out / "results.json").read_text() == "last"
