"""Blind is the rule: what is not seen of data until somebody says so, and the record of who looked when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.texts import parse_json
from hepaa.stats.transfer import cuts_for
from hepaa.table import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from hepaa.card import Rules
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


def cut(column: str, validation: EventTable, card: Rules) -> float | None:
    """The score above which data are blind: a share of the validation part's background lies there; None: unblinded."""
    if card.unblind:
        return None
    share, background = card.blinding.above_background_efficiency, validation.background
    return cuts_for((background[column], background.weight), targets=(share,), min_events=0)[share]


def hide(table: EventTable, cuts: Mapping[str, float | None], rows: NDArray[np.bool_]) -> EventTable:
    """The scored table with NaN for the scores of data above the cut of their detector, varied ones included.

    Parameters
    ----------
    table : EventTable
    cuts : mapping of detector -> float or None
        As from `cut`.
    rows : (n,)
        Events of the signal region; those of other regions are never blind.
    """
    hidden: dict[str, ArrayLike] = {}
    for name, value in cuts.items():
        if value is not None:
            above = rows & (table.label == DATA) & (table[f"score_{name}"] > value)
            for column in (c for c in table.spectators if c == f"score_{name}" or c.startswith(f"score_{name}:")):
                hidden[column] = np.where(above, np.float32(np.nan), table[column])
    return replace(table.with_spectators(**hidden), cutflow=table.cutflow) if hidden else table


def refuse_hidden(table: EventTable, column: str) -> None:
    """Raise InputError where scores of data are blind: what is left of them is not all data."""
    lost = int(np.sum(np.isnan(table[column][table.label == DATA])))
    if lost:
        raise InputError(
            f"the scores of {lost} events of data are blind in {column!r}: `hepaa plot score RUN` draws what may be "
            "seen of them; `hepaa run --unblind` writes them all"
        )
