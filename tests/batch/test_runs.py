"""The commands of batches, and the options of batches in other commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import uproot
import yaml
from click.testing import CliRunner
from helpers.batches import computed, fingerprint, lhe_files

from hepaa.batch.executors.sites import Site
from hepaa.batch.runs import BatchSetup, read_card, tables_in
from hepaa.batch.scans import scan, trials
from hepaa.card import load_card
from hepaa.cli import main
from hepaa.demo import path
from hepaa.errors import CardError, InputError
from hepaa.io.folders import MANIFEST
from hepaa.progress import Silent
from hepaa.report import figures
from hepaa.run.reading import read
from hepaa.table import EventTable, concatenate


def hepaa(*words):
    done = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.output


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A small card with two generators of the background."""
    folder = tmp_path_factory.mktemp("card")
    files = lhe_files(folder, 8, 250)
    common = {"role": "background", "process": "ZH (SM)"}
    content = {
        "name": "small", "output": str(folder / "run"), "luminosity_fb": 300,
        "samples": [
            {**common, "generator": "one", "files": files[:4]},
            {**common, "generator": "two", "files": files[4:]},
            {"process": "O_HW", "role": "signal", "files": ["demo:zh_chw.lhe.gz"], "max_events": 1000},
        ],
        "features": {"set": "zh-paper", "selection": "mZH > 200"},
        "detectors": [{"detector": "SumOfSquares"}],
        "histogram": {"bins": 3, "min_events": 5, "min_background": 0.001, "max_relative_error": 0.9},
    }  # fmt: skip
    where = folder / "card.yaml"
    where.write_text(yaml.safe_dump(content))
    return where


@pytest.mark.slow
def test_array_jobs_by_command(card, tmp_path):
    work = tmp_path / "work"
    assert "8 shards" in hepaa("batch", "plan", card, "--work", work)
    early = CliRunner().invoke(main, ["batch", "merge", str(work), "-o", str(tmp_path / "t.parquet")])
    assert early.exit_code == 3
    assert "no job has begun it" in early.stderr
    for index in range(3):
        hepaa("batch", "shard", work, "--index", index, "--of", 3)
    assert "8 of 8 stored" in hepaa("batch", "status", work)
    hepaa("batch", "merge", work, "-o", tmp_path / "t.parquet")
    n = EventTable.load(tmp_path / "t.parquet").n
    assert f"{n} rows" in hepaa("batch", "merge", work, "-o", tmp_path / "parts")
    index = json.loads((tmp_path / "parts" / "index.json").read_text())
    assert [part["events"] for part in index["parts"]] == [250] * 8
    parts = {part["part"] for part in index["parts"]}
    assert len(parts) == 2  # the files of each sample lie together
    assert sum(EventTable.load(tmp_path / "parts" / part).n for part in parts) == n


def test_a_card_read_in_batches_is_the_card_read_plainly(card, tmp_path):
    chosen = load_card(card)
    plain = read(chosen, Silent())
    table, outcome = read_card(chosen, BatchSetup(tmp_path))
    assert outcome.computed == 8
    np.testing.assert_array_equal(table.X, plain.X)
    np.testing.assert_allclose(table.weight, plain.weight, rtol=1e-12)
    assert (table.processes, table.generators, table.sources) == (plain.processes, plain.generators, plain.sources)
    assert [(r.step, r.n) for r in table.cutflow] == [(r.step, r.n) for r in plain.cutflow]


@pytest.mark.slow
def test_a_run_in_batches_has_the_same_results(card, tmp_path):
    for name in ("serial", "processes:2"):
        hepaa("run", card, "--executor", name, "-o", tmp_path / name, "--work", tmp_path / f"{name}.work")
    one, two = (json.loads((tmp_path / n / "results.json").read_text()) for n in ("serial", "processes:2"))
    assert one["detectors"] == two["detectors"]
    assert one["cutflow"] == two["cutflow"]
    tables = [EventTable.load(tmp_path / n / "scores.parquet") for n in ("serial", "processes:2")]
    assert fingerprint(tables[0]) == fingerprint(tables[1])


