"""LHE against pylhe on the same files: one thread, median of interleaved repeats, and the limits beside it.

Run with `pytest -m bench -s tests/benchmarks/bench_lhe.py`.
"""

from __future__ import annotations

import gc
import gzip
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pylhe
import pytest
from isal import igzip

from hepaa import io
from hepaa.io.lhe.read import PARTICLE_FIELDS

REPEATS, CALLS = 5, 8
"""Rounds, and how often the short actions run in each, so that a hiccup of the machine weighs the same for all."""
FILES = {
    "145 weights": ("lhe/madgraph5-3.5.8-pp_to_jj.lhe.gz", 1000),
    "no weights": ("zh/zh_sm.lhe.gz", 5000),
    "5 weights": ("zh/zh_sm_rwgt.lhe.gz", 5000),
}
AT_LEAST = {(".lhe", "open"): 20, (".lhe", "iterate"): 10, (".lhe.gz", "open"): 12, (".lhe.gz", "iterate"): 6}
"""Times the speed of pylhe."""


def events_of_pylhe(path):
    return pylhe.LHEFile.fromfile(path).events


def gunzip(path):
    with igzip.open(path, "rb") as file:
        while file.read(1 << 20):
            pass


ACTIONS = {
    "pylhe open": lambda path: pylhe.to_awkward(events_of_pylhe(path)),
    "pylhe iterate": lambda path: sum(1 for _ in events_of_pylhe(path)),
    "hepaa open": io.open,
    "hepaa iterate": lambda path: sum(e.n for e in io.iterate(path)),
}
LIMITS = {
    ".lhe": {"count bytes": lambda path: path.read_bytes().count(b"\n")},
    ".lhe.gz": {"gunzip": gunzip},
}


@pytest.fixture(scope="module", params=FILES)
def texts(request, data):
    """First events of a real file as bytes, and how many they are."""
    name, n = FILES[request.param]
    text = gzip.decompress((data / name).read_bytes())
    at = 0
    for _ in range(n):
        at = text.index(b"</event>", at) + 9
    return request.param, text[:at] + b"</LesHouchesEvents>\n", n


def assert_equal(path):
    ours, peer = io.open(path), pylhe.to_awkward(events_of_pylhe(path))
    assert np.array_equal(ours.weight, peer.eventinfo.weight)
    for name in PARTICLE_FIELDS:
        of_peer = peer.particles.vector if name in ("px", "py", "pz", "e") else peer.particles
        theirs = of_peer["id" if name == "pdgid" else name]
        assert ours.particles[name].tolist() == theirs.tolist()
    for name, column in ours.weights.items():
        assert np.array_equal(column, peer.weights[name])


@pytest.mark.bench
@pytest.mark.parametrize("ending", [".lhe", ".lhe.gz"])
def test_against_pylhe(texts, ending, tmp_path):
    title, text, n = texts
    path = Path(tmp_path / f"x{ending}")
    path.write_bytes(text if ending == ".lhe" else gzip.compress(text, 6))
    assert_equal(path)
    actions = ACTIONS | LIMITS[ending]
    times = {name: [] for name in actions}
    for _ in range(REPEATS):
        for name, action in actions.items():
            calls = 1 if name.startswith("pylhe") else CALLS
            gc.collect()  # what the one before left is not for this one to clear
            start = time.perf_counter()
            for _ in range(calls):
                action(path)
            times[name].append((time.perf_counter() - start) / calls)
    median = {name: float(np.median(t)) for name, t in times.items()}
    print(f"\n{title}, {ending}: {n} events, {len(text) / 1e6:.1f} MB of text")
    for name, seconds in median.items():
        rates = f"{n / seconds:10.0f} events/s {len(text) / seconds / 1e6:8.1f} MB/s"
        print(f"  {name:14s} {seconds * 1e3:9.1f} ms {rates}")
    (limit,) = LIMITS[ending]
    for action in ("open", "iterate"):
        ratio, bar = median[f"pylhe {action}"] / median[f"hepaa {action}"], AT_LEAST[ending, action]
        share = median[limit] / median[f"hepaa {action}"]
        print(f"  {action}: {ratio:.1f} times pylhe (at least {bar}), {share:.2f} of the speed of {limit} alone")
    for action in ("open", "iterate"):
        assert median[f"pylhe {action}"] >= AT_LEAST[ending, action] * median[f"hepaa {action}"]


_PEAK = """
import re, sys
from pathlib import Path
from hepaa import io
n = 0
for events in io.iterate(sys.argv[1]):
    n += events.n
# the peak of this program alone: ru_maxrss starts from that of the process which started it
print(n, int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1e3)
"""


@pytest.mark.bench
def test_memory_of_two_gigabytes(data, tmp_path):
    text = gzip.decompress((data / "zh" / "zh_sm.lhe.gz").read_bytes())
    start, end = text.index(b"<event>"), text.rindex(b"</LesHouchesEvents>")
    times = 1 + int(2e9) // (end - start)
    with (tmp_path / "large.lhe").open("wb") as file:
        file.write(text[:start])
        for _ in range(times):
            file.write(text[start:end])
        file.write(text[end:])
    began = time.perf_counter()
    out = subprocess.run(
        [sys.executable, "-c", _PEAK, str(tmp_path / "large.lhe")], capture_output=True, text=True, check=True
    ).stdout
    n, peak = out.split()
    size = (tmp_path / "large.lhe").stat().st_size / 1e9
    (tmp_path / "large.lhe").unlink()
    print(f"\n{size:.2f} GB: {n} events, peak {float(peak):.0f} MB in all, {time.perf_counter() - began:.0f} s")
    assert int(n) == 50_000 * times
    assert float(peak) < 600
