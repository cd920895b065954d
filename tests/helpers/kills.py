"""Commands in forks of one warm process, some of them killed (SIGKILL) after a chosen CPU time.

A fork starts in a few milliseconds where a new interpreter takes seconds, so that a test can afford hundreds.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_JITTER_S = 0.005
_LONGEST_S = 300.0
"""Wall time after which a command counts as asleep for ever."""
_MODULES = (
    "hepaa.run.pipeline", "hepaa.batch.searches", "hepaa.report.figures", "hepaa.io.fetch", "hepaa.run.one_score",
)  # fmt: skip


@dataclass(frozen=True)
class End:
    """How a command ended: its exit code, or -9 if it was killed; its CPU seconds; what it said."""

    code: int
    seconds: float
    said: str


class Commands:
    """Runs `hepaa WORDS` in a folder, each in a fork of one process that has imported everything.

    Parameters
    ----------
    folder : Path
        The working folder of the commands.
    log : Path
        A file for what they say.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "helpers.kills", str(folder), str(log)]
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def run(self, words: Sequence[str], kill_after: float | None = None) -> End:
        """Run a command to its end, or kill it when it has used so many CPU seconds."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps([list(words), kill_after]), file=self._server.stdin, flush=True)
        return End(**json.loads(self._server.stdout.readline()))


def _serve(folder: str, log: str) -> None:
    from importlib import import_module

    for module in _MODULES:
        import_module(module)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        words, kill_after = json.loads(line)
        print(json.dumps(vars(_forked(words, kill_after, folder, log))), file=answers)


def _forked(words: list[str], kill_after: float | None, folder: str, log: str) -> End:
    pid = os.fork()
    if not pid:
        _command(words, folder, log)
    clock = (~pid << 3) | 2  # the CPU clock of a process, as clock_getcpuclockid(3) makes it
    end, seconds = time.monotonic() + _LONGEST_S, 0.0
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        seconds = time.clock_gettime(clock)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGABRT)
        if kill_after is not None and seconds >= kill_after:
            time.sleep(random.uniform(0, _JITTER_S))  # so that moments at which it waits for the disk are hit too
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.001)
    _, status = os.waitpid(pid, 0)
    return End(os.waitstatus_to_exitcode(status), seconds, Path(log).read_text(encoding="utf-8", errors="replace"))


def _command(words: list[str], folder: str, log: str) -> Any:
    code = 70
    try:
        os.chdir(folder)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        from hepaa.cli import main

        main(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
