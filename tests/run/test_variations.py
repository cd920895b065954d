"""Uncertainties of a card from events to templates, workspaces and datacards of a run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pyhf
import pytest
import uproot

import hepaa
from hepaa.card import Rules, SystematicCard, parse_card
from hepaa.run.results import evaluate
from hepaa.run.variations import uncertainties, varied, with_varied_scores, with_weight_ratios
from hepaa.run.workspaces import write_fits
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.table import EventTable, concatenate

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


def sample(rng, n, shift, *, process, label=0, generator="A", weight=0.05):
    x = rng.exponential(1.0, n) + shift
    return EventTable.build(
        np.stack([x, rng.normal(size=n)], axis=1), ["x", "y"], weight=np.full(n, weight), label=label, process=process,
        generator=generator, spectators={"x_up": x * 1.1, "score_D": x, "mass": rng.uniform(1, 2, n)},
    )  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)

    def part():
        return concatenate(
            [
                sample(rng, 4000, 0.0, process="QCD", generator="A"),
                sample(rng, 4000, 0.05, process="QCD", generator="B", weight=0.052),
                sample(rng, 2000, 0.0, process="top", weight=0.02),
                sample(rng, 2000, 1.5, process="S", label=1, weight=0.02),
            ]
        )

    return part(), part()


def rules(*systematics, **more):
    samples = [
        {"process": "QCD", "generator": "A", "files": ["a"]},
        {"process": "QCD", "generator": "B", "files": ["b"]},
        {"process": "top", "files": ["c"]},
        {"process": "S", "role": "signal", "files": ["d"]},
    ]
    content = {
        "name": "t", "output": "o", "luminosity_fb": 10, "samples": samples, "features": {"set": "zh"},
        "detectors": [{"name": "D", "detector": "VAE"}], "systematics": list(systematics), "histogram": {"bins": 5},
    }  # fmt: skip
    from pathlib import Path

    return parse_card(content | more, source=Path("card.yaml"))


def test_weight_ratios_follow_their_events():
    events = SimpleNamespace(
        path="f.lhe", index=np.array([10, 11, 12, 13]), weight=np.array([1.0, 2.0, -1.0, 0.5]),
        weights={"muR2": np.array([1.1, 2.2, -1.2, 0.5])},
    )  # fmt: skip
    table = EventTable.build([[1.0], [2.0]], ["x"], event=[11, 12], process="ZH")
    up = SystematicCard(name="scale", kind="weight", up="muR2")
    found = with_weight_ratios(table, events, [up], process="ZH")
    np.testing.assert_allclose(found["weight:scale:up"], [1.1, 1.2], rtol=1e-6)
    other = SystematicCard(name="scale", kind="weight", up="muR2", processes=["ZH"])
    np.testing.assert_array_equal(with_weight_ratios(table, events, [other], process="tt")["weight:scale:up"], 1)
    np.testing.assert_array_equal(
        with_weight_ratios(table, events, [up], process="ZH", data=True)["weight:scale:up"], 1
    )
    missing = SystematicCard(name="scale", kind="weight", up="muR3", processes=["ZH"])
    with pytest.raises(hepaa.InputError, match="did you mean 'muR2'"):
        with_weight_ratios(table, events, [missing], process="ZH")
    events.weight[1] = 0.0
    with pytest.raises(hepaa.InputError, match="no ratio"):
        with_weight_ratios(table, events, [up], process="ZH")


def test_features_are_varied_by_factor_and_by_column(parts):
    table = parts[1]
    np.testing.assert_allclose(varied(table, {"y": 2.0})["y"], 2 * table["y"])
    np.testing.assert_array_equal(varied(table, {"x": "x_up"})["x"], table["x_up"])
    with pytest.raises(hepaa.InputError, match="no feature"):
        varied(table, {"z": 1.0})
    with pytest.raises(hepaa.InputError, match="no column 'x_down'"):
        varied(table, {"x": "x_down"})


def test_templates_equal_histograms_of_varied_events(parts):
    table = parts[1].with_spectators(
        **{"weight:pdf:up": 1 + 0.1 * parts[1]["mass"], "weight:pdf:down": np.ones(12_000)}
    )
    shift = {"name": "jes", "kind": "column", "up": {"x": "x_up"}, "processes": ["QCD"]}
    card = rules({"name": "pdf", "kind": "weight", "up": "a", "down": "b"}, shift)
    table = with_varied_scores(table, card.systematics, lambda t: t.with_spectators(score_D=t["x"]))
    h = score_histograms(table, table["score_D"], Binning((0.0, 1.0, 2.0, 3.0, 99.0)))
    found = uncertainties(card, "D", table, h)
    by_name = {(u.name, getattr(u, "sample", "")): u for u in found}
    assert set(by_name) == {
        ("background_uncertainty", ""), ("pdf", "QCD"), ("pdf", "top"), ("pdf", "S"), ("jes", "QCD"),
    }  # fmt: skip
    for process in ("QCD", "top", "S"):
        rows = table.process == table.processes.index(process)
        weight = (table.weight * table["weight:pdf:up"])[rows]
        expected = np.histogram(table["score_D"][rows], [0, 1, 2, 3, 99], weights=weight)[0]
        np.testing.assert_allclose(by_name["pdf", process].up, expected, rtol=1e-5)
    qcd = table.process == table.processes.index("QCD")
    expected = np.histogram(table["x_up"][qcd], [0, 1, 2, 3, 99], weights=table.weight[qcd])[0]
    np.testing.assert_allclose(by_name["jes", "QCD"].up, expected, rtol=1e-9)
    nominal = h.backgrounds["QCD"].values()
    np.testing.assert_allclose(by_name["jes", "QCD"].down, 2 * nominal - expected, rtol=1e-9)


def test_a_spread_needs_generators(parts):
    card = rules({"name": "generator", "kind": "generators", "processes": ["top"]})
    h = score_histograms(parts[1], parts[1]["score_D"], Binning((0.0, 1.0, 99.0)))
    with pytest.raises(hepaa.InputError, match="no background process"):
        uncertainties(card, "D", parts[1], h)


def test_shared_uncertainties_lower_the_significance(parts):
    free = evaluate("D", *parts, rules(significance={"background_uncertainty": 0.0}))
    spread = evaluate(
        "D", *parts, rules({"name": "gen", "kind": "generators"}, {"name": "top rate", "kind": "norm", "size": 0.3,
        "processes": ["top"]}, significance={"background_uncertainty": 0.0}),
    )  # fmt: skip
    z, less = free.significance["S"], spread.significance["S"]
    assert set(less.shifts) == {"gen_shape", "gen_norm", "top rate"}
    assert less.total < z.total
    assert less.total_known == z.total_known
    reach, further = free.reach["S"], spread.reach["S"]
    assert reach["limit"]["expected"][2] < further["limit"]["expected"][2]
    assert 0 < further["limit"]["expected_error"] < further["limit"]["expected"][2]
    assert reach["luminosity_fb"]["3"] < reach["luminosity_fb"]["5"]
    assert 0 < reach["luminosity_fb_error"]["5"] < reach["luminosity_fb"]["5"]
    json.dumps(spread.to_dict(), allow_nan=False)


@pytest.mark.parametrize("categories", [{}, {"low": "mass < 1.5", "high": "mass >= 1.5"}])
def test_workspaces_and_datacards_hold_the_histograms(parts, tmp_path, categories):
    card = rules(
        {"name": "gen", "kind": "generators", "method": "leave-one-out"},
        {"name": "top rate", "kind": "norm", "size": 0.3, "processes": ["top"]},
        workspace={"categories": categories, "luminosity_error": 0.02},
    )
    result = evaluate("D", *parts, card)
    assert write_fits(card, [result], *parts, tmp_path / "fits", cross_sections={"S": 1.0}) == {}
    place = tmp_path / "fits" / "D"
    model = pyhf.Workspace(json.loads((place / "workspace.json").read_text())).model()
    assert {"gen_shape", "gen_norm", "top rate", "background_uncertainty", "lumi"} <= set(model.config.par_order)
    assert model.config.channels == sorted(categories or ["D"])
    rates = next(w for w in (place / "datacard.txt").read_text().splitlines() if w.startswith("rate")).split()[1:]
    background = parts[1].background.sum_weights
    assert sum(map(float, rates)) == pytest.approx(parts[1].sum_weights, rel=1e-6)
    with uproot.open(place / "shapes.root") as file:
        total = sum(file[f"{c}/{p}"].values().sum() for c in categories or ["D"] for p in ("QCD", "top"))
        assert {f"{c}/QCD_gen_shapeUp" for c in categories or ["D"]} <= set(file.keys(cycle=False))
    assert total == pytest.approx(background)


def test_categories_must_not_overlap(parts, tmp_path):
    card = rules(workspace={"categories": {"low": "mass < 1.6", "high": "mass > 1.5"}})
    with pytest.raises(hepaa.InputError, match="shares events"):
        write_fits(card, [evaluate("D", *parts, card)], *parts, tmp_path / "a", cross_sections={"S": 1.0})
    card = rules(workspace={"categories": {"none": "mass > 5"}})
    with pytest.raises(hepaa.InputError, match="no background events"):
        write_fits(card, [evaluate("D", *parts, card)], *parts, tmp_path / "b", cross_sections={"S": 1.0})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a", "kind": "norm"}, "`size` belongs to kind norm"),
        ({"name": "a", "kind": "generators", "size": 0.1}, "`size` belongs to kind norm"),
        ({"name": "a", "kind": "weight"}, "give `up` as the name of a weight"),
        ({"name": "a", "kind": "column", "up": "x"}, "give `up` as a mapping"),
        ({"name": "a", "kind": "norm", "size": 0.1, "up": "x"}, "`up` belongs to the kinds weight, column and objects"),
        ({"name": "a", "kind": "norm", "size": 0.1, "processes": ["QDC"]}, "did you mean 'QCD'"),
        ({"name": "lumi", "kind": "norm", "size": 0.1}, "'lumi' is taken"),
        ({"name": "a/b", "kind": "norm", "size": 0.1}, "systematics.0.name"),
        ({"name": "a", "kind": "norm", "sizes": 0.1}, "did you mean 'size'"),
    ],
)
def test_wrong_entries_are_explained(entry, words):
    with pytest.raises(hepaa.CardError, match=words):
        rules(entry)


def test_rules_without_samples_know_no_shares():
    assert Rules(luminosity_fb=1.0).shares("QCD") == {}
