"""From one file format to another, with every value and weight kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io import iterate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hepaa.events import Events

TARGETS = (".lhe", ".lhe.gz", ".root", ".parquet", ".h5", ".hdf5")


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
    write = _writer(final)
    if final.exists() and Path(source).exists() and final.samefile(source):
        raise InputError(f"{final} is both source and target; give the target another name")
    if final.is_dir():
        raise InputError(f"{final} is a folder; name a file in it")
    return write(_one_file(source, step_size, options), final)


def _one_file(source: str | Path, step_size: str | int, options: dict[str, Any]) -> Iterator[Events]:
    yield from iterate([source], step_size=step_size, **options)


def _writer(target: Path) -> Callable[[Iterator[Events], Path], int]:
    name = target.name.lower()
    if name.endswith((".lhe", ".lhe.gz")):
        from hepaa.io.lhe import write as write_lhe

        return lambda pieces, path: write_lhe.write(pieces, path, compress=name.endswith(".gz"))
    if name.endswith(".root"):
        from hepaa.io.root import write as write_root

        return write_root.write
    if name.endswith(".parquet"):
        from hepaa.io.parquet import events as records

        return records.write
    if name.endswith((".h5", ".hdf5")):
        from hepaa.io.lhco import write as write_lhco

        return write_lhco.write
    raise InputError(f"{target}: hepaa writes {', '.join(TARGETS)}; end the name of the target with one of these")
