"""Figures: the right artists, labels and files; nothing global changes."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.colors import rgb_to_hsv, to_rgb
from PIL import Image

from hepaa import plots
from hepaa.errors import InputError
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.stats.performance import roc, sic
from hepaa.table import EventTable, concatenate

LOOK = plots.Look(label="Work in progress", luminosity=139, sqrt_s=13)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    sizes = {"Pythia": 3000, "Sherpa": 1000, "Herwig": 500}
    parts = [
        EventTable.build(
            rng.exponential(1.0, (n, 2)), ["ptH", "mZH"], process="ZH", generator=g, weight=np.full(n, 0.5)
        )
        for g, n in sizes.items()
    ]
    parts += [
        EventTable.build(rng.exponential(3.0, (400, 2)), ["ptH", "mZH"], label=1, process=p, weight=np.full(400, 0.1))
        for p in ("EFT", "W'")
    ]
    return concatenate(parts)


@pytest.fixture(scope="module")
def histograms(table):
    return score_histograms(table, table["ptH"], Binning((0.0, 1.0, 2.0, 4.0, 8.0, 16.0)), by="generator")


def texts(figure):
    return [t.get_text() for axes in figure.axes for t in axes.texts if t.get_text()]


def legend(axes):
    return [t.get_text() for t in axes.get_legend().get_texts()]


def test_score_histogram_shows_what_it_was_given(histograms):
    figure = plots.score_histogram(histograms, signal_scale=5, systematic=0.1, look=LOOK)
    top, low = figure.axes
    words = legend(top)
    assert words[:3] == ["Pythia", "Sherpa", "Herwig"]  # the largest first
    assert words[3] == r"MC stat. $\oplus$ 10 % syst."
    assert words[4:] == [r"EFT ($\times$5)", r"W' ($\times$5)"]
    assert top.get_yscale() == "log"
    assert (top.get_ylabel(), low.get_ylabel(), low.get_xlabel()) == (
        "Events / bin",
        r"Asimov $Z$",
        "anomaly score, bins of equal width",
    )
    assert {"Work in progress", r"139 fb$^\mathrm{-1}$ (13 TeV)"} <= set(texts(figure))
    stack = [p for p in top.patches if p.get_label() in ("Pythia", "Sherpa", "Herwig")]
    np.testing.assert_allclose(stack[-1].get_data().values, histograms.b)
    lines = {p.get_label(): p for p in top.patches}
    np.testing.assert_allclose(lines[r"EFT ($\times$5)"].get_data().values, 5 * histograms.s("EFT"))
    expected = histograms.significance("EFT", systematic=0.1)
    np.testing.assert_allclose(low.patches[0].get_data().values, expected.z)
    assert legend(low)[0] == rf"all bins: {expected.total:.2f} $\pm$ {expected.total_error:.2f}"


def test_score_histogram_is_readable_without_colour(histograms):
    figure = plots.score_histogram(histograms)
    patches = figure.axes[0].patches
    fills = [p for p in patches if p.get_label() in ("Pythia", "Sherpa", "Herwig")]
    lightness = [np.dot(to_rgb(p.get_facecolor()), (0.299, 0.587, 0.114)) for p in fills]
    assert lightness[0] > lightness[1] + 0.1 > lightness[2] + 0.2
    assert len({p.get_hatch() for p in fills}) == 3
    signals = [p for p in patches if p.get_label() in ("EFT", "W'")]
    assert len({p.get_linestyle() for p in signals}) == 2
    assert all(rgb_to_hsv(to_rgb(p.get_edgecolor()))[2] < 0.6 for p in signals)  # dark on light


def test_with_data_the_lower_panel_is_data_over_prediction(table):
    x = np.repeat([0.5, 3.0, 9.0], [900, 1000, 25])
    data = EventTable.build(np.column_stack([x, x]), ["ptH", "mZH"], label=-1, process="data")
    both = concatenate([table, data])
    binning, shift = Binning((0.0, 1.0, 8.0, 30.0)), {"e": np.array([0.0, 0.3, 0.0])}
    seen = score_histograms(both, both["ptH"], binning)
    top, low = plots.score_histogram(seen, systematic=0.1, shifts=shift).axes
    assert low.get_ylabel() == "Data / pred."
    (points,) = low.containers
    np.testing.assert_allclose(points[0].get_ydata(), seen.data.values() / seen.b)
    sigma = np.sqrt(seen.b_variance + (0.1 * seen.b) ** 2 + (shift["e"] * seen.b) ** 2)
    np.testing.assert_allclose(low.patches[0].get_data().values, 1 + sigma / seen.b)
    assert "Blind" not in legend(top)
    blind = score_histograms(both, both["ptH"], binning, blind_above=9.0)
    top, low = plots.score_histogram(blind).axes
    (points,) = low.containers
    assert len(points[0].get_ydata()) == 2
    assert "Blind" in legend(top)
    hidden = score_histograms(both, both["ptH"], binning, blind_above=0.5)
    assert plots.score_histogram(hidden).axes[1].get_ylabel() == r"Asimov $Z$"
    with pytest.raises(InputError, match="there are no data to divide"):
        plots.score_histogram(hidden, panel="ratio")


def test_score_histogram_variants(table, histograms):
    rough = plots.score_histogram(histograms, panel="s/sqrt(b)")
    expected = histograms.s("EFT") / np.sqrt(histograms.b)
    np.testing.assert_allclose(rough.axes[1].patches[0].get_data().values, expected)
    background = table.background
    alone = score_histograms(background, background["ptH"], Binning((0.01, 0.1, 1.0, 30.0)))
    figure = plots.score_histogram(alone, xlabel="E", axis="auto")
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "E"
    data = EventTable.build([[0.5, 1.0], [3.0, 1.0]], ["ptH", "mZH"], label=-1, process="data")
    with pytest.raises(InputError, match="did you mean 'log'"):
        plots.score_histogram(alone, axis="logx")
    with pytest.raises(InputError, match="first edge 0 is not positive"):
        plots.score_histogram(histograms, axis="log")
    both = concatenate([table, data])
    seen = score_histograms(both, both["ptH"], Binning((0.0, 1.0, 30.0)))
    assert "Data" in legend(plots.score_histogram(seen, panel="asimov").axes[0])
    with pytest.raises(InputError, match=r"did you mean 's/sqrt\(b\)'"):
        plots.score_histogram(histograms, panel="s/sqrtb")


class FontSeenWhileDrawing(Artist):
    """Notes the font that a text drawn now would get."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def draw(self, renderer):
        self.seen.append(mpl.rcParams["font." + mpl.rcParams["font.family"][0]][0])


