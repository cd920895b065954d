"""YAML and JSON within bounds: hostile texts are refused at once, and good ones are what PyYAML and json say."""

import json

import pytest
import yaml

from hepaa.card import CardError, load_card
from hepaa.demo import path as demo_path
from hepaa.errors import InputError
from hepaa.io.schemas import schema_of
from hepaa.io.texts import MOST_BYTES, MOST_LEVELS, parse_json, parse_yaml, read_yaml


def chain(first, link):
    """Lines of which each stands nine times for the one before."""
    return f"a0: &a0 {first}\n" + "".join(f"a{i}: &a{i} {link.format(f'*a{i - 1},' * 9)}\n" for i in range(1, 9))


HOSTILE = {
    "a billion values of 600 bytes": (chain("[x, y]", "[{}]"), "aliases repeat"),
    "merged again and again": (chain("{x: 1}", "{{<<: [{}]}}"), "aliases repeat"),
    "a list in itself": ("samples: &s [*s]", "inside of what it stands for"),
    "nested lists": ("[" * 100_000, "levels deep"),
    "nested blocks": ("- " * 2_000 + "1", "levels deep"),
    "5,000 digits": (f"seed: {'9' * 5000}", "5,000 digits"),
    "5,000 hexadecimal digits": (f"seed: 0x{'f' * 5000}", "5,002 digits"),
    "too much text": ("#" * (MOST_BYTES + 1), "bytes of YAML"),
    "no such day": ("name: 2001-99-99", "month"),
    "an empty number": ('seed: !!int ""', "another kind"),
    "an impossible character": ('name: "\\UFFFFFFFF"', "another kind"),
    "half a character": ('name: "\\ud800"', "another kind"),
    "an object": ("!!python/object:os.system x", "could not determine a constructor"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_yaml_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        parse_yaml(text)
    (tmp_path / "hostile.yaml").write_text(text)
    for reader, error in ((load_card, CardError), (schema_of, InputError)):
        with pytest.raises(error, match=r"hostile\.yaml"):
            reader(tmp_path / "hostile.yaml")


def test_good_yaml_is_what_pyyaml_says():
    texts = [demo_path(name).read_text() for name in ("zh.yaml", "lhco.yaml", "zh_ntuple.yaml")]
    shared = "base: &base {a: 1, b: [1, 2]}\none: {<<: *base, b: 3}\ntwo: [*base, *base]\nnone:\n"
    for text in (*texts, shared, "", "- " * (MOST_LEVELS - 1) + "1", "day: 2026-01-02"):
        assert parse_yaml(text) == yaml.safe_load(text)


def test_what_is_no_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="no regular file"):
        read_yaml(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff")
    with pytest.raises(InputError, match="not a readable YAML"):
        read_yaml(tmp_path / "bytes.yaml")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, b"\xff", '{"a": "\\ud800"}', "{", ""])
def test_bad_json_has_one_error(text):
    with pytest.raises(json.JSONDecodeError):
        parse_json(text)


def test_good_json_is_what_json_says():
    text = '{"a": [1, 2.5, null, true, -3e8, "\\u00e4\\ud83d\\ude00"]}'
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)
