"""Samples of a card: read in one piece or in shards, they are the same to the last bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import uproot
from helpers.nano import nano_branches, write_tree

from hepaa.batch.runs import BatchSetup, read_card
from hepaa.card import parse_card
from hepaa.errors import CardError, InputError
from hepaa.events import Events
from hepaa.features.registry import feature_sets
from hepaa.progress import Silent
from hepaa.run.reading import SampleReading, counted, input_files, normalised, read
from hepaa.run.results import cross_sections
from hepaa.table import CutflowRow, EventTable, Source, concatenate
from hepaa.table.mixing import Tally

COLUMNS = [f"{name}{jet}" for jet in ("j1", "j2") for name in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")]


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """Dijets of random momenta and weights: background in two files, signal in one of them."""
    folder = tmp_path_factory.mktemp("dijets")
    rng = np.random.default_rng(4)
    files = []
    for number in range(2):
        n = 700 + number
        momenta = rng.normal(0, 800, (n, 14))
        momenta[:, [3, 10]] = rng.uniform(20, 300, (n, 2))
        momenta[:, [4, 5, 6, 11, 12, 13]] = rng.uniform(0.01, 0.5, (n, 6))
        table = np.column_stack([momenta, rng.uniform(0, 1, n), rng.integers(0, 2, n)])
        files.append(str(folder / f"dijets-{number}.root"))
        with uproot.recreate(files[-1]) as file:
            file["events"] = dict(zip([*COLUMNS, "weight", "label"], table.T, strict=True))
    common = {"files": files, "expected_events": 1000.0}
    content = {
        "name": "dijets", "output": "out", "luminosity_fb": 1,
        "samples": [{"process": "QCD", "truth": 0, **common}, {"process": "X", "role": "signal", "truth": 1, **common}],
        "features": {"set": "dijet", "selection": "mjj > 100"}, "detectors": [{"detector": "SumOfSquares"}],
    }  # fmt: skip
    return parse_card(content, source=Path("card.yaml"))


@pytest.mark.parametrize("shard_events", [pytest.param(13, marks=pytest.mark.slow), 97])
def test_shards_of_a_card_have_the_bits_of_the_whole(card, tmp_path, shard_events):
    whole = read(card, Silent())
    table, outcome = read_card(card, BatchSetup(tmp_path, shard_events=shard_events))
    assert len(outcome.plan.shards) > 4
    for name in ("X", "weight", "label", "event", "process", "file"):
        assert getattr(table, name).tobytes() == getattr(whole, name).tobytes(), name
    assert table.sum_weights == whole.sum_weights


def test_a_tally_does_not_depend_on_the_pieces(card):
    reading = SampleReading.from_card(card.samples[0], card)
    _, tally = reading.rows(card.samples[0].files)
    rng = np.random.default_rng(0)
    weight = rng.lognormal(0, 6, 5000) * rng.choice([-1, 1], 5000)
    for pieces in (1, 3, 50):
        total = Tally.total(Tally.of(part) for part in np.array_split(weight, pieces))
        assert total.sum_weights == Tally.of(weight).sum_weights
        assert total.sum_weights2 == Tally.of(weight).sum_weights2
        assert total.events == 5000
    assert tally.events < 1401


def test_the_first_events_of_the_truth_are_read(card):
    reading = SampleReading.from_card(card.samples[1], card)
    table, tally = reading.rows(card.samples[1].files, max_events=10)
    assert tally.events == 10
    assert set(table.label) == {1}
    with pytest.raises(InputError, match="no weight 'mu'"):
        SampleReading("dijet", weight="mu").rows(card.samples[0].files)
    assert "dijet" in feature_sets()


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ((0.0,), "a cross-section of 0 pb"),
        ((-1.0,), "a cross-section of -1 pb"),
        ((float("nan"),), "a cross-section of nan pb"),
        ((None,), "no usable cross-section"),
        ((10.0, 1.0), "cross-sections of 1 and 10 pb"),
    ],
)
def test_a_cross_section_that_no_sample_has_is_told(card, stated, words):
    sample = card.samples[0].model_copy(update={"expected_events": None})
    table, tally = EventTable.build([[1.0]], ["x"]), Tally.total([Tally.of([1.0], x) for x in stated])
    with pytest.raises(InputError, match=words):
        normalised(card, sample, table, tally)
    normalised(card, sample.model_copy(update={"cross_section_pb": 1.0}), table, tally)


def lhe_card(folder, **data):
    samples = [
        {"process": "ZH", "files": ["demo:zh_sm.lhe.gz"]},
        {"process": "LHC", "role": "data", "files": ["demo:zh_chw.lhe.gz"], **data},
    ]
    content = {"name": "data", "output": str(folder / "out"), "luminosity_fb": 300, "samples": samples,
               "features": {"set": "zh-paper"}, "detectors": [{"detector": "SumOfSquares"}]}  # fmt: skip
    return parse_card(content, source=folder / "card.yaml")


def test_events_of_data_count_as_one_whatever_unit_their_weight_has(tmp_path):
    card = lhe_card(tmp_path)
    lines = []
    said = Silent()
    said.say = lines.append
    data = read(card, said)
    data = data[data.label == -1]
    assert lines[1] == f"LHC: {data.n} events"  # no generator, and nothing is expected of data
    assert data.n > 1000
    assert np.all(data.weight == 1)
    whole = read(card, Silent())
    assert all(row.sum_weights == row.n for row in whole.cutflow if row.process == "LHC")
    table, _ = read_card(card, BatchSetup(tmp_path / "store", shard_events=97))
    assert table.weight.tobytes() == whole.weight.tobytes()
    alone, _ = SampleReading("zh-paper", process="LHC", role="data").rows(card.samples[1].files)
    assert np.all(alone.weight == 1)


def weighted(*weights):
    """A table of data with a file for each array of weights."""
    sources = [Source(f"{i}.root", str(i)) for i in range(len(weights))]
    return concatenate(
        [EventTable.build(np.ones((len(w), 1)), ["x"], weight=w, label=-1, process="LHC", source=s,
                          cutflow=[CutflowRow("LHC", "unknown", "all", len(w), float(np.sum(w)))])
         for w, s in zip(weights, sources, strict=True)]
    )  # fmt: skip


def test_weights_of_data_that_differ_are_refused(tmp_path):
    mixed = counted(weighted([0.02] * 3, [0.0201] * 2))  # two runs of a generator
    assert mixed.weight.tolist() == [1.0] * 5
    assert [row.sum_weights for row in mixed.cutflow] == [5.0]
    for weights, message in (
        ([[1.0, 1.0], [1.0, 2.0]], r"1.root: the weights of these data differ \(1 .. 2\).*unweight: true"),
        ([[-1.0, -1.0]], "0.root: the weights of these data differ"),
        ([[1.0], [100.0]], "weights of 1 and 100: they stand for different luminosities"),
    ):
        with pytest.raises(InputError, match=message):
            counted(weighted(*weights))


def test_unweighted_data_are_drawn_in_proportion_to_their_weights(card, tmp_path):
    low, high = np.full(4000, 0.25), np.full(1000, 1.0)
    sample = card.samples[0].model_copy(update={"role": "data", "unweight": True})
    weights = np.concatenate([low, high])
    drawn = normalised(card, sample, weighted(weights), Tally.of(weights))
    assert np.all(drawn.weight == 1)
    assert (drawn.event >= 4000).sum() == 1000
    assert (drawn.event < 4000).sum() == pytest.approx(1000, abs=100)
    again = normalised(card, sample, weighted(weights), Tally.of(weights))
    assert again.event.tobytes() == drawn.event.tobytes()
    assert drawn.cutflow[-1] == CutflowRow("LHC", "unknown", "unweighted", drawn.n, float(drawn.n))
    with pytest.raises(InputError, match="no probabilities"):
        normalised(card, sample, weighted([-1.0, 1.0]), Tally.of([-1.0, 1.0]))


@pytest.mark.parametrize(
    "scaling", [{"weight": "mu"}, {"k_factor": 1.2}, {"cross_section_pb": 1.0}, {"expected_events": 10}, {"share": 0.5}]
)
def test_data_are_not_scaled(tmp_path, scaling):
    (key,) = scaling
    with pytest.raises(CardError, match=rf"samples.1: {key}: each event of data counts as 1; leave it out"):
        lhe_card(tmp_path, **scaling)
    with pytest.raises(CardError, match=r"samples.1: unweight: for data alone"):
        lhe_card(tmp_path, role="signal", unweight=True)


def skims(folder, kept, made, *, label=False):
    """ROOT files of `kept` dijets with weights of 2, of which each says how many were `made`, in two runs."""
    rng = np.random.default_rng(1)
    files = []
    for i, (n, all_) in enumerate(zip(kept, made, strict=True)):
        momenta = rng.normal(0, 800, (n, 14))
        momenta[:, [3, 10]] = rng.uniform(20, 300, (n, 2))
        momenta[:, [4, 5, 6, 11, 12, 13]] = rng.uniform(0.01, 0.5, (n, 6))
        files.append(str(folder / f"skim-{i}.root"))
        with uproot.recreate(files[-1]) as file:
            file["events"] = {**dict(zip(COLUMNS, momenta.T, strict=True)), "weight": np.full(n, 2.0),
                              **({"label": np.zeros(n, int)} if label else {})}  # fmt: skip
            if all_ is not None:
                file["Runs"] = {"genEventSumw": np.full(2, all_ * 1.0), "genEventCount": np.array([all_, 0])}
    return [f"{file}:events" for file in files]


def skim_card(files, **sample):
    common = {"files": files, "cross_section_pb": 1.0, **sample}
    content = {
        "name": "skims", "output": "out", "luminosity_fb": 1,
        "samples": [{"process": "QCD", **common}, {"process": "X", "role": "signal", "k_factor": 2.0, **common}],
        "features": {"set": "dijet"}, "detectors": [{"detector": "SumOfSquares"}],
    }  # fmt: skip
    return parse_card(content, source=Path("card.yaml"))


def yields(table):
    return [table.weight[table.label == label].sum() for label in (0, 1)]


def test_a_cross_section_is_shared_over_all_events_that_were_generated(tmp_path):
    # 1 pb and 1 fb^-1: of 200 + 50 generated events 40 and 10 are left, and none of another 50
    files = skims(tmp_path, (40, 10, 0), (200, 50, 50))
    whole = read(skim_card(files), Silent())
    assert yields(whole) == pytest.approx([1000 * 50 / 300, 2000 * 50 / 300])
    rows = {row.step: (row.n, row.sum_weights) for row in whole.cutflow if row.process == "QCD"}
    assert rows["all"] == (300, pytest.approx(1000))
    assert rows["skim"] == (50, pytest.approx(1000 * 50 / 300))
    assert cross_sections(whole, 1.0) == pytest.approx({"QCD": 1.0, "X": 2.0})
    table, _ = read_card(skim_card(files), BatchSetup(tmp_path / "store", shard_events=17))
    assert table.weight.tobytes() == whole.weight.tobytes()
    # a part of a file stands for that part of what was generated
    assert yields(read(skim_card(files, max_events=45), Silent()))[0] == pytest.approx(1000 * 45 / 225)
    complete = read(skim_card(skims(tmp_path, (40,), (40,))), Silent())
    assert yields(complete)[0] == pytest.approx(1000)
    assert "skim" not in {row.step for row in complete.cutflow}


@pytest.mark.parametrize("pieces", [2, 7, 1000])
def test_the_parts_of_a_generated_sum_add_up_to_its_bits(pieces):
    events = Events(path="a.root", format="root", index=np.arange(1000), weight=np.full(1000, 0.1),
                    header={"events": 1000, "generated_sum_weights": 1234.5678, "generated_events": 12345})  # fmt: skip
    parts = [Tally.of_piece(events.select(np.isin(events.index, i))) for i in np.array_split(events.index, pieces)]
    total = Tally.total(parts)
    assert (total.generated, round(total.generated_events)) == (1234.5678, 12345)


def test_sums_that_only_some_files_state_are_refused(tmp_path):
    with pytest.raises(InputError, match="some state the sum of weights of all events"):
        read(skim_card(skims(tmp_path, (40, 10), (400, None))), Silent())
    with pytest.raises(InputError, match="takes a part of the events"):
        read(skim_card(skims(tmp_path, (40,), (400,), label=True), truth=0), Silent())


NANO = {"jets": {"btag": "btagDeepFlavB > 0.1"}, "events": {"where": "HLT_IsoMu24", "luminosity_mask": "golden.json"}}


def nano_card(folder, objects=NANO, blocks=((1, 15),)):
    """ZH of NanoAOD-like events, with the blocks that are certified of run 1."""
    (folder / "golden.json").write_text(json.dumps({"1": blocks, "2": [[1, 99]]}))
    write_tree(folder / "nano.root", nano_branches(btagDeepFlavB=1))
    content = {
        "name": "zh", "output": "out", "luminosity_fb": 1, "features": {"set": "zh-paper", "objects": objects},
        "samples": [{"process": "ZH", "role": "signal", "files": ["nano.root"], "cross_section_pb": 1},
                    {"process": "Z", "files": ["nano.root"], "cross_section_pb": 2}],
        "detectors": [{"detector": "SumOfSquares"}],
    }  # fmt: skip
    return parse_card(content, source=folder / "card.yaml")


def test_objects_of_a_card_are_selected_after_the_weights_are_summed(tmp_path):
    card = nano_card(tmp_path)
    whole = read(card, Silent())
    left = {row.step: (row.n, row.sum_weights) for row in whole.cutflow if row.process == "ZH"}
    assert left["all"] == (60, pytest.approx(1000))
    assert left["luminosity mask"] == (35, pytest.approx(1000 * 35 / 60))
    assert left["HLT_IsoMu24"][0] < 35
    assert left["jets: b-tag, btagDeepFlavB > 0.1"][0] > left["b pair"][0] == whole.n / 2 > 0
    table, _ = read_card(card, BatchSetup(tmp_path / "batch", shard_events=25))
    assert table.X.tobytes() == whole.X.tobytes()
    assert table.weight.tobytes() == whole.weight.tobytes()
    counts = {row.step: row.n for row in table.cutflow if row.process == "ZH"}
    assert counts == {step: n for step, (n, _) in left.items()}


def test_another_cut_or_certified_block_is_another_task(tmp_path):
    def selection(**changes):
        card = nano_card(tmp_path, **changes)
        return SampleReading.from_card(card.samples[0], card).objects

    options = [selection(), selection(blocks=((1, 14),)), selection(objects=NANO | {"jets": None})]
    assert options[0]["events"]["luminosity_mask"] == {"1": [[1, 15]], "2": [[1, 99]]}
    assert len({json.dumps(o) for o in options}) == 3
    assert str(tmp_path / "golden.json") in input_files(nano_card(tmp_path))


def test_no_event_left_says_what_each_cut_left(tmp_path):
    nothing = {"jets": {"where": "pt > 1e6"}}
    with pytest.raises(InputError, match=r"no event passes .*all 60; .*jets: pt > 1000000.0 0; .*b pair 0"):
        read(nano_card(tmp_path, nothing), Silent())


def test_steps_that_are_not_understood_are_found_before_any_file_is_read(tmp_path):
    with pytest.raises(CardError, match=r"features.objects: objects.jets: unknown key 'wher'; did you mean 'where'"):
        nano_card(tmp_path, {"jets": {"wher": "pt > 3"}})