def test_features_scores_and_histograms_of_parts(card, tmp_path):
    fileset = {
        "SM": {"files": [str(path("zh_sm.lhe.gz"))], "metadata": {"generator": "Pythia 8"}},
        "O_HW": {"files": [str(path("zh_chw.lhe.gz"))], "metadata": {"role": "signal"}},
    }
    (tmp_path / "fs.json").write_text(json.dumps(fileset))
    said = hepaa("features", tmp_path / "fs.json", "--set", "zh-paper", "-o", tmp_path / "parts")
    assert "parts: " in said
    files = sorted((tmp_path / "parts").glob("part-*.parquet"))
    assert [EventTable.load(f).processes for f in files] == [("SM",), ("O_HW",)]
    hepaa("train", files[0], "--detector", "VAE", "--option", "epochs=1", "-o", tmp_path / "v.safetensors")
    model = tmp_path / "v.safetensors"
    hepaa("score", model, tmp_path / "parts", "--executor", "serial", "--shard-events", 900, "-o", tmp_path / "scored")
    hepaa("score", model, tmp_path / "parts", "--executor", "serial", "-o", tmp_path / "one.parquet")
    hist = ["--validation", tmp_path / "one.parquet", "--score", "v", "--luminosity-fb", 300]
    hepaa("hist", tmp_path / "scored", *hist, "--executor", "serial", "-o", tmp_path / "h1")
    hepaa("hist", tmp_path / "scored", *hist, "--executor", "processes:2", "-o", tmp_path / "h2")
    one, two = (json.loads((tmp_path / h / "results.json").read_text()) for h in ("h1", "h2"))
    assert one == two
    table = EventTable.load(tmp_path / "one.parquet")
    assert one["events"] == table.n
    total = float(table.signal.weight.sum())
    assert sum(one["signals"]["O_HW"]["significance"]["s"]) == pytest.approx(total, rel=1e-12)
    assert sum(one["background_events"]) == table.background.n
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no part-"):
        tables_in(tmp_path / "empty")


