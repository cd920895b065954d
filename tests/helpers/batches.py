"""Small inputs for the tests of batches, and what tells two results apart."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import random
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from hepaa.batch import FeatureTask
from hepaa.demo import path

TASK = FeatureTask("zh-paper", process="ZH", generator="Pythia 8")


def lhe_files(folder, files=6, events=60):
    """LHE files of real events, `events` each, none of them twice."""
    text = gzip.decompress(path("zh_sm.lhe.gz").read_bytes()).decode()
    head, *rest = text.split("<event>")
    made = []
    for i in range(files):
        blocks = [e.partition("</event>")[0] for e in rest[i * events : (i + 1) * events]]
        where = folder / f"events-{i:03d}.lhe"
        where.write_text(head + "".join(f"<event>{e}</event>\n" for e in blocks) + "</LesHouchesEvents>\n")
        made.append(str(where))
    return made


def fingerprint(table):
    """Hash of every bit of a table: rows, weights, names, cutflow, sources."""
    found = hashlib.sha256()
    for array in (table.X, table.weight, table.label, table.process, table.generator, table.file, table.event):
        found.update(np.ascontiguousarray(array).tobytes())
    for name, column in table.spectators.items():
        found.update(name.encode() + np.ascontiguousarray(column).tobytes())
    found.update(repr((table.columns, table.processes, table.generators, table.sources, table.cutflow)).encode())
    return found.hexdigest()


def computed(folder):
    """Keys of finished computations, one for each time, from the journals of all processes."""
    from hepaa.batch import Store

    return [line["key"] for line in Store(str(folder)).journal() if line["event"] == "stored"]


def answers(port):
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def dask_workers(n, protocol="tcp", *options):
    """A scheduler and `n` worker processes; the address without its protocol."""
    pytest.importorskip("distributed")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env}
    port = random.Random().randrange(20000, 60000)
    module = [sys.executable, "-m"]
    at = f"127.0.0.1:{port}"
    command = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    command += ["--protocol", protocol, *options]
    started = [subprocess.Popen([*module, *command], **quiet)]
    worker = ["distributed.cli.dask_worker", f"{protocol}://{at}", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
    try:
        started += [subprocess.Popen([*module, *worker, *options], **quiet) for _ in range(n)]
        end = time.monotonic() + 60
        while not answers(port):
            assert time.monotonic() < end, "the scheduler does not start"
            time.sleep(0.1)
        yield at, started
    finally:
        for one in started:
            one.kill()
            one.wait()