@pytest.mark.parametrize("style", plots.STYLES)
def test_every_style_draws_and_leaves_matplotlib_alone(histograms, style):
    before = dict(mpl.rcParams)
    figure = plots.score_histogram(histograms, look=plots.Look(style=style, label="Simulation", sqrt_s=13))
    fonts = []
    figure.add_artist(FontSeenWhileDrawing(fonts))
    figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before
    assert (style in texts(figure)) == (style != "plain")
    assert fonts[0] == {"LHCb": "Tex Gyre Termes", "CMS": "TeX Gyre Heros", "ATLAS": "TeX Gyre Heros"}.get(
        style, fonts[0]
    )


def test_bins_too_narrow_to_see_are_drawn_equally_wide(table):
    narrow = score_histograms(table, table["ptH"], Binning((0.0, 0.02, 1.0, 3.0, 30.0)))
    figure = plots.score_histogram(narrow)
    top, low = figure.axes
    np.testing.assert_array_equal(top.patches[0].get_data().edges, np.arange(5))
    assert [t.get_text() for t in low.get_xticklabels()] == ["0", "0.02", "1", "3", "30"]
    assert low.get_xlabel() == "anomaly score, bins of equal width"
    linear = plots.score_histogram(narrow, axis="linear")
    np.testing.assert_array_equal(linear.axes[0].patches[0].get_data().edges, narrow.binning.edges)


def test_unknown_style():
    with pytest.raises(InputError, match="did you mean 'CMS'"):
        plots.Look(style="CMs")


def test_saved_files_are_complete_and_depend_on_the_figure_alone(tmp_path):
    figures = [plots.loss_curves({"total": [3.0, 2.0]}, look=LOOK) for _ in range(2)]
    first, second = (plots.save_figure(f, tmp_path / n / "loss") for f, n in zip(figures, "ab", strict=True))
    assert [p.name for p in first] == ["loss.pdf", "loss.png"]
    assert sorted(first) == sorted((tmp_path / "a").iterdir())
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes()[:5] == b"%PDF-"
    with Image.open(first[1]) as image:
        assert image.size == (1190, 890)


