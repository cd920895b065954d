"""Varied objects, from branches to templates: the same as of a file whose nominal branches are the varied ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from click.testing import CliRunner
from helpers.ntuples import write_tree

import hepaa
from hepaa.card import SystematicCard, parse_card
from hepaa.cli import main
from hepaa.progress import Silent
from hepaa.run.reading import SampleReading, read
from hepaa.run.variations import accepted, uncertainties, with_varied_scores
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms

if TYPE_CHECKING:
    from pathlib import Path

CUT = "ht > 100"
JES = {"name": "jes", "kind": "objects", "up": "jesTotalUp", "down": {"jets.pt": "Jet_pt_jesTotalDown"}}
SCALE = {"name": "scale", "kind": "weight", "up": "LHEScaleWeight_1", "down": "LHEScaleWeight_0"}


def nano(path: Path, *, events: int, seed: int, as_nominal: str = "", slope: float = 60.0, met: bool = True) -> Path:
    """NanoAOD of jets with a varied scale, larger for jets in front, so that order and numbers change."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 6, events)

    def jagged(values: Any) -> ak.Array:
        return ak.unflatten(np.asarray(values, "f4"), counts)

    n = counts.sum()
    pt, eta = rng.exponential(slope, n) + 15, rng.uniform(-2.4, 2.4, n)
    shift = 0.05 + 0.1 * np.abs(eta)
    jets = {"_jesTotalUp": pt * (1 + shift), "_jesTotalDown": pt * (1 - shift), "": pt}
    b: dict[str, Any] = {f"Jet_pt{way}": jagged(values) for way, values in jets.items()}
    b["Jet_pt"] = b[f"Jet_pt{as_nominal}"]
    b |= {"nJet": counts, "Jet_eta": jagged(eta), "Jet_phi": jagged(rng.uniform(-3, 3, n)), "Jet_mass": jagged(pt / 10)}
    if met:
        b |= {f"MET_{q}": rng.uniform(0, 3, events).astype("f4") for q in ("pt", "phi")}
    b["genWeight"] = rng.normal(1.0, 0.3, events).astype("f4")
    b["LHEScaleWeight"] = ak.unflatten(rng.uniform(0.8, 1.2, 2 * events).astype("f4"), np.full(events, 2))
    write_tree(path, "Events", b)
    return path


def reading(*systematics: dict[str, Any], **more: Any) -> SampleReading:
    entries = tuple(SystematicCard(**s).model_dump(mode="json") for s in systematics)
    return SampleReading("event", process="QCD", relabel=True, selection=CUT, systematics=entries, **more)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("jes")
    ways = {"nominal": "", "up": "_jesTotalUp", "down": "_jesTotalDown"}
    return {w: nano(folder / f"{w}.root", events=400, seed=1, as_nominal=end) for w, end in ways.items()}


def test_varied_features_are_those_of_a_file_with_varied_branches(files: dict[str, Path]) -> None:
    """Events that only a variation accepts are there, marked; what it refuses has no weight in it."""
    table, tally = reading(JES, SCALE).rows(str(files["nominal"]))
    plain, same = reading().rows(str(files["nominal"]))
    assert tally == same
    nominal = accepted(table)
    np.testing.assert_array_equal(nominal.X, plain.X)
    np.testing.assert_array_equal(nominal.event, plain.event)
    assert nominal.cutflow == plain.cutflow
    for way in ("up", "down"):
        direct, _ = reading().rows(str(files[way]))
        inside = table[f"weight:jes:{way}"] > 0
        np.testing.assert_array_equal(np.sort(table.event[inside]), direct.event)
        order = np.argsort(table.event[inside])
        for column in direct.columns:
            np.testing.assert_array_equal(table[f"{column}:jes:{way}"][inside][order], direct[column])
        assert (table["weight:jes:up"][~inside] <= 1).all()
    assert table["outside"].sum() > 5
    assert (nominal["weight:jes:down"] == 0).sum() > 5
    ratio = hepaa.open(files["nominal"], weights=["LHEScaleWeight_1"])
    expected = (ratio.weights["LHEScaleWeight_1"] / ratio.weight)[table.event]
    np.testing.assert_allclose(table["weight:scale:up"], expected, rtol=1e-6)


