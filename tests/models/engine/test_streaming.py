"""Training from Parquet parts against training in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepaa.detectors import VAE, AnomalyAwareVAE, AnoRand, ContrastiveVAE, Flow, IsolationForest
from hepaa.errors import InputError
from hepaa.models.engine.batches import Deal, Member
from hepaa.models.engine.streaming import Stream, Survey
from hepaa.table import EventTable, concatenate, streamed
from hepaa.table.preprocess import SkewLogStandardize
from hepaa.table.streamed import StreamedTable


def make(n, generator, seed, label=0, weighted=True):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.exponential(50, n), rng.normal(5, 2, n), rng.gamma(2, 3, n), -rng.exponential(1, n)])
    weight = rng.uniform(-0.2, 2, n) if weighted else None
    return EventTable.build(
        X * (1 + label), ["pt", "eta", "mass", "d"], weight=weight, generator=generator, label=label
    )


@pytest.fixture(scope="module", params=[True, False], ids=["weighted", "unweighted"])
def whole(request):
    kinds = [("a", 700, 1, 0), ("b", 401, 2, 0), ("s", 90, 3, 1), ("a", 300, 4, 0)]
    return [make(n, g, seed, label, weighted=request.param) for g, n, seed, label in kinds]


@pytest.fixture
def parts(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "_CHUNK", 128)  # many chunks, and windows that end inside of them
    for i, table in enumerate(whole):
        table.save(tmp_path / f"part-{i}.parquet")
    return tmp_path


def test_statistics_of_one_pass_are_those_in_memory(whole, parts):
    table = concatenate(whole)
    background = table.background
    expected = SkewLogStandardize().fit(background, sample_weight=background.weight)
    streamed = Survey.of(StreamedTable(parts), keep_anomalies=True, preprocess=True).preprocessor(1.0)
    assert streamed.log_.tolist() == expected.log_.tolist() == [True, False, True, False]
    for name in ("skewness_", "mean_", "scale_"):
        np.testing.assert_allclose(getattr(streamed, name), getattr(expected, name), rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        VAE(epochs=3, preprocess=None, seeds=2),
        VAE(epochs=3),
        VAE(epochs=3, validation_fraction=0.2, patience=2, weighted_loss=False),
        AnomalyAwareVAE(epochs=2, finetune_epochs=2, seeds=2),
        ContrastiveVAE(epochs=2),
        Flow(epochs=2, kind="maf", transforms=1, hidden=(8,)),
        AnoRand(epochs=2, labels="given"),
    ],
    ids=lambda m: type(m).__name__,
)
def test_a_window_that_holds_all_gives_the_fit_in_memory(model, whole, parts):
    table = concatenate(whole)
    memory = model.fit(table)
    scores, threshold, data = memory.anomaly_score(table), memory.threshold_, memory.data_
    history = memory.history_
    streams = model.fit(StreamedTable(parts, window=5000))
    tolerance = 0 if model.preprocess is None else 1e-5  # statistics differ in the last digit
    for name, values in history.items():
        np.testing.assert_allclose(streams.history_[name], values, rtol=tolerance, atol=1e-12)
    np.testing.assert_allclose(streams.anomaly_score(table), scores, rtol=10 * tolerance, atol=tolerance)
    assert streams.threshold_ == pytest.approx(threshold, rel=1e-4)
    assert streams.data_ == data
    assert list(streams.feature_names_in_) == list(table.columns)
    np.testing.assert_array_equal(streams.anomaly_score(str(parts)), streams.anomaly_score(table))


def test_small_windows_see_every_event_once_an_epoch(whole, parts):
    survey = Survey.of(StreamedTable(parts, window=300), keep_anomalies=False, preprocess=False)
    stream = Stream(survey, lambda x: x, validation_fraction=0.1, seed=0, weighted=True)
    background = concatenate(whole).background
    assert len(stream.validation) == 141
    assert len(stream) == 1401 - 141
    members = [Member.build(seed, 0, 0) for seed in (0, 1)]
    seen, sizes = [[], []], []
    for pool in stream.windows(64):
        deal = Deal.draw(members, 64, 0, anomalies=0, noise=2, window=len(pool))
        for batch in deal.batches(pool, None):
            sizes.append(batch.x.shape[1])
            for k in (0, 1):
                seen[k] += batch.x[k, :, 1].tolist()
    assert sizes == [64] * (1260 // 64) + [1260 % 64]  # windows end where batches end
    held = stream.validation.x[:, 1].tolist()
    for k in (0, 1):
        assert sorted(seen[k] + held) == sorted(background["eta"].tolist())
    assert seen[0] != seen[1]


def test_small_windows_train_as_well(parts, whole):
    table = concatenate(whole)
    big = VAE(epochs=8).fit(table)
    small = VAE(epochs=8).fit(StreamedTable(parts, window=200))
    assert small.history_["total"][-1] == pytest.approx(big.history_["total"][-1], rel=0.1)
    assert small.history_["total"][-1] < 0.9 * small.history_["total"][0]


def test_paths_and_what_is_wrong_with_them(whole, parts, tmp_path):
    files = sorted(parts.glob("*.parquet"))
    assert StreamedTable(files).n == 1491
    assert StreamedTable(files).generators == ("a", "b", "s")
    by_path = VAE(epochs=1, preprocess=None).fit(files)
    assert torch.equal(by_path.parameters_.flat, VAE(epochs=1, preprocess=None).fit(parts).parameters_.flat)
    with pytest.raises(InputError, match="no such file"):
        VAE().fit(tmp_path / "none.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.parquet file"):
        VAE().fit(tmp_path / "empty")
    (tmp_path / "x.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="not a readable Parquet"):
        VAE().fit(tmp_path / "x.parquet")
    other = tmp_path / "other.parquet"
    whole[0].select(["pt", "eta"]).save(other)
    with pytest.raises(InputError, match="columns differ"):
        VAE().fit([files[0], other])
    with pytest.raises(InputError, match="window is 1"):
        StreamedTable(files, window=1)
    with pytest.raises(InputError, match="leave out y"):
        VAE().fit(parts, np.zeros(3))


def test_detectors_that_need_the_whole_say_so(parts):
    for model in (IsolationForest(), AnoRand(epochs=1, labels="pseudo"), VAE(epochs=1, balance="groups")):
        with pytest.raises(InputError, match="in memory"):
            model.fit(StreamedTable(parts))
    with pytest.raises(InputError, match="no event has label 1"):
        AnomalyAwareVAE(epochs=1).fit(StreamedTable(sorted(parts.glob("*-[01].parquet"))))
