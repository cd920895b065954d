"""Public data sets, from a server on this machine."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import hepaa
from hepaa.cli import main
from hepaa.demo import path as demo_file
from hepaa.errors import HepaaError, InputError
from hepaa.io import fetch as module
from hepaa.io.fetch import DATASETS, fetch

LHCO = DATASETS["lhco-rd"]
RAW, FEATURES = (LHCO.parts[part].name for part in ("raw", "features"))
CONTENT = np.random.default_rng(0).bytes(3 * 10**6)


class Handler(BaseHTTPRequestHandler):
    """Answers as Zenodo does; `server.state` says what goes wrong."""

    def do_GET(self) -> None:
        state = self.server.state
        state.asked.append((self.path, self.headers["Range"]))
        if state.status:
            self.send_error(state.status)
        elif self.path == f"/api/records/{LHCO.record}":
            files = [{"key": k, "checksum": state.checksum or f"md5:{_md5(v)}"} for k, v in state.files.items()]
            self._send(200, (state.record or json.dumps({"files": files})).encode())
        else:
            name = re.fullmatch(rf"/records/{LHCO.record}/files/(.*)\?download=1", self.path)
            self._send_file(state.files[name[1]], state)

    def _send_file(self, content: bytes, state: SimpleNamespace) -> None:
        asked = self.headers["Range"]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and state.ranges else 0
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(206 if start else 200, content[start:], state.cut)

    def _send(self, status: int, body: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client hangs up where an answer is too long or wrong
            super().handle()

    def log_message(self, *words) -> None:
        """Nothing."""


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@contextmanager
def serving(files):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.state = SimpleNamespace(
        files=files, asked=[], cut=None, ranges=True, status=None, checksum=None, record=None
    )
    server.state.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def archive():
    with serving({RAW: CONTENT}) as state:
        yield state


def test_the_command_gets_a_file_that_info_reads(tmp_path):
    with serving({RAW: demo_file("dijet_monash.h5").read_bytes()}) as state:
        folder = tmp_path / "new" / "lhco"
        words = ["fetch", "lhco-rd", "--part", "raw", "--output", str(folder), "--server", state.address]
        done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert f"{folder / RAW}: as published" in done.output
    assert "https://doi.org/10.5281/zenodo.6466204" in done.output
    assert [p.name for p in folder.iterdir()] == [RAW]
    assert hepaa.probe(folder / RAW)["format"] == "lhco"


def test_what_is_there_is_not_downloaded_again(archive, tmp_path):
    for _ in range(2):
        assert fetch("lhco-rd", tmp_path, ["raw", "raw"], server=archive.address + "/") == [tmp_path / RAW]
    assert (tmp_path / RAW).read_bytes() == CONTENT
    assert sum(path.startswith("/records") for path, _ in archive.asked) == 1


def test_no_file_of_others_is_replaced(archive, tmp_path):
    (tmp_path / RAW).write_bytes(b"my own selection of events")
    with pytest.raises(InputError, match=r"not as published .* move it away"):
        fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert (tmp_path / RAW).read_bytes() == b"my own selection of events"
    (tmp_path / RAW).unlink()
    for name in (RAW, f"{RAW}.part"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match="is a FIFO"):
            fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(ranges, archive, tmp_path):
    archive.cut, archive.ranges = 10**6, ranges
    with pytest.raises(HepaaError, match=r"broke after 1\.0 of 3\.0 MB .*the same command goes on from there"):
        fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert (tmp_path / f"{RAW}.part").read_bytes() == CONTENT[: 10**6]
    assert not (tmp_path / RAW).exists()
    archive.cut = None
    fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert archive.asked[-1][1] == "bytes=1000000-"
    assert (tmp_path / RAW).read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == [RAW]


def test_a_download_that_was_complete_is_only_checked(archive, tmp_path):
    (tmp_path / f"{RAW}.part").write_bytes(CONTENT)
    fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert (tmp_path / RAW).read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_the_next_try_begins_anew(archive, tmp_path):
    (tmp_path / f"{RAW}.part").write_bytes(b"of another file")
    with pytest.raises(HepaaError, match="does not have the MD5 sum"):
        fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert list(tmp_path.iterdir()) == []
    fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert (tmp_path / RAW).read_bytes() == CONTENT


def test_the_published_checksum_is_held_against_the_server(tmp_path):
    with serving({FEATURES: b"forged"}) as state:
        done = CliRunner().invoke(main, ["fetch", "lhco-rd", "-o", str(tmp_path), "--server", state.address])
    assert done.exit_code == 2
    assert "does not have the MD5 sum 271cf5e71fc756b2a8d2b32730689bdb" in done.output
    assert all(path.startswith("/records") for path, _ in state.asked)  # its own description is not asked


def test_a_full_disk(archive, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda where: SimpleNamespace(free=10**6))
        with pytest.raises(HepaaError, match="3 MB are still to come, and the disk has 1 MB left; make room"):
            fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    (tmp_path / f"{RAW}.part").symlink_to("/dev/full")  # it fills up on the way
    monkeypatch.setattr(module, "regular_file", Path)
    with pytest.raises(HepaaError, match="No space left on device") as failure:
        fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert failure.value.__cause__.errno == errno.ENOSPC


def test_a_server_that_is_not_there(tmp_path):
    with serving({}) as state:
        pass
    with pytest.raises(HepaaError, match=r"cannot be reached \(.*refused\).*get the file from https://doi.org/10.5281"):
        fetch("lhco-rd", tmp_path, server=state.address)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"status": 404}, "the server says 404 Not Found"),
        ({"status": 503}, "the server says 503 Service Unavailable"),
        ({"record": "<html>"}, "does not describe"),
        ({"record": '{"files": []}'}, "does not describe"),
        ({"checksum": "sha512:00"}, "no MD5 sum"),
    ],
)
def test_a_server_that_does_not_know(wrong, message, archive, tmp_path):
    vars(archive).update(wrong)
    with pytest.raises(HepaaError, match=message):
        fetch("lhco-rd", tmp_path, ["raw"], server=archive.address)
    assert list(tmp_path.iterdir()) == []


def test_wrong_words(tmp_path):
    with pytest.raises(InputError, match="no data set 'lhco'; did you mean 'lhco-rd'"):
        fetch("lhco", tmp_path)
    with pytest.raises(InputError, match="has no part 'feature'; did you mean 'features'"):
        fetch("lhco-rd", tmp_path, ["feature"])
    with pytest.raises(InputError, match="is no address"):
        fetch("lhco-rd", tmp_path, server="zenodo.org")
    (tmp_path / "file").touch()
    with pytest.raises(HepaaError, match="file: File exists"):
        fetch("lhco-rd", tmp_path / "file")