def test_nothing_is_left_under_the_final_name_when_saving_fails(tmp_path):
    figure = plots.loss_curves({"total": [2.0, 1.0]})
    figure.axes[0].set_xlabel(r"$\unknowncommand$")
    with pytest.raises(ValueError, match="unknowncommand"):
        plots.save_figure(figure, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_texts_do_not_overlap(histograms):
    figure = plots.score_histogram(histograms, look=plots.Look("CMS", "Work in progress", 3000, 13.6))
    figure.draw_without_rendering()
    boxes = [t.get_window_extent() for t in figure.axes[0].texts if t.get_text()]
    for axes in figure.axes:
        boxes += [axes.xaxis.label.get_window_extent(), axes.yaxis.label.get_window_extent()]
        boxes.append(axes.get_legend().get_window_extent())
    for i, one in enumerate(boxes):
        if one.width == 0:
            continue
        assert figure.bbox.x0 <= one.x0
        assert one.x1 <= figure.bbox.x1
        assert not any(one.overlaps(other) for other in boxes[i + 1 :] if other.width)


def test_roc_and_sic_show_the_curves(table):
    y, score = (table.label == 1).astype(int), table["ptH"]
    curve, improvement = roc(y, score, table.weight), sic(y, score, table.weight)
    figure = plots.roc({"pT": curve, "noise": roc(y, np.arange(len(y)) % 97)}, errors={"pT": 0.012}, look=LOOK)
    axes = figure.axes[0]
    assert legend(axes)[0] == rf"pT: AUC {curve.auc:.3f} $\pm$ 0.012"
    assert legend(axes)[-1] == "random"
    drawn = axes.lines[0].get_xydata()
    i = np.argmin(np.abs(curve.eps_s - drawn[5, 0]))
    assert 1 / curve.eps_b[i] == pytest.approx(drawn[5, 1])
    assert axes.lines[0].get_linestyle() != axes.lines[2].get_linestyle()
    figure = plots.sic({"pT": improvement}, look=LOOK)
    assert legend(figure.axes[0])[0] == rf"pT: max {improvement.max:.2f} $\pm$ {improvement.max_error:.2f}"
    drawn = figure.axes[0].lines[0].get_ydata()
    assert np.max(drawn) <= improvement.max
    axes = plots.sic({"pT": improvement}, levels={"CATHODE": 13.99}, look=LOOK).axes[0]
    assert axes.lines[0].get_ydata()[0] == 13.99
    assert "CATHODE 13.99" in [text.get_text() for text in axes.texts]
    assert axes.get_ylim()[1] > 13.99
    many = plots.sic({f"pT {i}": improvement for i in range(7)}, look=LOOK).axes[0].get_legend()
    assert many.get_texts()[0].get_fontsize() == 9 < axes.get_legend().get_texts()[0].get_fontsize()
    assert np.max(drawn) == pytest.approx(improvement.max, rel=0.02)


def test_luminosity_reach():
    x = np.geomspace(30, 3000, 20)
    curves = {"VAE": 0.1 * np.sqrt(x), "AA": 0.2 * np.sqrt(x)}
    figure = plots.luminosity_reach(x, curves, bands={"AA": (0.18 * np.sqrt(x), 0.22 * np.sqrt(x))}, now=139, look=LOOK)
    axes = figure.axes[0]
    assert legend(axes) == ["VAE", "AA"]
    np.testing.assert_array_equal(axes.lines[1].get_ydata(), curves["AA"])
    assert {r"3$\sigma$", r"5$\sigma$"} <= set(texts(figure))
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", r"Luminosity [fb$^\mathrm{-1}$]")
    with pytest.raises(InputError, match="20 values each"):
        plots.luminosity_reach(x, {"VAE": [1.0]})


def test_labels_of_a_short_range_of_luminosity_stand_apart():
    x = np.array([14.0, 47.0, 140.0, 467.0])
    figure = plots.luminosity_reach(x, {"AA": np.sqrt(x)}, look=LOOK)
    figure.canvas.draw()
    axis = figure.axes[0].xaxis
    ticks = [tick for tick in axis.get_major_ticks() + axis.get_minor_ticks() if x[0] <= tick.get_loc() <= x[-1]]
    shown = [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_text()]
    assert len(shown) >= 3
    assert not any(one.overlaps(other) for i, one in enumerate(shown) for other in shown[i + 1 :])


def test_loss_curves():
    history = {"total": [3.0, 2.0, 1.0], "val_total": [3.1, 2.2, 1.4], "kl": [0.1, 0.2, 0.3]}
    figure = plots.loss_curves(history, boundary=2, look=LOOK)
    total, kl = figure.axes
    assert (total.get_ylabel(), kl.get_ylabel(), kl.get_xlabel()) == ("total loss", "kl loss", "Epoch")
    assert legend(total) == ["training", "validation"]
    np.testing.assert_array_equal(total.lines[1].get_ydata(), history["val_total"])
    with pytest.raises(InputError, match="empty"):
        plots.loss_curves({})


def test_feature_distributions(table):
    cut = np.quantile(table["ptH"], 0.9)
    labels = {"ptH": (r"$p_T^H$", "GeV")}
    figure = plots.feature_distributions(table, table["ptH"], cut, labels=labels, look=LOOK)
    assert [a.get_xlabel() for a in figure.axes] == [r"$p_T^H$ [GeV]", "mZH"]
    words = [t.get_text() for t in figure.legends[0].get_texts()]
    assert words == ["Background", "Background, after the cut", "Signal", "Signal, after the cut"]
    after = figure.axes[0].patches[1].get_data()
    assert np.all(after.values[after.edges[1:] < cut] == 0)
    assert np.sum(after.values) == pytest.approx(1, abs=0.06)  # the range leaves out the outermost 0.3 %
    before = plots.feature_distributions(table, columns=["mZH"])
    assert len(before.axes) == 1
    assert len(before.legends[0].get_texts()) == 2
    with pytest.raises(InputError, match="both or neither"):
        plots.feature_distributions(table, table["ptH"])
    with pytest.raises(InputError, match="2 scores for a table of"):
        plots.feature_distributions(table, [1.0, 2.0], 0.5)


def test_score_by_generator_shows_fractions_and_their_ratio():
    rng = np.random.default_rng(0)
    groups = {"A": (rng.normal(size=4000), np.ones(4000)), "B": (rng.normal(0.3, 1, 4000), np.full(4000, 0.1))}
    figure = plots.score_by_generator(groups, {"S": (rng.normal(2, 1, 500), np.ones(500))}, look=LOOK)
    top, low = figure.axes
    assert legend(top) == ["A", "B", "S (signal)"]
    drawn = {p.get_label(): p.get_data().values for p in top.patches}
    for values in drawn.values():
        assert values.sum() == pytest.approx(1)
    ratios = [p.get_data().values for p in low.patches][::2]
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1)
    assert ratios[1][-1] > 1.2 > ratios[0][-1]
    with pytest.raises(InputError, match="two generators or more"):
        plots.score_by_generator({"A": groups["A"]}, {})
    with pytest.raises(InputError, match="all scores"):
        plots.score_by_generator(dict.fromkeys("AB", (np.ones(100), np.ones(100))), {})


