"""Data in a run: blind until somebody looks, which is recorded; without signal all else is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyhf
import pytest
import uproot
from click.testing import CliRunner
from helpers.dijets import content, data_content, data_table, table

from hepaa import plots
from hepaa.card import load_card, parse_card
from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.report import figures, page
from hepaa.report.saved import SavedRun
from hepaa.run import pipeline
from hepaa.run.blinding import card_hash, hide, record, seen
from hepaa.stats.binning import Binning
from hepaa.stats.observed import excess
from hepaa.table import DATA, EventTable, concatenate

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
REGIONS = {"CR": "mjj < 2200", "VR": "mjj >= 2200 and mjj < 2400"}
SCORE = "score_SumOfSquares"
MASS_SCALE = {"name": "scale", "kind": "column", "up": {"mjj": 1.02}}


def run(folder, *, drawn=(), monkeypatch=None, overwrite=False, signal=True, **changes):
    """The folder and the results of a run on data."""
    if monkeypatch is not None:
        monkeypatch.setattr(figures, "OF_A_RUN", drawn)
    card = parse_card(data_content(folder, signal=signal, **changes), source=Path("c.yaml"))
    out = pipeline.run(card, reader=lambda *_: data_table(signal=signal), overwrite=overwrite)
    return out, json.loads((out / "results.json").read_text())


def scores_of_data(out):
    scored = EventTable.load(out / "scores.parquet")
    return scored[scored.label == DATA]


def test_nothing_of_the_highest_scores_is_left_while_blind(tmp_path, monkeypatch):
    out, results = run(tmp_path, monkeypatch=monkeypatch, systematics=[MASS_SCALE])
    numbers = results["detectors"]["SumOfSquares"]
    observed, cut = numbers["observed"], numbers["observed"]["blind_above"]
    validation = EventTable.load(out / "validation.parquet").background
    above = validation[SCORE] > cut
    assert 0.08 < validation.weight[above].sum() / validation.sum_weights <= 0.1
    edges = np.array(numbers["binning"]["edges"])
    assert [n is None for n in observed["events"]] == [top > cut for top in (*edges[1:-1], np.inf)]
    assert observed["p"] is observed["z"] is observed["total"] is None
    data = scores_of_data(out)
    for column in (SCORE, f"{SCORE}:scale:up"):
        assert np.isnan(data[column]).sum() > 20
        assert np.nanmax(data[column]) <= cut
    with uproot.open(out / "scores.root") as file:
        tree = file["events"].arrays([SCORE, "label"], library="np")
        assert np.nanmax(tree[SCORE][tree["label"] == DATA]) <= cut
    shown = sum(n is not None for n in observed["events"])
    with uproot.open(out / "histograms.root") as file:
        if shown:
            assert file["SumOfSquares/data"].values().tolist() == observed["events"][:shown]
    judged = numbers["signals"]["X"]
    assert judged["reach"]["limit"]["observed"] is judged["reach"]["limit"]["observed_pb"] is None
    spec = json.loads((out / "workspaces" / "SumOfSquares" / "workspace.json").read_text())
    expected = judged["significance"]["b"]
    np.testing.assert_allclose(spec["observations"][0]["data"], expected)
    assert (results["blind"], results["unblinded"]) == (True, [])


@pytest.mark.slow
@pytest.mark.parametrize("unblind", [False, True])
def test_fits_of_the_signal_region_with_others_observe_what_is_not_blind(tmp_path, monkeypatch, unblind):
    bins = content(tmp_path)["histogram"] | {"bins": 2}
    _, results = run(
        tmp_path, monkeypatch=monkeypatch, regions={"CR": "mjj < 2200"}, workspace={"infer": True}, histogram=bins,
        unblind=unblind,
    )  # fmt: skip
    fit = results["detectors"]["SumOfSquares"]["signals"]["X"]["fit"]
    assert fit["expected_z"] > 1
    assert [fit[k] is None for k in ("observed_z", "observed_limit")] == [not unblind] * 2


def test_looking_gives_all_numbers_and_is_recorded(tmp_path, monkeypatch):
    blind, before = run(tmp_path, monkeypatch=monkeypatch)
    hidden = scores_of_data(blind)[SCORE]
    out, results = run(tmp_path, monkeypatch=monkeypatch, overwrite=True, unblind=True)
    scores = scores_of_data(out)[SCORE]
    seen = ~np.isnan(hidden)
    np.testing.assert_array_equal(scores[seen], hidden[seen])
    assert not np.isnan(scores).any()
    numbers = results["detectors"]["SumOfSquares"]
    observed = numbers["observed"]
    counts = np.histogram(scores, [-np.inf, *numbers["binning"]["edges"][1:-1], np.inf])[0]
    assert observed["events"] == counts.tolist()
    p, z = excess(counts, observed["b"], observed["sigma_b"])
    np.testing.assert_allclose(observed["p"], p)
    np.testing.assert_allclose(observed["z"], z)
    assert observed["total"]["events"] == 1000
    assert abs(observed["total"]["z"]) < 2
    assert numbers["signals"]["X"]["reach"]["limit"]["observed"] is not None
    assert results["blind"] is False
    (looked,) = results["unblinded"]
    assert looked["card_sha256"] == results["card_sha256"] == before["card_sha256"]
    assert looked["time"].startswith("20")
    assert results["warnings"] == []
    _, after = run(tmp_path, monkeypatch=monkeypatch, overwrite=True, luminosity_fb=2)
    assert after["blind"] is True
    assert after["unblinded"] == [looked]
    assert "changed since the data were unblinded" in after["warnings"][0]


def test_expected_numbers_do_not_know_the_data(tmp_path, monkeypatch):
    _, with_data = run(tmp_path, monkeypatch=monkeypatch)
    monkeypatch.setattr(figures, "OF_A_RUN", ())
    card = parse_card(content(tmp_path) | {"output": str(tmp_path / "none")}, source=Path("c.yaml"))
    out = pipeline.run(card, reader=lambda *_: table(600, 180))
    without = json.loads((out / "results.json").read_text())
    assert not {"blind", "unblinded", "card_sha256"} & set(without)
    seen, plain = (r["detectors"]["SumOfSquares"] for r in (with_data, without))
    assert set(seen) - set(plain) == {"observed"}
    assert {k: v for k, v in seen.items() if k != "observed"} == plain


def test_a_card_without_signal_has_scores_and_p_values(tmp_path, monkeypatch):
    out, results = run(tmp_path, monkeypatch=monkeypatch, signal=False, unblind=True)
    numbers = results["detectors"]["SumOfSquares"]
    assert numbers["signals"] == {}
    assert numbers["binning"]["method"] == "quantile"
    assert numbers["observed"]["total"]["p"] > 0.01
    assert not (out / "workspaces").exists()
    with pytest.raises(InputError, match="nothing to draw for 'roc': its card has no signal"):
        figures.draw(SavedRun(out), "roc", tmp_path)


@pytest.mark.slow
def test_a_card_without_signal_has_every_figure_and_table(tmp_path):
    out, _ = run(tmp_path, signal=False, unblind=True, regions=REGIONS)
    stems = {p.stem for p in (out / "figures").glob("*.png")}
    assert stems == {f"{name}-SumOfSquares" for name in ("score", "features", "regions-CR", "regions-VR")}
    saved = SavedRun(out)
    parts = page.sections(saved, figures.look_of(saved))
    assert any(words.startswith("Unblinded at 20") for words in parts[0].words)
    captions = [t.caption for part in parts for t in part.tables]
    captions += [t.caption for part in parts for fold in part.folds for t in fold.tables]
    assert "SumOfSquares, signal region: data and prediction" in captions
    assert "SumOfSquares, CR: data and prediction" in captions
    assert not [c for c in captions if "Reach" in c or "Separation" in c]


def test_commands_work_without_signal(tmp_path, monkeypatch):
    def hepaa(*words):
        done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    out, results = run(tmp_path, monkeypatch=monkeypatch, signal=False)
    assert "blind" in hepaa("compare", out)
    hepaa("plot", "features", out)
    monkeypatch.setattr(page, "_pictures", lambda *_: [])
    hepaa("report", out)
    assert "Blind: data are not shown" in (out / "report.html").read_text()
    hist = ("--validation", out / "validation.parquet", "--score", "SumOfSquares", "--luminosity-fb", 1, "--bins", 4)
    hepaa("hist", out / "scores.parquet", *hist, "-o", tmp_path / "of_blind")
    looks = list(map(str, ["hist", out / "scores.parquet", *hist, "--unblind", "-o", tmp_path / "no"]))
    refused = CliRunner().invoke(main, looks)
    assert refused.exit_code == 2
    assert "events of data are blind" in refused.output
    again, seen = run(tmp_path, monkeypatch=monkeypatch, signal=False, unblind=True, overwrite=True)
    said = hepaa("hist", again / "scores.parquet", *hist, "-o", tmp_path / "h", "--unblind")
    total = seen["detectors"]["SumOfSquares"]["observed"]["total"]
    assert f"{total['z']:.2f}" in said
    assert f"{total['z']:.4f} (1 run)" in hepaa("compare", again)
    blind = hepaa("hist", again / "scores.parquet", *hist, "-o", tmp_path / "h")
    assert "blind" in blind
    numbers = json.loads((tmp_path / "h" / "results.json").read_text())
    assert numbers["observed"]["events"][-1] is numbers["observed"]["p"] is None
    of_blind = json.loads((tmp_path / "of_blind" / "results.json").read_text())
    assert (
        of_blind["observed"]["events"] == numbers["observed"]["events"]
    )  # whether it gets scores that are blind or not
    assert len(numbers["unblinded"]) == 1  # that of the earlier one in this folder
    assert results["detectors"]["SumOfSquares"]["observed"]["total"] is None


def test_regions_are_taken_out_of_the_signal_region_and_fitted_with_it(tmp_path, monkeypatch):
    generators = {"name": "top", "kind": "norm", "size": 0.3, "processes": ["QCD"]}
    out, results = run(
        tmp_path, monkeypatch=monkeypatch, regions=REGIONS, systematics=[MASS_SCALE, generators],
    )  # fmt: skip
    scored = EventTable.load(out / "scores.parquet")
    data = scored[scored.label == DATA]
    mass = data["mjj"]
    numbers = results["detectors"]["SumOfSquares"]
    for name, rows in (("CR", mass < 2200), ("VR", (mass >= 2200) & (mass < 2400))):
        assert not np.isnan(data[SCORE][rows]).any()  # never blind
        observed = numbers["regions"][name]["observed"]
        assert observed["total"]["events"] == rows.sum()
        assert observed["total"]["b"] == pytest.approx(
            scored.background.weight[
                scored.background["mjj"] < 2200 if name == "CR" else
                (scored.background["mjj"] >= 2200) & (scored.background["mjj"] < 2400)
            ].sum()
        )  # fmt: skip
    assert np.isnan(data[SCORE][mass >= 2400]).any()
    background = scored.background
    kept = background["mjj"] >= 2400
    assert sum(numbers["observed"]["b"]) == pytest.approx(background.weight[kept].sum())
    spec = json.loads((out / "workspaces" / "SumOfSquares" / "workspace.json").read_text())
    assert [c["name"] for c in spec["channels"]] == ["SumOfSquares", "CR", "VR"]
    for channel, observation in zip(spec["channels"], spec["observations"], strict=True):
        assert [s["name"] for s in channel["samples"]] == ["X", "QCD"]
        expected = channel["samples"][1]["data"]
        if channel["name"] == "SumOfSquares":
            np.testing.assert_allclose(observation["data"], expected)
        else:
            assert observation["data"] == numbers["regions"][channel["name"]]["observed"]["events"]
        names = [m["name"] for m in channel["samples"][1]["modifiers"]]
        assert names.count("scale") == names.count("top") == 1
    model = pyhf.Workspace(spec).model()
    assert model.config.poi_name == "mu"
    assert len(numbers["regions"]["CR"]["observed"]["b"]) <= 5
    with uproot.open(out / "histograms.root") as file:
        assert file["SumOfSquares/CR/data"].values().sum() == (mass < 2200).sum()


@pytest.mark.parametrize(
    "more", [(), pytest.param(("--executor", "serial", "--shard-events", "300"), marks=pytest.mark.slow)]
)
def test_scores_of_data_are_blind_in_hepaa_score_too(tmp_path, more, monkeypatch):
    for name in ("score_histogram", "save_figure"):
        monkeypatch.setattr(plots, name, lambda *_, **__: None)

    def hepaa(*words, code=0):
        done = CliRunner().invoke(main, [str(w) for w in words])
        assert done.exit_code == code, done.output
        return done.output

    simulation = table(600, 180)
    simulation.save(tmp_path / "validation.parquet")
    concatenate([simulation, data_table(signal=False)]).save(tmp_path / "all.parquet")
    hepaa("train", tmp_path / "validation.parquet", "--detector", "sum-of-squares", "-o", tmp_path / "d.safetensors")
    score = ("score", tmp_path / "d.safetensors", tmp_path / "all.parquet", *more)
    refused = 3 if more else 2
    assert "events of data: --validation TABLE gives" in hepaa(*score, "-o", tmp_path / "no.parquet", code=refused)
    assert not (tmp_path / "no.parquet").exists()
    hepaa(*score, "--unblind", "-o", tmp_path / "open.parquet")
    hepaa(*score, "--validation", tmp_path / "validation.parquet", "-o", tmp_path / "blind.parquet")
    hepaa("score", tmp_path / "d.safetensors", tmp_path / "validation.parquet", "-o", tmp_path / "scored.parquet")
    seen, blind, validation = (EventTable.load(tmp_path / f"{n}.parquet") for n in ("open", "blind", "scored"))
    cut = blind["blind_above:d"][0]
    above = validation.background["score_d"] > cut
    assert 0.08 < validation.background.weight[above].sum() / validation.background.sum_weights <= 0.1
    hidden = (seen.label == DATA) & (seen["score_d"] > cut)
    assert hidden.sum() > 20
    np.testing.assert_array_equal(np.isnan(blind["score_d"]), hidden)
    np.testing.assert_array_equal(blind["score_d"][~hidden], seen["score_d"][~hidden])
    hist = ("--validation", tmp_path / "scored.parquet", "--score", "d", "--luminosity-fb", 1, "--bins", 4, *more)
    counts = []
    for name in ("open", "blind"):
        hepaa("hist", tmp_path / f"{name}.parquet", *hist, "-o", tmp_path / f"hist-{name}")
        counts.append(json.loads((tmp_path / f"hist-{name}" / "results.json").read_text())["observed"]["events"])
    assert counts[0] == counts[1]
    assert "are blind" in hepaa(
        "hist", tmp_path / "blind.parquet", *hist, "--unblind", "-o", tmp_path / "no", code=refused
    )


def test_bins_show_no_data_above_a_lower_cut_than_theirs():
    events = data_table(signal=False)
    scored = events[events.label == DATA][:200].with_spectators(score_d=np.arange(200.0))
    binning = Binning((0.0, 50.0, 100.0, 150.0, 200.0))
    low, high = (hide(scored, {"d": value}) for value in (60.0, 120.0))
    assert seen(high, "score_d", binning, 110.0).n == 121
    assert seen(scored, "score_d", binning, None).n == 200
    unmarked = scored.with_spectators(score_d=np.where(np.arange(200) > 120, np.nan, np.arange(200.0)))
    for lost, blind_above in ((low, 110.0), (high, None), (unmarked, 110.0)):
        with pytest.raises(InputError, match="reach above that cut"):
            seen(lost, "score_d", binning, blind_above)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ({"CR": "mjj < 2200", "VR": "mjj < 2400"}, "'VR' shares events with 'CR'"),
        ({"CR": "mjj < 100"}, r"regions: 'CR' \(mjj < 100\) has no background events"),
        ({"CR": "mjj > 2100"}, "the signal region, which is in none of `regions`, has no signal"),
        ({"CR": "mx > 1"}, "regions: 'CR': this table has no column 'mx'"),
    ],
)
def test_regions_are_checked_before_training(tmp_path, monkeypatch, regions, message):
    monkeypatch.setattr(pipeline, "train", lambda *_, **__: pytest.fail("trained before the check"))
    with pytest.raises(InputError, match=message):
        run(tmp_path, regions=regions)


def test_the_hash_knows_what_the_card_asks_but_not_where_and_whether_it_looks(tmp_path):
    card = parse_card(data_content(tmp_path), source=Path("c.yaml"))
    same = card.changed(output="elsewhere", unblind=True)
    assert card_hash(same) == card_hash(card)
    assert card_hash(card.changed(seed=1)) != card_hash(card)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="cannot be told whether data were unblinded"):
        record(card, tmp_path, unblind=False)


def test_a_card_of_a_search_has_nothing_to_run(tmp_path):
    search = {"resonant": {"mass": "mjj", "signal": [3300, 3700], "sidebands": [[2600, 3300], [3700, 5500]]}}
    card = parse_card(data_content(tmp_path, detectors=[], search=search), source=Path("c.yaml"))
    with pytest.raises(InputError, match="names no detectors to run"):
        pipeline.run(card)


def test_the_label_says_simulation_of_simulation_alone(tmp_path):
    simulated, measured = (parse_card(c(tmp_path), source=Path("c.yaml")) for c in (content, data_content))
    assert (simulated.label, measured.label) == ("Simulation", "")
    assert measured.changed(figures={"label": "Private work"}).label == "Private work"
    (tmp_path / "again.yaml").write_text(measured.to_yaml())
    assert load_card(tmp_path / "again.yaml").label == ""
