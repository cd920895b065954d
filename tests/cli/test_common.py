"""Addresses as arguments: inputs are fetched, outputs copied to the server when the command ends."""

from __future__ import annotations

import fsspec
import pytest
from click.testing import CliRunner

import hepaa
from hepaa.cli import main


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()


def says(*words, code=0):
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done.output


def test_a_table_from_and_parts_to_a_server(server, tmp_path):
    server.pipe_file("/d/t.csv", b"mjj,pt\n" + b"".join(b"%d,%d\n" % (i, 2 * i) for i in range(400)))
    words = ["split", "memory://d/t.csv", "--fraction", "a=0.6", "--fraction", "b=0.4", "-o", "memory://d/parts"]
    assert "copied to memory://d/parts (2 files, each with its checksum)" in says(*words)
    assert sum(hepaa.EventTable.load(f"memory://d/parts/{name}.parquet").n for name in "ab") == 400
    assert not list(tmp_path.iterdir())
    assert "nothing on a server is replaced" in says(*words, code=2)


def test_a_batch_works_here(server):
    words = ["features", "x.lhe", "--set", "zh-paper", "-o", "t.parquet", "--work", "memory://d/work"]
    assert "a batch works in a folder that all workers can write to" in says(*words, code=2)
