"""Runs inputs in a child process with limits, so that a crash of a C library, a loop without end or a bomb is one
failed input; and changes good inputs into bad ones.

The function under test is any function at the top level of a test file that takes the path of an input. A child
handles many inputs and is started again after one that killed it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hepaa.errors import HepaaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

SECONDS, MEMORY = 10, 1 << 30
"""CPU seconds and bytes that one input may cost; the bytes come on top of what the imported libraries hold."""
_WALL = 12 * SECONDS
"""Wall seconds after which a child counts as asleep for ever, on a machine that does other things too."""
_LONGEST = 2000
"""Characters of a message that is still one line for a reader."""


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Attributes
    ----------
    verdict : str
        "read", "refused" (a HepaaError of one line), or "fault" (everything else: another exception, a message
        of several lines, a signal, too much time or memory).
    message : str
        What the error says; for a fault where it was raised, or how the child died.
    cpu : float
        CPU seconds.
    """

    verdict: str
    message: str = ""
    cpu: float = 0.0


class Child:
    """A process that runs one function on one input after another.

    Parameters
    ----------
    function : callable
        Takes the path of an input; at the top level of a file.
    warm : iterable of paths
        Good inputs, run before the limits begin, so that imports and compilations are not counted.
    seconds, memory : int
        CPU seconds and bytes for each input.
    """

    def __init__(
        self,
        function: Callable[[str], object],
        warm: Iterable[str | Path] = (),
        seconds: int = SECONDS,
        memory: int = MEMORY,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        start = [sys.executable, "-Pm", "helpers.faults", function.__code__.co_filename, function.__name__]
        self._command = [*start, str(seconds), str(memory), *map(str, warm)]
        environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
        self._environment = os.environ | environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._stderr.close()

    def run(self, path: str | Path) -> Outcome:
        """What becomes of the input at `path`."""
        if self._process is None:
            self._process = self._started()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n".encode())
        self._process.stdin.flush()
        answer = self._answer(self._process)
        if answer is not None:
            return Outcome(**answer)
        code = self._stop()
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Outcome("fault", f"the child died ({name}): {self._last_words()}")

    def _started(self) -> subprocess.Popen[bytes]:
        self._stderr.seek(0)
        self._stderr.truncate()
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self._command, stdin=pipe, stdout=pipe, stderr=self._stderr, env=self._environment, bufsize=0
        )
        if self._answer(process) is None:
            self._process = process
            raise AssertionError(f"the child does not start ({self._stop()}): {self._last_words()}")
        return process

    def _answer(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        assert process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([process.stdout], [], [], _WALL)
            more = os.read(process.stdout.fileno(), 1 << 16) if readable else b""
            if not more:
                return None
            line += more
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self) -> int:
        """End the child, if there is one; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            return process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return " | ".join(line.strip() for line in lines if line.strip())[-1500:]


def attack(
    function: Callable[[str], object],
    inputs: Iterable[tuple[str, bytes]],
    folder: Path,
    warm: Iterable[str | Path] = (),
) -> tuple[Counter[str], dict[str, str]]:
    """Run a function on many inputs: how many were read, refused and at fault, and the faults.

    Parameters
    ----------
    function : callable
        As for `Child`.
    inputs : iterable of (str, bytes)
        File name and content; the file is gone after its turn, unless it was at fault.
    folder : Path
        Where the files are written.
    warm : iterable of paths
        As for `Child`.

    Returns
    -------
    Counter
        Inputs of each verdict.
    dict
        Name of an input at fault -> what happened.
    """
    verdicts: Counter[str] = Counter()
    faults = {}
    with Child(function, warm) as child:
        for name, content in inputs:
            path = folder / name
            path.write_bytes(content)
            outcome = child.run(path)
            verdicts[outcome.verdict] += 1
            if outcome.verdict == "fault":
                faults[name] = outcome.message
            else:
                path.unlink()
    return verdicts, faults


_NUMBERS = (
    b"0", b"-1", b"1", b"2", b"1e308", b"1e400", b"-1e-320", b"nan", b"inf", b"2147483648", b"4294967296",
    b"9223372036854775807", b"9223372036854775808", b"1000000000000", b"1e18", b"9" * 400, b"", b"x",
)  # fmt: skip


def mutated(content: bytes, rng: Random, text: bool = False) -> bytes:
    """A content with one to four changes: bits, bytes, lengths, pieces cut, doubled or moved; words of a text."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        (_change_text if text and rng.random() < 0.7 else _change_bytes)(changed, rng)
    return bytes(changed)


