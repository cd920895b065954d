"""SkewLogStandardize against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone

from hepaa.errors import InputError, NotFittedError
from hepaa.table import EventTable
from hepaa.table.preprocess import SkewLogStandardize


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.column_stack([rng.exponential(50, 4000), rng.normal(3, 2, 4000), rng.lognormal(0, 1, 4000) - 0.5])


def test_skewness_is_scipys_and_decides_who_is_logged(sample: np.ndarray) -> None:
    fitted = SkewLogStandardize().fit(sample)
    np.testing.assert_allclose(fitted.skewness_, stats.skew(sample), rtol=1e-10)
    assert fitted.log_.tolist() == [True, False, True]


def test_output_is_standardised_float32_with_negatives_at_zero(sample: np.ndarray) -> None:
    fitted = SkewLogStandardize().fit(sample)
    out = fitted.transform(sample)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.mean(axis=0, dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(out.std(axis=0, dtype=float), 1, rtol=1e-6)
    by_hand = np.log1p(np.clip(sample[:, 2], 0, None))
    np.testing.assert_allclose(out[:, 2], (by_hand - by_hand.mean()) / by_hand.std(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(*fitted.transform(np.array([[1.0, 0, -7], [1.0, 0, 0]])))


def test_a_weight_of_two_is_a_row_that_stands_twice(sample: np.ndarray) -> None:
    weight = np.where(np.arange(len(sample)) % 3 == 0, 2.0, 1.0)
    weighted = SkewLogStandardize().fit(sample, sample_weight=weight)
    repeated = SkewLogStandardize().fit(np.repeat(sample, weight.astype(int), axis=0))
    for name in ("skewness_", "mean_", "scale_"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9)


def test_negative_weights_count_with_their_sign(sample: np.ndarray) -> None:
    doubled = np.concatenate([sample, sample[:500]])
    weight = np.r_[np.ones(len(sample)), -np.ones(500)]
    cancelled = SkewLogStandardize().fit(doubled, sample_weight=weight)
    np.testing.assert_allclose(cancelled.mean_, SkewLogStandardize().fit(sample[500:]).mean_, rtol=1e-9)
    with pytest.raises(InputError, match="sum to -4000"):
        SkewLogStandardize().fit(sample, sample_weight=-np.ones(len(sample)))


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (1, 7.0, r"'eta' is constant \(7\)"),
        (2, [-1.0] * 5 + [np.nan] + [-1.0] * 3994, "'mass' is NaN in row 5"),
        (0, [1.0] * 6 + [-np.inf] + [2.0] * 3993, r"'pt' is infinity \(inf\) in row 6"),
        (2, [-9e4] + [-1.0] * 1999 + [-0.5] * 2000, "the weighted variance"),
    ],
)
def test_bad_columns_are_named(sample: np.ndarray, column: int, values: object, message: str) -> None:
    X = sample.copy()
    X[:, column] = values
    weight = None
    if "variance" in message:
        weight = np.where(np.arange(4000) == 0, -1.0, 1.0)
    with pytest.raises(InputError, match=message):
        SkewLogStandardize().fit(pd.DataFrame(X, columns=["pt", "eta", "mass"]), sample_weight=weight)


def test_a_skewed_feature_without_positive_values_is_not_logged(sample: np.ndarray) -> None:
    X = sample.copy()
    X[:, 2] = np.where(np.arange(len(X)) < 10, -0.001, -1.0)  # log1p of it, clipped at 0, would be constant
    fitted = SkewLogStandardize().fit(X)
    assert fitted.skewness_[2] > 1
    assert not fitted.log_[2]
    np.testing.assert_allclose(fitted.transform(X)[:, 2], (X[:, 2] - X[:, 2].mean()) / X[:, 2].std(), rtol=1e-5)


def test_columns_are_matched_by_name(sample: np.ndarray) -> None:
    frame = pd.DataFrame(sample, columns=["pt", "eta", "mass"])
    fitted = SkewLogStandardize().fit(frame)
    shuffled = frame[["mass", "pt", "eta"]].assign(other=1.0)
    np.testing.assert_array_equal(fitted.transform(shuffled), fitted.transform(frame))
    table = EventTable.build(sample[:, ::-1], ["mass", "eta", "pt"])
    np.testing.assert_allclose(fitted.transform(table), fitted.transform(frame), atol=1e-4)
    with pytest.raises(InputError, match="needs column 'mass'"):
        fitted.transform(frame[["pt", "eta"]])
    with pytest.raises(InputError, match="2 features"):
        fitted.transform(sample[:, :2])
    assert fitted.get_feature_names_out().tolist() == ["pt", "eta", "mass"]


def test_refuses_to_guess(sample: np.ndarray) -> None:
    with pytest.raises(NotFittedError):
        SkewLogStandardize().transform(sample)
    with pytest.raises(InputError, match="at least 2"):
        SkewLogStandardize().fit(sample[:1])
    with pytest.raises(InputError, match="one weight an event"):
        SkewLogStandardize().fit(sample, sample_weight=np.ones(3))
    assert not SkewLogStandardize(threshold=None).fit(sample).log_.any()
    assert clone(SkewLogStandardize(threshold=2.5)).threshold == 2.5
