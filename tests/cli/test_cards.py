"""`hepaa card`: what is wrong in a card is said before hours are spent on it, and every key says what it is."""

from __future__ import annotations

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from hepaa import card as cards
from hepaa.cli import main
from hepaa.cli.commented import commented
from hepaa.demo import path


def zh(tmp_path, **changes):
    content = yaml.safe_load(path("zh.yaml").read_text()) | changes
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(content))
    return tmp_path / "card.yaml"


def check(file):
    done = CliRunner().invoke(main, ["card", str(file)])
    return done.exit_code, done.output + done.stderr


def samples(**changes):
    content = yaml.safe_load(path("zh.yaml").read_text())["samples"]
    return [content[0] | changes, content[1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detectors": [{"detector": "aa-zz"}]}, "detector 'aa-zz' is unknown; did you mean 'aa-zh'"),
        ({"detectors": [{"detector": "VAE", "options": {"epoch": 3}}]}, "no parameter 'epoch'; did you mean 'epochs'"),
        ({"features": {"set": "zh-papre"}}, "no feature set 'zh-papre'; did you mean 'zh-paper'"),
        ({"features": {"set": "zh-paper", "selection": "mZZ > 3"}}, "mZZ"),
        ({"samples": samples(files=["nothing*.lhe"])}, "no file matches"),
        ({"samples": samples(weight="chw")}, "no weight 'chw'"),
        ({"detectors": [{"detector": "VAE", "flatten": "mjj"}]}, "mjj"),
        ({"systematics": [{"name": "scale", "kind": "weight", "up": "muR2"}]}, "no file has the weight 'muR2'"),
    ],
)
def test_a_card_is_checked_against_its_files(tmp_path, changes, message):
    code, said = check(zh(tmp_path, **changes))
    assert code == 2
    assert message in said


def test_a_good_card_is_valid(tmp_path):
    code, said = check(zh(tmp_path))
    assert (code, "a valid card" in said) == (0, True)


def sections(model=cards.Card):
    yield model
    for field in model.model_fields.values():
        for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from sections(inner)


@pytest.mark.parametrize("name", ["zh", "search"])
def test_every_key_is_shown_with_what_it_is_and_gives_the_same_card(tmp_path, name):
    card = cards.load_card(path(f"{name}.yaml"))
    text = commented(card)
    assert cards.parse_card(yaml.safe_load(text), source=tmp_path / "card.yaml") == card
    lines = [line.lstrip("# -") for line in text.splitlines()]
    keys = [f"{field.alias or key}:" for model in sections() for key, field in model.model_fields.items()]
    assert len(keys) > 90
    assert [key for key in keys if not any(line.startswith(key) for line in lines)] == []
    # no key is the first to be shown without words before it
    shown = set()
    for above, line in zip(text.splitlines(), text.splitlines()[1:], strict=False):
        key = line.lstrip("# -").partition(":")[0]
        if f"{key}:" in keys and key not in shown:
            assert above.lstrip().startswith("#"), line
            shown.add(key)
