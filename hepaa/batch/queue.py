"""Array jobs in the queue of a batch system: how they get there, and what the queue says of them.

FOLDER/array.sub    the job script, as it was submitted
FOLDER/jobs.jsonl   one line a submission: the system and the number that it gave
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hepaa.errors import InputError
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.batch.executors.sites import Site

_SUBMIT = {"slurm": ("sbatch", "--parsable"), "htcondor": ("condor_submit", "-terse")}
_CONDOR_STATES = {"1": "waiting", "2": "running", "3": "removed", "4": "completed", "5": "held"}
_WAIT_S = 120
_SHOWN = 300  # letters of what another program says


_GOOD = ("pending", "running", "completed", "completing", "configuring", "waiting")


@dataclass(frozen=True)
class Jobs:
    """The jobs of one submission that share a state.

    Attributes
    ----------
    system : "slurm" or "htcondor"
    number : str
        Of the array job.
    state : str
        As the batch system calls it, in small letters, such as "pending" or "out_of_memory".
    reason : str
        Why they wait, or how they failed; "" where there is none.
    count : int
    """

    system: str
    number: str
    state: str
    reason: str
    count: int

    @property
    def failed(self) -> bool:
        """Whether they ended otherwise than they should."""
        return self.state not in _GOOD


def submit_array(folder: Path, site: Site) -> str:
    """Submit an array job for the plan in a folder.

    Returns
    -------
    str
        The number that the batch system gave it.

    Raises
    ------
    InputError
        If there is no such batch system here, or it refuses the job.
    """
    if site.system not in _SUBMIT:
        raise InputError("--array needs a batch system, --site slurm or htcondor; here, take --executor local-jobs")
    folder = folder.resolve()
    script = folder / "array.sub"
    script.write_text(site.array_script(str(folder)), encoding="utf-8")
    said = _ask([*_SUBMIT[site.system], str(script)])
    # Slurm: NUMBER[;CLUSTER]. HTCondor: NUMBER.0 - NUMBER.LAST
    number = said.split(";")[0].split(".")[0].strip()
    with (folder / "jobs.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"system": site.system, "number": number}) + "\n")
    return number


def jobs(folder: Path) -> list[Jobs]:
    """What the queue says of the array jobs of a folder, the last submission first.

    Raises
    ------
    InputError
        If the batch system does not answer.
    """
    path = folder / "jobs.jsonl"
    if not path.is_file():
        return []
    states = []
    for text in reversed(path.read_text(encoding="utf-8").splitlines()):
        line = parse_json(text)
        system, number = str(line["system"]), str(line["number"])
        pairs = _slurm_states(number) if system == "slurm" else _condor_states(number)
        states += [Jobs(system, number, *pair, count) for pair, count in sorted(Counter(pairs).items())]
    return states


def last_words(folder: Path) -> dict[str, str]:
    """The last line of each job's output in a folder that has any, by name of the file."""
    said = {}
    for path in sorted(folder.glob("job-*.out")) + sorted(folder.glob("job-*.err")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        if last := next((line for line in reversed(lines) if line.strip()), ""):
            said[path.name] = last.strip()[:_SHOWN]
    return said


def _slurm_states(number: str) -> list[tuple[str, str]]:
    # a controller forgets jobs some minutes after their end; the accounting, where a site has it, does not
    try:
        lines = _ask(["squeue", "--noheader", "--array", "--states=all", f"--jobs={number}", "--format=%T|%r"])
    except InputError as refusal:
        if "Invalid job id" not in str(refusal):
            raise
        lines = _ask(
            ["sacct", "--noheader", "--allocations", "--parsable2", f"--jobs={number}", "--format=State,Reason"]
        )
    pairs = [line.partition("|")[::2] for line in lines.splitlines()]
    # "NonZeroExitCode" and "None" say no more than the state does
    return [
        (state.split()[0].lower(), "" if reason in ("None", "NonZeroExitCode") else reason) for state, reason in pairs
    ]


def _condor_states(number: str) -> list[tuple[str, str]]:
    words = ["-af:,", "JobStatus", "HoldReason"]
    lines = _ask(["condor_q", number, *words]) + _ask(["condor_history", number, *words])
    pairs = [line.partition(",")[::2] for line in lines.splitlines()]
    return [
        (_CONDOR_STATES.get(state.strip(), state.strip()), "" if reason.strip() == "undefined" else reason.strip())
        for state, reason in pairs
    ]


def _ask(words: list[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_WAIT_S, check=False)
    except FileNotFoundError:
        raise InputError(f"there is no {words[0]} here; run this on a machine that submits jobs") from None
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{words[0]} does not answer within {_WAIT_S} s; try again when the batch system does"
        ) from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:_SHOWN]
        raise InputError(f"{' '.join(words)}: {said}")
    return done.stdout
