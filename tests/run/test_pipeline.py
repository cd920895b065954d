"""The main job: a card on real formats gives consistent files, the same twice, and nothing at all when it fails."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot
import yaml
from click.testing import CliRunner
from sklearn.metrics import average_precision_score, roc_auc_score

from hepaa.card import load_card
from hepaa.cli import main
from hepaa.demo import path as demo_path
from hepaa.detectors import SumOfSquares
from hepaa.report import figures
from hepaa.run import pipeline
from hepaa.stats.performance import _Ranked
from hepaa.table import EventTable

QUICK = [
    {"name": "VAE", "detector": "vae-zh", "options": {"epochs": 3}},
    {"name": "Supervised", "detector": "SupervisedBoosting"},
    {"name": "Squares", "detector": "SumOfSquares"},
]


def write_card(folder, kind="zh", **changes):
    content = yaml.safe_load(demo_path(f"{kind}.yaml").read_text()) | {"detectors": QUICK} | changes
    (folder / "card.yaml").write_text(yaml.safe_dump(content))
    return folder / "card.yaml"


def hepaa(*words):
    return CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def zh_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zh")
    outcome = hepaa("run", write_card(folder), "--output", folder / "out")
    assert outcome.exit_code == 0, outcome.output
    return folder / "out", outcome.output


def test_a_run_leaves_everything_in_one_folder(zh_run):
    out, said = zh_run
    assert {p.name for p in out.iterdir()} == {
        "card.yaml", "features.parquet", "validation.parquet", "scores.parquet", "scores.root", "histograms.root",
        "results.json", "models", "figures", "workspaces", ".hepaa.json",
    }  # fmt: skip
    figures = {p.name for p in (out / "figures").iterdir()}
    for name in ("roc", "sic", "score-VAE", "score-Supervised", "features-VAE", "training-VAE"):
        assert {f"{name}.pdf", f"{name}.png"} <= figures
    assert (out / "models" / "VAE.safetensors").is_file()
    assert "Supervised" in said
    assert str(out / "results.json") in said


def test_the_card_of_a_run_reads_back(zh_run):
    out, _ = zh_run
    assert load_card(out / "card.yaml").luminosity_fb == 300


def test_numbers_in_the_results_are_those_of_the_scored_events(zh_run):
    out, _ = zh_run
    results = json.loads((out / "results.json").read_text())
    frame = pq.read_table(out / "scores.parquet").to_pandas()
    for name in ("VAE", "Supervised", "Squares"):
        numbers = results["detectors"][name]["signals"]["ZH (O_HW)"]["performance"]
        truth, score, weight = frame["label"], frame[f"score_{name}"], frame["weight"]
        assert numbers["auc"] == pytest.approx(roc_auc_score(truth, score, sample_weight=weight), abs=1e-9)
        assert numbers["auc_pr"] == pytest.approx(average_precision_score(truth, score, sample_weight=weight), rel=1e-3)


def test_the_test_part_predicts_cross_section_times_luminosity(zh_run):
    out, _ = zh_run
    results = json.loads((out / "results.json").read_text())
    test = EventTable.load(out / "scores.parquet")
    for role, part in (("ZH (SM)", test.background), ("ZH (O_HW)", test.signal)):
        header = next(r for r in results["samples"] if r["process"] == role)
        assert part.sum_weights == pytest.approx(header["expected_events"], rel=1e-9)
    from hepaa.io import probe

    stated = probe(demo_path("zh_sm.lhe.gz"))["cross_section_pb"]
    kept = next(r for r in results["cutflow"] if r["process"] == "ZH (SM)" and r["step"] == "all")
    assert kept["sum_weights"] == pytest.approx(stated * 300_000, rel=1e-9)


def test_histograms_hold_all_events_of_the_test_part(zh_run):
    out, _ = zh_run
    test = EventTable.load(out / "scores.parquet")
    with uproot.open(out / "histograms.root") as file:
        names = [k for k in file["VAE"].keys(cycle=False) if k.startswith("background")]
        total = sum(file[f"VAE/{k}"].values().sum() for k in names)
        squares = sum(file[f"VAE/{k}"].variances().sum() for k in names)
    assert total == pytest.approx(test.background.sum_weights)
    assert squares == pytest.approx(np.sum(test.background.weight**2))


def test_the_ntuple_holds_the_table(zh_run):
    out, _ = zh_run
    test = EventTable.load(out / "scores.parquet")
    with uproot.open(out / "scores.root") as file:
        tree = file["events"].arrays(["event", "weight", "label", "score_VAE", "mZH"], library="np")
        assert str(file["processes"]).splitlines() == list(test.processes)
    np.testing.assert_array_equal(tree["event"], test.event)
    np.testing.assert_array_equal(tree["score_VAE"], test["score_VAE"])
    np.testing.assert_array_equal(tree["mZH"], test["mZH"])
    np.testing.assert_array_equal(tree["weight"], test.weight)


def test_train_and_test_are_disjoint_and_the_binning_is_chosen_elsewhere(zh_run):
    out, _ = zh_run
    validation, test = (EventTable.load(out / f"{n}.parquet") for n in ("validation", "scores"))
    assert not set(validation.event_hash()) & set(test.event_hash())
    everything = EventTable.load(out / "features.parquet")
    results = json.loads((out / "results.json").read_text())
    counted = sum(sum(part.values()) for part in results["parts"].values())
    assert counted == everything.n


def test_the_same_card_gives_the_same_scores_twice(zh_run, tmp_path, monkeypatch):
    out, _ = zh_run
    monkeypatch.setattr(figures, "OF_A_RUN", ())  # scores do not wait for figures
    card = write_card(tmp_path, detectors=QUICK[:1])
    assert hepaa("run", card, "--output", tmp_path / "again").exit_code == 0
    for name in ("scores.parquet", "validation.parquet"):
        again = pq.read_table(tmp_path / "again" / name)
        assert "score_VAE" in again.column_names
        assert pq.read_table(out / name).select(again.column_names).equals(again, check_metadata=False)


@pytest.mark.slow
def test_a_run_scores_each_part_once_and_sorts_its_events_once(tmp_path, monkeypatch):
    scored, sorted_events = [], []
    squares, ranked = SumOfSquares.anomaly_score, _Ranked.of.__func__
    monkeypatch.setattr(SumOfSquares, "anomaly_score", lambda d, t: scored.append(t.n) or squares(d, t))
    monkeypatch.setattr(_Ranked, "of", classmethod(lambda c, y, *a: sorted_events.append(len(y)) or ranked(c, y, *a)))
    detectors = [{"name": "Squares", "detector": "SumOfSquares", "flatten": "mZH"}]
    card = load_card(write_card(tmp_path, detectors=detectors))
    out = pipeline.run(card.model_copy(update={"output": str(tmp_path / "out")}))
    validation, test = (EventTable.load(out / f"{name}.parquet") for name in ("validation", "scores"))
    assert scored == [validation.n, test.n]
    assert sorted_events == [test.n]


@pytest.mark.slow
def test_another_seed_gives_other_scores(zh_run, tmp_path):
    out, _ = zh_run
    card = write_card(tmp_path, detectors=QUICK[:1])
    assert hepaa("run", card, "--output", tmp_path / "other", "--seed", 1).exit_code == 0
    one, other = (EventTable.load(p / "scores.parquet") for p in (out, tmp_path / "other"))
    np.testing.assert_array_equal(one.X, other.X)
    assert not np.array_equal(one["score_VAE"], other["score_VAE"])


def test_each_step_works_alone_on_the_files_of_the_one_before(tmp_path):
    common = ("--set", "zh-paper", "--generator", "Pythia 8")
    for name, process, role in (("zh_sm", "ZH", "background"), ("zh_chw", "O_HW", "signal")):
        done = hepaa("features", demo_path(f"{name}.lhe.gz"), *common, "--process", process, "--role", role,
                     "--output", tmp_path / f"{name}.parquet")  # fmt: skip
        assert done.exit_code == 0, done.output
        parts = ("--fraction", "train=0.5", "--fraction", "val=0.2", "--fraction", "test=0.3")
        assert hepaa("split", tmp_path / f"{name}.parquet", *parts, "--output", tmp_path / name).exit_code == 0
    model = tmp_path / "VAE.safetensors"
    train = [tmp_path / n / "train.parquet" for n in ("zh_sm", "zh_chw")]
    done = hepaa("train", *train, "--detector", "vae-zh", "--option", "epochs=2", "--output", model)
    assert done.exit_code == 0, done.output
    for part in ("val", "test"):
        both = [EventTable.load(tmp_path / n / f"{part}.parquet") for n in ("zh_sm", "zh_chw")]
        from hepaa.table import concatenate

        concatenate(both).save(tmp_path / f"{part}.parquet")
        scored = tmp_path / f"{part}-scored.parquet"
        assert hepaa("score", model, tmp_path / f"{part}.parquet", "--output", scored).exit_code == 0
    done = hepaa("hist", tmp_path / "test-scored.parquet", "--validation", tmp_path / "val-scored.parquet",
                 "--score", "VAE", "--luminosity-fb", 300, "--output", tmp_path / "hist")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "hist" / "score-VAE.pdf").is_file()
    found = json.loads((tmp_path / "hist" / "results.json").read_text())
    assert found["signals"]["O_HW"]["significance"]["total"] > 0


@pytest.mark.slow
def test_a_root_ntuple_gives_the_features_of_the_lhe_file_with_the_same_events(tmp_path):
    samples = []
    for name, role, sigma in (("zh_sm", "background", 0.02174), ("zh_chw", "signal", 0.005305)):
        common = {"process": name, "role": role, "cross_section_pb": sigma}
        ntuple = {"files": [f"demo:{name}.root"], "schema": "demo:zh_ntuple.yaml"}
        samples.append((common | ntuple, common | {"files": [f"demo:{name}.lhe.gz"]}))
    tables = []
    for i, kind in enumerate(("root", "lhe")):
        (tmp_path / kind).mkdir()
        card = write_card(tmp_path / kind, samples=[pair[i] for pair in samples], detectors=QUICK[2:])
        done = hepaa("run", card, "--output", tmp_path / kind / "out")
        assert done.exit_code == 0, done.output
        tables.append(EventTable.load(tmp_path / kind / "out" / "features.parquet"))
    root, lhe = tables
    np.testing.assert_array_equal(root.event, lhe.event)
    np.testing.assert_allclose(root.weight, lhe.weight, rtol=1e-5)
    energy = [lhe.columns.index(c) for c in ("ptb1", "ptb2", "ptl1", "ptl2", "ptH", "ptZ", "mZH")]
    np.testing.assert_allclose(root.X[:, energy], lhe.X[:, energy], rtol=2e-4)
    np.testing.assert_allclose(root["drll"], lhe["drll"], atol=2e-3)


@pytest.fixture(scope="module")
def lhco_run(tmp_path_factory):
    """Folder of a run on two generators, of which one is not trained on."""
    folder = tmp_path_factory.mktemp("lhco")
    content = yaml.safe_load(demo_path("lhco.yaml").read_text())
    card = write_card(
        folder,
        "lhco",
        detectors=[{"name": "Squares", "detector": "SumOfSquares"}],
        split=content.get("split", {}) | {"train_without": ["Pythia 8 Vincia"]},
        histogram=content.get("histogram", {}) | {"min_events": 5},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "OF_A_RUN", ())
        done = hepaa("run", card, "--output", folder / "out")
    assert done.exit_code == 0, done.output
    return folder / "out"


def test_two_generators_share_the_yield_of_their_process(lhco_run):
    out = lhco_run
    results = json.loads((out / "results.json").read_text())
    first = [r["sum_weights"] for r in results["cutflow"] if r["step"] == "all" and r["process"] == "QCD dijets"]
    assert first == pytest.approx([50_000, 50_000])
    with uproot.open(out / "histograms.root") as file:
        stacked = [k for k in file["Squares"].keys(cycle=False) if k.startswith("background")]
    assert len(stacked) == 2


def test_a_generator_that_is_left_out_is_scored_but_not_trained_on(lhco_run):
    results = json.loads((lhco_run / "results.json").read_text())
    everything = EventTable.load(lhco_run / "features.parquet")
    left_out = everything.generators.index("Pythia 8 Vincia")
    test = EventTable.load(lhco_run / "scores.parquet")
    counted = sum(sum(part.values()) for part in results["parts"].values())
    assert counted < everything.n
    assert (test.generator == left_out).any()
    rates = results["detectors"]["Squares"]["generators"]
    assert set(rates) == {"Pythia 8 Monash", "Pythia 8 Vincia"}
    validation = EventTable.load(lhco_run / "validation.parquet").background
    reference = validation[validation.generator != left_out]
    for found in rates.values():
        (one,) = [f for f in found if f["target"] == 0.1]
        assert one["low"] <= one["rate"] <= one["high"]
    order = np.argsort(-reference["score_Squares"])
    k = int(np.searchsorted(np.cumsum(reference.weight[order]) / reference.sum_weights, 0.1, side="right"))
    cut = reference["score_Squares"][order][k]
    vincia = test.background[test.background.generator == left_out]
    expected = vincia.weight[vincia["score_Squares"] > cut].sum() / vincia.sum_weights
    assert rates["Pythia 8 Vincia"][0]["rate"] == pytest.approx(expected)
