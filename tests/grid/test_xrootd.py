"""Files on real servers: the same bits as here, whatever happens to the servers, and outputs that arrive whole."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import awkward as ak
import numpy as np
import pytest
import yaml
from helpers import services
from helpers.batches import computed, lhe_files

import hepaa
from hepaa import io
from hepaa.batch.keys import changed, identify
from hepaa.demo import path
from hepaa.errors import HepaaError, InputError
from hepaa.io import remote
from hepaa.io.convert import convert

pytestmark = pytest.mark.grid

SETS = {"zh.lhe.gz": "zh-paper", "zh.root": "zh-paper", "dijet.h5": "dijet", "records.parquet": "zh-paper",
        "jets.hepmc": "dijet", "zh.lhe": "zh-paper", "zh.lhe.zst": "zh-paper"}  # fmt: skip
GONE_S = 10.0


def put(server, file, name, folder="d"):
    """A file in the folder of a server, readable by it; its address."""
    there = server.root / folder
    there.mkdir(exist_ok=True)
    there.chmod(0o777)
    shutil.copyfile(file, there / name)
    (there / name).chmod(0o644)
    return f"{server.address}/{folder}/{name}"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """One file of each format."""
    folder = tmp_path_factory.mktemp("local")
    shutil.copyfile(path("zh_sm.lhe.gz"), folder / "zh.lhe.gz")
    shutil.copyfile(path("dijet_monash.h5"), folder / "dijet.h5")
    for name in ("zh.root", "records.parquet", "zh.lhe"):
        convert(folder / "zh.lhe.gz", folder / name, step_size="200 kB")
    _compress(folder / "zh.lhe", folder / "zh.lhe.zst")
    _hepmc(folder / "jets.hepmc")
    hepaa.features(hepaa.open(folder / "zh.lhe.gz"), "zh-paper").save(folder / "table.parquet")
    return folder


def _compress(plain, target):
    import pyarrow as pa

    with pa.CompressedOutputStream(str(target), "zstd") as stream:
        stream.write(plain.read_bytes())


def _hepmc(target):
    from helpers.hepmc import event, run_info, write

    run = run_info()
    write(target, [event(i, (1.0, 2.0), run=run) for i in range(1500)])


@pytest.fixture(scope="module")
def there(xrootd, local):
    """The address of the folder with the same files on a server."""
    for file in sorted(local.iterdir()):
        put(xrootd, file, file.name)
    return f"{xrootd.address}/d"


@pytest.fixture
def small_blocks(monkeypatch):
    """So many requests that some come while the server is gone."""
    monkeypatch.setattr(remote, "BLOCK", 1 << 14)
    remote._block.cache_clear()
    yield
    remote._block.cache_clear()


def bits(pieces):
    """Hash of every number of events, and how many there are."""
    digest, n = hashlib.sha256(), 0
    for events in pieces:
        n += events.n
        for records in events.collections.values():
            for column in (ak.num(records), *ak.unzip(records)):
                digest.update(np.ascontiguousarray(ak.to_numpy(ak.flatten(column, axis=None))).tobytes())
        for column in (events.weight, *events.weights.values(), *events.columns.values()):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest(), n


def numbers(table):
    return [table.X.tobytes(), table.weight.tobytes(), table.label.tobytes(), table.event.tobytes(),
            *(table[name].tobytes() for name in table.spectators)]  # fmt: skip


@contextmanager
def gone(server, seconds=GONE_S):
    """The server stops, and is back some time later."""
    server.stop()
    back = threading.Timer(seconds, server.start)
    back.start()
    try:
        yield
    finally:
        back.join()


def hepaa_says(*words, code=0, folder=None):
    """What a command of hepaa writes, both ways."""
    done = subprocess.run(
        [sys.executable, "-m", "hepaa.cli", *map(str, words)],
        capture_output=True, text=True, timeout=300, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", [*SETS, "table.parquet"])
def test_events_and_features_over_root_are_those_of_the_file_here(name, local, there):
    here, distant = hepaa.open(local / name), hepaa.open(f"{there}/{name}")
    assert bits([here]) == bits([distant])
    assert here.n > 0
    if name in SETS:
        assert numbers(hepaa.features(distant, SETS[name])) == numbers(hepaa.features(here, SETS[name]))
    probed = [io.probe(f) for f in (str(local / name), f"{there}/{name}")]
    assert {**probed[0], "path": ""} == {**probed[1], "path": ""}


def test_a_pattern_stands_for_the_files_on_the_server(local, there):
    assert io.expand(f"{there}/*.lhe*") == [f"{there}/zh.lhe{end}" for end in ("", ".gz", ".zst")]
    assert io.expand(f"{there}/*.root:events") == [f"{there}/zh.root:events"]
    with pytest.raises(InputError, match="no file matches"):
        io.expand(f"{there}/*.none")


def test_a_table_on_the_server_is_loaded_and_scored(local, there, tmp_path):
    table, distant = (hepaa.EventTable.load(f"{f}/table.parquet") for f in (local, there))
    assert numbers(table) == numbers(distant)
    hepaa_says("train", f"{there}/table.parquet", "--detector", "SumOfSquares", "-o", f"{there}/model.safetensors",
               folder=tmp_path)  # fmt: skip
    said = hepaa_says("score", f"{there}/model.safetensors", f"{there}/table.parquet", "-o", f"{there}/scored.parquet",
                      folder=tmp_path)  # fmt: skip
    assert f"copied to {there}/scored.parquet" in said
    assert "adler32:" in said
    assert hepaa.EventTable.load(f"{there}/scored.parquet").n == table.n
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [*SETS])
def test_a_server_that_is_gone_for_a_while_costs_no_event(name, xrootd, local, there, small_blocks, capfd):
    expected = bits(io.iterate(local / name, step_size="20 kB"))
    pieces = io.iterate(f"{there}/{name}", step_size="20 kB")
    first = [] if name.endswith(".parquet") else [next(pieces)]  # pyarrow asks for all of a file at once
    with gone(xrootd):
        remote._block.cache_clear()
        seen = bits([*first, *pieces])
    assert seen == expected
    said = capfd.readouterr().err
    assert f"hepaa: {xrootd.address.rstrip('/')}: " in said
    assert "try 2 of 5 in 4 s" in said
    assert "try 5 of 5" not in said


def test_the_last_try_names_the_server_and_the_remedy(xrootd, local, there, small_blocks, monkeypatch, capfd):
    monkeypatch.setattr(remote, "WAITS_S", (0.1, 0.1, 0.1, 0.1))
    for name in ("zh.lhe.gz", "zh.lhe.zst", "zh.root", "dijet.h5"):  # Parquet is read ahead
        pieces = io.iterate(f"{there}/{name}", step_size="20 kB")
        next(pieces)
        xrootd.stop()
        remote._block.cache_clear()
        try:
            with pytest.raises(HepaaError, match=r"^root.*no answer in 5 tries over") as error:
                list(pieces)
            assert not isinstance(error.value, InputError)  # no event is taken for the last because a server is gone
        finally:
            xrootd.start()
        assert f"{there}/{name}" in str(error.value)
        assert "try 5 of 5 in 0.1 s" in capfd.readouterr().err


def test_of_two_servers_the_one_that_answers_is_read(xrootd, local, there, small_blocks, capfd):
    with TemporaryDirectory(prefix="hepaa-xrootd-") as folder, services.xrootd(Path(folder) / "server") as other:
        for file in sorted(local.iterdir()):
            put(other, file, file.name)
        both = [f"{other.address}/d/{name}|{there}/{name}" for name in SETS]
        assert io.expand(f"{other.address}/d/*.lhe.gz|{there}/*.lhe.gz") == [both[0]]
        assert bits(io.iterate(both)) == bits(io.iterate([str(local / name) for name in SETS]))
        known = identify(both[0], "content")
        assert known["checksum"].startswith("adler32:")
        pieces = io.iterate(both[0], step_size="20 kB")
        first = next(pieces)
        other.stop()  # in the middle, and it stays away
        remote._block.cache_clear()
        capfd.readouterr()
        assert bits([first, *pieces]) == bits(io.iterate(local / "zh.lhe.gz", step_size="20 kB"))
        said = capfd.readouterr().err
        assert said.count("trying the other servers of zh.lhe.gz") == 1
        assert "try 2" not in said
        assert bits(io.iterate(both)) == bits(io.iterate([str(local / name) for name in SETS]))
        assert "trying" not in capfd.readouterr().err  # it is asked last from then on
        assert identify(both[0], "content")["checksum"] == known["checksum"]
        other.start()


def test_a_host_that_does_not_exist_is_said_at_once():
    with pytest.raises(InputError, match=r"f.lhe: is refused \(.*Invalid address\)"):
        hepaa.open("root://no.such.host//f.lhe")


def test_copies_that_differ_are_refused(xrootd, local, there):
    address = put(xrootd, local / "zh.lhe", "other.lhe.gz")
    with pytest.raises(InputError, match="name copies of one file"):
        remote.ranges(f"{address}|{there}/zh.lhe.gz", remote.state(f"{there}/zh.lhe.gz"), [(0, 10)])


def test_a_file_is_known_by_the_servers_checksum(xrootd, local, there):
    address = put(xrootd, local / "zh.lhe", "mine.lhe")
    known = identify(address, "content")
    assert set(known) == {"size", "modified", "checksum"}
    assert not changed(address, known)
    (xrootd.root / "d" / "mine.lhe").write_text("something else")
    assert changed(address, known)
    assert io.sha256(address) != io.sha256(f"{there}/zh.lhe.gz")


def test_a_folder_of_parts_on_the_server_is_that_of_them_here(xrootd, local, there, tmp_path):
    table = hepaa.EventTable.load(local / "table.parquet")
    (tmp_path / "parts").mkdir()
    for i, rows in enumerate((slice(0, 2000), slice(2000, None))):
        table[rows].save(tmp_path / "parts" / f"part-{i}.parquet")
        put(xrootd, tmp_path / "parts" / f"part-{i}.parquet", f"part-{i}.parquet", "parts")
    folder = f"{xrootd.address}/parts/"
    chunks = [chunk.X for chunk in hepaa.StreamedTable(folder).chunks()]
    assert np.concatenate(chunks).tobytes() == table.X.tobytes()
    hepaa_says("train", local / "table.parquet", "--detector", "SumOfSquares", "-o", tmp_path / "m.safetensors")
    for name, parts in (("here", tmp_path / "parts"), ("there", folder)):
        hepaa_says("score", tmp_path / "m.safetensors", parts, "-o", name, "--executor", "serial", folder=tmp_path)
    here, distant = (
        [numbers(hepaa.EventTable.load(f)) for f in sorted((tmp_path / name).glob("part-*.parquet"))]
        for name in ("here", "there")
    )
    assert here
    assert here == distant


def test_outputs_arrive_whole_under_their_names_or_not_at_all(xrootd, local, there, monkeypatch):
    events = convert(local / "zh.lhe.gz", f"{there}/new/written.root")
    assert hepaa.open(f"{there}/new/written.root").n == events
    with pytest.raises(InputError, match="exists already, and nothing on a server is replaced"):
        convert(local / "zh.lhe.gz", f"{there}/new/written.root")
    monkeypatch.setattr(remote, "checksum", lambda _address: "adler32:00000000")
    with pytest.raises(HepaaError, match=r"arrived damaged .*the results are kept in"):
        convert(local / "zh.lhe.gz", f"{there}/new/damaged.root")
    assert [p.name for p in (xrootd.root / "d" / "new").iterdir()] == ["written.root"]


@pytest.fixture(scope="module")
def card(xrootd, tmp_path_factory):
    """A card that reads files of a server."""
    folder = tmp_path_factory.mktemp("card")
    for file in lhe_files(folder, 6, 300):
        put(xrootd, file, Path(file).name, "sm")
    signal = put(xrootd, path("zh_chw.lhe.gz"), "chw.lhe.gz", "signal")
    content = {
        "name": "small", "output": "unused", "luminosity_fb": 300,
        "samples": [
            {"process": "SM", "role": "background", "files": [f"{xrootd.address}/sm/*.lhe"]},
            {"process": "O_HW", "role": "signal", "files": [signal], "max_events": 500},
        ],
        "features": {"set": "zh-paper"}, "detectors": [{"detector": "SumOfSquares"}],
    }  # fmt: skip
    where = folder / "card.yaml"
    where.write_text(yaml.safe_dump(content))
    return where


def test_a_run_in_processes_from_and_to_the_server(xrootd, card, there, tmp_path):
    hepaa_says("run", card, "-o", tmp_path / "serial")
    words = ["run", card, "--executor", "processes:2", "--work", tmp_path / "work", "-o", f"{there}/run"]
    said = hepaa_says(*words, folder=tmp_path)
    assert f"copied to {there}/run (" in said
    made = xrootd.root / "d" / "run"
    assert {"scores.parquet", "results.json", "card.yaml"} <= {p.name for p in made.iterdir()}
    places = (tmp_path / "serial/scores.parquet", f"{there}/run/scores.parquet")
    here, distant = (hepaa.EventTable.load(place) for place in places)
    assert numbers(here) == numbers(distant)
    done = len(computed(tmp_path / "work"))
    assert "nothing on a server is replaced" in hepaa_says(*words, code=2, folder=tmp_path)
    hepaa_says(*words[:-1], f"{there}/again", folder=tmp_path)
    assert len(computed(tmp_path / "work")) == done  # known by their checksums, nothing is computed twice


def test_features_in_batches_while_the_server_is_gone(xrootd, card, tmp_path):
    files = [f"{xrootd.address}/sm/*.lhe"]
    words = ["features", *files, "--set", "zh-paper", "-o"]
    hepaa_says(*words, tmp_path / "serial.parquet")
    xrootd.stop()
    with subprocess.Popen(
        [sys.executable, "-m", "hepaa.cli", *words, tmp_path / "batch.parquet", "--executor", "processes:2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        waits = any("try 2 of 5" in line for line in command.stderr)  # the server is back when it was missed
        xrootd.start()
        said = command.stderr.read()
    assert waits
    assert command.returncode == 0, said
    assert numbers(hepaa.EventTable.load(tmp_path / "serial.parquet")) == numbers(
        hepaa.EventTable.load(tmp_path / "batch.parquet")
    )


class _Ranges(SimpleHTTPRequestHandler):
    """A web server that gives parts of files, as those of archives do."""

    whole_only = False

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        asked = self.headers.get("Range")
        if asked is None or self.whole_only or not file.is_file():
            super().do_GET()
            return
        start, stop = map(int, asked.removeprefix("bytes=").split("-"))
        data = file.read_bytes()[start : stop + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop}/{file.stat().st_size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        """Nothing."""


@contextmanager
def web(folder, port, handler=_Ranges, tls=None):
    """A web server of a folder; its address."""
    with ThreadingHTTPServer(("127.0.0.1", port), partial(handler, directory=str(folder))) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", [*SETS, "table.parquet"])
def test_events_over_the_web_are_those_of_the_file_here(name, local):
    with web(local, services.free_port()) as address:
        assert bits([hepaa.open(f"{address}/{name}")]) == bits([hepaa.open(local / name)])
        assert set(identify(f"{address}/{name}", "content")) == {"size", "modified", "sha256"}
        assert io.expand(f"{address}/*.root") == [f"{address}/zh.root"]


def test_a_server_with_tls_is_read_where_its_certificate_is_trusted(local, tmp_path, monkeypatch):
    import trustme  # of `nox -s grid` alone

    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "trusted.pem")
    with web(local, services.free_port(), tls=tls) as address:
        words = ["features", f"{address}/zh.lhe.gz", "--set", "zh-paper", "-o"]
        said = hepaa_says(*words, tmp_path / "none.parquet", code=2)
        assert "CERTIFICATE_VERIFY_FAILED" in said
        assert "try 2" not in said
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
        hepaa_says(*words, tmp_path / "there.parquet")
    hepaa_says("features", local / "zh.lhe.gz", "--set", "zh-paper", "-o", tmp_path / "here.parquet")
    here, distant = (hepaa.EventTable.load(tmp_path / f"{name}.parquet") for name in ("here", "there"))
    assert numbers(here) == numbers(distant)


def test_a_web_server_that_comes_back(local, small_blocks, capfd):
    port = services.free_port()
    with web(local, port) as address:
        pieces = io.iterate(f"{address}/zh.lhe.gz", step_size="20 kB")
        first = next(pieces)
    back = threading.Event()

    def later():
        back.wait(GONE_S)
        with web(local, port):
            back.wait(60)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        assert bits([first, *pieces]) == bits(io.iterate(local / "zh.lhe.gz", step_size="20 kB"))
    finally:
        back.set()
        thread.join()
    assert "try 2 of 5 in 4 s" in capfd.readouterr().err


def test_what_the_web_does_not_have_or_do_is_said(local):
    with web(local, services.free_port()) as address:
        with pytest.raises(InputError, match="does not exist"):
            hepaa.open(f"{address}/none.lhe")
        with pytest.raises(InputError, match="only read"):
            convert(local / "zh.lhe.gz", f"{address}/new.lhe")
    whole = type("_Whole", (_Ranges,), {"whole_only": True})
    with web(local, services.free_port(), whole) as address, pytest.raises(InputError, match="gives whole files only"):
        next(io.iterate(f"{address}/zh.lhe", step_size="20 kB"))
