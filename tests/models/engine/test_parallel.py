"""Two processes that train together learn what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import parallel as helper
from helpers.parallel import CASES, COMMAND, events, fit, fit_stream

from hepaa.cli import main
from hepaa.detectors import VAE, load_detector
from hepaa.errors import InputError
from hepaa.models.engine import parallel
from hepaa.models.engine.parallel import own_device
from hepaa.models.processes import processes
from hepaa.table import EventTable

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Folder with what two processes have learned and written; `said` is what they have printed."""
    folder = tmp_path_factory.mktemp("together")
    x, y, weight, _ = events()
    EventTable.build(x, tuple("abcde"), weight=weight, label=y).save(folder / "train.parquet")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(Path(helper.__file__)), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HEPAA_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_learn_what_one_does(name, together):
    alone = fit(name)
    expected = alone.parameters_.flat.numpy()
    for i in range(2):
        learned = np.load(together / f"{i}.npz")[name]
        np.testing.assert_allclose(learned, expected, rtol=1e-5, atol=1e-6)
        history = json.loads((together / f"{i}.json").read_text())[name]
        assert history.keys() == alone.history_.keys()
        for term, values in alone.history_.items():
            np.testing.assert_allclose(history[term], values, rtol=1e-5, atol=1e-6)
    saved = load_detector(together / f"{name}.safetensors")
    x = np.random.default_rng(9).normal(size=(500, 5))
    np.testing.assert_allclose(saved.anomaly_score(x), alone.anomaly_score(x), rtol=1e-4)
    assert saved.threshold_ == pytest.approx(alone.threshold_, rel=1e-4)


@pytest.mark.slow
def test_streams(together):
    alone = fit_stream(together).parameters_.flat.numpy()
    for i in range(2):
        np.testing.assert_allclose(np.load(together / f"{i}.npz")["streamed"], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_all_decide_by_what_the_first_process_has(together):
    assert [json.loads((together / f"{i}.json").read_text())["of first"] for i in range(2)] == [[0.0], [0.0]]


@pytest.mark.slow
def test_the_first_process_alone_writes(together):
    for name in CASES:
        epochs = [json.loads(line)["epoch"] for line in (together / f"{name}.jsonl").read_text().splitlines()]
        assert epochs == list(range(len(epochs))), name  # two writers would repeat lines


@pytest.mark.slow
def test_processes_that_differ_are_refused(together):
    for i in range(2):
        report = json.loads((together / f"{i}.json").read_text())
        for what in ("data", "parameters", "checkpoint"):
            assert report[what].startswith("process 1 of 2 has other data, parameters"), what


@pytest.mark.slow
def test_one_process_goes_on_from_the_checkpoint_of_two(together):
    again = fit("weights", checkpoint=together / "weights.checkpoint.safetensors")
    np.testing.assert_array_equal(again.parameters_.flat.numpy(), np.load(together / "0.npz")["weights"])


@pytest.mark.slow
def test_the_command_trains_together(together):
    words = [*COMMAND, str(together / "train.parquet"), "--output", str(together / "alone.safetensors")]
    assert CliRunner().invoke(main, words).exit_code == 0
    x = events()[0]
    alone, shared = (load_detector(together / f"{n}.safetensors").anomaly_score(x) for n in ("alone", "command"))
    np.testing.assert_allclose(shared, alone, rtol=1e-4)
    assert (together / "said").read_text().count("trained on") == 1


def test_other_commands_under_torchrun(tmp_path):
    under = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}
    done = CliRunner().invoke(main, ["init", "zh", "--output", str(tmp_path / "zh.yaml")], env=under)
    assert done.exit_code == 2
    assert "torchrun is for `hepaa train` alone" in done.output
    assert not (tmp_path / "zh.yaml").exists()
    one = CliRunner().invoke(
        main, ["init", "zh", "--output", str(tmp_path / "zh.yaml")], env=under | {"WORLD_SIZE": "1"}
    )
    assert one.exit_code == 0, one.output


@pytest.fixture
def second_of_two(monkeypatch):
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def test_one_process_is_alone_whatever_else_the_environment_says(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # half of what torchrun says
    assert processes() == 1
    assert own_device(torch.device("mps")) == torch.device("mps")
    for name, value in {"RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    assert not torch.distributed.is_initialized()


def test_devices_that_cannot_be_shared(second_of_two, monkeypatch):
    with pytest.raises(InputError, match="2 processes cannot train together on 'mps'"):
        own_device(torch.device("mps"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="device 'cuda:0' is one GPU for 2 processes"):
        own_device(torch.device("cuda", 0))
    with pytest.raises(InputError, match="process 1 of this machine has no GPU: there are 1; start 1"):
        own_device(torch.device("cuda"))


def test_every_process_takes_its_own_gpu(second_of_two, monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(parallel, "_join", lambda device: taken.append(device.type))
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 0)  # rank 1 may be the first of its machine
    monkeypatch.delenv("LOCAL_RANK")
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert taken == [torch.device("cuda", 0), "cuda", torch.device("cuda", 1), "cuda"]


def test_an_environment_that_makes_no_sense(second_of_two, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "none")
    with pytest.raises(InputError, match=r"2 processes do not find each other at 127\.0\.0\.1:none"):
        VAE(epochs=1, device="cpu").fit(events()[0])
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE='two', which is no number"):
        processes()
