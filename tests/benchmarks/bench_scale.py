"""Batches of many shards with nothing to do: what the engine, the work folder, status and merge take for each.

Run with `pytest -m bench -s tests/benchmarks/bench_scale.py`. CPU time and memory of fresh processes.

Measured with 10,000, 30,000 and 100,000 files of 10 MB, memory above the 101 MB of the imports: engine 17, 54 and 180
MB and 0.19 ms of CPU time a file; status 23, 71 and 240 MB and 0.04 ms; merge of tallies 18, 56 and 190 MB and 0.04 ms;
1.0 kB of work folder a file, and one file there for ten. So 1e6 files of 10,000 events, 1e10 events in all, take on
paper: a work folder of 1.0 GB in 100,000 files beside 520 GB of rows in as many, 3 minutes of engine in a driver of 1.9
GB, 45 s and 2.5 GB for a status, 45 s and 2.0 GB for a merge.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.bench

PROGRAM = """
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hepaa.batch import Plan, keys, merge, process
from hepaa.batch.engine import collect
from hepaa.batch.shard import Part, Shard, Task
from hepaa.batch.status import status
from hepaa.batch.tasks import registry
from hepaa.table.mixing import Tally


@dataclass(frozen=True)
class Nothing(Task):
    kind: ClassVar[str] = "nothing"
    grouped: ClassVar[bool] = True

    def compute(self, shard):
        return Part(Tally(0, 0.0, 0.0), result={})


registry.TASKS["nothing"] = "__main__.Nothing"
Shard.changed = lambda shard: False  # there are no files
Shard.prepare = lambda shard: None
folder, n, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
code, task = keys.versions(), Nothing()
request = keys.request_of(task, code)
shards = []
for i in range(n):
    identity = {"size": size, "mtime_ns": 0, "sha256": f"{i:064x}"}
    path = f"/data/sample/events-{i:07d}.lhe.gz"
    shards.append(Shard(path, None, None, 0, keys.result_key(path, identity, None, request), identity))
plan = Plan((task,), tuple(shards), code)


def timed(action):
    start = time.process_time()
    action()
    return time.process_time() - start


measured = {
    "engine": timed(lambda: process(plan, folder)),
    "status": timed(lambda: status(folder)),
    "merge": timed(lambda: merge.tally(collect(folder))),
}
files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps({**measured, "files": len(files), "bytes": sum(files), "peak": int(peak) * 1024}))
"""


def measured(folder, n, size):
    script = folder / "program.py"
    script.write_text(PROGRAM)
    words = [sys.executable, str(script), str(folder / f"{n}-{size}"), str(n), str(size)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ).stdout)


@pytest.mark.parametrize(("megabytes", "shards"), [(1, (20_000, 100_000)), (200, (5_000, 20_000))])
def test_time_and_space_grow_with_the_number_of_files(tmp_path, megabytes, shards):
    """Small files, which are stored in groups, and large ones, each by itself."""
    few, many = (measured(tmp_path, n, megabytes * 1_000_000) for n in shards)
    for n, result in zip(shards, (few, many), strict=True):
        print(
            f"\n{n} files of {megabytes} MB: engine {result['engine']:.1f} s, status {result['status']:.1f} s, merge "
            f"{result['merge']:.1f} s of CPU time; {result['files']} files of {result['bytes'] / 1e6:.0f} MB; peak "
            f"{result['peak'] / 1e6:.0f} MB"
        )
    times = shards[1] / shards[0]
    for name in ("engine", "status", "merge", "bytes"):
        assert many[name] <= 1.5 * times * few[name], name
    # one process holds the plan that was made beside those that status and merge have read: 3.1 kB a file
    assert many["peak"] <= few["peak"] + 4_000 * (shards[1] - shards[0])
