"""A training that was killed and goes on equals one without a break, bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hepaa.detectors import VAE, AnomalyAwareVAE, Flow
from hepaa.errors import InputError
from hepaa.models.engine.metrics import MetricsFile


class Killed(BaseException):
    """What a batch system does."""


def killer(at):
    def callback(epoch, losses):
        if epoch == at:
            raise Killed

    return callback


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(3)
    return rng.normal(size=(400, 5)) + np.repeat([[0.0], [1.5]], [340, 60], axis=0), np.repeat([0, 1], [340, 60])


MAKES = {
    "compiled": (VAE, {"epochs": 6, "seeds": 2}),
    "compiled, early stopping": (VAE, {"epochs": 40, "validation_fraction": 0.3, "patience": 2, "learning_rate": 0.05}),
    "two stages": (AnomalyAwareVAE, {"epochs": 3, "finetune_epochs": 3, "seeds": 2}),
    "torch": (VAE, {"epochs": 6, "reconstruction": "huber", "seeds": 2, "gradient_clip": 1.0}),
    "flow": (Flow, {"epochs": 6, "kind": "maf", "transforms": 1, "hidden": (8,), "batch_size": 64}),
    "cosine": (VAE, {"epochs": 6, "schedule": "cosine", "weight_decay": 0.1}),
    "plateau": (VAE, {"epochs": 12, "schedule": "plateau", "learning_rate": 0.05, "seeds": 2}),
    "balance": (VAE, {"epochs": 6, "balance": "groups"}),
}


@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("name", MAKES)
def test_killed_and_continued_equals_uninterrupted(name, at, events, tmp_path):
    cls, parameters = MAKES[name]
    X, y = events
    path = tmp_path / "c.safetensors"

    def fit(**more):
        return cls(**parameters, **more).fit(X, y, groups=np.arange(len(X)) % 3)

    whole = fit()
    with pytest.raises(Killed):
        fit(checkpoint=path, callback=killer(at))
    if at:
        assert path.exists()  # the epoch that was killed is not in it
    seen = []
    resumed = fit(checkpoint=path, callback=lambda epoch, losses: seen.append(epoch))
    assert seen == list(range(at, len(whole.history_["total"])))
    assert torch.equal(resumed.parameters_.flat, whole.parameters_.flat)
    assert resumed.history_ == whole.history_
    assert resumed.stage_starts_ == whole.stage_starts_
    np.testing.assert_array_equal(resumed.anomaly_score(X), whole.anomaly_score(X))
    done = fit(checkpoint=path, callback=killer(0))  # nothing is left to train
    assert torch.equal(done.parameters_.flat, whole.parameters_.flat)
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_of_another_training_is_refused(events, tmp_path):
    X, _ = events
    path = tmp_path / "c.safetensors"
    VAE(epochs=2, checkpoint=path).fit(X)
    for change, data in (({"epochs": 3}, X), ({"seed": 1}, X), ({"beta": 2.0}, X), ({}, X[::-1])):
        with pytest.raises(InputError, match="of another training"):
            VAE(**{"epochs": 2, "checkpoint": path, **change}).fit(data)
    VAE(epochs=2, checkpoint=path, verbose=False, contamination=0.2).fit(X)  # these do not touch the training


def test_bad_checkpoints(events, tmp_path):
    X, _ = events
    with pytest.raises(InputError, match=r"must end in \.safetensors"):
        VAE(checkpoint=tmp_path / "c.pt").fit(X)
    with pytest.raises(InputError, match="folder"):
        VAE(checkpoint=tmp_path / "none" / "c.safetensors").fit(X)
    path = tmp_path / "c.safetensors"
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match="cannot be read"):
        VAE(checkpoint=path).fit(X)
    save_file({"a": np.zeros(2)}, path)
    with pytest.raises(InputError, match="is no checkpoint"):
        VAE(checkpoint=path).fit(X)
    save_file({"a": np.zeros(2)}, path, {"hepaa-checkpoint": json.dumps({"version": 99, "hepaa": "9.0"})})
    with pytest.raises(InputError, match="upgrade hepaa"):
        VAE(checkpoint=path).fit(X)
    for record in ("[" * 100_000, "[]", "3", "{}", '{"version": null}', '{"version": 1}'):
        save_file({"a": np.zeros(2)}, path, {"hepaa-checkpoint": record})
        with pytest.raises(InputError, match="damaged"):
            VAE(checkpoint=path).fit(X)


def test_a_flipped_bit_of_a_checkpoint_is_refused(events, tmp_path):
    X, _ = events
    path = tmp_path / "c.safetensors"
    VAE(epochs=2, checkpoint=path).fit(X)
    content = bytearray(path.read_bytes())
    for place in (-1, -400, len(content) // 2, content.index(b"steps") + 10):
        flipped = content.copy()
        flipped[place] ^= 1
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=r"checkpoint .*(damaged|cannot be read)"):
            VAE(epochs=2, checkpoint=path).fit(X)


def test_metrics_are_a_line_an_epoch(events, tmp_path):
    X, y = events
    path, checkpoint = tmp_path / "m.jsonl", tmp_path / "c.safetensors"
    path.write_text("my own words\n")
    with pytest.raises(InputError, match="no file of metrics"):
        VAE(epochs=1, metrics=path).fit(X)
    assert path.read_text() == "my own words\n"
    path.write_text('{"epoch": 7, "of": "a training before"}\n')
    parameters = {"epochs": 3, "finetune_epochs": 2, "metrics": path, "checkpoint": checkpoint}

    def lines():
        return [json.loads(line) for line in path.read_text().splitlines()]

    with pytest.raises(Killed):
        AnomalyAwareVAE(**parameters, callback=killer(3)).fit(X, y)
    assert [line["epoch"] for line in lines()] == [0, 1, 2]
    model = AnomalyAwareVAE(**parameters).fit(X, y)
    assert [line["epoch"] for line in lines()] == [0, 1, 2, 3, 4]
    assert [line["total"] for line in lines()] == model.history_["total"]
    assert "anomaly" not in lines()[0]
    assert lines()[4]["anomaly"] == model.history_["anomaly"][4]
    assert all(line["seconds"] >= 0 for line in lines())
    with pytest.raises(InputError, match="folder"):
        MetricsFile(tmp_path / "none" / "m.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        MetricsFile(tmp_path)
