"""A feature set in a user's own file: from a card, in batches, by its content."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import hepaa
from hepaa.batch import FeatureTask
from hepaa.card import parse_card
from hepaa.demo import path as demo_path
from hepaa.features import feature_sets
from hepaa.features.registry import feature_info, find_set
from hepaa.io.files import sha256

MINE = """
import awkward as ak
from hepaa.features import Feature, feature_set

@feature_set("mine", inputs="particles", columns=[Feature("nparticles", "$n$", "GeV")])
def mine(events):
    '''Particles in the event.'''
    n = ak.to_numpy(ak.num(events.arrays["particles"])).astype(float)
    return {"nparticles": n * FACTOR}, {"not empty": n > 0}
"""


def written(folder, factor=1, text=MINE):
    path = folder / "mine.py"
    path.write_text(text.replace("FACTOR", str(factor)))
    return f"{path}:mine"


@pytest.fixture(scope="module")
def events():
    some = next(hepaa.iterate(demo_path("zh_sm.lhe.gz"), step_size="100 kB"))
    return some.select(np.arange(some.n) < 40)


def test_the_set_of_a_file(tmp_path, events):
    name = written(tmp_path)
    table = hepaa.features(events, name)
    assert table.feature_set == name
    assert (table.columns, table.units) == (("nparticles",), {"nparticles": "GeV"})
    assert feature_info("nparticles", name).label == "$n$"
    digest = sha256(tmp_path / "mine.py")
    assert table.sources[0].selection == f"{name} (SHA-256 {digest}): not empty"
    assert "mine" not in feature_sets()
    assert not any("hepaa_own" in n for n in feature_sets())


def test_two_files_and_two_states_of_one_have_the_same_names(tmp_path, events):
    (tmp_path / "other").mkdir()
    first = hepaa.features(events, written(tmp_path))
    np.testing.assert_array_equal(hepaa.features(events, written(tmp_path / "other", 3)).X, first.X * 3)
    np.testing.assert_array_equal(hepaa.features(events, written(tmp_path, 2)).X, first.X * 2)
    assert not (tmp_path / "__pycache__").exists()


def test_a_card_names_it_beside_itself(tmp_path):
    written(tmp_path)
    content = {
        "name": "own", "output": "o", "luminosity_fb": 1, "detectors": [{"detector": "VAE"}],
        "samples": [{"process": "B", "files": ["x"]}, {"process": "S", "role": "signal", "files": ["y"]}],
        "features": {"set": "./mine.py:mine"},
    }  # fmt: skip
    card = parse_card(content, source=tmp_path / "card.yaml")
    assert find_set(card.features.named).description == "Particles in the event."


def test_a_batch_knows_the_file_by_its_content(tmp_path):
    task = FeatureTask(written(tmp_path))
    again = FeatureTask.from_dict({k: v for k, v in task.to_dict().items() if k != "kind"})
    assert again == task
    assert FeatureTask(written(tmp_path, 2)).to_dict() != task.to_dict()
    from hepaa.batch.shard import Shard

    shard = Shard(str(demo_path("zh_sm.lhe.gz")), None, None, 0, "0" * 64, {})
    with pytest.raises(hepaa.InputError, match=r"mine.py:mine: the file has changed since the plan was made"):
        again.compute(shard)
    written(tmp_path)
    assert again.compute(shard).table.columns == ("nparticles",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 / 0", r"mine.py cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("x = 1", "mine.py has no feature set 'mine'; available: none"),
        (MINE.replace("* FACTOR", "* nothing"), r"mine.py:mine fails on .*\(NameError: name 'nothing'"),
        (MINE.replace("n * FACTOR", "n[:3]"), r"'nparticles' has shape \(3,\) for 40 events"),
        (MINE.replace('"mine"', '"nime"'), "has no feature set 'mine'; did you mean 'nime'"),
    ],
)
def test_a_file_with_a_fault_is_one_line(tmp_path, events, text, words):
    with pytest.raises(hepaa.InputError, match=words):
        hepaa.features(events, written(tmp_path, text=text))


def test_a_file_that_is_not_there(events):
    with pytest.raises(hepaa.InputError, match=r"nowhere.py: no such file"):
        hepaa.features(events, "nowhere.py:mine")


@pytest.mark.slow
def test_workers_import_it_and_store_under_its_content(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from hepaa.cli import main

    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_path("zh_sm.lhe.gz"), tmp_path / "a.lhe.gz")
    tables = []
    for factor in (1, 2):
        written(tmp_path, factor)
        for options in ([], ["--executor", "processes:2"]):
            words = ["features", "a.lhe.gz", "--set", "./mine.py:mine", "-o", "t.parquet", *options]
            done = CliRunner().invoke(main, words, catch_exceptions=False)
            assert done.exit_code == 0, done.stderr
            tables.append(hepaa.EventTable.load(tmp_path / "t.parquet").X)
    np.testing.assert_array_equal(tables[0], tables[1])
    np.testing.assert_array_equal(tables[2], tables[0] * 2)
    np.testing.assert_array_equal(tables[3], tables[0] * 2)
