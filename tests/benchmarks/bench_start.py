"""Start-up: the package, the command, and the first events of a file with cold and with compiled kernels.

Run with `pytest -m bench -s tests/benchmarks/bench_start.py`. Each figure is the median of whole processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median

import pytest

from hepaa.demo import path as demo_path

pytestmark = pytest.mark.bench


def seconds(code, times, **environment):
    """Median wall time of fresh processes that run `code`."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, *code], env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return median(taken)


@pytest.mark.parametrize(
    ("what", "code", "bar"),
    [
        ("import hepaa", ["-c", "import hepaa"], 0.15),
        ("hepaa --help", ["-m", "hepaa.cli", "--help"], 0.5),
    ],
)
def test_start(what, code, bar):
    taken = seconds(code, 9) - seconds(["-c", "pass"], 9)
    print(f"\n{what}: {taken:.3f} s above the bare interpreter (at most {bar})")
    assert taken <= bar


def cpu_seconds(code, **environment):
    """User and system time of a fresh process."""
    before = os.times()
    subprocess.run([sys.executable, *code], env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_features_with_cold_and_with_compiled_kernels(tmp_path):
    """Least of three: CPU time on a machine that has other work is longer, never shorter."""
    table = str(tmp_path / "t.parquet")
    code = ["-m", "hepaa.cli", "features", str(demo_path("zh_sm.lhe.gz")), "--set", "zh-paper", "-o", table]
    caches = [{"NUMBA_CACHE_DIR": str(tmp_path / str(i))} for i in range(3)]
    cold, warm = (min(cpu_seconds(code, **cache) for cache in caches) for _ in range(2))
    print(f"\nhepaa features of 5,000 events: {cold:.2f} CPU seconds cold (at most 4), {warm:.2f} after (at most 1.5)")
    assert cold <= 4
    assert warm <= 1.5
