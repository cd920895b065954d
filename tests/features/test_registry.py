"""Feature sets by name: a user's own, pieces of files, provenance, labels, and errors."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import hepaa
from hepaa.events import Events, Sample
from hepaa.features import Feature, feature_info, feature_set, feature_sets, registry
from hepaa.io.files import sha256


@pytest.fixture
def no_traces(monkeypatch):
    feature_sets()
    monkeypatch.setattr(registry, "_SETS", dict(registry._SETS))


def counts(events):
    """Particles in the event.

    More words.
    """
    n = np.array([len(e) for e in events.particles], float)
    return {"n": n, "square": n**2}, {"not empty": n > 0, "even": n % 2 == 0}


@pytest.fixture
def mine(no_traces):
    declare = feature_set(
        "mine", inputs=["particles", "a + b"], columns=[Feature("n", "$n$")], spectators=[Feature("square", "$n^2$")]
    )
    return declare(counts)


def made(sizes, first=0, **more):
    particles = ak.unflatten(ak.Array({"pt": np.ones(sum(sizes))}), sizes)
    n = len(sizes)
    weight = np.arange(first, first + n) + 1.0
    return Events("memory", "test", np.arange(first, first + n), weight, collections={"particles": particles}, **more)


def test_a_module_in_the_folder_of_sets_is_enough(tmp_path, monkeypatch, no_traces):
    (tmp_path / "two_lines.py").write_text(
        "from hepaa.features.registry import feature_set\n"
        "feature_set('two-lines', inputs='particles', columns=[])(lambda events: ({}, {}))\n"
    )
    sets = importlib.import_module("hepaa.features.sets")
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "hepaa.features.sets.two_lines", raising=False)
    registry._import_own_sets.cache_clear()
    assert "two-lines" in feature_sets()
    monkeypatch.delitem(sys.modules, "hepaa.features.sets.two_lines")


def test_a_set_of_ones_own(mine):
    t = hepaa.features(made([2, 0, 3, 4]), "mine")
    assert (t.columns, tuple(t.spectators), t.feature_set) == (("n",), ("square",), "mine")
    assert t["n"].tolist() == [2, 4]
    assert t["square"].tolist() == [4, 16]
    assert t.weight.tolist() == [1, 4]
    assert t.event.tolist() == [0, 3]
    steps = [(r.step, r.n, r.sum_weights) for r in t.cutflow]
    assert steps == [("all", 4, 10.0), ("not empty", 3, 8.0), ("even", 2, 5.0)]
    assert t.sources[0].selection == "mine: not empty, even"
    assert t.sources[0].version == hepaa.__version__
    assert feature_sets()["mine"].description == "Particles in the event."


def test_pieces_are_joined(mine):
    t = hepaa.features((made(s, first) for s, first in (([2, 0], 0), ([3, 4], 2))), "mine")
    whole = hepaa.features(made([2, 0, 3, 4]), "mine")
    np.testing.assert_array_equal(t.X, whole.X)
    np.testing.assert_array_equal(t.event, whole.event)
    assert t.cutflow == whole.cutflow
    with pytest.raises(hepaa.InputError, match="there are no events"):
        hepaa.features(iter([]), "mine")


def test_the_files_own_label_comes_first(mine):
    sample = Sample("X", "signal", "G")
    assert hepaa.features(made([2, 2]), "mine").label.tolist() == [0, 0]
    assert hepaa.features(made([2, 2], sample=sample), "mine").label.tolist() == [1, 1]
    with_truth = made([2, 2], sample=sample, label=np.array([0, 1], np.int8))
    assert hepaa.features(with_truth, "mine").label.tolist() == [0, 1]


def test_a_file_is_known_by_its_content(mine, tmp_path):
    path = tmp_path / "f.root"
    path.write_bytes(b"content")
    for name in (str(path), f"{path}:tree"):
        source = hepaa.features(replace(made([2]), path=name), "mine").sources[0]
        assert (source.path, source.sha256) == (name, sha256(path))


def test_what_cannot_be_done_is_one_line(mine):
    with pytest.raises(hepaa.InputError, match="no feature set 'zh-papr'; did you mean 'zh-paper'"):
        hepaa.features(made([1]), "zh-papr")
    flat = Events("f.csv", "table", np.arange(1), np.ones(1), columns={"a": np.ones(1)})
    with pytest.raises(
        hepaa.InputError, match=r"f.csv \(table\) cannot give .*'mine': it needs particles, or a \+ b; it has a"
    ):
        hepaa.features(flat, "mine")
    with pytest.raises(hepaa.InputError, match=r"no feature 'ptbb2' in any .* did you mean 'ptb2'.* and [0-9]+ more"):
        feature_info("ptbb2")
    with pytest.raises(hepaa.InputError, match="no feature 'mjj' in feature set 'zh'"):
        feature_info("mjj", "zh")


def test_names_are_taken_once(mine, no_traces):
    assert feature_set("mine", inputs="particles", columns=[Feature("n", "n")])(counts) is counts
    with pytest.raises(hepaa.InputError, match="there is a feature set 'zh' already"):
        feature_set("zh", inputs="particles", columns=[])(counts)
    with pytest.raises(hepaa.InputError, match=r"columns twice: \['n'\]"):
        feature_set("other", inputs="particles", columns=[Feature("n", "n")], spectators=[Feature("n", "n")])(counts)


def test_a_set_that_forgets_a_column_is_told(no_traces):
    feature_set("lazy", inputs="particles", columns=[Feature("n", "n"), Feature("m", "m")])(counts)
    with pytest.raises(hepaa.InputError, match="'lazy' did not compute m"):
        hepaa.features(made([1]), "lazy")


def test_nan_in_a_kept_event_is_an_error_that_names_it(no_traces):
    @feature_set("nan", inputs="particles", columns=[Feature("x", "x")])
    def _(events):
        return {"x": np.array([1.0, np.nan, np.nan])}, {"first two": np.array([True, True, False])}

    with pytest.raises(hepaa.InputError, match="'x' is nan in memory, event 1"):
        hepaa.features(made([1, 1, 1]), "nan")


def test_labels_for_axes():
    assert feature_info("mjj").title == r"$m_{jj}$ [GeV]"
    assert feature_info("drll").title == r"$\Delta R_{\ell\ell}$"
    assert feature_info("mj1", "dijet").label != feature_info("mj1", "dijet-hl").label
    for own_set in feature_sets().values():
        assert own_set.description
        for feature in (*own_set.columns, *own_set.spectators):
            assert feature.label
            assert feature.unit in ("", "GeV", "rad")


def test_looking_at_the_sets_is_cheap():
    code = "import sys, hepaa.features as f; f.feature_sets(); "
    code += "print([m for m in ('numba', 'awkward') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_is_called_and_holds_modules():
    from hepaa.features import kinematics

    assert callable(hepaa.features)
    assert hepaa.features.kinematics is kinematics
