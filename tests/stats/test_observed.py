"""p-values of observed counts: against sums of Poisson probabilities, and uniform where the prediction is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from hepaa.errors import InputError
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.stats.observed import Observed, excess
from hepaa.stats.significance import li_ma, z_to_p
from hepaa.table import EventTable, concatenate


def test_a_known_background_gives_the_poisson_tail():
    n, b = np.array([0, 1, 7, 40]), np.array([0.5, 3.0, 7.0, 20.0])
    p, z = excess(n, b, np.zeros(4))
    np.testing.assert_allclose(p, stats.poisson(b).sf(n - 1))
    np.testing.assert_allclose(z_to_p(z[1:]), p[1:])
    assert z[0] == -np.inf


@pytest.mark.parametrize(("n", "b", "sigma"), [(12, 5.0, 2.0), (3, 6.0, 1.5), (150, 100.0, 20.0)])
def test_an_uncertain_background_gives_the_poisson_tail_over_its_gamma_density(n, b, sigma):
    tau = b / sigma**2
    density = stats.gamma(tau * b + 1, scale=1 / tau)  # the posterior of a count of tau b with a flat prior
    mean, _ = integrate.quad(lambda x: density.pdf(x) * stats.poisson(x).sf(n - 1), 0, b + 12 * sigma)
    p, _ = excess([n], [b], [sigma])
    assert p[0] == pytest.approx(mean, rel=1e-6)


def test_beyond_the_smallest_numbers_the_likelihood_ratio_goes_on():
    p, z = excess([4000.0], [1000.0], [10.0])
    assert p[0] == 0
    assert z[0] == pytest.approx(li_ma(4000.0, 10_000.0, 0.1))
    closer = excess([1600.0], [1000.0], [10.0])[1][0]
    assert closer == pytest.approx(li_ma(1600.0, 10_000.0, 0.1), rel=0.01)


def test_what_is_no_count_has_no_p_value():
    with pytest.raises(InputError, match="whole numbers"):
        excess([1.5], [1.0], [0.1])
    with pytest.raises(InputError, match="no background"):
        excess([1], [0.0], [0.1])


def test_shared_uncertainties_move_the_total_as_one_and_blind_bins_hold_nothing():
    table = concatenate([
        EventTable.build(np.repeat([0.5, 1.5, 2.5], 400)[:, None], ["x"], weight=np.full(1200, 0.25)),
        EventTable.build([[0.5], [1.5], [2.7]], ["x"], label=-1, process="data"),
    ])  # fmt: skip
    binning, shifts = Binning((0.0, 1.0, 2.0, 3.0)), {"e": np.array([0.3, -0.3, 0.0])}
    h = score_histograms(table, table["x"], binning)
    seen = Observed.of(h, systematic=0.2, shifts=shifts)
    np.testing.assert_allclose(seen.sigma_b, np.sqrt(25 + (0.2 * 100) ** 2 + (np.array([30, 30, 0])) ** 2))
    assert seen.sigma_total == pytest.approx(np.sqrt(75 + (0.2 * 300) ** 2))  # the shift cancels in the sum
    numbers = seen.to_dict()
    assert numbers["events"] == [1, 1, 1]
    assert numbers["total"]["events"] == 3
    blind = Observed.of(score_histograms(table, table["x"], binning, blind_above=2.0), systematic=0.2, shifts=shifts)
    hidden = blind.to_dict()
    assert hidden["events"] == [1, 1, None]
    assert hidden["p"] is hidden["z"] is hidden["total"] is None
    scaled = score_histograms(table.with_weight(np.full(table.n, 2.0)), table["x"], binning)
    with pytest.raises(InputError, match="data have weights"):
        Observed.of(scaled, systematic=0.2, shifts=shifts)
