"""All analyses, two at a time, and the results page from what they found: `nox -s analyses [-- --quick]`.

A script that was stopped goes on where it was.

Run: python analyses/run.py [SCRIPT ...] [--quick] [--data FOLDER] [--seeds N] [--store FOLDER]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import page

HERE = Path(__file__).parent
LONGEST = (
    "bead_map",
    "foundation",
    "search_dijets",
    "label_free",
    "bead_particles",
    "zh_two_sample",
    "search_scan",
    "anorand_adbench",
    "anorand_peers",
)
"""Begin first, so that no long one is left over at the end. One that reads another's table is later than that."""
AUDIT = "audit"
TOOLS = ("adbench", "page", "run", "samples", "sections", "simulated", "study", "table")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def scripts() -> list[str]:
    """Names of the analyses, which are all scripts of this folder but their tools: the longest first, the audit last.

    So the audit sees events that another one simulates.
    """
    names = {path.stem for path in HERE.glob("*.py")} - set(TOOLS)
    return [*LONGEST, *sorted(names - {*LONGEST, AUDIT}), AUDIT]


def run(name: str, words: list[str]) -> int:
    """Run one script; its lines appear as they come."""
    start = time.monotonic()
    code = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), *words], env=os.environ | ONE_THREAD, check=False
    ).returncode
    outcome = "done" if code == 0 else f"FAILED with exit code {code}"
    print(f"== {name}: {outcome} after {time.monotonic() - start:.0f} s", flush=True)
    return code


def main() -> None:
    """Run the scripts; exit 1 if one failed."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("scripts", nargs="*", metavar="SCRIPT", help="default: all")
    words.add_argument("--quick", action="store_true", help="show that all scripts work; nothing is written")
    for option in ("--data", "--seeds", "--store"):
        words.add_argument(option, help="goes to every script")
    given = words.parse_args()
    known = scripts()
    unknown = sorted(set(given.scripts) - set(known))
    if unknown:
        words.error(f"no analysis is called {', '.join(unknown)}; there are: {', '.join(known)}")
    passed = [word for name in ("data", "seeds", "store") if (v := getattr(given, name)) for word in (f"--{name}", v)]
    passed += ["--quick"] if given.quick else []
    start = time.monotonic()
    with ThreadPoolExecutor(max_workers=2) as two:
        codes = list(two.map(lambda name: run(name, passed), given.scripts or known))
    print(f"== {len(codes)} analyses after {(time.monotonic() - start) / 60:.0f} min", flush=True)
    if any(codes):
        sys.exit(1)
    if not given.quick:
        page.main()


if __name__ == "__main__":
    main()
