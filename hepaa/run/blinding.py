"""Blind is the rule: what is not seen of data until somebody says so, and the record of who looked when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.card import BlindingCard
from hepaa.errors import InputError
from hepaa.io.texts import parse_json
from hepaa.stats.histogram import seen_bins
from hepaa.stats.transfer import cuts_for
from hepaa.table import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from hepaa.card import Rules
    from hepaa.stats.binning import Binning
    from hepaa.table import EventTable


def card_hash(card: Rules) -> str:
    """SHA-256 of what a card says about the results: all but their folder and `unblind`."""
    content = card.model_dump(by_alias=True, mode="json")
    for key in ("output", "unblind"):
        content.pop(key, None)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def record(card: Rules, output: Path, *, unblind: bool) -> dict[str, Any]:
    """Whose results these are, and who has looked at the data when; for `results.json`.

    Parameters
    ----------
    card : Card or Rules
    output : Path
        Folder of the results, where earlier ones may still lie.
    unblind : bool
        Whether the data are looked at now.

    Returns
    -------
    dict
        "blind", "card_sha256", "unblinded" (time and hash of the card, each time), and "warnings".
    """
    digest, earlier = card_hash(card), _unblindings(output)
    warnings = []
    others = [entry["time"] for entry in earlier if entry["card_sha256"] != digest]
    if others:
        warnings.append(
            f"the card has changed since the data were unblinded at {others[0]}: these numbers were chosen by "
            "somebody who had seen the signal region"
        )
    now = [{"time": datetime.now(UTC).isoformat(timespec="seconds"), "card_sha256": digest}] if unblind else []
    return {"blind": not unblind, "card_sha256": digest, "unblinded": earlier + now, "warnings": warnings}


def _unblindings(output: Path) -> list[dict[str, Any]]:
    """Earlier unblindings that the results in a folder record."""
    path = output / "results.json"
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError:
        return []
    except ValueError as broken:
        raise InputError(
            f"{path}: no JSON ({broken}): it cannot be told whether data were unblinded; take another folder"
        ) from broken
    entries = content.get("unblinded", []) if isinstance(content, dict) else []
    return [e for e in entries if isinstance(e, dict) and {"time", "card_sha256"} <= set(e)]


def cut(column: str, validation: EventTable, rules: Rules | None = None) -> float | None:
    """The score above which data are blind: a share of the validation part's background lies there; None: unblinded.

    Without rules the share is that of a card that says nothing of it.
    """
    if rules is not None and rules.unblind:
        return None
    share, background = (rules.blinding if rules else BlindingCard()).above_background_efficiency, validation.background
    if not background.n:
        raise InputError("the validation table has no background, whose scores say which data stay blind")
    return cuts_for((background[column], background.weight), targets=(share,), min_events=0)[share]


def hide(table: EventTable, cuts: Mapping[str, float | None], rows: NDArray[np.bool_] | None = None) -> EventTable:
    """The scored table with NaN for the scores of data above the cut of their detector, varied ones included.

    The cut stands in a column `blind_above:NAME`, so that who counts the others knows how far they are complete.

    Parameters
    ----------
    table : EventTable
    cuts : mapping of detector -> float or None
        As from `cut`.
    rows : (n,), optional
        Events of the signal region; those of other regions are never blind.
    """
    data = table.label == DATA
    hidden: dict[str, ArrayLike] = {}
    for name, value in cuts.items():
        if value is not None:
            above = data & (table[f"score_{name}"] > value)
            above &= True if rows is None else rows
            for column in (c for c in table.spectators if c == f"score_{name}" or c.startswith(f"score_{name}:")):
                hidden[column] = np.where(above, np.float32(np.nan), table[column])
            hidden[_mark(f"score_{name}")] = np.full(table.n, value)
    return replace(table.with_spectators(**hidden), cutflow=table.cutflow) if hidden else table


def refuse_unasked(table: EventTable) -> None:
    """Raise InputError for data that are to be scored where nothing says which of the scores stay blind."""
    n = int(np.sum(table.label == DATA))
    if n:
        raise InputError(
            f"the table has {n} events of data: --validation TABLE gives the background whose highest scores say which "
            "of theirs stay blind; --unblind scores them all"
        )


def seen(table: EventTable, column: str, binning: Binning, blind_above: float | None) -> EventTable:
    """The table without data whose scores are blind, which lie above all bins that show data.

    Raises
    ------
    InputError
        If a bin that shows data reaches higher than what is left of them is complete.
    """
    hidden = (table.label == DATA) & np.isnan(table[column])
    if not hidden.any():
        return table
    shown = np.append(binning.edges[1:-1], np.inf)[seen_bins(binning, blind_above)]
    known = float(table[_mark(column)][hidden].min()) if _mark(column) in table.spectators else -np.inf
    if len(shown) and shown.max() > known:
        raise InputError(
            f"the scores of {hidden.sum()} events of data are blind in {column!r}, and bins that show data reach above "
            "that cut: take the validation table that was scored with them, or unblind the scores first"
        )
    left: EventTable = table[~hidden]
    return left


def _mark(column: str) -> str:
    return f"blind_above:{column.removeprefix('score_')}"
