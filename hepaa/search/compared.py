"""The comparison of two samples that a card asks for, step by step."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.plots import save_figure
from hepaa.report.page import Section, picture, write_page
from hepaa.report.tables import make_table
from hepaa.search.resonant import look_of
from hepaa.search.two_sample import Nuisances, TwoSample
from hepaa.table import BACKGROUND, DATA, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hepaa.card import Card, TwoSampleCard
    from hepaa.progress import Reporter
    from hepaa.search.two_sample import AmongToys
    from hepaa.table import EventTable

CLOSURE = 0.01
"""Smallest Kolmogorov-Smirnov p-value of p-values of reference events held out as data."""


def search(
    card: Card,
    section: TwoSampleCard,
    table: EventTable,
    folder: Path,
    progress: Reporter,
    *,
    unblind: bool,
    step: Callable[[str], Any] = nullcontext,
) -> dict[str, Any]:
    """Compare data with the background of a card; blind, a toy of the background takes the place of the data."""
    from scipy.stats import ks_2samp

    data, reference = table[table.label == DATA], table[table.label == BACKGROUND]
    data = data.with_weight(np.ones(data.n))
    if len(set(reference.generator.tolist())) < 2 and section.generators is not None:
        progress.say("the background has one generator: its choice is no uncertainty here")
    several = len(set(reference.generator.tolist())) > 1
    nuisances = None
    if several or section.weights or section.norms:
        generators = section.generators if several else None
        nuisances = Nuisances(generators=generators, weights=tuple(section.weights), norms=section.norms)
    test = TwoSample(reference, section.method, rate=section.rate, seed=card.seed)
    expected = reference.sum_weights if section.rate else float(data.n)
    progress.say(f"comparing {data.n} events of data with {reference.n} of background")
    toys = min(section.toys, 200)
    closure = test.closure(expected, draws=40, toys=toys)
    # all draws share the same toys: with few of them p-values are off together, which is no fault of the test
    uniform = float(ks_2samp(closure, np.arange(1, toys + 1) / (toys + 1)).pvalue)
    passed = uniform >= CLOSURE
    check = {
        "name": "closure", "passed": passed, "value": uniform, "limit": CLOSURE,
        "message": f"p-values of 40 sets of background events held out as data are uniform with p = {uniform:.2g}",
    }  # fmt: skip
    events = data if unblind else toy_of(reference, expected, np.random.default_rng([card.seed, 5]))
    result = test.test(events, toys=section.toys, nuisances=nuisances)
    numbers: dict[str, Any] = {
        "data_are": "data" if unblind else "a toy of the background",
        "events": events.n,
        "checks": [check],
        "without_nuisances": result.alone.to_dict() if passed else None,
        "with_nuisances": result.widened.to_dict() if passed and result.widened is not None else None,
        "where": result.differences() if passed else None,
    }
    if (table.label == SIGNAL).any():
        progress.say("expecting the signal of the card on toys")
        signal = table[table.label == SIGNAL]
        size = None if section.rate else float(data.n)
        hoped = test.expected(signal, events=size, toys=section.toys, nuisances=nuisances)
        numbers["expected"] = {"z": hoped.z, "band": list(hoped.band), "z_with_nuisances": hoped.z_nuisances}
    numbers["verdict"] = _verdict(result.alone, result.widened, passed=passed, unblind=unblind)
    with step("figures and report"):
        figure = result.plot(look=look_of(card, unblind=unblind))
        save_figure(figure, folder / "figures" / "differences")
        _write_report(card, numbers, picture(figure), folder / "report.html", unblind=unblind)
    return {"two_sample": numbers}


def toy_of(reference: EventTable, events: float, rng: np.random.Generator) -> EventTable:
    """Unweighted events as the reference has them, Poisson in number.

    Raises
    ------
    InputError
        If the reference has too few events for so many.
    """
    rate = reference.weight / reference.sum_weights * events
    if rate.max() > 1:
        raise InputError(
            f"{reference.n} events of background are too few for a toy of {events:.0f}: an event would stand in it "
            "several times; simulate more"
        )
    rows = np.flatnonzero(rng.random(reference.n) < rate)
    return reference[rows].with_weight(np.ones(len(rows)))


def _verdict(alone: AmongToys, widened: AmongToys | None, *, passed: bool, unblind: bool) -> str:
    if not passed:
        return "no significance is quoted: the test does not close on background events"
    words = f"{alone}" + ("" if widened is None else f"; with nuisances {widened}")
    return words if unblind else f"blind: a toy of the background in place of the data gives {words}"


def _write_report(card: Card, numbers: dict[str, Any], image: str, path: Path, *, unblind: bool) -> None:
    check = numbers["checks"][0]
    rows = [
        [name.replace("_", " "), f"{v['p']:.3g}", f"{v['z']:.2f}{' (bound)' if v['z_is_bound'] else ''}",
         f"{v['z_asymptotic']:.2f}"]
        for name in ("without_nuisances", "with_nuisances") if (v := numbers[name]) is not None
    ]  # fmt: skip
    alarms = [] if check["passed"] else [f"{check['name']}: {check['message']}"]
    sections = [
        Section(
            "summary",
            "Summary",
            [numbers["verdict"]],
            alarms,
            [make_table("Data against background", ["null", "p", "Z from toys", "Z, asymptotic"], rows)],
        ),
        Section(
            "where", "Where they differ", figures=[(image, "Data, background, and background as learned")], wide=True
        ),
        Section("checks", "Checks", [check["message"]]),
        Section("card", "The card", ["All settings."], blocks={"The card, with all defaults": card.to_yaml()}),
    ]
    write_page(card, sections, path, label=look_of(card, unblind=unblind).label)
