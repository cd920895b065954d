"""Runs a module as `python -m` does: `python held.py -m MODULE ...`. Each process computes its first shard at once; the
next one waits as long as a file `hold` lies beside this one, so that a test comes upon a job in the middle of it.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

from hepaa.batch import FeatureTask

_HOLD = Path(__file__).with_name("hold")
_compute = FeatureTask.compute
_begun = []


def _held(task, shard):
    _begun.append(shard)
    while len(_begun) > 1 and _HOLD.exists():
        time.sleep(0.1)
    return _compute(task, shard)


if __name__ == "__main__":
    FeatureTask.compute = _held
    _, _, module, *words = sys.argv
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__")
