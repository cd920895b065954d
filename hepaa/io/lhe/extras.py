"""Free text inside LHE events, read on request: comments, attributes of `<event>`, `<scales>`. One event at a time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.lhe.header import attributes, decimal, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import awkward as ak

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"""<(/?)([A-Za-z_][\w.:-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)>""")


def collections(texts: list[bytes]) -> dict[str, ak.Array]:
    """Comments, attributes and scales of events.

    Parameters
    ----------
    texts : list of bytes
        The text of each event, from `<event` to `</event`.

    Returns
    -------
    dict
        "comments": lists of str, the `#` lines as they stand; "attributes": lists of (name, value) strings of
        `<event>`; "scales": lists of (name, value), value float64 in GeV, of `<scales>`.

    Raises
    ------
    InputError
        A scale is no number.
    """
    comments, attributes_, scales = [], [], []
    for text in texts:
        plain = _COMMENT.sub("", decode(text))
        opening = _TAG.match(plain)
        if opening is None:
            raise InputError(f"an event does not start with its tag: {plain[:30]!r}")
        attributes_.append(attributes(opening[3]))
        top = re.split(r"<", plain[opening.end() :], maxsplit=1)[0]
        comments.append([line.strip() for line in top.splitlines() if line.lstrip().startswith("#")])
        scales.append(_scales(plain, opening.end()))
    return records(comments, attributes_, scales)


def records(
    comments: list[list[str]], attributes_: list[dict[str, str]], scales: list[dict[str, float]]
) -> dict[str, ak.Array]:
    """The three collections from what each event has."""
    return {"comments": _lists(comments, ""), "attributes": _pairs(attributes_, ""), "scales": _pairs(scales, 0.0)}


def _scales(text: str, start: int) -> dict[str, float]:
    values = {}
    for tag in _TAG.finditer(text, start):
        if tag[2] == "scales" and not tag[1]:
            for name, value in attributes(tag[3]).items():
                try:
                    values[name] = decimal(value.strip())
                except ValueError:
                    raise InputError(f"<scales {name}={value!r}> is no number") from None
    return values


def _pairs(rows: Sequence[dict[str, Any]], example: str | float) -> Any:
    import awkward as ak

    values = _lists([list(row.values()) for row in rows], example)
    return ak.zip({"name": _lists([list(row) for row in rows], ""), "value": values}, depth_limit=2)


def _lists(rows: Sequence[list[Any]], example: str | float) -> Any:
    import awkward as ak

    # One list more, cut off again, so that the type is known when all lists are empty.
    return ak.Array([*rows, [example]])[:-1]
