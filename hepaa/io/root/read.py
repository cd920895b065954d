"""ROOT ntuples, TTree and RNTuple, through uproot: only the branches that a schema declares are read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uproot

from hepaa.errors import HepaaError, InputError
from hepaa.io.files import one_line
from hepaa.io.pieces import event_range, row_ranges
from hepaa.io.remote import is_remote
from hepaa.io.root import hepmc
from hepaa.io.root.plan import TreePlan
from hepaa.io.root.servers import RemoteSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hepaa.events import Events


def iterate(
    path: str | Path,
    *,
    step_bytes: int,
    key: str = "",
    schema: str | Path | Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    start: int = 0,
    stop: int | None = None,
    needs: Sequence[str] | None = None,
    weights: Sequence[str] = (),
    varied: str | Mapping[str, str | float] | None = None,
    objects: Mapping[str, Any] | None = None,
) -> Iterator[Events]:
    """Events in pieces of about `step_bytes` uncompressed bytes of the branches that are read.

    Parameters
    ----------
    path : str or Path
        File, or an address such as root://host//file.
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
    needs : sequence of str, optional
        Collections to read, with those that their selection looks at; all by default.
    weights : sequence of str
        Names of weights to read out of the schema's arrays, such as "LHEScaleWeight_8".
    varied : str or mapping, optional
        Other branches, or factors, for fields and columns, such as {"jets.pt": "Jet_pt_jesTotalUp", "met": 1.02}; or
        the end of the names of varied branches, "jesTotalUp". Objects are selected afterwards.
    objects : mapping, optional
        Which objects and events count, see `hepaa.io.objects`; changes those of the schema.
    start, stop : int
        Events to read, from `start` up to but without `stop`; all by default. Only baskets that hold them are read.

    Yields
    ------
    Events
        Momenta in GeV. `header` has the tree, the schema, and the branch behind each name. HepMC3 trees are records as
        `hepaa.io.hepmc` reads them.

    Raises
    ------
    InputError
        If the file is no readable ROOT file, or a branch is missing (the message lists the nearest).
    TruncatedInputError
        After the events before it: a basket cannot be read.
    """
    name = str(path)
    with _opened(name) as file:
        records = schema is None and key in ("", hepmc.TREE) and hepmc.TREE in file
        named = weight
        if records:
            _refuse_options(name, columns=columns, label=label, varied=varied, objects=objects)
            schema, weight, needs, weights = hepmc.SCHEMA, None, None, ()
        try:
            plan = TreePlan(
                file, name, key, schema, columns, label, weight,
                needs=needs, weights=weights, varied=varied, objects=objects,
            )  # fmt: skip
            run = hepmc.run_info(file[hepmc.TREE], plan.n) if records else {}
        except HepaaError:
            raise
        except Exception as damage:  # as for a basket below: nothing in common but that the file is damaged
            raise InputError(
                f"{name} is cut short or damaged ({type(damage).__name__}: {one_line(damage)}); copy it again"
            ) from damage

        def made(arrays: Any, begin: int, end: int) -> Events:
            events = plan.events(arrays, begin, end)
            return hepmc.as_records(events, run, named) if records else events

        rows = max(int(step_bytes / max(plan.bytes_per_event, 1e-9)), 1)
        first, last = event_range(path, plan.n, start, stop)
        for begin, end in row_ranges(last, rows, first):
            try:
                arrays = plan.read(begin, end)
            except HepaaError:
                raise
            except Exception as failure:  # uproot passes on whatever its decompressors and interpretations raise
                error = plan.broken(begin, end, failure)
                if error.good_events > begin:
                    yield made(plan.read(begin, error.good_events), begin, error.good_events)
                raise error from failure
            yield made(arrays, begin, end)


def _refuse_options(path: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{path}: records of HepMC take no option {name!r}; leave it out")


def count(path: str | Path, *, key: str = "", schema: str | Path | Mapping[str, Any] | None = None) -> int:
    """Events in a tree, from its description alone."""
    with _opened(str(path)) as file:
        return TreePlan(file, str(path), key, schema, None, None, None).n


def describe(events: Events) -> dict[str, Any]:
    """Tree and schema, the branches that are not read, arrays whose entries are weights, and what the file says of all
    generated events."""
    names = ("tree", "schema", "not_read", "arrays_of_weights", "generated_sum_weights", "generated_events")
    return {k: events.header[k] for k in names if events.header.get(k) not in (None, [])}


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        file = uproot.open({path: None}, handler=RemoteSource if is_remote(path) else None)
    except HepaaError:
        raise
    except Exception as error:  # uproot has no common base for what a broken file raises
        raise InputError(
            f"{path} cannot be opened as ROOT, it is cut short or damaged ({type(error).__name__}: {one_line(error)}); "
            "no event can be kept, copy it again"
        ) from error
    with file:
        yield file
