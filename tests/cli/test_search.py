"""`hepaa search`, its toys in a batch, and the cards of `hepaa init` and `hepaa demo`."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from helpers.search_cards import write_card

from hepaa.batch.store import Store
from hepaa.card import load_card
from hepaa.cli import main
from hepaa.search import pipeline, resonant
from hepaa.search.toys import ToySearch


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(resonant, "save_figure", lambda *_: None)
    monkeypatch.setattr(resonant, "picture", lambda _: "")


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_unblinding_searches_no_toy_again(tmp_path, no_figures, monkeypatch):
    card = write_card(tmp_path, n=1500)
    blind = run("search", card)
    assert blind.exit_code == 0, blind.output
    assert "blind: a background-only toy stands for the signal region" in blind.output
    assert (tmp_path / "out.batch" / "results").is_dir()
    monkeypatch.setattr(ToySearch, "__call__", lambda *_: pytest.fail("a toy was searched again"))
    assert run("search", card).exit_code == 2  # the results are there already
    opened = run("search", card, "--unblind", "--overwrite")
    assert opened.exit_code == 0, opened.output
    assert "Residual in 3300 .. 3700 GeV: largest local z" in opened.output


def test_jobs_and_an_executor_together_are_refused(tmp_path):
    ended = run("search", write_card(tmp_path, n=10), "--jobs", 2, "--executor", "serial")
    assert (ended.exit_code, ended.output) == (2, "hepaa: give either --jobs or --executor, not both\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": [{"process": "b", "files": ["data.h5"]}]}, "no sample has role"),
        ({"search": {}}, "give either `resonant` or `two_sample`"),
        ({"features": {"set": "dijet-hl", "inputs": ["mjj"]}}, "mjj is the mass of the window"),
        ({"search": {"resonant": {"mass": "mjj", "signal": [1, 2], "sidebands": []}}}, "sidebands"),
        (
            {"search": {"two_sample": {}, "unblind": True}},
            "search: `unblind` is no key of `search`: it",
        ),
    ],
)
def test_a_bad_card_is_one_line_and_exit_2(changes, message, tmp_path):
    ended = run("search", write_card(tmp_path, n=10, **changes))
    assert ended.exit_code == 2
    assert message in ended.output
    assert ended.output.count("\n") == 1


def test_init_writes_the_card_of_the_demo(tmp_path):
    written = run("init", "search", "--output", tmp_path / "mine.yaml")
    assert f"then `hepaa search {tmp_path / 'mine.yaml'}`" in written.output
    card = load_card(tmp_path / "mine.yaml")
    assert card.search is not None
    assert card.unblind  # and a comment says why
    assert "take it out" in (tmp_path / "mine.yaml").read_text()


@pytest.mark.slow
def test_the_search_of_the_demo_finds_its_resonance(tmp_path):
    from hepaa.demo import path

    before = time.process_time()
    folder = pipeline.search(load_card(path("search.yaml")).changed(output=str(tmp_path / "out")))
    assert time.process_time() - before < 180  # a minute, on a slow machine
    numbers = json.loads((folder / "results.json").read_text())["resonant"]
    assert numbers["p_value"]["is_bound"]  # beyond all toys
    assert numbers["looks"]["Residual at 0.003"]["z"] > 5
    assert numbers["found_in_folds"] == [5, 5]
    assert numbers["signal_fraction"][0] == pytest.approx(178 / 3706, abs=3 * numbers["signal_fraction"][1])


@pytest.mark.slow
def test_a_killed_search_goes_on_and_workers_give_the_same_bytes(tmp_path):
    card = write_card(tmp_path, n=3000, signal=True, resonant={"check_toys": 12})
    command = [sys.executable, "-m", "hepaa", "search", str(card), "--executor", "processes:2"]
    store = Store(str(tmp_path / "out.batch"))
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as killed:
        while killed.poll() is None and len(store.keys()) < 6:
            time.sleep(0.02)
        killed.kill()
    done = store.keys()
    assert len(done) >= 6
    assert not (tmp_path / "out").exists()
    subprocess.run(command, check=True, capture_output=True)
    assert not [line for line in store.journal() if line["event"] == "failed"]
    stored = [line["key"] for line in store.journal() if line["event"] == "stored"]
    assert len(stored) == len(set(stored)) == len(store.keys()) > 12  # none twice
    other = [sys.executable, "-m", "hepaa", "search", str(card), "--output", str(tmp_path / "plain")]
    subprocess.run(other, check=True, capture_output=True)
    for name in ("scores.parquet", "workspace.json", "figures/spectrum.png", "figures/threshold.pdf"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    one, two = (json.loads((tmp_path / f / "results.json").read_text())["resonant"] for f in ("out", "plain"))
    assert one == two
