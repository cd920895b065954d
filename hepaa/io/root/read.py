"""ROOT ntuples, TTree and RNTuple, through uproot: only the branches that a schema declares are read."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import awkward as ak
import uproot

from hepaa.errors import HepaaError, InputError
from hepaa.io.files import one_line
from hepaa.io.pieces import STEP_BYTES, event_range, merge, row_ranges, weight_summary
from hepaa.io.root.plan import Plan
from hepaa.io.sniff import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hepaa.events import Events, Sample


def open(
    path: str | Path,
    *,
    key: str = "",
    schema: str | Path | Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    sample: Sample | None = None,
    keep_partial: bool = False,
) -> Events:
    """All events of a tree; see `iterate`."""
    asked: dict[str, Any] = {"key": key, "schema": schema, "columns": columns, "label": label, "weight": weight}
    return merge(iterate(path, sample=sample, keep_partial=keep_partial, **asked))


def iterate(
    path: str | Path,
    *,
    step_bytes: int = STEP_BYTES,
    key: str = "",
    schema: str | Path | Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    start: int = 0,
    stop: int | None = None,
    sample: Sample | None = None,
    keep_partial: bool = False,
) -> Iterator[Events]:
    """Events in pieces of about `step_bytes` uncompressed bytes of the branches that are read.

    Parameters
    ----------
    path : str or Path
        File, or root://host//file (needs the package fsspec-xrootd).
    step_bytes : int
    key : str
        Tree or RNTuple, where the file has several that the schema does not choose between.
    schema : name, YAML file or mapping, optional
        See `hepaa.io.schemas`. Default: recognised by the branches: hepaa's own files, NanoAOD, PHYSLITE,
        Delphes; "flat" else.
    columns : sequence of str, optional
        Columns to keep: of the schema, or any branch with one number an event.
    label, weight : str, optional
        Branch of the truth label and of the nominal weight (or a named weight), instead of what the schema
        says.
    start, stop : int
        Events to read, from `start` up to but without `stop`; all by default. Only baskets that hold them are read.
    sample : Sample, optional
    keep_partial : bool
        Keep the events before a broken basket instead of raising; `header["broken"]` then says what is
        missing.

    Yields
    ------
    Events
        Momenta in GeV. `header` has the tree, the schema, and the branch behind each name.

    Raises
    ------
    InputError
        If the file is no readable ROOT file, or a branch is missing (the message lists the nearest).
    TruncatedInputError
        If a basket cannot be read.
    """
    name = str(path)
    with _opened(name) as file:
        try:
            plan = Plan(file, name, key, schema, columns, label, weight)
        except HepaaError:
            raise
        except Exception as damage:  # as for a basket below: nothing in common but that the file is damaged
            raise InputError(
                f"{name} is cut short or damaged ({type(damage).__name__}: {one_line(damage)}); copy it again"
            ) from damage
        header = dict(plan.header)
        rows = max(int(step_bytes / max(plan.bytes_per_event, 1e-9)), 1)
        asked_from, asked_to = event_range(path, plan.n, start, stop)
        for begin, end in row_ranges(asked_to, rows, asked_from):
            try:
                arrays = plan.read(begin, end)
            except HepaaError:
                raise
            except Exception as failure:  # uproot passes on whatever its decompressors and interpretations raise
                error = plan.broken(begin, end, failure)
                if not keep_partial:
                    raise error from failure
                header["broken"] = str(error)
                yield plan.events(plan.read(begin, error.good_events), begin, error.good_events, header, sample)
                return
            yield plan.events(arrays, begin, end, header, sample)


def count(path: str | Path, *, key: str = "", schema: str | Path | Mapping[str, Any] | None = None) -> int:
    """Events in a tree, from its description alone."""
    with _opened(str(path)) as file:
        return Plan(file, str(path), key, schema, None, None, None).n


def probe(path: str | Path, *, key: str = "", schema: str | Path | Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a tree holds: events, weights, columns, collections; reads the declared branches once."""
    last: list[Events] = []

    def watched() -> Iterator[Events]:
        for piece in iterate(path, key=key, schema=schema):
            last[:] = [piece]
            yield piece

    summary = weight_summary(watched())
    events = last[0]
    return {
        "format": "root",
        **summary,
        "cross_section_pb": events.header.get("cross_section_pb"),
        "columns": list(events.columns),
        "collections": {name: ak.fields(records) for name, records in events.collections.items()},
        **{k: events.header[k] for k in ("tree", "schema", "not_read") if k in events.header},
    }


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    if is_remote(path) and path.startswith("root://") and find_spec("fsspec_xrootd") is None:
        raise InputError(f"{path}: reading root:// needs the package fsspec-xrootd; install it, or copy the file here")
    try:
        file = uproot.open({path: None})
    except Exception as error:  # uproot has no common base for what a broken file raises
        raise InputError(
            f"{path} cannot be opened as ROOT, it is cut short or damaged ({type(error).__name__}: {one_line(error)}); "
            "no event can be kept, copy it again"
        ) from error
    with file:
        yield file


def uuid(path: str) -> str:
    """The UUID that ROOT gave to a file when it was written."""
    with _opened(path) as file:
        return str(file.file.uuid)
