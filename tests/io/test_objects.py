"""Selection of objects and events: the same as vector and awkward by hand, a cutflow of each step, and clear errors."""

from __future__ import annotations

import json
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import hepaa
from hepaa.errors import InputError
from hepaa.io.objects import merged_objects, parse_objects, select_objects

RNG = np.random.default_rng(5)


def _jagged(counts, **fields):
    return ak.zip({name: ak.unflatten(values, counts) for name, values in fields.items()}, depth_limit=2)


def _objects(n, mean):
    counts = RNG.poisson(mean, n)
    total = counts.sum()
    return _jagged(
        counts,
        pt=RNG.exponential(40, total),
        eta=RNG.normal(0, 1.5, total),
        phi=RNG.uniform(-np.pi, np.pi, total),
        m=RNG.uniform(0, 10, total),
        score=RNG.uniform(0.01, 0.99, total),
        mask=RNG.integers(0, 4, total),
        tight=RNG.integers(0, 2, total).astype(bool),
        charge=RNG.choice([-1, 1], total),
    )


def _events(n=300):
    columns = {
        "met": RNG.exponential(50, n), "trigger": RNG.integers(0, 2, n).astype(float),
        "run": RNG.choice([1.0, 2.0, 3.0], n), "luminosity_block": RNG.integers(1, 20, n).astype(float),
    }  # fmt: skip
    collections = {"jets": _objects(n, 4), "electrons": _objects(n, 0.7), "muons": _objects(n, 0.7)}
    return hepaa.Events(
        "memory", "root", np.arange(n), RNG.normal(1, 0.5, n), collections=collections, columns=columns
    )  # fmt: skip


EVENTS = _events()


def test_objects_are_those_that_vector_and_awkward_keep_by_hand():
    steps = {
        "jets": {
            "define": {"energy": "sqrt((pt * cosh(eta))**2 + m**2)"},
            "where": "pt > 25 and abs(eta) < 2.5",
            "clean": {"leptons": 0.4},
            "sort": "energy",
            "at_most": 3,
            "btag": "score > 0.6",
        },
        "leptons": {"union": ["electrons", "muons"], "where": "pt > 15 and tight", "sort": "pt"},
        "electrons": {"where": "abs(eta) < 2.5"},
    }
    done = select_objects(EVENTS, steps)
    electrons = EVENTS.electrons[abs(EVENTS.electrons.eta) < 2.5]
    leptons = ak.concatenate([electrons, EVENTS.muons], axis=1)
    leptons = leptons[(leptons.pt > 15) & leptons.tight]
    leptons = leptons[ak.argsort(leptons.pt, axis=1, ascending=False)]
    jets = EVENTS.jets[(EVENTS.jets.pt > 25) & (abs(EVENTS.jets.eta) < 2.5)]
    far = jets[~ak.any(jets[:, :, None].deltaR(leptons[:, None]) < 0.4, axis=-1)]
    best = far[ak.argsort(far.energy, axis=1, ascending=False)][:, :3]
    assert ak.sum(ak.num(far)) < ak.sum(ak.num(jets))
    for field in ("pt", "eta", "phi", "m", "charge"):
        assert done.arrays["leptons"][field].to_list() == leptons[field].to_list()
        assert done.arrays["jets"][field].to_list() == best[field].to_list()
    np.testing.assert_allclose(ak.flatten(done.jets["energy"]), ak.flatten(best.energy), rtol=1e-12)
    assert done.arrays["jets"].btag.to_list() == ak.values_astype(best.score > 0.6, int).to_list()
    assert done.n == EVENTS.n


def test_every_cut_is_a_step_with_objects_or_events_and_their_weights():
    steps = {
        "jets": {"where": "pt > 25 and abs(eta) < 2.5", "btag": "mask & 1"},
        "events": {
            "where": "trigger and njets >= 2 and met > 20",
            "luminosity_mask": {"1": [[1, 9]], "3": [[2, 3], [7, 8]]},
        },
    }
    done = select_objects(EVENTS, steps)
    left = {row.step: (row.n, row.sum_weights) for row in done.steps}
    w = EVENTS.weight
    pt, eta, mask = EVENTS.jets.pt, EVENTS.jets.eta, EVENTS.jets["mask"]
    assert left["all"] == (300, pytest.approx(w.sum()))
    assert left["jets: pt > 25"] == (ak.sum(pt > 25), pytest.approx(ak.sum(w * ak.sum(pt > 25, axis=1))))
    good = (pt > 25) & (abs(eta) < 2.5)
    assert left["jets: abs(eta) < 2.5"][0] == ak.sum(good)
    assert left["jets: b-tag, mask & 1"][0] == ak.sum(good & (mask % 2 == 1))
    run, block = EVENTS.columns["run"], EVENTS.columns["luminosity_block"]
    certified = (run == 1) & (block <= 9) | (run == 3) & np.isin(block, [2, 3, 7, 8])
    assert left["luminosity mask"] == (certified.sum(), pytest.approx(w[certified].sum()))
    keep = certified & (EVENTS.columns["trigger"] == 1) & (ak.to_numpy(ak.sum(good, axis=1)) >= 2)
    keep &= EVENTS.columns["met"] > 20
    assert list(left)[-3:] == ["trigger", "njets >= 2", "met > 20"]
    assert left["met > 20"] == (keep.sum(), pytest.approx(w[keep].sum()))
    np.testing.assert_array_equal(done.index, np.flatnonzero(keep))