def test_latent_space_draws_every_group_and_signals_last():
    rng = np.random.default_rng(0)
    points = {"S": rng.normal(2, 1, (50, 2)), "Pythia": rng.normal(size=(4000, 2)), "Sherpa": rng.normal(size=(30, 2))}
    axes = plots.latent_space(points, ["S"], most=500).axes[0]
    assert legend(axes) == ["Pythia", "Sherpa", "S"]
    assert [len(c.get_offsets()) for c in axes.collections] == [500, 30, 50]
    with pytest.raises(InputError, match="two numbers an event"):
        plots.latent_space({"A": np.ones((5, 3))})


def test_feature_pulls_writes_every_number():
    axes = plots.feature_pulls([[0.1, -4.0], [2.5, 6.0]], ["a", "b"], ["first", "second"]).axes[0]
    assert {"+0.1", "−4.0", "+2.5", "+6.0"} <= {t.get_text() for t in axes.texts}
    assert [t.get_text() for t in axes.get_yticklabels()] == ["first", "second"]
    with pytest.raises(InputError, match="1 events and 2 features"):
        plots.feature_pulls([[0.1, -4.0], [2.5, 6.0]], ["a", "b"], ["first"])


@pytest.mark.parametrize("passed", [True, False])
def test_mass_sculpting_says_the_verdict(passed):
    from hepaa.stats.bumps import Bump
    from hepaa.stats.likelihood import ToyP
    from hepaa.stats.sculpting import Gate, Sculpting

    bump = Bump(2.0, 3.0, 30, 10.0, 5.0, ToyP(0.01, 2.33, True))
    shape = Sculpting(0.1, 0.01, 0.005, 0.2, 0.1, 0.5)
    gate = Gate(passed, 2.0, 0.1, 42, (1.0, 2.0, 3.0), (12, 30), (60, 24), bump, shape)
    axes = plots.mass_sculpting(gate, look=LOOK).axes[0]
    assert axes.get_legend().get_title().get_text() == f"sculpting gate {'passed' if passed else 'FAILED'}"
    assert "largest bump: > 2.33 sigma overall" in legend(axes)
    np.testing.assert_allclose(axes.patches[0].get_data().values, [30, 12])
    assert Gate.from_dict(gate.to_dict()) == gate
