"""From one file format to another, with every value and weight kept."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from hepaa.errors import InputError
from hepaa.io import iterate
from hepaa.io.files import refuse_input_as_output

WRITERS = {
    ".lhe": "hepaa.io.lhe.write",
    ".lhe.gz": "hepaa.io.lhe.write",
    ".root": "hepaa.io.root.write",
    ".parquet": "hepaa.io.parquet.events",
    ".h5": "hepaa.io.lhco.write",
    ".hdf5": "hepaa.io.lhco.write",
}
"""Ending of a file's name, and the module whose `write(pieces, path)` writes it."""


def convert(source: str | Path, target: str | Path, *, step_size: str | int = "100 MB", **options: Any) -> int:
    """Write the events of a file in another format, in bounded memory.

    Parameters
    ----------
    source : str or Path
        Any file that `hepaa.open` reads.
    target : str or Path
        The format follows from its ending: .lhe, .lhe.gz, .root (TTree), .parquet (event records), .h5 or
        .hdf5 (LHCO, pandas 'fixed'). It gets its name when it is complete.
    step_size : str or int
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
    final = Path(target)
    module = next((m for ending, m in WRITERS.items() if final.name.lower().endswith(ending)), None)
    if module is None:
        raise InputError(f"{target}: hepaa writes {', '.join(WRITERS)}; end the name of the target with one of these")
    refuse_input_as_output(final, [source])
    if final.is_dir():
        raise InputError(f"{final} is a folder; name a file in it")
    return int(import_module(module).write(iterate([source], step_size=step_size, **options), final))