def test_objects_on_both_sides_of_phi_pi_are_near():
    two = _jagged(np.array([1, 1]), pt=np.full(2, 50.0), eta=np.zeros(2), phi=np.array([3.1, 3.1]))
    others = _jagged(np.array([1, 1]), pt=np.full(2, 50.0), eta=np.zeros(2), phi=np.array([-3.1, -2.6]))
    events = hepaa.Events("two", "root", np.arange(2), np.ones(2), collections={"jets": two, "muons": others})
    assert ak.num(select_objects(events, {"jets": {"clean": {"muons": 0.4}}}).jets).to_list() == [0, 1]


def test_the_first_alternative_that_can_be_computed_is_taken():
    choices = ["other > 0.5", "score > 0.5"]
    assert [r.step for r in select_objects(EVENTS, {"jets": {"btag": choices}}).steps][-1] == "jets: b-tag, score > 0.5"
    without = select_objects(EVENTS, {"jets": {"btag": ["other > 0.5", None]}})
    assert "btag" not in without.arrays["jets"].fields


@pytest.mark.parametrize("n", [0, 5])
def test_empty_collections_and_no_events_pass(n):
    nothing = _jagged(np.zeros(n, int), **{f: np.empty(0) for f in ("pt", "eta", "phi", "m", "score", "tight")})
    events = replace(
        EVENTS.select(np.arange(EVENTS.n) < n), collections={"jets": nothing, "electrons": nothing, "muons": nothing}
    )
    steps = {
        "leptons": {"union": ["electrons", "muons"], "where": "pt > 10 and tight"},
        "jets": {"where": "pt > 20", "clean": {"leptons": 0.4}, "sort": "pt", "at_most": 2, "btag": "score > 0.5"},
        "events": {"where": "njets >= 1"},
    }
    done = select_objects(events, steps)
    assert (done.n, done.steps[-1].n) == (0, 0)
    assert "btag" in done.arrays["jets"].fields


def test_changes_replace_single_steps_and_null_takes_them_away():
    usual = {"jets": {"where": "pt > 25", "btag": "score > 0.3"}, "muons": {"where": "pt > 5"}}
    merged = merged_objects(
        usual, {"jets": {"where": "pt > 40", "btag": None}, "muons": None, "events": {"where": "met > 9"}}
    )
    assert merged == {"jets": {"where": "pt > 40"}, "events": {"where": "met > 9"}}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"jets": {"where": "ptt > 3"}}, "objects.jets.where 'ptt > 3' names 'ptt'; did you mean 'pt'"),
        ({"jets": {"where": "pt >"}}, "objects.jets.where 'pt >' is no expression"),
        ({"jets": {"wheer": "pt > 3"}}, "objects.jets: unknown key 'wheer'; did you mean 'where'"),
        ({"jest": {"where": "pt > 3"}}, "no collection 'jest'; did you mean 'jets'"),
        ({"jets": {"clean": {"lepton": 0.4}}}, "no collection 'lepton'"),
        ({"jets": {"clean": {"muons": -1}}}, "clean.muons must be a Delta R above 0"),
        ({"jets": {"clean": {"muons": 0.4}}, "muons": {"clean": {"jets": 0.4}}}, "jets -> muons -> jets goes"),
        ({"jets": {"at_most": 0}}, "at_most must be a whole number"),
        ({"jets": {"btag": "score > 27.83"}}, "scores of 'score' lie in 0.0.* .. 0.9.*, and 27.83 is no working point"),
        ({"jets": {"btag": "score"}}, "'score' is a number; compare it"),
        ({"jets": {"where": "log(-pt) > 1"}}, r"'log\(-pt\)' is undefined for \d+ jets"),
        ({"jets": {"where": ["a > 1", None, "b > 1"]}}, "of which the last may be null"),
        ({"jets": {"union": "electrons"}}, "union must be a list of names"),
        ({"events": {"where": "nmuon > 1"}}, "did you mean 'nmuons'"),
        ({"events": {"luminosity_mask": {"1": [[1, 2, 3]]}}}, "run '1' has"),
        ({"events": {"luminosity_mask": "none.json"}}, "none.json cannot be read as a luminosity mask"),
        ({"jets": 3}, "objects.jets must be a mapping"),
    ],
)  # fmt: skip
def test_what_cannot_be_selected_is_named(steps, words):
    with pytest.raises(InputError, match=words):
        select_objects(EVENTS, steps)


def test_events_without_run_numbers_take_no_luminosity_mask():
    with pytest.raises(InputError, match="needs the columns run and luminosity_block"):
        select_objects(replace(EVENTS, columns={}), {"events": {"luminosity_mask": {"1": [[1, 2]]}}})


def test_a_tagger_that_was_not_run_is_warned_of():
    jets = ak.with_field(EVENTS.arrays["jets"], ak.full_like(EVENTS.jets.pt, -1.0), "unset")
    with pytest.warns(UserWarning, match="'unset' is -1 for all .* jets: the tagger was not run"):
        select_objects(replace(EVENTS, collections={"jets": jets}), {"jets": {"btag": "unset > 0.3"}})


def test_a_mask_is_read_from_its_file(tmp_path):
    (tmp_path / "golden.json").write_text(json.dumps({"273158": [[1, 12], [20, 25]]}))
    mask = parse_objects({"events": {"luminosity_mask": str(tmp_path / "golden.json")}}).luminosity_mask
    assert mask[273158].tolist() == [[1, 12], [20, 25]]


def test_events_of_any_format_take_objects(tmp_path):
    from hepaa.io.parquet.events import write

    write([replace(EVENTS, header={})], tmp_path / "events.parquet")
    events = hepaa.open(tmp_path / "events.parquet", objects={"jets": {"where": "pt > 50"}})
    assert ak.min(events.jets.pt) < 50
    assert ak.min(hepaa.select_objects(events).jets.pt) > 50
