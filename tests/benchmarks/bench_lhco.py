"""LHCO raw events against HDF5 alone and `pandas.read_hdf`: events a second, and memory while iterating.

Run with `pytest -m bench -s tests/benchmarks/bench_io.py`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

import awkward as ak
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest

from hepaa import io

pytestmark = pytest.mark.bench

REPEATS = 5
EVENTS = {"blosc": 30_000, "zlib": 10_000}
AT_LEAST = 0.6
"""Of the speed of h5py alone, which reads the same rows and drops them."""
PEAK_MB = 150.0

# The peak of the process also counts the import of numba, so the memory that is held now is watched from a thread.
_MEMORY = """
import sys, threading, time
from pathlib import Path
from hepaa import io

def held():
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 / 1e6

for _ in io.iterate(sys.argv[1], step_size=100_000):  # compile before the count begins
    break
before = peak = held()
done = threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, held())

thread = threading.Thread(target=watch)
thread.start()
n = sum(e.n for e in io.iterate(sys.argv[1]))
done.set()
thread.join()
print(n, peak - before)
"""


@pytest.fixture(scope="module")
def real(data):
    return pd.read_hdf(data / "lhco" / "events_anomalydetection_tiny.h5")


@pytest.mark.parametrize("complib", EVENTS)
def test_speed_against_hdf5_alone(real, tmp_path, complib):
    path, events = tmp_path / "events.h5", EVENTS[complib]
    pd.concat([real] * (events // len(real)), ignore_index=True).to_hdf(
        path, key="df", format="fixed", complib=complib, complevel=5
    )
    times: dict[str, list[float]] = {"pandas": [], "hepaa": [], "hepaa iterate": [], "read_direct alone": []}

    def read_alone():
        with h5py.File(path) as file:
            table = file["df/block0_values"]
            buffer = np.empty((1000, 2101))
            for start in range(0, events, 1000):
                table.read_direct(buffer, np.s_[start : start + 1000])

    runs = {
        "pandas": lambda: pd.read_hdf(path),
        "hepaa": lambda: io.open(path),
        "hepaa iterate": lambda: [e.n for e in io.iterate(path)],
        "read_direct alone": read_alone,
    }
    expected, events_here = pd.read_hdf(path).to_numpy(), io.open(path)
    momenta = expected[:, :2100].reshape(-1, 3)
    for i, column in enumerate(("pt", "eta", "phi")):
        ours = ak.flatten(events_here.particles[column]).to_numpy()
        np.testing.assert_array_equal(ours.view(np.uint64), momenta[momenta[:, 0] != 0, i].copy().view(np.uint64))
    np.testing.assert_array_equal(ak.num(events_here.particles), (expected[:, :2100:3] != 0).sum(axis=1))
    np.testing.assert_array_equal(events_here.label, expected[:, 2100])
    del expected, events_here, momenta
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"\n{complib}: {events} events, {path.stat().st_size / 1e6:.0f} MB")
    for name, values in times.items():
        speed, ratio = events / median(values), median(times["pandas"]) / median(values)
        limit = median(times["read_direct alone"]) / median(values)
        print(f"  {name:<18} {speed:>9.0f} events/s  {ratio:6.1f} x pandas  {limit:5.2f} x read_direct")
    assert median(times["read_direct alone"]) / median(times["hepaa iterate"]) >= AT_LEAST


@pytest.mark.parametrize("n", [5_000, 50_000])
def test_peak_memory_does_not_depend_on_n(real, tmp_path, n):
    path = tmp_path / "events.h5"
    values = real.to_numpy()
    with h5py.File(path, "w") as file:
        table = file.create_dataset("e", (n, 2101), "f8", chunks=(100, 2101), **hdf5plugin.Blosc())
        for start in range(0, n, len(values)):
            table[start : start + len(values)] = values
    out = subprocess.run([sys.executable, "-c", _MEMORY, str(path)], capture_output=True, text=True, check=True).stdout
    read, peak = out.split()
    print(f"\n{n} events ({n * 2101 * 8 / 1e6:.0f} MB unpacked): {float(peak):.0f} MB above import")
    assert int(read) == n
    assert float(peak) < PEAK_MB
