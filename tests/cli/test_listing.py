"""What commands list and say: feature sets, units of a file, progress, completion."""

from __future__ import annotations

import json
import os

from click.testing import CliRunner

from hepaa.cli import main
from hepaa.demo import path
from hepaa.features import feature_sets


def said(*words, env=None):
    done = CliRunner().invoke(main, list(words), env=env, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_sets_are_a_table_and_one_is_shown_in_full():
    lines = said("features", "--list").splitlines()
    assert max(map(len, lines)) < 220
    table = {line.split()[0]: line for line in lines[1:] if line}
    for name, entry in feature_sets().items():
        assert table[name].split()[1:3] == [str(len(entry.columns)), str(len(entry.spectators))]
        assert entry.description in table[name]
    full = said("features", "--list", "zh-paper")
    rows = [line.split() for line in full.splitlines()]
    for feature in feature_sets()["zh-paper"].columns:
        assert [feature.name, *([feature.unit] if feature.unit else [])] in [
            row[: 1 + bool(feature.unit)] for row in rows
        ]
    assert sum("spectator: not trained on" in line for line in full.splitlines()) == 2
    wrong = CliRunner().invoke(main, ["features", "--list", "zh-papre"])
    assert "did you mean 'zh-paper'" in wrong.stderr


def test_scripts_read_the_list_as_json():
    content = json.loads(said("features", "--list", "--json"))
    assert set(content) == set(feature_sets())
    assert content["zh"]["features"][0] == {"name": "ptb1", "label": "$p_T^{b_1}$", "unit": "GeV"}


def test_info_says_units():
    file = str(path("zh.yaml").parent / "data" / "zh_sm.lhe.gz")
    assert json.loads(said("info", file, "--json"))["units"] == {
        "GeV": ["scale", "px", "py", "pz", "e", "m"], "mm": ["lifetime"],
    }  # fmt: skip


def test_quiet_says_no_progress():
    from hepaa.cli.common import reporter

    reporters = []
    main.commands["probe"] = main.commands["info"].__class__("probe", callback=lambda: reporters.append(reporter()))
    try:
        said("probe")
        said("--quiet", "probe")
    finally:
        del main.commands["probe"]
    assert [type(r).__name__ for r in reporters] == ["Lines", "Silent"]


def test_the_shell_completes_commands():
    env = {"_HEPAA_COMPLETE": "bash_complete", "COMP_WORDS": "hepaa sco", "COMP_CWORD": "1"}
    done = CliRunner().invoke(main, [], env=os.environ | env, prog_name="hepaa", complete_var="_HEPAA_COMPLETE")
    assert done.stdout.split() == ["plain,score"]


def test_scripts_read_the_status_of_a_batch(tmp_path):
    said("batch", "plan", str(path("zh.yaml")), "--work", str(tmp_path / "work"))
    status = json.loads(said("batch", "status", str(tmp_path / "work"), "--json"))
    assert (status["shards"], status["stored"], status["files"]) == (2, 0, 2)
