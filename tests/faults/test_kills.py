"""Commands that are killed at any moment: a rerun equals a clean run, and no file of anybody else has changed."""

from __future__ import annotations

import hashlib
import random
import re
import shutil

import pytest
import yaml
from helpers.batches import lhe_files
from helpers.kills import Commands
from helpers.search_cards import write_card

from hepaa.io.folders import MANIFEST, foreign_files

COMMANDS = {
    "run": (["run", "card.yaml", "--overwrite"], 40, ["out/results.json", "out/scores.parquet"]),
    "features": (["features", "data/*.lhe", "--set", "zh-paper", "-o", "out.parquet"], 70, ["out.parquet"]),
    "search": (
        ["search", "search.yaml", "--overwrite"],
        20,
        ["out/results.json", "out/scores.parquet", "out/workspace.json"],
    ),
    "batch": (
        ["features", "data/*.lhe", "--set", "zh-paper", "--executor", "serial", "--work", "out.work", "-o", "out"],
        90,
        ["out/part-00000.parquet", "out/index.json"],
    ),
}
"""Words, number of kills, and files that have to be the same to the last byte."""


@pytest.fixture
def place(tmp_path):
    """A working folder with inputs and a card, and files of somebody else beside and among what hepaa writes."""
    folder = tmp_path / "place"
    (folder / "data").mkdir(parents=True)
    files = lhe_files(folder / "data", 5, 120)
    common = {"process": "ZH", "role": "background"}
    content = {
        "name": "small", "output": "out", "luminosity_fb": 300,
        "samples": [
            {**common, "generator": "one", "files": [f"data/{p.rpartition('/')[2]}" for p in files]},
            {"process": "O_HW", "role": "signal", "files": ["demo:zh_chw.lhe.gz"], "max_events": 300},
        ],
        "features": {"set": "zh-paper"},
        "detectors": [{"detector": "VAE", "options": {"epochs": 1}}],
        "histogram": {"bins": 3, "min_events": 3, "min_background": 0.001, "max_relative_error": 0.9},
    }  # fmt: skip
    (folder / "card.yaml").write_text(yaml.safe_dump(content))
    (folder / "search").mkdir()
    card = write_card(folder / "search", n=1500)
    card.rename(folder / "search.yaml")
    edited = yaml.safe_load((folder / "search.yaml").read_text())
    edited["samples"][0]["files"] = ["search/data.h5"]
    (folder / "search.yaml").write_text(yaml.safe_dump(edited | {"output": "out"}))
    for name in (".git/HEAD", "thesis.tex", ".out.parquet.backup", ".out.backup/notes", "out.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("years of work")
    return folder


def tree(folder):
    """Every file below a folder with the hash of its content; journals are named alike, whoever wrote them."""
    names = {str(p.relative_to(folder)): p for p in folder.rglob("*") if not p.is_dir()}
    folders = {f"{p.relative_to(folder)}/": "" for p in folder.rglob("*") if p.is_dir()}
    hashes = {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in names.items()}
    return folders | {re.sub(r"journal/.*", "journal/", name): digest for name, digest in hashes.items()}


def remove_outputs(folder):
    for path in folder.glob("out*"):
        if path.name != "out.txt":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_kills_at_random_moments(name, place, tmp_path):
    words, kills, same = COMMANDS[name]
    rng, before = random.Random(name), tree(place)

    def others():
        return {path: digest for path, digest in tree(place).items() if path in before}

    with Commands(place, tmp_path / "log.txt") as commands:
        lengths, clean = {}, []
        for start in ("nothing", "an earlier result", "nothing"):
            if start == "nothing":
                remove_outputs(place)
            end = commands.run(words)
            assert end.code == 0, end.said
            lengths[start] = end.seconds
            clean.append(tree(place))
        assert clean[0].keys() == clean[1].keys() == clean[2].keys()
        stable = {path for path in clean[0] if clean[0][path] == clean[1][path] == clean[2][path]}
        assert stable >= {*same, *before}
        done, ended = 0, 0
        while done < kills:
            start = rng.choice(list(lengths))
            if start == "nothing":
                remove_outputs(place)
            for _ in range(rng.randint(1, 5)):
                end = commands.run(words, rng.uniform(0, lengths[start]))
                assert end.code in (0, -9), end.said
                done, ended = done + (end.code == -9), ended + (end.code == 0)
                assert others() == before
            end = commands.run(words)
            assert end.code == 0, end.said
            after = tree(place)
            assert after.keys() == clean[0].keys()
            assert {path: after[path] for path in stable} == {path: clean[0][path] for path in stable}
            for manifest in place.rglob(MANIFEST):
                assert foreign_files(manifest.parent) == []
        print(f"{name}: {done} kills, {ended} ended before, lengths {lengths}")
