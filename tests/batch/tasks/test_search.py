"""Toys and mixtures of a search in batches: equal bits, keys of what a result depends on, nothing searched twice."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.searches import COLUMNS, WINDOW, background, signal

from hepaa.batch.runs import BatchSetup
from hepaa.batch.searches import StoredMap
from hepaa.batch.store import Store
from hepaa.batch.tasks import search as task_module
from hepaa.batch.tasks.registry import task_from_dict
from hepaa.batch.tasks.search import SearchTask
from hepaa.card import ResonantCard
from hepaa.cli import main
from hepaa.errors import IncompleteError, InputError
from hepaa.search.injection import InjectedData
from hepaa.search.resonant import cross_fit_settings, method_of, searched
from hepaa.search.toys import Background, ToySearch

SECTION = ResonantCard.model_validate({
    "mass": "m", "signal": WINDOW.signal, "sidebands": WINDOW.sidebands, "folds": 2, "efficiencies": [0.1], "bins": 12,
    "methods": [{"method": "residual", "inputs": list(COLUMNS), "options": {"members": 1}}],
})  # fmt: skip
DRAWS = [(0, 0, 0.0), (1, 0, 30.0)]


@pytest.fixture(scope="module")
def model():
    return Background.of(background(1500, np.random.default_rng(1)), WINDOW, bins=12)


@pytest.fixture
def toys(model):
    return ToySearch(partial(searched, SECTION, method_of(SECTION)), model, 7)


@pytest.fixture
def mixtures(model):
    signals = signal(300, np.random.default_rng(2))
    return InjectedData(method_of(SECTION), model, signals, cross_fit_settings(SECTION), 7)


@pytest.fixture
def searches(monkeypatch):
    """Numbers of the toys that were searched."""
    numbers = []
    call = ToySearch.__call__

    def counted(self, number):
        numbers.append(number)
        return call(self, number)

    monkeypatch.setattr(ToySearch, "__call__", counted)
    return numbers


def test_stored_results_are_those_of_a_plain_map_and_none_is_searched_twice(toys, mixtures, tmp_path, searches):
    mapped = StoredMap(BatchSetup(tmp_path), SECTION)
    first = mapped(toys, range(2))
    assert searches == [0, 1]
    # more toys add to those that are there, whatever the card says about their number
    more = StoredMap(BatchSetup(tmp_path), SECTION.model_copy(update={"toys": 77, "check_toys": 20}))
    assert more(toys, range(3))[:2] == first
    assert searches == [0, 1, 2]
    assert first == [toys(0), toys(1)]
    stored, plain = mapped(mixtures, DRAWS), [mixtures(draw) for draw in DRAWS]
    assert [tuple(entry[:2]) for entry in stored] == [entry[:2] for entry in plain]
    np.testing.assert_array_equal([entry[2] for entry in stored], [entry[2] for entry in plain])
    assert np.isnan(stored[0][2]).all()  # no signal, no improvement; JSON has no NaN
    assert len(Store(str(tmp_path)).keys()) == 5
    said = CliRunner().invoke(main, ["batch", "status", str(tmp_path)]).output  # of the mixtures, which were the last
    assert re.search(r"^shards +2 of 2 stored\ntoys +2 ", said)
    assert "files" not in said


def keys_of(search, section, folder):
    from hepaa.batch.searches import _plan

    task, path = SearchTask.of(search, section, (0, 1), folder)
    return [shard.key for shard in _plan(task, path).shards]


def test_a_key_depends_on_all_that_a_toy_does(model, toys, mixtures, tmp_path):
    keys = keys_of(toys, SECTION, tmp_path)
    assert len(set(keys)) == 2
    assert keys_of(toys, SECTION, tmp_path / "elsewhere") == keys
    others = [
        keys_of(replace(toys, seed=8), SECTION, tmp_path),
        keys_of(toys, SECTION.model_copy(update={"folds": 3}), tmp_path),
        keys_of(toys, SECTION.model_copy(update={"bins": 13}), tmp_path),
        keys_of(replace(toys, background=replace(model, expected=model.expected * 1.001)), SECTION, tmp_path),
        keys_of(replace(toys, background=replace(model, columns=("b", "a"))), SECTION, tmp_path),
        keys_of(mixtures, SECTION, tmp_path),
    ]
    assert len({tuple(k) for k in (keys, *others)}) == 1 + len(others)


def test_a_task_comes_back_from_a_plan(toys, mixtures, tmp_path):
    for search, items in ((toys, (0, 1)), (mixtures, tuple(DRAWS))):
        task, _ = SearchTask.of(search, SECTION, items, tmp_path)
        plain = json.dumps(task.to_dict())
        assert json.dumps(task_from_dict(json.loads(plain)).to_dict()) == plain


def test_a_background_comes_back_from_its_arrays(model):
    again = Background.from_arrays(model.to_arrays(), json.loads(json.dumps(model.to_record())))
    one, two = (m.draw(np.random.default_rng(3)) for m in (model, again))
    np.testing.assert_array_equal(one.x, two.x)
    np.testing.assert_array_equal(one.mass, two.mass)
    with pytest.raises(InputError, match="there is no density 'Conditional'; did you mean"):
        Background.from_arrays(model.to_arrays(), model.to_record() | {"density": "Conditional"})


def test_other_arrays_than_those_of_the_plan_are_refused(toys, tmp_path):
    task, path = SearchTask.of(toys, SECTION, (0,), tmp_path)
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(InputError, match=r"is not what was stored \(SHA-256\)"):
        task_module._search(str(path), json.dumps(task.options()))
    again, same = SearchTask.of(toys, SECTION, (0,), tmp_path)  # the next search puts it right
    assert (again, same) == (task, path)
    assert task_module._search(str(path), json.dumps(task.options())).seed == toys.seed


def test_mixtures_of_events_are_refused(mixtures, tmp_path):
    events = replace(mixtures, background=background(10, np.random.default_rng(1)))
    with pytest.raises(InputError, match="give a `Background`"):
        SearchTask.of(events, SECTION, DRAWS, tmp_path)


def test_a_toy_that_fails_is_named_and_others_stay(toys, tmp_path, monkeypatch):
    def fails(self, number):
        if number == 1:
            raise InputError("the sideband fit did not converge")
        return [0.5]

    monkeypatch.setattr(ToySearch, "__call__", fails)
    with pytest.raises(IncompleteError, match=r"1 of 2 shards are missing.*the sideband fit did not converge"):
        StoredMap(BatchSetup(tmp_path, retries=0), SECTION)(toys, range(2))
    assert len(Store(str(tmp_path)).keys()) == 1
    # the progress counts toys: all of them share one file of the background's model, and none has a weight
    assert re.search(r" 1/2 shards, 1 toys, \S+ toys/s, left \d+ s$", (tmp_path / "log.txt").read_text())


@pytest.mark.slow
def test_worker_processes_give_the_same_bits(toys, tmp_path):
    from hepaa.batch import Processes

    assert StoredMap(BatchSetup(tmp_path, Processes(2)), SECTION)(toys, range(4)) == [toys(i) for i in range(4)]