def _change_bytes(content: bytearray, rng: Random) -> None:
    at = rng.randrange(len(content) + 1)
    length = min(rng.choice((1, 2, 4, 8, 64, 1024)), len(content) - at)
    piece = bytes(content[at : at + length])
    match rng.randrange(8):
        case 0 if length:
            content[at] ^= 1 << rng.randrange(8)
        case 1:
            content[at : at + length] = rng.randbytes(length)
        case 2:
            del content[at : at + length]
        case 3:
            content[at:at] = piece * rng.choice((1, 2, 50))
        case 4:
            to = rng.randrange(len(content) + 1)
            content[to : to + length] = piece
        case 5:
            content[at : at + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
        case 6:
            width = rng.choice((2, 4, 8))
            value = rng.choice((0, 1, (1 << (8 * width - 1)) - 1, (1 << 8 * width) - 1, 1 << (8 * width - 2), 1 << 15))
            content[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
        case _ if rng.random() < 0.3:
            del content[at:]


def _change_text(content: bytearray, rng: Random) -> None:
    """Change a word or a line, which leaves the rest readable."""
    line = rng.random() < 0.3
    separators = b"\n" if line else b" \t\n,<>\"'=:"
    at = rng.randrange(len(content) + 1)
    start, stop = at, at
    while start and content[start - 1] not in separators:
        start -= 1
    while stop < len(content) and content[stop] not in separators:
        stop += 1
    word = bytes(content[start:stop])
    match rng.randrange(5):
        case 0:
            content[start:stop] = rng.choice(_NUMBERS)
        case 1:
            content[start : stop + 1] = b""
        case 2:
            content[start:start] = (word + bytes(content[stop : stop + 1])) * rng.choice((1, 3, 100))
        case 3:
            other = rng.randrange(len(content) + 1)
            content[other:other] = word
        case _:
            content[start:stop] = rng.choice((b"<", b">", b'"', b"<!--", b"]]>", b"#", b"\0", b"\xff", b"\r")) + word


def _held() -> int:
    """Bytes of data of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmData:")[1].split()[0])


def _outcome(function: Callable[[str], object], path: str, seconds: float) -> Outcome:
    before = sum(os.times()[:2])
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process, even inside a C library
    try:
        function(path)
        verdict, message = "read", ""
    except HepaaError as error:
        message = str(error)
        verdict = "refused" if "\n" not in message and len(message) <= _LONGEST else "fault"
    except BaseException:  # SystemExit and what pyo3 calls a panic are faults too
        verdict, message = "fault", traceback.format_exc()[-3000:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Outcome(verdict, message, sum(os.times()[:2]) - before)


def _serve(file: str, name: str, seconds: str, memory: str, *warm: str) -> None:
    """Answer each line of the standard input, the path of an input, with what became of it."""
    faulthandler.enable()
    # what libraries print must not come between the answers
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    spec = importlib.util.spec_from_file_location("under_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["under_test"] = module
    spec.loader.exec_module(module)
    function = getattr(module, name)
    for path in warm:
        with contextlib.suppress(HepaaError):
            function(path)
    print("{}", file=answers)
    for line in sys.stdin:
        resource.setrlimit(resource.RLIMIT_DATA, (_held() + int(memory), resource.RLIM_INFINITY))
        outcome = _outcome(function, line.rstrip("\n"), float(seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(json.dumps(outcome.__dict__), file=answers)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
