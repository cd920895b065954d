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


def test_first_events_with_cold_and_with_compiled_kernels(tmp_path):
    code = ["-c", f"import hepaa; hepaa.open({str(demo_path('zh_sm.lhe.gz'))!r})"]
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    cold, warm = seconds(code, 1, **cache), seconds(code, 5, **cache)
    print(f"\nfirst events: {cold:.1f} s with cold kernels (at most 10), {warm:.2f} s after (at most 3)")
    assert cold <= 10
    assert warm <= 3
