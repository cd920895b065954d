"""Geometry of figures, measured: what a legend covers, what is cut at the edge, where labels stand."""

import matplotlib as mpl
import numpy as np
import pytest

from hepaa import plots
from hepaa.errors import InputError
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.table import EventTable, concatenate

LOOK = plots.Look("ATLAS", "Work in progress", 139, 13)
EDGES = Binning((0.00123456, 1.0, 2.0, 1234567.0))


def histograms(backgrounds=1, signals=1, data=False):
    """Score histograms whose events lie in all bins, the most in the last, which is under a legend on the right."""
    rng = np.random.default_rng(0)
    sizes = {**{f"Background {i}": (0, 400) for i in range(backgrounds)}, **{f"X_{i}": (1, 90) for i in range(signals)}}
    sizes |= {"data": (-1, 300)} if data else {}
    tables = [
        EventTable.build(rng.uniform(0.01, 7, (n, 1)), ["x"], label=label, process=name)
        for name, (label, n) in sizes.items()
    ]
    table = concatenate(tables)
    return score_histograms(table, table["x"], EDGES, by="process")


def pixels(figure):
    """What a figure looks like, (height, width, 3)."""
    figure.set_dpi(50)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3]


def behind(figure, box):
    """Colours within a box in pixels."""
    x0, y0, x1, y1 = np.round([box.x0 + 2, box.y0 + 2, box.x1 - 2, box.y1 - 2]).astype(int)
    return pixels(figure)[y0:y1, x0:x1]


def covered(figure):
    """Whether something is drawn behind a legend."""
    figure.set_dpi(50)
    figure.canvas.draw()
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend() is not None]
    boxes = [legend.get_window_extent() for legend in legends]
    for legend in legends:
        legend.set_visible(False)
    assert boxes
    return any(np.any(behind(figure, box) != 255) for box in boxes)


def cut(figure):
    """Whether something reaches over the edge of a figure."""
    with mpl.rc_context(figure.settings):
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


def roc_figure(look=None):
    rng = np.random.default_rng(0)
    y = rng.random(500) < 0.3
    scores = {f"Detector number {i}": rng.normal(size=500) + (0.3 * i) * y for i in range(7)}
    return plots.roc(y, scores, look=look)


def test_no_legend_covers_the_stack():
    figure = plots.score_histogram(histograms(3, 2, data=True), look=LOOK)
    assert not cut(figure)
    assert not covered(figure)


def test_no_legend_covers_a_curve():
    figure = roc_figure(LOOK)
    assert not cut(figure)
    assert not covered(figure)
    assert not covered(plots.loss_curves({"total": [1.0, 9.0], "val_total": [1.0, 9.5]}))


def test_a_tall_legend_stands_beside_the_frame():
    figure = plots.score_histogram(histograms(12, 5))
    top = figure.axes[0]
    assert top.get_legend().get_window_extent().x0 > top.bbox.x1
    assert top.get_window_extent().width == pytest.approx(0.84 * 640)  # the frame keeps its size
    assert not cut(figure)
    assert not covered(figure)


def test_ticks_and_names_of_events_are_not_cut():
    figure = plots.score_histogram(histograms(), look=plots.Look(style="CMS"))
    low = figure.axes[1]
    assert [t.get_text() for t in low.get_xticklabels()] == ["0.00123", "1", "2", "1.23e+06"]
    assert not cut(figure)
    figure = plots.feature_pulls(
        np.ones((2, 2)), ["a", "a feature of long name"], ["a process of long name, event 1", "b"]
    )
    assert not cut(figure)
    assert figure.axes[1].get_ylabel() == "Pull [standard deviations]"


def test_numbers_of_both_axes_do_not_meet_in_the_corner():
    figure = plots.score_histogram(histograms())
    axes = figure.axes[-1]
    with mpl.rc_context(figure.settings):
        across, up = (axis.get_ticklabels()[0].get_window_extent() for axis in (axes.xaxis, axes.yaxis))
    assert not across.overlaps(up)


