"""What a run has to cite: keys of `sources.bib` for its detectors, search, features, samples and statistics.

Detectors name their sources themselves (`Detector.sources`); the rest of a card is in the tables below.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hepaa._version import __version__
from hepaa.detectors import Detector, detector
from hepaa.io.fetch import DATASETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepaa.card import Card, SearchCard

_BIB = Path(__file__).with_name("sources.bib")
_ANTI_KT, _SUBJETTINESS = "Cacciari2008", "Thaler2010 Thaler2011"
_FEATURES = {
    "zh-": "Banda2025",
    "dijet": f"{_ANTI_KT} {_SUBJETTINESS}",
    "dijet-efp": f"{_ANTI_KT} Komiske2017",
    "dijet-kitchen-sink": f"{_ANTI_KT} {_SUBJETTINESS} Finke2023",
    "constituents": _ANTI_KT,
}
"""By the beginning of a feature set's name; the longest that fits counts."""
_GENERATORS = {
    r"pythia\W*6": "Pythia6",
    r"pythia(?!\W*6)": "Pythia8",
    "vincia": "Pythia8 Vincia",
    "herwig": "Herwig7",
    "sherpa": "Sherpa",
    "madgraph|amc@nlo|mg5": "MadGraph",
    "smeftsim": "SMEFTsim",
}
"""Patterns in the generator of a sample, whatever the case."""
_DATA_SETS = {"lhco-rd": "LHCORD LHCO2021"}
"""By the names of `hepaa.io.fetch`: a run on one of their files."""
_RESONANT = {
    "residual": "Das2023",
    "cwola": "Metodiev2017 Collins2018 Finke2023",
    "cathode": "Hallin2021 Finke2023",
    "anode": "Nachman2020",
}
_TWO_SAMPLE = {"kernel": "DAgnolo2018 Letizia2022", "trees": "LopezPaz2016", "flow": "LopezPaz2016 Durkan2019"}


@cache
def entries() -> dict[str, str]:
    """BibTeX entries by their key; that of hepaa has its version."""
    blocks = _BIB.read_text(encoding="utf-8").strip().split("\n\n")
    by_key = {re.split("[{,]", block, maxsplit=2)[1]: block for block in blocks}
    by_key["hepaa"] = by_key["hepaa"].replace("  license", f"  version = {{{__version__}}},\n  license")
    return by_key


def bibtex(card: Card) -> str:
    """The entries for what a card uses, each once, in the order of its use."""
    return "\n\n".join(entries()[key] for key in keys(card)) + "\n"


def keys(card: Card) -> list[str]:
    """Keys of the sources of a card, each once: hepaa, detectors or search, features, samples, statistics."""
    return list(dict.fromkeys(key for words in _of_card(card) for key in words.split()))


def _of_card(card: Card) -> Iterator[str]:
    yield "hepaa"
    for one in card.detectors:
        yield from of_detector(detector(one.detector, **one.options))
    if card.search is not None:
        yield from _of_search(card.search)
    fitting = [prefix for prefix in _FEATURES if str(card.features.set).startswith(prefix)]
    if fitting:
        yield _FEATURES[max(fitting, key=len)]
    for sample in card.samples:
        yield from (words for pattern, words in _GENERATORS.items() if re.search(pattern, sample.generator, re.I))
        names = {Path(file).name for file in sample.files}
        for name, data_set in DATASETS.items():
            if names & {file.name for file in data_set.parts.values()}:
                yield _DATA_SETS[name]
    if card.detectors:
        yield "Cowan2010"
        if card.workspace.write or card.workspace.infer:
            yield "Heinrich2021"
    if card.sculpting is not None:
        yield "Choudalakis2011"


def of_detector(model: Detector) -> Iterator[str]:
    """Keys of a detector with its parameters, and of those that it consists of; keys of one use in one string."""
    parameters = model.get_params(deep=False)
    for cls in reversed(type(model).__mro__):
        for use, words in vars(cls).get("sources", {}).items():
            name, _, value = use.partition(" ")
            if not use or (str(parameters[name]) == value if value else parameters[name]):
                yield words
    members = parameters.get("members", parameters.get("detector"))
    for member in members if isinstance(members, list | tuple) else [members]:
        if isinstance(member, str | Detector):
            yield from of_detector(detector(member) if isinstance(member, str) else member)


def _of_search(search: SearchCard) -> Iterator[str]:
    if search.resonant is not None:
        methods = search.resonant.methods
        for method in methods:
            yield _RESONANT[method.method]
            if method.options.get("decorrelate") == "latent":
                yield "Hallin2022"
        if len(methods) > 1 or search.resonant.scan is not None:
            yield "Grosso2024"
        yield "LiMa1983"
    if search.two_sample is not None:
        section = search.two_sample
        yield _TWO_SAMPLE[section.method]
        if section.method == "kernel" and (section.generators or section.weights or section.norms):
            yield "DAgnolo2021"
