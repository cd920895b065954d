"""What a run has to cite: every source that the code names is there, and a card gets those that it uses."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

import hepaa
from hepaa import detectors
from hepaa.card import load_card
from hepaa.cli import main
from hepaa.demo import path as demo_path
from hepaa.report import cite


def test_every_source_that_a_detector_names_is_there_and_hangs_on_a_parameter():
    for cls in detectors.DETECTORS.values():
        for use, words in vars(cls).get("sources", {}).items():
            assert set(words.split()) <= set(cite.entries()), cls
            assert not use or use.split()[0] in cls._get_param_names(), (cls, use)


def test_every_source_of_the_tables_is_there():
    tables = (cite._FEATURES, cite._GENERATORS, cite._DATA_SETS, cite._RESONANT, cite._TWO_SAMPLE)
    assert {key for table in tables for words in table.values() for key in words.split()} <= set(cite.entries())
    assert set(cite._DATA_SETS) == set(cite.DATASETS)


def test_entries_are_complete():
    for key, entry in cite.entries().items():
        assert re.match(r"@\w+\{" + key + ",\n", entry)
        assert entry.count("{") == entry.count("}")
        assert {"author", "title"} <= set(re.findall(r"^  (\w+) = ", entry, re.M))
        assert re.search(r"  (eprint|doi|journal|license) = ", entry), key


@pytest.mark.parametrize(
    ("name", "options", "cited"),
    [
        ("aa-zh", {}, {"Kingma2013", "Banda2025", "Khosa2020"}),
        ("aa-traffic", {}, {"Kingma2013", "Banda2025", "Khosa2020", "Zhang2017"}),
        ("contrastive-vae", {"posterior": "iaf"}, {"Kingma2013", "BEAD", "Khosla2020", "Kingma2016"}),
        ("contrastive-vae", {"contrastive": "ntxent"}, {"Kingma2013", "BEAD", "Chen2020"}),
        ("anorand", {}, {"AnoRand2023"}),
        ("anorand-published", {}, {"AnoRand2023", "Chawla2002"}),
        ("density", {}, {"Durkan2019"}),
        ("vae-zh", {"decorrelate": "mZH"}, {"Kingma2013", "Kasieczka2020"}),
        ("trees", {}, {"Finke2023", "Ke2017"}),
        ("sum-of-squares", {}, set()),
    ],
)
def test_a_detector_cites_what_it_uses(name, options, cited):
    model = hepaa.detector(name, **options)
    assert {key for words in cite.of_detector(model) for key in words.split()} == cited


def test_a_card_cites_each_source_once_hepaa_first():
    card = load_card(demo_path("lhco.yaml"))
    keys = cite.keys(card)
    assert keys[0] == "hepaa"
    assert len(set(keys)) == len(keys)
    assert {"Thaler2010", "Pythia8", "Cowan2010", "Heinrich2021"} <= set(keys)


def test_a_search_cites_its_methods_and_the_public_events():
    card = load_card(demo_path("search.yaml"))
    content = card.model_dump(by_alias=True)
    content["samples"][0]["files"] = ["there/events_anomalydetection_v2.features.h5"]
    content["search"]["resonant"]["methods"] = [{"method": "cathode", "options": {"decorrelate": "latent"}}]
    keys = cite.keys(card.changed(samples=content["samples"], search=content["search"]))
    assert {"Hallin2021", "Hallin2022", "LHCORD", "LHCO2021"} <= set(keys)
    assert "Das2023" not in keys
    assert "Cowan2010" not in keys


def test_the_command_takes_a_folder_or_a_card(tmp_path):
    text = demo_path("zh.yaml").read_text()
    (tmp_path / "card.yaml").write_text(text)
    for run in (tmp_path, tmp_path / "card.yaml"):
        printed = CliRunner().invoke(main, ["cite", str(run)])
        assert printed.exit_code == 0
        assert printed.stdout.startswith("@software{hepaa,")
        assert f"version = {{{hepaa.__version__}}}" in printed.stdout
        assert "2504.11520" in printed.stdout
    missing = CliRunner().invoke(main, ["cite", str(tmp_path / "no")])
    assert missing.exit_code == 2