def test_saving_a_prime_does_not_speak_of_old_fonts(tmp_path, caplog):
    plots.save_figure(plots.roc(np.arange(50) % 2, {"$W'$": np.arange(50.0)}), tmp_path / "roc")
    assert caplog.text == ""


def test_the_experiment_says_where_its_label_stands():
    places = {}
    for style in plots.STYLES:
        figure = plots.score_histogram(histograms(), look=plots.Look(style, "Preliminary", 139, 13))
        axes = figure.axes[0]
        boxes = {t.get_text(): t.get_window_extent() for t in axes.texts if t.get_text()}
        assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 + 1 for box in boxes.values())
        places[style] = {text: box.y1 < axes.bbox.y1 for text, box in boxes.items()}
        if places[style].get(style):
            assert not any(box.overlaps(axes.get_legend().get_window_extent()) for box in boxes.values())
    beam = r"139 fb$^\mathrm{-1}$ (13 TeV)"
    assert places == {
        "plain": {"Preliminary": False, beam: False},
        "CMS": {"CMS": False, "Preliminary": False, beam: False},
        "ATLAS": {"ATLAS": True, "Preliminary": True, r"$\sqrt{s}$ = 13 TeV, 139 fb$^\mathrm{-1}$": True},
        "LHCb": {"LHCb": True, "Preliminary": True, beam: False},
        "ALICE": {"ALICE": True, "Preliminary": True, beam: False},
    }


def test_the_luminosity_is_printed_where_it_matters():
    x = np.geomspace(10, 1000, 5)
    look = plots.Look(luminosity=139, sqrt_s=13)
    rng = np.random.default_rng(0)
    groups = {name: (rng.normal(size=200), np.ones(200)) for name in "AB"}
    for figure in (
        plots.roc(np.arange(50) % 2, np.arange(50.0), look=look),
        plots.luminosity_reach(x, {"VAE": np.sqrt(x)}, look=look),
        plots.latent_space({"A": np.ones((5, 2))}, look=look),
        plots.score_by_generator(groups, {}, look=look),
        plots.feature_pulls([[1.0]], ["a"], ["b"], look=look),
    ):
        assert r"$\sqrt{s}$ = 13 TeV" in words(figure)
        assert "139" not in " ".join(words(figure))


def test_processes_are_called_what_the_look_says():
    look = plots.Look(names={"X_0": "$O_{HW}$"})
    figure = plots.score_histogram(histograms(), look=look)
    legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert legend == ["Background 0", "MC stat. uncertainty", "$O_{HW}$"]
    figure = plots.latent_space({"X_0": np.ones((5, 2)), "A": np.zeros((5, 2))}, ["X_0"], look=look)
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["A", "$O_{HW}$"]


def test_features_after_the_cut_have_error_bars():
    rng = np.random.default_rng(0)
    table = EventTable.build(rng.normal(size=(500, 1)), ["x"], process="ZH")
    figure = plots.feature_distributions(table, table["x"], 1.0, bins=10)
    (bars,) = figure.axes[0].containers
    low, high = np.array([segment[:, 1] for segment in bars[2][0].get_segments()]).T
    n = np.histogram(table["x"][table["x"] >= 1], figure.axes[0].patches[0].get_data().edges)[0]
    np.testing.assert_allclose((high - low) / 2, np.sqrt(n) / np.sum(table["x"] >= 1), rtol=1e-6)


def test_arrays_are_enough_for_a_curve():
    y, score = np.repeat([0, 1], 200), np.arange(400.0) % 173
    for draw in (plots.roc, plots.sic):
        figure = draw(y, score, weight=np.ones(400))
        assert figure.axes[0].get_legend().get_texts()[0].get_text().startswith("score: ")
        with pytest.raises(InputError, match=r"labels \(n,\) and scores"):
            draw(y)
