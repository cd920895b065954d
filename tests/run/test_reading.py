"""Samples of a card: read in one piece or in shards, they are the same to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from hepaa.batch.runs import BatchSetup, read_card
from hepaa.card import parse_card
from hepaa.errors import InputError
from hepaa.features.registry import feature_sets
from hepaa.progress import Silent
from hepaa.run.reading import SampleReading, normalised, read
from hepaa.table import EventTable
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


@pytest.mark.parametrize("shard_events", [13, 97])
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
        ((None,), "no cross-section"),
        ((10.0, 1.0), "cross-sections of 1 and 10 pb"),
    ],
)
def test_a_cross_section_that_no_sample_has_is_told(card, stated, words):
    sample = card.samples[0].model_copy(update={"expected_events": None})
    table, tally = EventTable.build([[1.0]], ["x"]), Tally.total([Tally.of([1.0], x) for x in stated])
    with pytest.raises(InputError, match=words):
        normalised(card, sample, table, tally)
    normalised(card, sample.model_copy(update={"cross_section_pb": 1.0}), table, tally)
