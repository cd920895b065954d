"""Files of an S3 store, on loopback: read as those here, written whole under their names."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from helpers.services import free_port

import hepaa
from hepaa import io
from hepaa.batch.keys import identify
from hepaa.demo import path
from hepaa.errors import HepaaError, InputError
from hepaa.io import remote
from hepaa.io.convert import convert

pytestmark = pytest.mark.grid


@pytest.fixture(scope="module")
def bucket():
    """The address of an empty store with keys of its own."""
    import boto3  # what only `nox -s grid` installs must not keep the default tests from being collected
    import s3fs
    from moto.server import ThreadedMotoServer

    port = free_port()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="hep")
        s3fs.S3FileSystem.clear_instance_cache()
        remote._filesystem.cache_clear()
        try:
            yield "s3://hep"
        finally:
            remote._filesystem.cache_clear()
            server.stop()


def test_events_are_read_and_written_as_here(bucket, tmp_path):
    local = path("zh_chw.lhe.gz")
    remote.put(local, f"{bucket}/d/zh.lhe.gz")
    here, distant = hepaa.open(local), hepaa.open(f"{bucket}/d/zh.lhe.gz")
    for events in (here, distant):
        events.header.pop("path", None)
    tables = [hepaa.features(events, "zh-paper") for events in (here, distant)]
    np.testing.assert_array_equal(tables[0].X, tables[1].X)
    np.testing.assert_array_equal(tables[0].weight, tables[1].weight)
    assert io.expand(f"{bucket}/d/*.lhe.gz") == [f"{bucket}/d/zh.lhe.gz"]
    assert identify(f"{bucket}/d/zh.lhe.gz", "content")["checksum"].startswith("md5:")
    for name in ("zh.root", "zh.parquet"):
        assert convert(f"{bucket}/d/zh.lhe.gz", f"{bucket}/new/{name}") == here.n
        assert hepaa.open(f"{bucket}/new/{name}").n == here.n
    with pytest.raises(InputError, match="exists already, and nothing on a server is replaced"):
        convert(local, f"{bucket}/new/zh.root")


def test_a_command_reads_and_writes_there(bucket, tmp_path):
    remote.put(path("zh_chw.lhe.gz"), f"{bucket}/c/zh.lhe.gz")
    words = ["features", f"{bucket}/c/*.lhe.gz", "--set", "zh-paper", "-o", f"{bucket}/c/t.parquet"]
    done = subprocess.run(
        [sys.executable, "-m", "hepaa.cli", *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"copied to {bucket}/c/t.parquet" in done.stderr
    table = hepaa.features(hepaa.open(path("zh_chw.lhe.gz")), "zh-paper")
    np.testing.assert_array_equal(hepaa.EventTable.load(f"{bucket}/c/t.parquet").X, table.X)


def test_what_is_not_there_is_said_at_once_and_what_is_damaged_does_not_stay(bucket, monkeypatch, capfd):
    for name in (f"{bucket}/none.lhe", "s3://none/f.lhe"):
        with pytest.raises(InputError, match="does not exist"):
            hepaa.open(name)
    assert "try 2" not in capfd.readouterr().err
    monkeypatch.setattr(remote, "checksum", lambda _address: "md5:" + 32 * "0")
    with pytest.raises(HepaaError, match="arrived damaged"):
        remote.put(path("zh_chw.lhe.gz"), f"{bucket}/damaged/zh.lhe.gz")
    assert not any("damaged" in name for name in remote.files_in(bucket))
