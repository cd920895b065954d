"""Runs the search of a card: the only place that knows the order of its steps.

files -> table of data -> rehearsal without the signal region -> toys -> checks -> (unblinded) data -> results, figures

Blind is the rule. Until `unblind` is said, the data of the signal region are replaced by a background-only toy, drawn
from the sidebands, before anything is trained: no score, count or p-value of them exists that could be written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.files import write_json
from hepaa.io.folders import new_folder
from hepaa.progress import Silent
from hepaa.run.blinding import record
from hepaa.run.reading import input_files, read
from hepaa.run.steps import Steps
from hepaa.run.variations import accepted
from hepaa.search import compared, resonant
from hepaa.search.refusals import refuse_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hepaa.card import Card
    from hepaa.progress import Reporter
    from hepaa.table import EventTable

RESULTS = "results.json"


def search(
    card: Card,
    *,
    unblind: bool = False,
    overwrite: bool = False,
    progress: Reporter | None = None,
    map: Callable[..., Iterable[Any]] = map,
    reader: Callable[[Card, Reporter], EventTable] = read,
) -> Path:
    """Everything the section `search` of a card asks for, in one folder that appears when it is complete.

    Parameters
    ----------
    card : Card
    unblind : bool
        Look at the data of the signal region, as the card's own `unblind`. It is recorded, with the time and the hash
        of the card, and a card that has changed since an earlier unblinding of the same folder is said to have.
    overwrite : bool
        Replace the folder if it exists.
    progress : Reporter, optional
        Silent by default.
    map : callable
        Such as the `map` of a `concurrent.futures.Executor`: toys, and mixtures with a signal, are searched through it.
    reader : callable
        What reads the samples; default `hepaa.run.reading.read`.

    Returns
    -------
    Path
        The folder: `results.json`, `report.html`, `figures/`, `card.yaml`, and of a resonant search `scores.parquet`
        and `workspace.json`.

    Raises
    ------
    InputError
        For input that cannot be used; nothing is left behind.
    IncompleteError
        If a figure or another last step failed: the folder is there with all else.
    """
    if card.search is None:
        raise InputError(f"{card.name}: the card has no section `search`; `hepaa init search` writes one to start from")
    refuse_card(card)
    report = progress or Silent()
    after = Steps(report)
    open_eyes = unblind or card.unblind
    with new_folder(card.output, overwrite=overwrite, inputs=input_files(card)) as folder:
        (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
        looked = {"name": card.name} | record(card, Path(card.output), unblind=open_eyes)
        for warning in looked["warnings"]:
            report.say(f"warning: {warning}")
        table = accepted(reader(card, report))
        if card.search.resonant is not None:
            numbers = resonant.search(
                card, card.search.resonant, table, folder, report, unblind=open_eyes, map=map, step=after.step
            )
        elif card.search.two_sample is not None:
            numbers = compared.search(
                card, card.search.two_sample, table, folder, report, unblind=open_eyes, step=after.step
            )
        write_json(after.without_nan(looked | numbers, RESULTS), folder / RESULTS)
        after.write_failures(folder)
    after.raise_failures(Path(card.output))
    return Path(card.output)
