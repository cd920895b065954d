"""From one file format to another, with every value and weight kept."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io import iterate
from hepaa.io.files import refuse_input_as_output
from hepaa.io.remote import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hepaa.events import Events

WRITERS = {
    ".lhe": "hepaa.io.lhe.write",
    ".lhe.gz": "hepaa.io.lhe.write",
    ".root": "hepaa.io.root.write",
    ".parquet": "hepaa.io.parquet.events",
    ".h5": "hepaa.io.lhco.write",
    ".hdf5": "hepaa.io.lhco.write",
}
"""Ending of a file's name, and the module whose `write(pieces, path)` writes it."""


def convert(
    source: str | Path,
    target: str | Path,
    *,
    step_size: str | int = "100 MB",
    through: Callable[[Events], Events] | None = None,
    **options: Any,
) -> int:
    """Write the events of a file in another format, in bounded memory.

    Full event records (HepMC) become the visible final state in LHCO files, hardest first and 700 an event at most.

    Parameters
    ----------
    source : str or Path
        Any file that `hepaa.open` reads.
    target : str or Path
        The format follows from its ending: .lhe, .lhe.gz, .root (TTree), .parquet (event records), .h5 or
        .hdf5 (LHCO, pandas 'fixed'). It gets its name when it is complete.
    step_size : str or int
    through : function of Events, optional
        What to do with each piece before it is written, such as a detector.
    **options
        As for `hepaa.open`: schema, weight, columns, keep_partial, ...

    Returns
    -------
    int
        Events written.

    Raises
    ------
    InputError
        If the source cannot be read, the ending is none of these, source and target are the same file, or
        the target format has no room for something that the events hold.
    """
    final = target if is_remote(target) else Path(target)
    module = next((m for ending, m in WRITERS.items() if str(final).lower().endswith(ending)), None)
    if module is None:
        raise InputError(f"{target}: hepaa writes {', '.join(WRITERS)}; end the name of the target with one of these")
    refuse_input_as_output(final, [source])
    if not is_remote(final) and Path(final).is_dir():
        raise InputError(f"{final} is a folder; name a file in it")
    pieces = iterate([source], step_size=step_size, **options)
    return int(_write(module, map(through, pieces) if through else pieces, final))


def _write(module: str, pieces: Iterator[Events], final: str | Path) -> Any:
    from hepaa.io.pieces import to_write

    writer = import_module(module)
    first, pieces = to_write(pieces, final)
    if first.format == "hepmc" and module == WRITERS[".h5"]:
        from hepaa.io.hepmc import for_lhco

        provenance: dict[str, Any] = {"source": Path(first.path).name}
        return writer.write(for_lhco(pieces, writer.PARTICLES, provenance), final, provenance=provenance)
    return writer.write(pieces, final)
