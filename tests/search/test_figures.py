"""Figures of a search: what they show, and that no legend covers it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, background, planted, table
from matplotlib.figure import Figure

from hepaa.plots.style import Look
from hepaa.search import Calibrated, Combined, Cwola, Injection, Residual, cross_fit, figures, scan

METHOD = Residual(WINDOW, members=1, components=3)
LOOK = Look("CMS", "Work in progress", 3000, 13.6)


@pytest.fixture(scope="module")
def result():
    return cross_fit(METHOD, table(planted()), **SMALL | {"efficiencies": (0.3, 0.1, 0.02)})


@pytest.fixture(scope="module")
def scanned():
    both = Combined([METHOD, Cwola(WINDOW, members=1)])
    windows = [(2900, 3200), (3300, 3700), (3700, 4200)]
    return scan(both, table(planted()), windows=windows, **SMALL | {"efficiencies": (0.3, 0.2, 0.1, 0.05)})


@pytest.fixture(scope="module")
def injection():
    rng = np.random.default_rng(0)
    strengths = np.array([0, 0.5, 1, 1.5, 2.2, 3])
    z = rng.normal(0, 1, (6, 10, 9)) + (strengths**2)[:, None, None]
    return Injection(strengths, tuple(f"look {i}" for i in range(9)), z, z)


@pytest.fixture(scope="module")
def pictures(result, scanned, injection):
    def one(i):
        return background(400, np.random.default_rng(i)).x

    return {
        "spectra": lambda: figures.spectra(result.fits(), WINDOW.signal, look=LOOK),
        "scan": lambda: figures.scan_p_values(scanned, calibrated(scanned), look=LOOK),
        "threshold": lambda: figures.threshold(injection, look=LOOK),
        "signal": lambda: figures.signal_panel(result, look=LOOK, labels={"a": ("$a$", "GeV")}),
        "closure": lambda: figures.closure_panel(one(0), one(1), ("a", "b"), look=LOOK),
        "signal, one input": lambda: figures.closure_panel(one(0)[:, :1], one(1)[:, :1], ("a",), look=LOOK),
    }


def calibrated(scanned):
    z = {name: fit.z for name, fit in scanned.looks.items()}
    return Calibrated.of(z, np.random.default_rng(0).normal(size=(50, len(z))))


def words(legend):
    return [t.get_text() for t in legend.get_texts()]


def png(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


NAMES = ["spectra", "scan", "threshold", "signal", "closure", "signal, one input"]


@pytest.mark.parametrize("name", NAMES)
def test_no_legend_covers_data_or_text(name, pictures):
    figure = pictures[name]()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    legends = [(legend, None) for legend in figure.legends]
    legends += [(axes.get_legend(), axes) for axes in figure.axes if axes.get_legend()]
    assert len(legends) == 1
    for legend, axes in legends:
        box = legend.get_window_extent()
        assert box.x0 >= figure.bbox.x0 - 1
        assert box.x1 <= figure.bbox.x1 + 1
        texts = [t for other in figure.axes for t in other.texts if t.get_text()]
        assert not [t.get_text() for t in texts if t.get_window_extent().overlaps(box)]
        headers = [t.get_window_extent() for t in texts if t.get_window_extent().y0 >= t.axes.get_window_extent().y1]
        assert len(headers) == 3  # experiment, label, luminosity
        assert not any(one.overlaps(other) for i, one in enumerate(headers) for other in headers[:i])
        if axes is None:  # above all panels
            assert not any(other.get_window_extent().overlaps(box) for other in figure.axes)
            continue
        across = [0.0, 1.0]  # lines from side to side, such as that of 3 sigma, are no data
        for line in axes.lines:
            if len(line.get_xdata()) and list(line.get_xdata()) != across:
                points = axes.transData.transform(line.get_xydata())
                assert not inside(box, points)
        for collection in axes.collections:
            for path in collection.get_paths():
                assert not inside(box, axes.transData.transform(path.vertices))


def inside(box, points):
    x, y = points.T
    return bool(((x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)).any())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_same_result_gives_the_same_bytes(name, pictures):
    assert png(pictures[name]()) == png(pictures[name]())


def test_every_efficiency_has_points_a_fit_and_its_z(result):
    figure = figures.spectra(result.fits(), WINDOW.signal, mass="$m_{jj}$ [GeV]", title="toy")
    upper, lower = figure.axes
    assert words(upper.get_legend()) == [f"{f.efficiency:g} of background: $z$ = {f.z:.1f}" for f in result.fits()]
    assert upper.get_legend().get_title().get_text() == "toy"
    assert lower.get_xlabel() == "$m_{jj}$ [GeV]"
    last = result.fits()[-1]
    expected = (last.counts - last.fitted) / np.sqrt(last.fitted + last.fitted_error**2)
    np.testing.assert_allclose(lower.patches[0].get_data().values, expected)
    blind = figures.spectra(result.fits(), WINDOW.signal, quoted=False)
    assert words(blind.axes[0].get_legend()) == [f"{f.efficiency:g} of background" for f in result.fits()]


@pytest.mark.slow
def test_more_efficiencies_than_line_styles_are_all_drawn(result):
    fits = [result.fit(e) for e in np.linspace(0.9, 0.1, 9)]
    assert len(words(figures.spectra(fits, WINDOW.signal).axes[0].get_legend())) == 9


def test_all_looks_of_a_scan_and_of_an_injection_are_drawn(scanned, injection):
    axes = figures.scan_p_values(scanned, calibrated(scanned)).axes[0]
    assert len(words(axes.get_legend())) == 12 + 1
    assert words(axes.get_legend())[-1].startswith("global: $p$ ")
    axes = figures.threshold(injection, signal="$W'$").axes[0]
    assert words(axes.get_legend()) == [*injection.looks, "no cut"]
    assert axes.get_xlabel() == r"Injected $W'$, $S/\sqrt{B}$ in the window"


def test_the_p_value_of_each_window_is_that_of_its_z(scanned):
    from scipy import stats

    axes = figures.scan_p_values(scanned).axes[0]
    x, p = axes.lines[0].get_data()
    np.testing.assert_allclose(x, [3050, 3500, 3950])
    np.testing.assert_allclose(p, stats.norm.sf([r.looks["Residual at 0.3"].z for r in scanned.results]))


def test_the_signal_panel_shows_data_background_and_the_signal_that_was_found(result):
    figure = figures.signal_panel(result, efficiency=0.02, look=Look(names={"data": "Run 2"}))
    assert words(figure.legends[0]) == ["background, predicted", "signal, as fitted", "Run 2, cut at 0.02"]
    fit = result.fit(0.02)
    first = figure.axes[0]
    background_steps, signal_steps = (patch.get_data().values for patch in first.patches)
    assert background_steps.sum() == pytest.approx(fit.expected, rel=0.1)
    assert signal_steps.sum() == pytest.approx(fit.observed - fit.expected, rel=0.1)
    edges = first.patches[1].get_data().edges
    assert edges[signal_steps.argmax()] == pytest.approx(1.8, abs=0.5)


@pytest.mark.slow
def test_a_method_without_a_signal_has_a_panel_without(result):
    other = cross_fit(Cwola(WINDOW, members=1), table(planted()), **SMALL)
    assert words(figures.signal_panel(other).legends[0]) == ["background, predicted", "data, cut at 0.02"]


def test_the_signal_panel_of_all_methods_shows_the_signal_in_the_inputs_of_the_method_that_models_it():
    both = Combined([METHOD.fresh(inputs=("b",)), Cwola(WINDOW, inputs=("a", "b"), members=1)])
    together = cross_fit(both, table(planted()), **SMALL).parts[-1]
    figure = figures.signal_panel(together, efficiency=0.02)
    shown = {axes.get_xlabel(): len(axes.patches) for axes in figure.axes if axes.get_xlabel()}
    assert shown == {"b": 2, "a": 1}  # steps: the background predicted, and the signal where it is modelled
