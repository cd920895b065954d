"""Normalisation, mixing and splitting of samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hepaa
from hepaa.table import EventTable, Source, concatenate
from hepaa.table.mixing import Tally, expected_events, leave_one_generator_out


def table(n, total=None, generator="pythia", **more):
    weight = np.ones(n) if total is None else np.full(n, total / n)
    source = Source(f"{generator}.h5", sha256=generator)
    return EventTable.build(np.arange(n)[:, None], ["x"], weight=weight, generator=generator, source=source, **more)


def test_yield_is_cross_section_times_luminosity():
    # 0.5 pb at 139 /fb: 69,500 events by the definition of the barn
    assert expected_events(0.5, 139.0) == pytest.approx(69_500)
    assert expected_events(0.5, 139.0, k_factor=1.2) == pytest.approx(83_400)


def test_mixing_has_the_asked_composition_and_the_mean_yield():
    mixed = hepaa.mix(
        {"pythia": table(900, 100.0), "sherpa": table(400, 130.0, "sherpa")},
        fractions={"pythia": 0.75, "sherpa": 0.25},
        rng=np.random.default_rng(1),
    )
    counts = {g: int(np.sum(mixed.generator == i)) for i, g in enumerate(mixed.generators)}
    assert counts == {"pythia": 900, "sherpa": 300}
    assert mixed.sum_weights == pytest.approx(0.75 * 100 + 0.25 * 130)
    assert mixed.weight[mixed.generator == 0].sum() == pytest.approx(75)
    assert len(np.unique(mixed.event_hash())) == 1200


def test_mixing_is_reproducible_and_shuffled():
    tables = {"a": table(50, generator="a"), "b": table(50, generator="b")}
    one, two = (hepaa.mix(tables, rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.X, two.X)
    assert 10 < np.sum(one.generator[:50] == 0) < 40


def test_mixing_refuses_fractions_of_other_generators():
    with pytest.raises(hepaa.InputError, match="herwig"):
        hepaa.mix({"a": table(5)}, fractions={"herwig": 1.0}, rng=np.random.default_rng(0))


def test_split_is_disjoint_complete_and_predicts_the_full_yield_in_each_part():
    whole = concatenate([table(4000, 250.0), table(2000, 40.0, "wprime", label=1)])
    parts = hepaa.split(whole, {"train": 0.5, "validation": 0.2, "test": 0.3})
    hashes = [set(p.event_hash()) for p in parts.values()]
    assert sum(map(len, hashes)) == len(set.union(*hashes)) == 6000
    assert len(parts["train"]) == pytest.approx(3000, abs=4 * np.sqrt(1500))
    for part in parts.values():
        assert part.background.sum_weights == pytest.approx(250)
        assert part.signal.sum_weights == pytest.approx(40)


def test_an_event_stays_in_its_part_whatever_else_is_read():
    a, b = table(1000), table(1000, generator="b")
    alone = hepaa.split(a, {"train": 0.7, "test": 0.3})["train"]
    together = hepaa.split(concatenate([b, a[500:], a[:500]]), {"train": 0.7, "test": 0.3})["train"]
    assert set(alone.event_hash()) <= set(together.event_hash())


def test_split_refuses_a_part_without_a_class_the_table_has():
    whole = concatenate([table(1000), table(1, generator="rare", label=1)])
    with pytest.raises(hepaa.InputError, match=r"no sum of weights for .*'rare'"):
        hepaa.split(whole, {"train": 0.5, "test": 0.5})


def test_data_are_neither_split_nor_scaled():
    data = table(300, process="LHC", label=-1).with_weight(np.ones(300))
    parts = hepaa.split(concatenate([data, table(2000, 250.0)]), {"train": 0.6, "test": 0.4})
    measured = parts["test"][parts["test"].label == -1]
    np.testing.assert_array_equal(measured.X, data.X)
    assert (measured.weight == 1).all()
    assert (parts["train"].label == 0).all()
    assert parts["test"].background.sum_weights == pytest.approx(250)
    with pytest.raises(hepaa.InputError, match="data alone"):
        hepaa.split(data, {"train": 0.5, "test": 0.5})


def test_split_refuses_fractions_above_one():
    with pytest.raises(hepaa.InputError, match="sum to at most 1"):
        hepaa.split(table(10), {"train": 0.8, "test": 0.3})


def test_leaving_one_generator_out_partitions_the_table():
    signal = table(30, 5.0, "madgraph", label=1)
    whole = concatenate([table(50, 10.0, "a"), table(40, 8.0, "b"), table(20, 6.0, "c"), signal])
    everything = set(whole.event_hash())
    names = []
    for name, rest, out in leave_one_generator_out(whole):
        names.append(name)
        assert out.generators == (name,)
        assert set(rest.generators) == {"a", "b", "c", "madgraph"} - {name}
        assert set(np.unique(rest.generator)) == set(range(len(rest.generators)))
        assert {rest.generators[g] for g in rest.generator[rest.label == 1]} == {"madgraph"}
        assert set(rest.event_hash()) | set(out.event_hash()) == everything
        assert not set(rest.event_hash()) & set(out.event_hash())
        assert len(out) == {"a": 50, "b": 40, "c": 20}[name]
        assert rest.sum_weights + out.sum_weights == pytest.approx(29.0)
    assert names == ["a", "b", "c"]  # a generator of signal alone is never left out


def test_leaving_the_only_generator_out_is_refused():
    with pytest.raises(hepaa.InputError, match=r"two or more, and there is that of \['a'\]"):
        next(leave_one_generator_out(concatenate([table(5, generator="a"), table(5, generator="s", label=1)])))


@pytest.mark.parametrize(
    "weights",
    [
        np.full(1000, 0.1),
        np.random.default_rng(0).normal(1e-3, 1e-3, 3000),
        np.exp(np.random.default_rng(1).uniform(-340, 340, 1000)) * np.where(np.arange(1000) % 3, 1, -1),
        np.arange(-3, 50) * 5e-324,
        np.array([1e16, 1.0, -1e16]),
        np.zeros(0),
    ],
    ids=["equal", "signs", "sizes", "subnormal", "cancels", "none"],
)
def test_sums_of_weights_are_exact_and_so_is_what_their_rounding_lost(weights):
    for total, lost, values in zip(
        (Tally.of(weights).sum_weights, Tally.of(weights).sum_weights2),
        Tally.of(weights).rest,
        (weights, weights**2),
        strict=False,
    ):
        assert total == math.fsum(values)
        assert lost == math.fsum([*values, -total])


def test_a_sum_of_weights_that_is_no_number_is_said_as_before():
    assert math.isnan(Tally.of([1.0, math.nan]).sum_weights)
    with pytest.raises(OverflowError):
        Tally.of([1.7e308, 1.7e308])
