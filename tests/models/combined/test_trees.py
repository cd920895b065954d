"""Boosted trees as arrays: scikit-learn's numbers, halves and weights, files, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score
from threadpoolctl import threadpool_limits

import hepaa
from hepaa.errors import InputError
from hepaa.models.combined import trees as module
from hepaa.models.combined.growing import grow
from hepaa.models.combined.trees import TreeEnsemble, Trees, fit_trees, log_odds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def two_classes(n: int = 1500, m: int = 600, seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """n events of a Gaussian and m of a narrower one beside it, in 3 features, one of them with few values."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, (n, 3)), rng.normal([1, 0.5, 0], [0.5, 1, 1], (m, 3))])
    x[:, 2] = np.round(x[:, 2])
    return x, np.repeat([0, 1], [n, m])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_member_gives_the_bytes_of_scikit_learn(dtype: Any) -> None:
    x, y = two_classes()
    x = x.astype(dtype)
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(max_iter=20).fit(x, y)
        rows = two_classes(seed=1)[0].astype(dtype)[:700]  # no whole number of blocks
        rows[0, 0], rows[1, 1] = 1e30, -1e30
        expected = model.decision_function(rows)
    np.testing.assert_array_equal(log_odds(Trees.of(model), rows), expected)


def test_members_are_the_trees_of_scikit_learn_and_stop_where_the_other_half_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Members see numbers of bins; the trees that come out are asked about features, those of edges included."""
    x, y = two_classes()
    weight = np.random.default_rng(2).uniform(0.2, 2, len(y))
    seen: list[Any] = []
    grown = Trees.grown
    monkeypatch.setattr(module, "grow", lambda *words: seen.append(words) or grow(*words))
    monkeypatch.setattr(Trees, "grown", lambda members, edges: seen.append(edges) or grown(members, edges))
    trees = fit_trees(x, y, weight, 3, np.random.default_rng(0), iterations=60, bins=40, leaves=6, patience=4)
    *members, edges = seen
    assert [len(e) for e in edges] == [39, 39, len(np.unique(edges[2]))]
    binned = np.column_stack([np.searchsorted(e, x[:, i]) for i, e in enumerate(edges)])
    expected = []
    for k, ((codes, truth, w), (codes_other, truth_other, w_other), *_) in enumerate(members):
        peer = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.2, max_leaf_nodes=6, max_bins=255, early_stopping=False
        )
        staged = [*peer.fit(codes, truth, sample_weight=w).staged_decision_function(codes_other)]
        none = np.full(len(codes_other), np.log(w[truth].sum() / w[~truth].sum()))
        losses = [log_loss(truth_other, expit(raw), sample_weight=w_other) for raw in (none, *staged)]
        stop = next(n for n in range(4, 60) if min(losses[n - 3 : n + 1]) >= losses[n - 4] - 1e-7)
        assert trees.first_tree[k + 1] - trees.first_tree[k] == stop
        expected.append([*peer.staged_decision_function(binned)][stop - 1])
    np.testing.assert_allclose(log_odds(trees, x), np.mean(expected, axis=0), rtol=0, atol=1e-6)
    assert np.isin(edges[0], x[:, 0]).all()  # so that the comparison above holds on edges too


def test_few_rows_and_features_without_information_give_leaves_alone() -> None:
    few = fit_trees(*two_classes(46, 32), None, 2, np.random.default_rng(0))  # 39 rows of a half
    assert (few.depth == 0).all()
    enough = fit_trees(*two_classes(60, 40), None, 2, np.random.default_rng(0))
    assert enough.depth.max() == 1  # two leaves of 20 at least, of 50 rows
    constant = fit_trees(np.ones((400, 2)), np.arange(400) % 2, None, 2, np.random.default_rng(0), patience=3)
    assert (constant.depth == 0).all()
    assert len(constant.root) == 6
    np.testing.assert_allclose(log_odds(constant, np.ones((1, 2))), 0, atol=1e-12)


def test_weights_are_numbers_of_events() -> None:
    x, y = two_classes()
    common = {"members": 4, "bins": 32, "iterations": 15, "patience": 100}  # copies in both halves would not stop

    def scores(x: Any, y: Any, weight: Any) -> Any:
        return log_odds(fit_trees(x, y, weight, rng=np.random.default_rng(0), **common), rows)

    rows = two_classes(seed=1)[0]
    even = scores(x, y, None)
    np.testing.assert_allclose(scores(x, y, np.where(y == 1, 7.0, 0.1)), even, atol=1e-6)  # both classes count the same
    kept = np.arange(len(x)) % 3 > 0
    np.testing.assert_array_equal(scores(x, y, 1.0 * kept), scores(x[kept], y[kept], None))
    heavy = 1.0 + 3.0 * (x[:, 1] > 0) * (y == 1)
    twice = np.repeat(np.arange(len(x)), heavy.astype(int))
    weighted, repeated = scores(x, y, heavy), scores(x[twice], y[twice], None)
    up = rows[:, 1] > 0
    shifts = [change[up].mean() - change[~up].mean() for change in (weighted - even, repeated - even)]
    assert shifts[0] == pytest.approx(shifts[1], rel=0.2)
    assert shifts[0] > 0.5


def test_classes_of_few_events_reach_both_halves() -> None:
    x, y = two_classes(300, 2)
    assert np.isfinite(log_odds(fit_trees(x, y, None, 3, np.random.default_rng(0)), x)).all()
    with pytest.raises(InputError, match="1 events of signal are too few"):
        fit_trees(x[:-1], y[:-1], None, 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="0 events of background are too few"):
        fit_trees(x, np.ones(len(x)), None, 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="none of them negative"):
        fit_trees(x, y, -np.ones(len(x)), 3, np.random.default_rng(0))
    with pytest.raises(InputError, match="finite features"):
        fit_trees(np.where(x == x.max(), np.nan, x), y, None, 3, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["trees", "boosting"])
def test_trees_are_saved_as_arrays(name: str, tmp_path: Path) -> None:
    x, y = two_classes()
    with threadpool_limits(1):
        model = hepaa.detector(name, iterations=10).fit(x, y)
    model.save(tmp_path / "m.safetensors")
    again = hepaa.load_detector(tmp_path / "m.safetensors")
    assert type(again) is type(model)
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.anomaly_score(x), model.anomaly_score(x))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("array", "change"), [("left", 10**6), ("right", -1), ("feature", -1), ("root", 10**6), ("first_tree", 1)]
)
def test_trees_that_lead_out_of_their_arrays_are_refused(array: str, change: int) -> None:
    x, y = two_classes(300, 100)
    arrays = fit_trees(x, y, None, 2, np.random.default_rng(0), iterations=3).to_arrays()
    assert Trees.from_arrays(arrays).to_arrays().keys() == arrays.keys()
    values = arrays[f"trees.{array}"].copy()
    values[0] = change
    with pytest.raises(InputError, match="the file is damaged"):
        Trees.from_arrays({**arrays, f"trees.{array}": values})
    with pytest.raises(InputError, match="the file is damaged"):
        Trees.from_arrays({**arrays, "trees.threshold": arrays["trees.threshold"][1:]})
    with pytest.raises(InputError, match=r"shape \(400, 1\) for trees that look at"):
        log_odds(Trees.from_arrays(arrays), x[:, :1])


@pytest.mark.parametrize(
    "bad", [{"members": 0}, {"iterations": 0}, {"leaves": 1}, {"bins": 256}, {"patience": 0}, {"learning_rate": 0}]
)
def test_parameters_that_make_no_sense(bad: dict[str, Any]) -> None:
    x, y = two_classes(100, 100)
    with pytest.raises(InputError, match=next(iter(bad))):
        TreeEnsemble(**bad).fit(x, y)


@pytest.mark.slow
def test_a_signal_of_two_percent_is_learned_from_noisy_labels(data: Path) -> None:
    """Signal region of 12,000 events with 240 W' against 60,000 of QCD; scikit-learn on all of it: 5.6-6.1 at 1e-2."""
    train, extra, test = (
        np.load(data / "lhco" / f"cathode_innerdata_{name}.npy") for name in ("train", "extrasig_train", "test")
    )
    qcd = np.concatenate([train[train[:, 5] == 0], test[test[:, 5] == 0]])[:, 1:5]
    qcd = qcd[np.random.default_rng(0).permutation(len(qcd))]
    x = np.concatenate([qcd[11_760:71_760], qcd[:11_760], extra[:240, 1:5]])
    trees = fit_trees(x, np.repeat([0, 1], [60_000, 12_000]), None, 20, np.random.default_rng(0))
    passed = np.concatenate([qcd[71_760:], extra[240:20_240, 1:5]])
    truth = np.repeat([0, 1], [len(passed) - 20_000, 20_000])
    score = log_odds(trees, passed)
    cut = np.quantile(score[truth == 0], 0.99)
    assert (score[truth == 1] > cut).mean() / 0.1 > 5.0
    assert roc_auc_score(truth, score) > 0.9
