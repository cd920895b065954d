"""Densities of features given a mass: one contract for the mixture and the flow, against a density in closed form."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from hepaa.errors import InputError, NotFittedError
from hepaa.models.density.conditional import ConditionalDensity, ConditionalMixture, load_density
from hepaa.models.density.conditional_flow import ConditionalFlow

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMALL: dict[str, dict[str, Any]] = {
    "ConditionalMixture": {"components": 8, "first_rows": 3000},
    "ConditionalFlow": {"transforms": 2, "hidden": (16,), "epochs": 10, "batch_size": 512},
}
CLASSES: dict[str, Any] = {"ConditionalMixture": ConditionalMixture, "ConditionalFlow": ConditionalFlow}
LOW, HIGH = 3300.0, 3700.0  # GeV: no event in between is trained on


def small(name: str, **more: Any) -> Any:
    return CLASSES[name](**{**SMALL[name], **more})


def location(mass: Array) -> Array:
    return np.column_stack([(mass - 3500) / 1000, np.full(len(mass), 0.3)])


def width(mass: Array) -> Array:
    return np.column_stack([np.full(len(mass), 0.5), np.exp((mass - 3500) / 2000)])


def draw(mass: Array, seed: int) -> Array:
    """Gaussians whose mean and width move with the mass, correlated by 0.6."""
    a, b = np.random.default_rng(seed).standard_normal((2, len(mass)))
    return location(mass) + width(mass) * np.column_stack([a, 0.6 * a + 0.8 * b])


def exact(x: Array, mass: Array) -> Array:
    z = (x - location(mass)) / width(mass)
    correlated = stats.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).logpdf(z)
    return np.asarray(correlated - np.log(width(mass)).sum(axis=1))


@pytest.fixture(scope="module")
def sidebands() -> tuple[Array, Array]:
    """6,000 events of 2.5 to 4.5 TeV, without those of 3.3 to 3.7."""
    mass = np.random.default_rng(0).uniform(2500, 4500, 7500)
    mass = mass[(mass < LOW) | (mass > HIGH)][:6000]
    return draw(mass, 1), mass


@pytest.fixture(scope="module")
def fitted(sidebands: tuple[Array, Array]) -> dict[str, ConditionalDensity]:
    return {name: small(name).fit(*sidebands) for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
class TestContract:
    def test_density_is_that_of_a_moving_gaussian_in_the_gap_too(self, name: str, fitted: Any) -> None:
        """Mean of log(exact / model) over events of the exact density: the divergence, 0 for a perfect model."""
        rng = np.random.default_rng(2)
        for ends in ((2600, LOW), (LOW, HIGH), (HIGH, 4400)):
            mass = rng.uniform(*ends, 4000)
            x = draw(mass, 3)
            seen = ((x > fitted[name].residuals_.low) & (x < fitted[name].residuals_.high)).all(axis=1)
            x, mass = x[seen], mass[seen]  # beyond the training events there is no density to be right about
            log_density = fitted[name].log_density(x, mass)
            assert log_density.dtype == np.float64
            assert abs(np.mean(exact(x, mass) - log_density)) < 0.03
            without = log_density - fitted[name].log_density(x, np.full(len(mass), 2500.0))
            assert without.mean() > 0.05  # the mass matters

    @pytest.mark.parametrize("mass", [2700.0, 3500.0, 4300.0])
    def test_integral_is_one_and_samples_follow_the_density(self, name: str, mass: float, fitted: Any) -> None:
        model = fitted[name]
        low, high = model.residuals_.low, model.residuals_.high
        cells, points = 8, 25  # points a side of each cell
        edges = [np.linspace(a, b, cells * points + 1) for a, b in zip(low, high, strict=True)]
        grid = np.meshgrid(*((e[1:] + e[:-1]) / 2 for e in edges), indexing="ij")
        at = np.column_stack([g.ravel() for g in grid])
        density = np.exp(model.log_density(at, np.full(len(at), mass))) * np.prod([e[1] - e[0] for e in edges])
        assert density.sum() == pytest.approx(1, abs=0.005)
        expected = density.reshape(cells, points, cells, points).sum(axis=(1, 3)).ravel()
        n = 20_000
        sample = model.sample(np.full(n, mass), np.random.default_rng(4))
        counts = np.histogram2d(*sample.T, bins=[e[::points] for e in edges])[0].ravel()
        assert counts.sum() == n  # none beyond the range of the features
        many = n * expected > 10
        chi2 = ((counts - n * expected)[many] ** 2 / (n * expected[many])).sum()
        assert stats.chi2.sf(chi2, many.sum()) > 1e-3

    def test_samples_are_those_of_the_generator(self, name: str, fitted: Any, sidebands: Any) -> None:
        mass = sidebands[1][:300]
        one, same, other = (fitted[name].sample(mass, np.random.default_rng(s)) for s in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()
        assert one.shape == (300, 2)
        assert fitted[name].sample(mass[:0], np.random.default_rng(0)).shape == (0, 2)

    def test_an_event_does_not_depend_on_its_company(self, name: str, fitted: Any, sidebands: Any) -> None:
        x, mass = sidebands
        together = fitted[name].log_density(x, mass)
        np.testing.assert_allclose(fitted[name].log_density(x[50:60], mass[50:60]), together[50:60], atol=1e-5)

    def test_a_weight_of_two_is_the_event_twice(self, name: str, sidebands: Any) -> None:
        x, mass = sidebands[0][:3000], sidebands[1][:3000]
        heavy = np.random.default_rng(0).uniform(size=3000) < expit(3 * (x[:, 1] - 0.3))
        model = small(name).fit(x, mass, sample_weight=1.0 + 3 * heavy)
        sample = model.sample(mass, np.random.default_rng(0))
        assert sample[:, 1].mean() == pytest.approx(np.average(x[:, 1], weights=1 + 3 * heavy), abs=0.06)
        assert sample[:, 1].mean() > x[:, 1].mean() + 0.2
        if name == "ConditionalMixture":  # a flow sees more batches of more events, and ends elsewhere
            rows = np.concatenate([np.arange(3000), *[np.flatnonzero(heavy)] * 3])
            one = small(name, components=1).fit(x, mass, sample_weight=1.0 + 3 * heavy)
            repeated = small(name, components=1).fit(x[rows], mass[rows])
            np.testing.assert_allclose(one.log_density(x, mass), repeated.log_density(x, mass), rtol=1e-6)

    def test_save_and_load(self, name: str, fitted: Any, sidebands: Any, tmp_path: Path) -> None:
        x, mass = sidebands
        fitted[name].save(tmp_path / "d.safetensors")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["d.json", "d.safetensors"]
        again: Any = load_density(tmp_path / "d.safetensors")
        assert type(again) is CLASSES[name]
        assert again.get_params() == fitted[name].get_params()
        np.testing.assert_array_equal(again.log_density(x, mass), fitted[name].log_density(x, mass))
        samples = [model.sample(mass, np.random.default_rng(0)) for model in (again, fitted[name])]
        np.testing.assert_array_equal(*samples)
        if name == "ConditionalFlow":
            np.testing.assert_array_equal(again.latent(x, mass), fitted[name].latent(x, mass))
            assert again.history_ == fitted[name].history_

    def test_what_is_refused(self, name: str, fitted: Any, sidebands: Any, tmp_path: Path) -> None:
        x, mass = sidebands[0][:200], sidebands[1][:200]
        empty = small(name)
        for call in (
            lambda: empty.log_density(x, mass),
            lambda: empty.sample(mass, np.random.default_rng(0)),
            lambda: empty.save(tmp_path / "d.safetensors"),
        ):
            with pytest.raises(NotFittedError, match="not fitted yet"):
                call()
        bad_x = np.where(np.arange(200)[:, None] == 7, np.nan, x)
        for match, words in (
            ("shapes", (x, mass[:7])),
            ("not finite", (bad_x, mass)),
            ("as many finite weights", (x, mass, np.ones(3))),
            ("none negative", (x, mass, -np.ones(200))),
            ("too few", (x[:9], mass[:9])),
            ("feature 1 is constant", (x * [1, 0], mass)),
            ("the mass is constant", (x, 0 * mass)),
        ):
            with pytest.raises(InputError, match=match):
                small(name).fit(*words)
        with pytest.raises(InputError, match="1 features for a density of 2"):
            fitted[name].log_density(x[:, :1], mass)
        bads: dict[str, Any] = {"degree": 0, "seed": -1}
        bads |= {"components": 0, "shrinkage": 0.0} if name == "ConditionalMixture" else {
            "transforms": 0, "hidden": 16, "bins": 1, "epochs": 0, "batch_size": 0, "learning_rate": -1.0,
            "validation_fraction": 1.0,
        }  # fmt: skip
        for key, value in bads.items():
            with pytest.raises(InputError, match=key):
                small(name, **{key: value}).fit(x, mass)


def test_latent_space_is_where_samples_come_from(fitted: dict[str, Any], sidebands: tuple[Array, Array]) -> None:
    """The flow turned around is exact, and its latent space is standard normal at every mass."""
    flow, mass = fitted["ConditionalFlow"], sidebands[1]
    noise = np.random.default_rng(5).standard_normal((len(mass), 2))
    there = flow.latent(flow.sample(mass, np.random.default_rng(5)), mass)
    np.testing.assert_allclose(there, noise, atol=1e-6)
    gap = np.random.default_rng(6).uniform(LOW, HIGH, 4000)
    latent = flow.latent(draw(gap, 7), gap)
    assert max(stats.kstest(column, "norm").statistic for column in latent.T) < 0.04
    assert abs(stats.spearmanr(latent[:, 0], gap).statistic) < 0.06


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_no_weight_is_no_event(name: str, sidebands: tuple[Array, Array]) -> None:
    x, mass = sidebands
    kept = np.arange(len(x)) % 2 == 0
    one, other = small(name).fit(x, mass, sample_weight=1.0 * kept), small(name).fit(x[kept], mass[kept])
    np.testing.assert_array_equal(one.log_density(x, mass), other.log_density(x, mass))


@pytest.mark.slow
def test_same_seed_same_bytes_another_seed_another_flow(sidebands: tuple[Array, Array]) -> None:
    one, same, other = (small("ConditionalFlow", seed=s).fit(*sidebands).log_density(*sidebands) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.slow
def test_flows_are_known_to_load_density_alone(fitted: dict[str, Any], tmp_path: Path) -> None:
    fitted["ConditionalFlow"].save(tmp_path / "d.safetensors")
    code = (
        "from hepaa.models.density.conditional import load_density; print(type(load_density('d.safetensors')).__name__)"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "ConditionalFlow"


@pytest.mark.parametrize("name", CLASSES)
def test_a_value_beyond_the_training_events_counts_as_the_most_extreme_of_them(
    name: str, fitted: dict[str, Any], sidebands: tuple[Array, Array]
) -> None:
    """Just beyond the range and far from it."""
    x, _ = sidebands
    mass = np.full(3, 3000.0)
    beyond = np.stack([x.max(axis=0), x.max(axis=0) + 1e-3 * np.ptp(x, axis=0), [1e6, 1e6]])
    density, latent = fitted[name].log_density(beyond, mass), fitted[name].latent(beyond, mass)
    np.testing.assert_allclose(density, density[0], rtol=1e-6)
    np.testing.assert_allclose(latent, latent[:1].repeat(3, axis=0), rtol=1e-6)
