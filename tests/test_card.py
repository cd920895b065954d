"""The run card: strict keys, errors that lead to the place, and a print that reads back."""

from __future__ import annotations

import pytest
import yaml

import hepaa
from hepaa.card import load_card, parse_card
from hepaa.errors import CardError, InputError

MINIMAL = {
    "name": "zh",
    "output": "out",
    "luminosity_fb": 300,
    "samples": [
        {"process": "ZH", "files": ["sm.lhe"], "generator": "pythia"},
        {"process": "ZH EFT", "files": ["eft.lhe"], "role": "signal"},
    ],
    "features": {"set": "zh-paper"},
    "detectors": [{"detector": "vae-zh"}],
}


def card(tmp_path, **changes):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes))
    return load_card(path)


def test_defaults_are_filled_in_and_print_as_yaml_that_gives_the_same_card(tmp_path):
    one = card(tmp_path)
    assert one.split.test == 0.3
    again = parse_card(yaml.safe_load(one.to_yaml()), source=tmp_path / "x.yaml")
    assert again == one


def test_file_names_are_relative_to_the_card(tmp_path):
    assert card(tmp_path).samples[0].files == [str(tmp_path / "sm.lhe")]
    absolute = MINIMAL["samples"][0] | {"files": ["/a/b.lhe"]}
    assert card(tmp_path, samples=[absolute, MINIMAL["samples"][1]]).samples[0].files == ["/a/b.lhe"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"luminosity": 3}, r"card.yaml: luminosity: unknown key; did you mean 'luminosity_fb'\?"),
        ({"samples": [{"proces": "x", "process": "x", "files": ["a"]}]}, r"samples.0.proces: unknown key.*'process'"),
        ({"features": {"set": "zh", "input": []}}, r"features.input: unknown key; did you mean 'inputs'\?"),
        ({"luminosity_fb": -1}, r"luminosity_fb: .*greater than 0, not -1"),
        ({"samples": [{"process": "x", "files": ["a"], "role": "sygnal"}]}, r"samples.0.role: .*'sygnal'"),
        ({"samples": [{"process": "x", "files": ["a"], "role": "signal"}]}, "no sample has role background"),
        ({"samples": [{"process": "x", "files": ["a"]}]}, "no sample has role signal or data"),
        ({"detectors": [{"detector": "VAE"}, {"detector": "VAE"}]}, "names stand twice"),
        ({"split": {"train": 0.9, "validation": 0.2, "test": 0.3}}, r"split: .*= 1.4 is above 1"),
        ({"samples": [{"process": "x", "files": ["a"], "schema_": "s"}]}, r"unknown key; did you mean 'schema'\?"),
        ({"samples": [{"process": "x", "files": ["a"], "expected_events": 5, "k_factor": 2}]}, "not both"),
        ({"features": {}}, r"features: give either `set`"),
    ],
)
def test_a_wrong_card_is_explained_with_the_path_to_the_place(tmp_path, changes, message):
    with pytest.raises(hepaa.CardError, match=message):
        card(tmp_path, **changes)


def test_a_misspelt_key_is_named_rather_than_the_one_it_leaves_out(tmp_path):
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump({k.replace("luminosity_fb", "luminosity"): v for k, v in MINIMAL.items()}))
    with pytest.raises(hepaa.CardError, match=r"luminosity: unknown key; did you mean 'luminosity_fb'\?"):
        load_card(path)


def test_what_is_no_card_is_refused(tmp_path):
    with pytest.raises(hepaa.CardError, match="no such file; `hepaa init zh`"):
        load_card(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("name: [unclosed")
    with pytest.raises(hepaa.CardError, match="not a readable YAML"):
        load_card(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("- a list")
    with pytest.raises(hepaa.CardError, match="not list"):
        load_card(tmp_path / "b.yaml")


def test_generators_of_one_process_share_its_yield(tmp_path):
    signal = MINIMAL["samples"][1]
    samples = [{"process": "QCD", "files": ["a"], "generator": g} for g in ("a", "b")]
    equal = card(tmp_path, samples=[*samples, signal])
    assert [equal.share(s) for s in equal.samples] == [0.5, 0.5, 1]
    chosen = card(tmp_path, samples=[samples[0] | {"share": 0.7}, samples[1] | {"share": 0.3}, signal])
    assert [chosen.share(s) for s in chosen.samples] == [0.7, 0.3, 1]
    with pytest.raises(hepaa.CardError, match="shares of 'QCD'"):
        card(tmp_path, samples=[samples[0] | {"share": 0.7}, samples[1], signal])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 2**32}, "seed: .*less than 4294967296"),
        ({"luminosity_fb": float("inf")}, "luminosity_fb: .*finite"),
        ({"detectors": [{"detector": "VAE", "name": " "}]}, "detectors.0.name"),
        ({"samples": [{"process": "a\nb", "files": ["a"]}]}, "samples.0.process"),
    ],
)
def test_values_that_no_run_can_use_are_refused(tmp_path, changes, message):
    with pytest.raises(hepaa.CardError, match=message):
        card(tmp_path, **changes)
    if "seed" in changes:  # as on the command line
        with pytest.raises(hepaa.CardError, match=message):
            card(tmp_path).changed(**changes)


def test_a_changed_card_is_the_card_that_has_the_value(tmp_path):
    assert card(tmp_path).changed(seed=3, output="other") == card(tmp_path, seed=3, output="other")


def test_detectors_have_files_of_their_own(tmp_path):
    detectors = [{"detector": "VAE", "name": name} for name in ("m<500", "m>500")]
    assert card(tmp_path, detectors=detectors).file_names == {"m<500": "m-500", "m>500": "m-500-2"}


def test_figures_call_a_process_by_its_label(tmp_path):
    from hepaa.demo import path
    from hepaa.run import checks

    content = yaml.safe_load(path("lhco.yaml").read_text())
    content["samples"][2]["label"] = "$W'$"
    card = parse_card(content, source=tmp_path / "card.yaml")
    assert card.process_labels == {"W'(3.5 TeV)": "$W'$"}
    wrong = card.samples[2].model_copy(update={"label": r"$\nothing$"})
    with pytest.raises(InputError, match=r"samples.2.label: .*cannot be drawn"):
        checks.before_reading(card.model_copy(update={"samples": [*card.samples[:2], wrong]}))
    content["samples"].append({"process": "JetHT", "role": "data", "label": "Run 2", "files": ["a.h5"]})
    assert parse_card(content, source=tmp_path / "card.yaml").process_labels["data"] == "Run 2"
    content["samples"][0]["label"] = "QCD"
    with pytest.raises(CardError, match="'QCD dijets' has several labels"):
        parse_card(content, source=tmp_path / "card.yaml")
