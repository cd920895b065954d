"""Names of files: distinct for distinct names, whatever the disk makes of capitals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hepaa.io.files import _host, distinct, file_name, file_names, is_file, write_text


def test_names_that_fall_together_stay_apart():
    assert file_names(["m<500", "m>500", "VAE", "vae", "m-500-2"]) == {
        "m<500": "m-500", "m>500": "m-500-2", "VAE": "VAE", "vae": "vae-2", "m-500-2": "m-500-2-2",
    }  # fmt: skip
    assert distinct(["VAE", "vae", "a b", "a-b"], lambda n: n.replace("-", " "), joint="_") == {
        "VAE": "VAE", "vae": "vae", "a b": "a b", "a-b": "a b_2",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["..", ".hidden", "***", "", "-", "ä" * 300, "a" * 300, "../x", "a/b"])
def test_a_file_name_stays_in_its_folder_and_is_bearable(name):
    assert 0 < len(file_name(name).encode()) <= 100
    assert not file_name(name).startswith(".")
    assert "/" not in file_name(name)


def test_a_plain_name_stays_as_it_is():
    assert file_name("VAE_2+b.1") == "VAE_2+b.1"
    assert file_name("ZH (SM)") == "ZH-SM"


def test_unfinished_files_go_at_the_next_write_if_their_process_is_dead(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {
        f".a.txt.hepaa-{_host()}-{gone.pid}-abcd_123.txt": False,
        f".a.txt.hepaa-{_host()}-{os.getpid()}-abcd_123.txt": True,
        f".b.txt.hepaa-{_host()}-{gone.pid}-abcd_123.txt": True,  # another file's
        ".a.txt.hepaa-01234567-1-abcd_123.txt": True,  # of another machine
        ".a.txt.backup": True,
        f".a.txt.hepaa-{_host()}-{gone.pid}-mine": True,
    }
    for name in names:
        (tmp_path / name).write_text("words")
    (tmp_path / f".a.txt.hepaa-{_host()}-{gone.pid}-abcd_124.txt").symlink_to("a.txt")
    os.utime(tmp_path / ".a.txt.backup", (0, 0))
    write_text("whole", tmp_path / "a.txt")
    assert {name: (tmp_path / name).exists() for name in names} == names
    os.utime(tmp_path / ".a.txt.hepaa-01234567-1-abcd_123.txt", (0, 0))
    write_text("whole", tmp_path / "a.txt")
    assert not (tmp_path / ".a.txt.hepaa-01234567-1-abcd_123.txt").exists()
    assert (tmp_path / f".a.txt.hepaa-{_host()}-{gone.pid}-abcd_124.txt").is_symlink()


def test_a_name_that_no_file_can_have_is_no_file(tmp_path):
    (tmp_path / "a.txt").write_text("words")
    assert is_file(tmp_path / "a.txt")
    assert not any(map(is_file, (tmp_path, tmp_path / "b.txt", "9" * 5000)))
