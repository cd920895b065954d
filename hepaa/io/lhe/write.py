"""LHE writer: the objects of pylhe, and every number as the shortest text that reads back as the same double.

Format: Les Houches Event Files 1.0 (hep-ph/0609017), weights as in 3.0 (arXiv:1405.1067). pylhe 2.1 gives the values of
`<rwgt>` five digits, does not escape their names nor what a generator says of itself, and turns text of the header that
is no XML (run cards with a raw `<`) into other text: these parts are written here.
"""

from __future__ import annotations

import html
from contextlib import nullcontext
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

import pylhe

from hepaa import lhef
from hepaa.errors import InputError
from hepaa.io.files import atomic_path
from hepaa.io.pieces import to_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hepaa.events import Events

_GZIP_LEVEL = 2
_SHORTEST = pylhe.LHEXMLFormat(
    indent="",
    weights=pylhe.LHEWeightFormat.NONE,
    eventinfo="{nparticles} {pid} {weight!r} {scale!r} {aqed!r} {aqcd!r}",
    particle="{id} {status} {mother1} {mother2} {color1} {color2} {px!r} {py!r} {pz!r} {e!r} {m!r} "
    "{lifetime!r} {spin!r}",
    initinfo="{beamA} {beamB} {energyA!r} {energyB!r} {PDFgroupA} {PDFgroupB} {PDFsetA} {PDFsetB} "
    "{weightingStrategy} {numProcesses}",
    procinfo="{xSection!r} {error!r} {unitWeight!r} {procId}",
)


def write(pieces: Iterable[Events], path: str | Path) -> int:
    """Write events as LHE, under the final name only when complete; gives their number.

    Parameters
    ----------
    pieces : iterable of Events
        With the `particles`, `columns` and `header` that the LHE reader gives.
    path : str or Path
        Through gzip if its name ends with `.gz`; the same events give the same bytes.

    Raises
    ------
    InputError
        If there is no piece, or it lacks something that an LHE file must have.
    """
    n = 0
    squeeze = _squeezed if str(path).lower().endswith(".gz") else nullcontext
    with atomic_path(path) as partial, partial.open("wb") as plain, squeeze(plain) as stream:
        first, pieces = to_write(pieces, path)
        lhef.check(first)
        known = first.header
        parts = known.get("version"), known.get("comment"), known.get("blocks", {})
        stream.write(head(*parts, lhef.declarations_of(known), lhef.init_of(known)).encode())
        for piece in pieces:
            stream.writelines(_event(event).encode() for event in lhef.events_of(piece))
            n += piece.n
        if not n:
            raise InputError(f"{path}: there are no events to write")
        stream.write(b"</LesHouchesEvents>\n")
    return n


def _squeezed(plain: IO[bytes]) -> Any:
    from isal import igzip

    # no name and no time in the gzip header, so that equal events make equal files
    return igzip.IGzipFile("", "wb", _GZIP_LEVEL, plain, 0)  # type: ignore[no-untyped-call]


def head(
    version: str | None, comment: str | None, blocks: Mapping[str, str], weights: pylhe.LHEInitRWGT, init: pylhe.LHEInit
) -> str:
    """Text of a file up to `</init>`; `blocks` are what stands in the other elements of `<header>`."""
    lines = [f'<LesHouchesEvents version="{version or "3.0"}">']
    if comment:
        lines += ["<!--", comment, "-->"]
    lines.append("<header>")
    for name, text in blocks.items():
        lines += [f"<{name}>", text, f"</{name}>"]
    if weights.entries:
        lines.append(weights.tolhe(_SHORTEST).strip())
    # LHEH5 alone has room for multiplicities
    processes = [replace(process, npLO=None, npNLO=None) for process in init.procInfo]
    generators = [replace(generator, description=html.escape(generator.description)) for generator in init.generators]
    # pylhe leaves an empty line where no process is listed, and cannot read it
    block = pylhe.LHEInit(init.initInfo, processes, generators).tolhe(_SHORTEST).replace("\n\n", "\n")
    return "\n".join([*lines, "</header>", block]) + "\n"


def _event(event: pylhe.LHEEvent) -> str:
    text: str = event.tolhe(_SHORTEST)
    if not event.weights:
        return f"{text}\n"
    values = (f'<wgt id="{html.escape(name)}">{value!r}</wgt>' for name, value in event.weights.items())
    return "\n".join([text.removesuffix("</event>") + "<rwgt>", *values, "</rwgt>", "</event>\n"])
