"""Templates of shared uncertainties: envelopes, leave-one-out, and shifts of the whole background."""

import hist
import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import fill
from hepaa.stats.systematics import Normalisation, Shape, generator_spread, one_sided, relative_shifts

BINS = Binning((0.0, 1.0, 2.0, 3.0))


def histogram(*yields):
    centres = np.repeat([0.5, 1.5, 2.5], 1)
    return fill(centres, np.array(yields, float), BINS)


def test_leave_one_out_of_three_generators_by_hand():
    a, b, c = ([10.0, 20.0, 30.0], [12.0, 20.0, 28.0], [20.0, 20.0, 20.0])
    nominal = np.mean([a, b, c], axis=0)
    by = {"A": histogram(*a), "B": histogram(*b), "C": histogram(*c)}
    (shape,) = generator_spread(by, nominal, sample="QCD", method="leave-one-out")
    # without C: (11, 20, 29), without A: (16, 20, 24), without B: (15, 20, 25), nominal (14, 20, 26)
    np.testing.assert_allclose(np.abs(np.array(shape.up) - nominal), [3, 0, 3], atol=1e-9)
    (envelope,) = generator_spread(by, nominal, sample="QCD", method="envelope")
    np.testing.assert_allclose(np.abs(np.array(envelope.up) - nominal), [6, 0, 6], atol=1e-9)


def test_shares_are_no_difference_between_generators():
    by = {"A": histogram(3.0, 6.0, 9.0), "B": histogram(7.0, 14.0, 21.0)}
    shape, *norm = generator_spread(by, [10.0, 20.0, 30.0], sample="QCD", shares={"A": 0.3, "B": 0.7})
    assert norm == []
    np.testing.assert_allclose(shape.up, [10, 20, 30])
    shape, norm = generator_spread(by, [10.0, 20.0, 30.0], sample="QCD")
    assert norm.up == pytest.approx(1.4)  # totals as 18 : 42
    with pytest.raises(InputError, match="give all one > 0"):
        generator_spread(by, [10.0, 20.0, 30.0], sample="QCD", shares={"A": 1.0})
    with pytest.raises(InputError, match="did you mean 'envelope'"):
        generator_spread(by, [10.0, 20.0, 30.0], sample="QCD", method="envelop")


def test_relative_shifts_of_the_whole_background():
    found = relative_shifts(
        [
            Normalisation("all", 1.2, 1 / 1.2),
            Normalisation("b only", 1.1, 0.9, ("B",)),
            Shape("bend", "A", (12.0, 8.0), (8.0, 12.0)),
            Shape("bend", "B", (33.0, 30.0), (27.0, 30.0)),
            Shape("signal only", "S", (1.0, 1.0), (0.0, 0.0)),
            Shape("elsewhere", "A", (12.0, 8.0), (8.0, 12.0), channel="other"),
        ],
        {"A": [10.0, 10.0], "B": [30.0, 30.0]},
        channel="sr",
    )
    assert set(found) == {"all", "b only", "bend"}
    np.testing.assert_allclose(found["all"], 0.2)
    np.testing.assert_allclose(found["b only"], 0.1 * 30 / 40)
    np.testing.assert_allclose(found["bend"], [5 / 40, -2 / 40])
    with pytest.raises(InputError, match="no background"):
        relative_shifts([], {"A": [1.0, 0.0]})


def test_one_sided_is_mirrored_and_stays_positive():
    shape = one_sided("x", "A", [10.0, 1.0], [12.0, 3.0])
    assert shape.up == (12.0, 3.0)
    assert shape.down == (8.0, 0.0)
    with pytest.raises(InputError, match="one >= 0 for each bin"):
        Shape("x", "A", (1.0, -1.0), (1.0, 1.0))
    assert isinstance(histogram(1, 2, 3), hist.Hist)
