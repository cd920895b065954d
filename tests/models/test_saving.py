"""Models from hostile or damaged files: refused in one line, and none of them brings NaN or names of files along."""

from __future__ import annotations

import hashlib
import json
import random

import numpy as np
import pytest
import safetensors.numpy

from hepaa.detectors import VAE, SumOfSquares, load_detector
from hepaa.errors import HepaaError, InputError
from hepaa.io.sealed import sealed, unsealed


@pytest.fixture(scope="module")
def events():
    return np.random.default_rng(0).normal(size=(300, 4))


@pytest.fixture
def saved(events, tmp_path):
    """A small model, and a way to write another record and other arrays of it with right checksums."""
    path = tmp_path / "m.safetensors"
    VAE(hidden=(3,), latent=1, epochs=1).fit(events).save(path)
    record = unsealed(json.loads(path.with_suffix(".json").read_text()))

    def write(change, arrays=None):
        blob = path.read_bytes() if arrays is None else safetensors.numpy.save(arrays)
        path.write_bytes(blob)
        whole = {**record, "arrays_sha256": hashlib.sha256(blob).hexdigest(), **change}
        path.with_suffix(".json").write_text(json.dumps(sealed(whole)))

    return path, record, write


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_with_nan_is_refused(value, saved):
    path, _, write = saved
    arrays = safetensors.numpy.load(path.read_bytes())
    arrays["parameters"].reshape(-1)[3] = value
    write({}, arrays)
    with pytest.raises(InputError, match="'parameters' holds NaN or infinity"):
        load_detector(path)


def test_a_sidecar_with_nan_is_refused(saved):
    path, record, _ = saved
    path.with_suffix(".json").write_text(json.dumps({**record, "threshold": np.nan}))
    with pytest.raises(InputError, match="does not describe"):
        load_detector(path)


def test_a_model_does_not_say_where_a_training_writes(saved, tmp_path):
    path, record, write = saved
    for name in ("checkpoint", "metrics"):
        write({"parameters": {**record["parameters"], name: str(tmp_path / "thesis.safetensors")}})
        with pytest.raises(InputError, match=f"remove '{name}'"):
            load_detector(path)


def test_a_record_of_an_earlier_version_is_read(events, saved):
    path, record, _ = saved
    scores = load_detector(path).anomaly_score(events)
    path.with_suffix(".json").write_text(json.dumps(record))
    np.testing.assert_array_equal(load_detector(path).anomaly_score(events), scores)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": None}, {"parameters": {"no": 1}}, {"parameters": {"hidden": ["a"]}},
        {"parameters": {"seeds": 0}}, {"feature_names": ["a"]}, {"threshold": "0"}, {"class": "SumOfSquares"},
        {"class": []}, {"class": {}}, {"n_features": "4"}, {"n_features": -1}, {"n_features": None},
        {"feature_names": 3}, {"format_version": "1"}, {"format_version": None}, {"format_version": 99, "versions": 1},
    ],
)  # fmt: skip
def test_a_record_that_is_none_ends_in_one_line(change, saved, events):
    path, _, write = saved
    write(change)
    with pytest.raises(HepaaError) as refused:
        load_detector(path).anomaly_score(events)
    assert len(str(refused.value)) < 1000


def test_a_flipped_bit_of_a_model_is_refused_or_changes_nothing(events, tmp_path):
    path = tmp_path / "m.safetensors"
    SumOfSquares().fit(events).save(path)
    scores, predicted = (getattr(load_detector(path), name)(events) for name in ("anomaly_score", "predict"))
    rng, refused = random.Random(3), 0
    for _ in range(60):
        part = rng.choice([path, path.with_suffix(".json")])
        before = part.read_bytes()
        flipped = bytearray(before)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        part.write_bytes(flipped)
        try:
            model = load_detector(path)
            np.testing.assert_array_equal(model.anomaly_score(events), scores)
            np.testing.assert_array_equal(model.predict(events), predicted)
        except HepaaError:
            refused += 1
        part.write_bytes(before)
    assert refused > 45