def same(one, two, path=""):
    """Equal keys, and equal values but for the rounding of sums in another order; null only where it is documented."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), path
        for key, value in one.items():
            same(value, two[key], f"{path}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(two), path
        for i, (a, b) in enumerate(zip(one, two, strict=True)):
            same(a, b, f"{path}/{i}")
    elif two is None and one is not None:
        quantity = path.partition("/performance/")[2].partition("/")[0]
        assert quantity.startswith(("auc", "eps_s", "eps_b", "max_sic")), path
    else:
        assert one == (pytest.approx(two, rel=1e-9) if isinstance(two, float) else two), path


@pytest.mark.slow
def test_a_histogram_is_the_same_in_batches(tmp_path):
    rng = np.random.default_rng(2)

    def scored(n):
        parts = [
            EventTable.build(
                rng.normal(size=(m, 1)), ["x"], weight=rng.uniform(0.1, 0.3, m) if label >= 0 else None, label=label,
                process=process, generator=generator, spectators={"score_d": rng.normal(shift, 1, m)},
                event=np.arange(m),
            )
            for process, generator, label, shift, m in (
                ("QCD", "A", 0, 0.0, 2 * n), ("QCD", "B", 0, 0.1, n), ("X", "A", 1, 1.5, n), ("data", "run 2", -1, 0, n)
            )
        ]  # fmt: skip
        return concatenate(parts)

    scored(2000).save(tmp_path / "validation.parquet")
    scored(2000).save(tmp_path / "test.parquet")
    words = ["hist", tmp_path / "test.parquet", "--validation", tmp_path / "validation.parquet", "--score", "d",
             "--luminosity-fb", 20]  # fmt: skip

    def both(*more):
        hepaa(*words, *more, "-o", tmp_path / "one")
        said = hepaa(*words, *more, "-o", tmp_path / "two", "--executor", "serial", "--shard-events", 900)
        assert "not in batches" in said
        names = [{p.name for p in (tmp_path / folder).iterdir()} for folder in ("one", "two")]
        assert names[0] == names[1] == {MANIFEST, "results.json", "histograms.root", "score-d.pdf", "score-d.png"}
        one, two = (json.loads((tmp_path / folder / "results.json").read_text()) for folder in ("one", "two"))
        for looked in (*one["unblinded"], *two["unblinded"]):
            looked.pop("time")
        same(one, two)
        return one, two

    one, two = both()
    assert one["signals"]["X"]["performance"]["auc"] > 0.8
    assert two["generators"]["B"][0]["rate"] > 0.1
    assert two["signals"]["X"]["reach"]["limit"]["observed"] is None
    assert (two["blind"], two["unblinded"], two["observed"]["p"], two["observed"]["events"][-1]) == (
        True,
        [],
        None,
        None,
    )
    with uproot.open(tmp_path / "two" / "histograms.root") as file:
        assert len(file["d/data"].values()) < len(file["d/background_A"].values())
    one, two = both("--unblind")
    assert two["observed"]["total"]["events"] == 2000
    assert (two["blind"], len(two["unblinded"])) == (False, 1)
    assert two["signals"]["X"]["reach"]["limit"]["observed"] is not None


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        ("slurm", ["#SBATCH -p short", "#SBATCH --mem=3G", "#SBATCH -t 01:30:00", "distributed.cli.dask_worker"]),
        pytest.param(
            "htcondor",
            ["MY.DaskWorkerMemory = 3000000000", '+JobFlavour = "short"', "+MaxRuntime = 5400", "Queue"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_job_script_can_be_read_before_it_is_submitted(card, system, lines):
    pytest.importorskip("dask_jobqueue")
    words = ["--site", system, "--queue", "short", "--memory", "3GB", "--walltime", "01:30:00", "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-m", "hepaa.cli", "batch", "submit", str(card), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for line in lines:
        assert line in done.stdout, done.stdout


@pytest.mark.parametrize(("system", "last"), [("slurm", "exec "), ("htcondor", "queue 7")])
def test_the_array_job_does_every_share(card, system, last):
    text = hepaa(
        "batch", "submit", card, "--site", system, "--jobs", 7, "--queue", "q", "--array", "--work", "w", "--dry-run"
    )
    assert f"batch shard {Path('w').resolve()} --of 7 --index" in text
    assert text.splitlines()[-1].startswith(last)
    assert ("#SBATCH --array=0-6" in text) == (system == "slurm")


def test_wrong_sites():
    for wrong in ({"walltime": "2h"}, {"jobs": 0}):
        with pytest.raises(InputError):
            Site("slurm", **wrong)
    with pytest.raises(InputError, match="pbs"):
        Site("pbs")
    assert Site.parse("slurm", "jobs=3,memory=4GB") == Site("slurm", jobs=3, memory="4GB")


@pytest.mark.slow
def test_a_scan_reads_once_and_goes_on(card, tmp_path):
    base = load_card(card)
    cards = trials(base, seeds=[0, 1], changes={"histogram.bins": [2, 3]})
    assert list(cards) == ["seed=0,bins=2", "seed=0,bins=3", "seed=1,bins=2", "seed=1,bins=3"]
    found = scan(dict(list(cards.items())[:2]), BatchSetup(tmp_path))
    assert len(computed(tmp_path)) == 8 + 2
    found = scan(cards, BatchSetup(tmp_path))
    assert list(found) == list(cards)
    assert len(computed(tmp_path)) == 8 + 4
    for name in cards:
        results = json.loads((tmp_path / "runs" / name / "results.json").read_text())
        assert results["detectors"] == found[name]
    edges = found["seed=0,bins=3"]["SumOfSquares"]["binning"]["edges"]
    assert len(edges) <= 4
    scan(cards, BatchSetup(tmp_path))
    assert len(computed(tmp_path)) == 8 + 4


def test_one_generator_is_left_out_of_training_and_stays_in_the_test(card, tmp_path):
    cards = trials(load_card(card), leave_out="generators")
    assert [c.split.train_without for c in cards.values()] == [["one"], ["two"]]
    from hepaa.run.pipeline import divide

    chosen = next(iter(cards.values()))
    parts = divide(chosen, read(chosen, Silent()))
    names = {part: {t.generators[i] for i in np.unique(t.generator)} for part, t in parts.items()}
    assert names == {"train": {"two", "unknown"}, "validation": {"one", "two", "unknown"},
                     "test": {"one", "two", "unknown"}}  # fmt: skip
    with pytest.raises(InputError, match="cannot be left out"):
        trials(chosen, leave_out="seeds")
    with pytest.raises(CardError, match="no process or generator 'thre'"):
        trials(chosen, changes={"split.train_without": [["thre"]]})
    with pytest.raises(InputError, match="no key 'detecters'"):
        trials(chosen, changes={"detecters.0.name": ["x"]})
    with pytest.raises(InputError, match="no position"):
        trials(chosen, changes={"detectors.5.name": ["x"]})
    with pytest.raises(InputError, match="two runs of this scan would be called seed=0,name=a-b"):
        trials(chosen, changes={"name": ["a b", "a-b"]})
    assert list(trials(chosen, changes={"detectors.0.options.a/b": [1]})) == ["seed=0,a-b=1"]


def test_scan_as_typed_beside_its_card(card, tmp_path, monkeypatch):
    content = yaml.safe_load(card.read_text())
    for sample in content["samples"][:2]:
        sample["files"] = [os.path.relpath(file, card.parent) for file in sample["files"][:1]]
    (card.parent / "near.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(card.parent)
    monkeypatch.setattr(figures, "OF_A_RUN", ())
    said = hepaa("batch", "scan", "near.yaml", "--seed", 3, "--set", "histogram.bins=[2]")
    assert "== seed=3,bins=2" in said
    assert Path("near.yaml.batch", "runs", "seed=3,bins=2", "results.json").exists()


def test_scanned_seeds_have_splits_of_their_own_unless_told_otherwise(card):
    salts = [[c.split.salt for c in trials(load_card(card), seeds=[0, 1, 2], same_split=same).values()]
             for same in (False, True)]  # fmt: skip
    assert salts == [["", " seed 1", " seed 2"], ["", "", ""]]
