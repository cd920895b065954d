"""Wrong input: one line that says what, where and what to do; exit code 2; nothing left under the final name."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from hepaa.cli import main
from hepaa.demo import path as demo_path


def card(folder, background, signal=None, **changes):
    content = {
        "name": "t",
        "output": str(folder / "out"),
        "luminosity_fb": 1,
        "samples": [
            {"process": "b", "files": [str(background)], "expected_events": 100},
            {
                "process": "s",
                "files": [str(signal or demo_path("zh_chw.lhe.gz"))],
                "role": "signal",
                "expected_events": 9,
            },
        ],
        "features": {"set": "zh-paper"},
        "detectors": [{"detector": "SumOfSquares"}],
    } | changes
    (folder / "card.yaml").write_text(yaml.safe_dump(content))
    return folder / "card.yaml"


def refused(folder, card_path, *expected):
    outcome = CliRunner().invoke(main, ["run", str(card_path)], catch_exceptions=False)
    assert outcome.exit_code == 2, outcome.output
    (line,) = [one for one in outcome.stderr.splitlines() if one.startswith("hepaa: ")]
    for words in expected:
        assert words in line
    assert {p.name for p in folder.iterdir() if "out" in p.name} == set()


@pytest.fixture
def sm():
    return demo_path("zh_sm.lhe.gz")


def test_missing_file(tmp_path):
    refused(tmp_path, card(tmp_path, tmp_path / "none.lhe"), "none.lhe")


def test_empty_file(tmp_path):
    (tmp_path / "empty.lhe").write_bytes(b"")
    refused(tmp_path, card(tmp_path, tmp_path / "empty.lhe"), "empty.lhe", "empty")


def test_truncated_gzip(tmp_path, sm):
    (tmp_path / "cut.lhe.gz").write_bytes(sm.read_bytes()[:100_000])
    refused(tmp_path, card(tmp_path, tmp_path / "cut.lhe.gz"), "cut.lhe.gz", "event")


def test_html_saved_as_lhe(tmp_path):
    (tmp_path / "page.lhe").write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")
    refused(tmp_path, card(tmp_path, tmp_path / "page.lhe"), "page.lhe", "HTML")


def test_hdf5_without_the_expected_columns(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.zeros((5, 3))
    refused(tmp_path, card(tmp_path, tmp_path / "other.h5"), "other.h5")


def features_csv(path, change=None):
    rng = np.random.default_rng(5)
    names = [f"{q}{j}" for j in ("j1", "j2") for q in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")]
    X = rng.exponential(100, (200, 14)) + 100
    if change:
        change(X)
    np.savetxt(path, X, delimiter=",", header=",".join(names), comments="")
    return path


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_not_finite(tmp_path, bad):
    def spoil(X):
        X[17, 3] = bad

    b, s = features_csv(tmp_path / "b.csv", spoil), features_csv(tmp_path / "s.csv")
    refused(tmp_path, card(tmp_path, b, s, features={"set": "dijet"}), "mj1", "b.csv", "event 17")


def test_a_constant_column(tmp_path):
    def flatten(X):
        X[:, 5] = 1.0

    b, s = features_csv(tmp_path / "b.csv", flatten), features_csv(tmp_path / "s.csv")
    refused(tmp_path, card(tmp_path, b, s, features={"set": "dijet"}), "tau2j1", "constant")


def test_negative_weights_that_sum_to_nothing(tmp_path, sm):
    text = gzip.decompress(sm.read_bytes()).decode()
    head, *events = text.split("<event>")
    lines = [e.split("\n", 2) for e in events[:200]]
    flipped = []
    for i, (blank, header, rest) in enumerate(lines):
        words = header.split()
        words[2] = "-1.0" if i % 2 else "1.0"
        flipped.append("\n".join([blank, " ".join(words), rest]))
    (tmp_path / "neg.lhe").write_text("<event>".join([head, *flipped]) + "\n</LesHouchesEvents>\n" * 1)
    refused(tmp_path, card(tmp_path, tmp_path / "neg.lhe"), "neg.lhe", "weights sum to 0")


def test_no_signal_event_left(tmp_path, sm):
    features = {"set": "zh-paper", "selection": "mZH > 1e9"}
    refused(tmp_path, card(tmp_path, sm, features=features), "no event passes", "zh-paper")


def test_an_input_that_the_set_lacks(tmp_path, sm):
    features = {"set": "zh-paper", "inputs": ["ptZ", "mZHH"]}
    refused(tmp_path, card(tmp_path, sm, features=features), "mZHH", "did you mean 'mZH'")


def test_an_unknown_feature_set(tmp_path, sm):
    refused(tmp_path, card(tmp_path, sm, features={"set": "zh-papper"}), "zh-papper", "zh-paper")


def test_an_unknown_detector_and_an_unknown_option(tmp_path, sm):
    refused(tmp_path, card(tmp_path, sm, detectors=[{"detector": "aa-zz"}]), "aa-zz", "aa-zh")
    wrong = [{"detector": "vae-zh", "options": {"epoch": 3}}]
    refused(tmp_path, card(tmp_path, sm, detectors=wrong), "epoch", "did you mean 'epochs'")


def test_a_selection_that_cannot_be_read(tmp_path, sm):
    features = {"set": "zh-paper", "selection": "__import__('os')"}
    refused(tmp_path, card(tmp_path, sm, features=features), "selection")


def test_an_output_that_exists_is_not_touched(tmp_path, sm):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    outcome = CliRunner().invoke(main, ["run", str(card(tmp_path, sm))])
    assert outcome.exit_code == 2
    assert "exists already" in outcome.stderr
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years of work"