def test_templates_are_those_of_the_varied_files(files: dict[str, Path]) -> None:
    table, _ = reading(JES, SCALE).rows(str(files["nominal"]))
    scored = table.with_spectators(score_D=table["ht"])
    entries = [SystematicCard(**JES), SystematicCard(**SCALE)]
    scored = with_varied_scores(scored, entries, lambda t: t.with_spectators(score_D=t["ht"]))
    binning = Binning((0.0, 150.0, 200.0, 300.0, 5000.0))
    h = score_histograms(accepted(scored), accepted(scored)["score_D"], binning)

    class Rules:
        systematics = entries
        significance = hepaa.card.SignificanceCard(background_uncertainty=0.0)

    shape, scale = uncertainties(Rules(), "D", scored, h)  # type: ignore[arg-type]
    for way in ("up", "down"):
        direct, _ = reading().rows(str(files[way]))
        counts = np.histogram(direct["ht"], binning.edges, weights=direct.weight)[0]
        np.testing.assert_allclose(getattr(shape, way), counts, rtol=1e-6)
    plain, _ = reading(SCALE).rows(str(files["nominal"]))
    counts = np.histogram(plain["ht"], binning.edges, weights=plain.weight * plain["weight:scale:up"])[0]
    np.testing.assert_allclose(scale.up, counts, rtol=1e-6)


def test_data_and_processes_that_are_not_named_do_not_vary(files: dict[str, Path]) -> None:
    beyond = SCALE | {"up": "LHEScaleWeight_9"}
    with pytest.raises(hepaa.InputError, match="2 entries in event 0"):
        reading(beyond).rows(str(files["nominal"]))
    assert (reading(beyond | {"processes": ["top"]}).rows(str(files["nominal"]))[0]["weight:scale:up"] == 1).all()
    for other in (reading(JES | {"processes": ["top"]}), reading(JES, role="data")):
        table, _ = other.rows(str(files["nominal"]))
        assert not table["outside"].any()
        np.testing.assert_array_equal(table["ht:jes:up"], table["ht"])
        assert (table["weight:jes:down"] == 1).all()
    with pytest.raises(hepaa.InputError, match="ends in 'jerUp'"):
        reading({"name": "jer", "kind": "objects", "up": "jerUp"}).rows(str(files["nominal"]))


@pytest.mark.slow
@pytest.mark.parametrize("batches", [False, True])
def test_a_run_has_the_variations_in_its_workspace(tmp_path: Path, batches: bool) -> None:
    """Serial and in batches: the templates of the datacard, normalised as the nominal one."""
    nano(tmp_path / "b.root", events=3000, seed=1)
    nano(tmp_path / "s.root", events=3000, seed=2, slope=200.0)
    card = {
        "name": "jes", "output": str(tmp_path / "out"), "luminosity_fb": 1.0,
        "samples": [
            {"process": "QCD", "files": [str(tmp_path / "b.root")], "cross_section_pb": 2.0},
            {"process": "S", "role": "signal", "files": [str(tmp_path / "s.root")], "cross_section_pb": 0.01},
        ],
        "features": {"set": "event", "selection": CUT}, "systematics": [JES, SCALE],
        "detectors": [{"name": "D", "detector": "GaussianMixture", "options": {"seed": 0}}],
    }  # fmt: skip
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    more = ["--executor", "serial", "--shard-events", "700"] if batches else []
    CliRunner().invoke(main, ["run", str(tmp_path / "card.yaml"), *more], catch_exceptions=False)
    with uproot.open(tmp_path / "out" / "workspaces" / "D" / "shapes.root") as file:
        total = {k: file[k].values().sum() for k in file.keys(cycle=False) if "QCD" in k}
    nominal = next(v for k, v in total.items() if k.endswith("QCD"))
    up, down = (next(v for k, v in total.items() if k.endswith(f"jes{way}")) for way in ("Up", "Down"))
    assert down < nominal < up
    parts = hepaa.EventTable.load(tmp_path / "out" / "scores.parquet")
    assert not parts["outside"].any()


def test_features_that_not_all_samples_have_are_no_inputs(tmp_path: Path) -> None:
    """A file without MET beside one that has it: an error that says what to do, and doing it helps."""
    nano(tmp_path / "met.root", events=60, seed=1)
    nano(tmp_path / "none.root", events=60, seed=2, met=False)
    samples = [
        {"process": n, "role": role, "files": [str(tmp_path / f"{n}.root")], "expected_events": 5}
        for n, role in (("met", "background"), ("none", "signal"))
    ]

    def table(**features: Any) -> hepaa.EventTable:
        card = {"name": "t", "output": "o", "luminosity_fb": 1, "detectors": [{"name": "D", "detector": "VAE"}]}
        return read(
            parse_card(card | {"samples": samples, "features": {"set": "event"} | features}, source=tmp_path / "c"),
            Silent(),
        )

    with pytest.raises(hepaa.InputError, match=r"none\.root cannot give dphimin, met of 'event'.*features\.inputs"):
        table()
    shared = table(inputs=["ht", "njets"])
    assert "met" not in shared.spectators
    assert "mht" in shared.spectators
