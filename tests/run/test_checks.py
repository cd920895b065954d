"""What would fail after a training is said before it, in one sentence, and nothing is left behind."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from helpers.dijets import content, table

import hepaa
from hepaa.card import parse_card
from hepaa.detectors import SumOfSquares
from hepaa.run import checks, pipeline


def refused(card, message, monkeypatch, events=None):
    """The card is refused before a detector is trained, and leaves nothing."""
    monkeypatch.setattr(SumOfSquares, "_fit", lambda *_: pytest.fail("trained before the check"))
    with pytest.raises(hepaa.InputError, match=message):
        pipeline.run(card, reader=lambda *_: table() if events is None else events)
    output = Path(card.output)
    assert not [p for p in output.parent.iterdir() if p.name.startswith((".out", "out"))]


FIRST = {"detector": "SumOfSquares"}
CUT = {"style": "plain", "label": r"$\slashed{E}_T$"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": CUT}, r"figures.label: .*slashed.* cannot be drawn"),
        ({"detectors": [FIRST | {"name": r"$\fraq{1}{2}$"}]}, r"detectors.0.name: .*cannot be drawn"),
        ({"detectors": [FIRST, {"detector": "VEA"}]}, "'VEA': detector 'VEA' is unknown"),
        ({"detectors": [FIRST, {"detector": "VAE", "options": {"epochs": 0}}]}, "'VAE': epochs is 0"),
        ({"detectors": [FIRST, {"detector": "VAE", "options": {"seed": 2**32}}]}, "seed is 4294967296"),
        ({"detectors": [FIRST, {"detector": "VAE", "options": {"amp": "yes"}}]}, "amp is 'yes'; .*true or false"),
        (
            {"detectors": [FIRST, {"detector": "VAE", "options": {"learning_rate": float("nan")}}]},
            "learning_rate is nan",
        ),
        ({"detectors": [FIRST, {"detector": "VAE", "options": {"hidden": "16"}}]}, "hidden is '16'"),
        ({"detectors": [FIRST, {"detector": "Ensemble", "options": {"members": ["flow", "flo"]}}]}, "'flo' is unknown"),
        ({"detectors": [FIRST, {"detector": "PseudoLabelled", "options": {"detector": "VAE"}}]}, "takes no labels"),
        ({"detectors": [FIRST, {"detector": "OutlierModel", "options": {"options": {"x": 1}}}]}, "no option 'x'"),
        ({"detectors": [FIRST, {"detector": "VAE", "options": {"reconstruction": "bce"}}]}, r"features in \[0, 1\]"),
        ({"detectors": [FIRST, {"detector": "boosting", "score": "kl"}]}, "'boosting': .* has no latent space"),
        ({"detectors": [FIRST, {"detector": "VAE", "score": "flow"}]}, "'VAE': scored_by='flow' is the density"),
        ({"detectors": [FIRST, {"detector": "VAE", "score": "kll"}]}, "did you mean 'kl'"),
        ({"detectors": [FIRST | {"flatten": "mj2"}]}, "'SumOfSquares': this table has no column 'mj2'"),
        ({"sculpting": {"mass": "mjx"}}, "sculpting: this table has no column 'mjx'"),
        ({"systematics": [{"name": "e", "kind": "column", "up": {"mx": 1.1}}]}, "'mx' is no feature"),
        ({"systematics": [{"name": "g", "kind": "generators"}]}, "no background process"),
        ({"histogram": {"min_events": 10_000}}, "the validation part: all background together"),
        ({"workspace": {"categories": {"all": "mjj > 0", "high": "mjj > 3000"}}}, "'high' shares events"),
        ({"workspace": {"categories": {"none": "mjj > 1e9"}}}, "'none' .* no background"),
        ({"workspace": {"categories": {"typo": "mx > 1"}}}, "no column 'mx'"),
    ],
)
def test_a_card_is_refused_before_its_training(tmp_path, monkeypatch, changes, message):
    refused(parse_card(content(tmp_path) | changes, source=Path("c.yaml")), message, monkeypatch)


@pytest.mark.parametrize("name", ["IsolationForest", "gaussian-mixture", "OutlierModel"])
def test_negative_weights_are_refused_or_made_positive(tmp_path, monkeypatch, name):
    events = table(negative=0.1)
    card = parse_card(content(tmp_path) | {"detectors": [FIRST, {"detector": name}]}, source=Path("c.yaml"))
    refused(card, f"'{name}': .* of .* background events have negative weights", monkeypatch, events)
    asked = {"detector": name, "options": {"negative_weights": "absolute"}}
    model = checks.untrained(card.changed(detectors=[asked]))[name]
    model.check(events)


def test_the_disk_must_have_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(40_000_000))
    refused(parse_card(content(tmp_path), source=Path("c.yaml")), "40 MB are free", monkeypatch)


def test_far_more_signal_than_background_is_said(tmp_path):
    assert checks.implausible_yields(table()) == []
    (warning,) = checks.implausible_yields(table(signal_yield=1e11))
    assert "X: 1e+11 signal events are expected on 1e+03 of background" in warning


@pytest.fixture
def files(tmp_path):
    for name, text in (("a.csv", "x\n1\n"), ("copy.csv", "x\n1\n"), ("same-size.csv", "x\n2\n"), ("b.csv", "x\n33\n")):
        (tmp_path / name).write_text(text)
    return tmp_path


def with_files(folder, background, signal, second=None, **changes):
    first, last = content(folder)["samples"]
    samples = [
        first | {"files": [str(folder / f) for f in background], **changes},
        last | {"files": [str(folder / f) for f in signal], **(second or {})},
    ]
    return parse_card(content(folder) | {"samples": samples}, source=Path("c.yaml"))


@pytest.mark.parametrize(
    ("background", "signal"),
    [(["a.csv", "a.csv"], ["b.csv"]), (["*a.csv", "copy.csv"], ["b.csv"]), (["a.csv"], ["b.csv", "copy.csv"])],
)
def test_events_do_not_count_twice(files, background, signal):
    card = with_files(files, background, signal)
    with pytest.raises(hepaa.InputError, match=r"(a|copy).csv \(.*\) holds the events of .*a.csv"):
        checks.before_reading(card)
    checks.before_reading(card.changed(repeated_events=True))


def test_what_does_not_count_twice_is_no_error(files):
    checks.before_reading(with_files(files, ["a.csv", "same-size.csv"], ["b.csv"]))
    checks.before_reading(with_files(files, ["a.csv"], ["copy.csv"], {"truth": 1}, truth=0))
    card = with_files(files, ["b.csv"], ["a.csv"])
    other = card.samples[1].model_copy(update={"process": "Y"})  # signals are alternatives of each other
    checks.before_reading(card.model_copy(update={"samples": [*card.samples, other]}))
