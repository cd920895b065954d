"""Runs side by side: seeds of one card are one row with a spread, another card is another row."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
from click.testing import CliRunner

from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.report.compare import compare

CARD = {"name": "zh", "output": "out", "seed": 0, "luminosity_fb": 300.0, "split": {"train": 0.7, "salt": ""}}


def numbers(auc, eps_s=0.2, max_sic=1.5, z=3.0):
    performance = {"auc": auc, "eps_s": {"0.01": eps_s}, "max_sic": max_sic}
    return {"signals": {"O_HW": {"performance": performance, "significance": {"total": z}}}}


def write(folder, name, auc, **changes):
    eps_s, card = changes.pop("eps_s", 0.2), deepcopy(CARD) | changes
    run = folder / name
    run.mkdir()
    (run / "results.json").write_text(json.dumps({"card": card, "detectors": {"AA": numbers(auc, eps_s)}}))
    return run


def test_runs_that_differ_in_seed_and_salt_are_one_row(tmp_path):
    values = [0.70, 0.73, 0.71]
    runs = [
        write(tmp_path, str(i), auc, seed=i, output=f"out{i}", split={"train": 0.7, "salt": f"s{i}"})
        for i, auc in enumerate(values)
    ]
    (line,) = compare(runs)
    mean, spread, n = line.mean("auc")
    assert (line.card, line.detector, line.signal, n) == ("zh", "AA", "O_HW", 3)
    assert mean == pytest.approx(np.mean(values))
    assert spread == pytest.approx(np.std(values, ddof=1))


def test_another_setting_is_another_row(tmp_path):
    runs = [write(tmp_path, "a", 0.7), write(tmp_path, "b", 0.8, luminosity_fb=3000.0)]
    assert [line.values["auc"] for line in compare(runs)] == [[0.7], [0.8]]


def test_a_run_without_a_number_does_not_enter_its_mean(tmp_path):
    runs = [write(tmp_path, "a", 0.7, seed=1, eps_s=None), write(tmp_path, "b", 0.8, seed=2)]
    (line,) = compare(runs)
    mean, spread, n = line.mean("eps_s at 1 %")
    assert (mean, n) == (0.2, 1)
    assert np.isnan(spread)
    (alone,) = compare(runs[:1])
    assert alone.mean("eps_s at 1 %") is None


def test_the_same_run_twice_is_no_spread(tmp_path):
    runs = [write(tmp_path, name, 0.7, output=name) for name in "ab"]
    with pytest.raises(InputError, match=r"b: the same run as .*a;"):
        compare(runs)


@pytest.mark.parametrize("content", [None, "not JSON", "[1]", "{}"])
def test_a_folder_that_is_no_run_is_named(tmp_path, content):
    (tmp_path / "x").mkdir()
    if content is not None:
        (tmp_path / "x" / "results.json").write_text(content)
    with pytest.raises(InputError, match="hepaa run"):
        compare([tmp_path / "x"])


def test_the_command_prints_means_and_gives_values_as_json(tmp_path):
    runs = [str(write(tmp_path, "a", 0.70, seed=1)), str(write(tmp_path, "b", 0.72, seed=2))]
    text = CliRunner().invoke(main, ["compare", *runs], catch_exceptions=False).output
    assert "0.7100 +- 0.0141 (2 runs)" in text
    found = json.loads(CliRunner().invoke(main, ["compare", "--json", *runs], catch_exceptions=False).output)
    assert found[0]["values"]["auc"] == [0.70, 0.72]


def test_runs_without_signal_are_compared_by_what_they_observe(tmp_path):
    for name, total in (("a", {"z": 1.0}), ("b", {"z": 2.0}), ("blind", None)):
        run = write(tmp_path, name, 0.7, seed=len(name) + ord(name[0]), unblind=total is not None)
        results = json.loads((run / "results.json").read_text())
        results["detectors"]["AA"] = {"signals": {}, "observed": {"total": total}}
        if total is None:
            results["card"]["luminosity_fb"] = 1.0
        (run / "results.json").write_text(json.dumps(results))
    seen, blind = compare([tmp_path / name for name in ("a", "b", "blind")])
    assert (seen.signal, seen.mean("Z observed")) == ("", (1.5, pytest.approx(np.sqrt(0.5)), 2))
    assert blind.values == {}
    done = CliRunner().invoke(main, ["compare", *(str(tmp_path / name) for name in ("a", "b", "blind"))])
    head, first, second = done.output.splitlines()
    assert head.split("  ")[-1].strip() == "Z observed"
    assert "auc" not in head
    assert first.endswith("1.5000 +- 0.7071 (2 runs)")
    assert second.endswith("blind")
