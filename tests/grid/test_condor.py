"""Descriptions of jobs for HTCondor, through its own parser: what they ask for, and the command that a node gets."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

from hepaa.batch.executors.local import THREADS
from hepaa.batch.executors.sites import Site, site

pytestmark = pytest.mark.grid

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


def words(text):
    """Words of `arguments` or `environment` by the rules of condor_submit's new syntax."""
    assert re.fullmatch(r'"(?:[^"]|"")*"', text), "double quotes around all, those inside twice"
    plain = text[1:-1].replace('""', '"')
    assert re.fullmatch(r"(?:[^']|'(?:[^']|'')*')*", plain), "single quotes come in pairs"
    marked = re.findall(r"(?:[^'\s]|'(?:[^']|'')*')+", plain)
    return [re.sub(r"'((?:[^']|'')*)'", lambda m: m[1].replace("''", "'"), word) for word in marked]


def parsed(text):
    """What HTCondor makes of a description: its keys in small letters, and how many jobs it queues."""
    from htcondor2 import Submit  # is there in the session of this mark alone

    submit = Submit(text)
    return {name.lower(): value for name, value in submit.items()}, submit.getQArgs()


def on_a_node(keys, process=3):
    """What the command of a job is given, as words, and its environment."""
    text = keys["arguments"].replace("$(Process)", str(process)).replace("$(ProcId)", str(process))
    done = subprocess.run(
        [keys["executable"], *words(text)], check=True, capture_output=True, text=True, timeout=60,
        env={"PATH": os.environ["PATH"]} | dict(w.split("=", 1) for w in words(keys.get("environment", '""'))),
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture
def python(tmp_path):
    """A command of an interpreter with quotes and blanks, that shows what it is given."""
    folder = tmp_path / "my image's"
    folder.mkdir()
    script = folder / 'show "it".py'
    script.write_text(SHOW)
    return f"{sys.executable} {shlex.quote(str(script))}"


@pytest.mark.parametrize("folder", ["/eos/user/a/work", "/eos/my work", "/eos/it's", '/eos/a "b"'])
def test_an_array_job_does_what_was_asked(folder, python):
    asked = site("htcondor", jobs=7, memory="3GB", disk="5GB", walltime="01:30:00", queue="longlunch", python=python,
                 prologue="""export FIRST='a b' SECOND="c 'd'" """.strip())  # fmt: skip
    keys, queued = parsed(asked.array_script(folder))
    assert int(queued) == 7
    assert keys["executable"] == "/bin/sh"
    assert keys["transfer_executable"] == "false"
    assert (keys["request_cpus"], keys["request_memory"], keys["request_disk"]) == ("1", "3GB", "5GB")
    assert keys["my.maxruntime"] == "5400"
    assert keys["my.jobflavour"] == '"longlunch"'
    assert keys["log"] == f"{folder}/condor.log"
    assert (keys["output"], keys["error"]) == tuple(f"{folder}/job-$(Process).{end}" for end in ("out", "err"))
    arguments, environment = on_a_node(keys)
    assert arguments == ["-m", "hepaa.cli", "batch", "shard", folder, "--of", "7", "--index", "3"]
    assert (environment["FIRST"], environment["SECOND"]) == ("a b", "c 'd'")
    assert {environment[name] for name in THREADS} == {"1"}


def test_a_plain_array_job_names_no_flavour():
    keys, queued = parsed(Site("htcondor", jobs=1).array_script("work"))
    assert int(queued) == 1
    assert "my.jobflavour" not in keys


def test_a_worker_of_dask_does_what_was_asked(python):
    asked = site("htcondor", cores=2, memory="4GB", disk="3GB", walltime="00:20:00", queue="espresso", python=python,
                 prologue="export FIRST='a b'")  # fmt: skip
    keys, _ = parsed(asked.worker_script())
    assert keys["executable"] == "/bin/sh"
    assert keys["my.daskworkercores"] == "2"
    assert (keys["my.daskworkermemory"], keys["my.daskworkerdisk"]) == ("4000000000", "3000000000")
    assert keys["requestcpus"] == "MY.DaskWorkerCores"
    assert keys["requestmemory"] == "floor(MY.DaskWorkerMemory / 1048576)"
    assert keys["my.maxruntime"] == "1200"
    assert keys["my.jobflavour"] == '"espresso"'
    arguments, environment = on_a_node(keys)
    assert arguments[:2] == ["-m", "distributed.cli.dask_worker"]
    assert arguments[2].startswith("tls://")
    assert "--no-dashboard" in arguments
    assert arguments[arguments.index("--nworkers") + 1] == "2"
    assert environment["FIRST"] == "a b"
    assert {environment[name] for name in THREADS} == {"1"}
