"""Named feature sets: how events become a table. A set is one function with one decorator.

A set of one's own needs no package: the ten lines below in a file beside the card, which names it as `set:
./mine.py:multiplicity` (on the command line `hepaa features --set ./mine.py:multiplicity`). Workers of a batch import
the file too, and what it computes is stored under its content. Or the ten lines stand in an analysis script.

Examples
--------
>>> import numpy as np
>>> from hepaa.features import Feature, feature_set
>>> @feature_set("multiplicity", inputs="particles", columns=[Feature("nparticles", "particles")])
... def multiplicity(events):
...     '''Particles in the event.'''
...     n = np.array([len(e) for e in events.particles], float)
...     return {"nparticles": n}, {"not empty": n > 0}
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa import io
from hepaa._version import __version__
from hepaa.errors import HepaaError, InputError, nearest
from hepaa.events import Events, Sample, Step
from hepaa.features.columns import ColumnFeatures
from hepaa.features.own import PREFIX, module_of, split_own
from hepaa.io.files import one_line
from hepaa.io.objects import select_objects
from hepaa.table import CutflowRow, EventTable, Source, concatenate
from hepaa.table.selection import select

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Values = dict[str, NDArray[np.float64]]
    Cuts = dict[str, NDArray[np.bool_]]
    SetFunction = Callable[[Events], tuple[Values, Cuts]]

_SETS: dict[str, FeatureSet] = {}


@dataclass(frozen=True)
class Feature:
    """A column: its name, and what an axis says of it.

    Attributes
    ----------
    name : str
        Column name, as in tables and cuts.
    label : str
        LaTeX (matplotlib mathtext) symbol.
    unit : str
        "GeV", "rad", or "" for a pure number.
    log : bool
        The axis reads better logarithmic.
    """

    name: str
    label: str
    unit: str = ""
    log: bool = False

    @property
    def title(self) -> str:
        """Axis title: the symbol, and its unit in brackets if there is one."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


@dataclass(frozen=True)
class FeatureSet:
    """A named set of features.

    Attributes
    ----------
    name : str
    inputs : tuple of str
        Alternatives; each names the collections or columns that it needs, joined by " + ".
    columns, spectators : tuple of Feature
        What is trained on, and what travels along.
    uses : tuple of str, or None
        Collections and columns beside `inputs` that are used where they are there: no others need be read. None: not
        declared, everything is read.
    optional : frozenset of str
        Columns that the table lacks where the events lack what they are computed of.
    code : str
        SHA-256 of a user's own file that holds the set.
    compute : function of Events
        Gives all columns, (n,) each, and the cuts: name -> mask (n,), in order.
    description : str
        First line of the function's docstring.
    """

    name: str
    inputs: tuple[str, ...]
    columns: tuple[Feature, ...]
    spectators: tuple[Feature, ...]
    compute: SetFunction
    description: str
    uses: tuple[str, ...] | None = None
    optional: frozenset[str] = frozenset()
    code: str = ""

    @property
    def needs(self) -> tuple[str, ...] | None:
        """Collections and columns that are read for this set; None for all."""
        if self.uses is None:
            return None
        return tuple(dict.fromkeys([name for needs in self.inputs for name in needs.split(" + ")] + list(self.uses)))


def feature_set(
    name: str,
    *,
    inputs: str | Sequence[str],
    columns: Sequence[Feature],
    spectators: Sequence[Feature] = (),
    uses: Sequence[str] | None = None,
    optional: Sequence[str] = (),
) -> Callable[[SetFunction], SetFunction]:
    """Register the function below as the feature set `name`.

    Parameters
    ----------
    name : str
        Under this name `features`, run cards and the command line know it.
    inputs : str or list of str
        Collections or columns that the events must have ("particles"; "jets + leptons"); a list gives alternatives.
    columns, spectators : lists of Feature
        In the order of the table. Spectators are not trained on.
    uses : list of str, optional
        Collections and columns that the function takes, beside `inputs`, where events have them. Given, even as an
        empty list, files are read for nothing else.
    optional : list of str
        Names of columns that the function leaves out where it cannot compute them.

    Raises
    ------
    InputError
        If a set of this name stands already, made by another function, or a column stands twice.
    """

    def register(function: SetFunction) -> SetFunction:
        # those of a user's own file are known by the file: two files, or two states of one, may use the same names
        key = f"{function.__module__}:{name}" if function.__module__.startswith(PREFIX) else name
        old = _SETS.get(key)
        if old is not None and _origin(old.compute) != _origin(function):
            raise InputError(f"there is a feature set {name!r} already, {_origin(old.compute)}; choose another name")
        names = [f.name for f in (*columns, *spectators)]
        if len(set(names)) != len(names):
            raise InputError(
                f"feature set {name!r} names columns twice: {sorted({n for n in names if names.count(n) > 1})}"
            )
        needs = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        first_line = (function.__doc__ or "").strip().split("\n")[0]
        used = None if uses is None else tuple(uses)
        _SETS[key] = FeatureSet(
            name, needs, tuple(columns), tuple(spectators), function, first_line, used, frozenset(optional)
        )
        return function

    return register


def _origin(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"


@cache
def _import_own_sets() -> None:
    """Import the modules of `hepaa.features.sets`; they import their kernels only when a set is computed."""
    sets = importlib.import_module("hepaa.features.sets")
    for module in pkgutil.iter_modules(sets.__path__, f"{sets.__name__}."):
        importlib.import_module(module.name)


def feature_sets() -> dict[str, FeatureSet]:
    """All registered sets, by name."""
    _import_own_sets()
    return {name: entry for name, entry in _SETS.items() if not name.startswith(PREFIX)}


def find_set(name: str | Sequence[str], selection: str | None = None) -> FeatureSet:
    """The set of a name, of a user's own file (`./mine.py:name`), or of columns.

    Parameters
    ----------
    name : str, or sequence of str
        A sequence names columns, or expressions of them; see `hepaa.features.columns`.
    selection : str, optional
        A cut whose columns travel along as spectators, where `name` names columns.

    Raises
    ------
    InputError
        If there is none, or the file cannot be imported.
    """
    if not isinstance(name, str):
        own_columns = ColumnFeatures.of(name, selection)
        features, spectators = (
            tuple(Feature(column, column.replace("$", r"\$")) for column in names)
            for names in (own_columns.features, own_columns.spectators)
        )
        return FeatureSet(", ".join(name), (), features, spectators, own_columns.compute, "", own_columns.needs)
    own = split_own(name)
    if own is None:
        sets = feature_sets()
        if name not in sets:
            raise InputError(f"there is no feature set {name!r}; {nearest(name, sets)}")
        return sets[name]
    file, inner = own
    module = module_of(file)
    sets = {key.removeprefix(f"{module}:"): entry for key, entry in _SETS.items() if key.startswith(f"{module}:")}
    if inner not in sets:
        raise InputError(f"{file} has no feature set {inner!r}; {nearest(inner, sets)}")
    return replace(sets[inner], name=name, code=module.removeprefix(PREFIX))


def feature_info(name: str, feature_set: str | Sequence[str] = "") -> Feature:
    """What is known of a column.

    Parameters
    ----------
    name : str
        The column.
    feature_set : str or sequence of str, optional
        The set it belongs to, as in `find_set`, for names that mean different things in two sets; by default the first
        set that has it.

    Raises
    ------
    InputError
        If no set, or not this one, has such a column.
    """
    sets = [find_set(feature_set)] if feature_set else feature_sets().values()
    known = {f.name: f for s in reversed(list(sets)) for f in (*s.columns, *s.spectators)}
    if name not in known:
        place = f"feature set {feature_set!r}" if feature_set else "any feature set"
        raise InputError(f"there is no feature {name!r} in {place}; {nearest(name, known)}")
    return known[name]


def features(
    events: Events | Iterable[Events],
    name: str | Sequence[str],
    *,
    selection: str | None = None,
    inputs: Sequence[str] | None = None,
) -> EventTable:
    """Table of the feature set `name` for these events.

    Parameters
    ----------
    events : Events, or iterable of Events
        Pieces of files (`hepaa.iterate`) are joined into one table; only the table is held in memory. What `hepaa.open`
        accepts beside paths (trees of uproot, NanoEvents, arrays of pylhe) is taken as Events.
    name : str, or sequence of str
        One of `feature_sets()`, a set in a file (`./mine.py:name`), or columns of the events and expressions of them:
        `["mjj", "log(pt1 / pt2)", "ratio = pt1 / pt2"]`.
    selection : str, optional
        A cut on columns; see `hepaa.table.selection`.
    inputs : sequence of str, optional
        Columns to train on, in this order; the others become spectators. Default: all features of the set.

    Returns
    -------
    EventTable
        Events that pass the set's cuts; its cutflow tells how many each cut left ("all" first, cumulative). The label
        is the file's own, else that of the sample, else 0.

    Raises
    ------
    InputError
        If the set is unknown, the events lack what it needs, or an input of a selected event is not finite.
    """
    feature_set = find_set(name, selection)

    def table(piece: Events) -> EventTable:
        return _table(piece, feature_set, selection, inputs)

    if isinstance(events, str | Path):
        raise InputError(f"{events}: events are needed, not a path: hepaa.features(hepaa.open({str(events)!r}), ...)")
    if not isinstance(events, Iterable) or hasattr(events, "fields") or hasattr(events, "num_entries"):
        return table(_events(events))
    tables = [table(_events(piece)) for piece in events]  # type: ignore[union-attr]
    if not tables:
        raise InputError(f"there are no events to compute {name!r} of; check the list of files")
    return concatenate(tables)


def _events(source: Any) -> Events:
    """Events as they are; what is in memory in another form, as `hepaa.open` takes it."""
    return source if isinstance(source, Events) else io.open(source)


def _table(source: Events, feature_set: FeatureSet, selection: str | None, inputs: Sequence[str] | None) -> EventTable:
    events = select_objects(source)
    _check_inputs(events, feature_set)
    values, cuts = _computed(events, feature_set)
    sample = events.sample or Sample("unknown")
    process, generator = sample.process, sample.generator
    keep = np.ones(events.n, bool)
    before = events.steps or (Step("all", events.n, float(np.sum(events.weight))),)
    cutflow = [CutflowRow(process, generator, s.step, s.n, s.sum_weights) for s in before]
    for step, mask in cuts.items():
        keep &= mask
        cutflow.append(CutflowRow(process, generator, step, int(keep.sum()), float(np.sum(events.weight[keep]))))
    declared = (*feature_set.columns, *feature_set.spectators)
    missing = [f.name for f in declared if f.name not in values and f.name not in feature_set.optional]
    if missing:
        raise InputError(f"feature set {feature_set.name!r} did not compute {', '.join(missing)}; mend its function")
    # features only after the selection: NaN in an event that is cut away, or in what is no input, is no obstacle
    table = EventTable.build(
        np.empty((int(keep.sum()), 0), np.float32),
        [],
        weight=events.weight[keep],
        label=sample.label if events.label is None else events.label[keep],
        process=process,
        generator=generator,
        event=events.index[keep],
        source=_source(events, feature_set, values, cuts),
        spectators={f.name: values[f.name][keep] for f in declared if f.name in values},
        cutflow=cutflow,
        feature_set=feature_set.name,
        units={f.name: f.unit for f in declared if f.unit and f.name in values},
    )
    selected = table if selection is None else select(table, selection)
    return selected.select([f.name for f in feature_set.columns if f.name in values] if inputs is None else inputs)


def _computed(events: Events, feature_set: FeatureSet) -> tuple[Values, Cuts]:
    """What the function of a set gives; that of a user's own file may fail in any way, and says where."""
    try:
        values, cuts = feature_set.compute(events)
    except HepaaError:
        raise
    except Exception as wrong:
        if not feature_set.code:
            raise
        raise InputError(
            f"{feature_set.name} fails on {events.path} ({type(wrong).__name__}: {one_line(wrong)})"
        ) from wrong
    for name, column in (*values.items(), *cuts.items()):
        if np.shape(column) != (events.n,):
            raise InputError(
                f"feature set {feature_set.name!r}: {name!r} has shape {np.shape(column)} for {events.n} events; give "
                "one number an event"
            )
    return values, cuts


def _check_inputs(events: Events, feature_set: FeatureSet) -> None:
    has = {*events.arrays, *events.columns}
    if feature_set.inputs and not any(has.issuperset(needs.split(" + ")) for needs in feature_set.inputs):
        raise InputError(
            f"{events.path} ({events.format}) cannot give the feature set {feature_set.name!r}: it needs "
            f"{', or '.join(feature_set.inputs)}; it has {', '.join(sorted(has)) or 'none of them'}"
        )


def _source(events: Events, feature_set: FeatureSet, values: Values, cuts: Cuts) -> Source:
    """Provenance. Events that were made in memory are identified by their weights, numbers and features."""
    from hepaa.io.files import is_file, sha256
    from hepaa.io.remote import is_remote
    from hepaa.io.sniff import split_key

    file, _ = split_key(events.path)
    on_disk = file if is_remote(file) or is_file(file) else None
    if on_disk is not None:
        digest = sha256(on_disk)
    else:
        content = hashlib.sha256(events.path.encode() + events.weight.tobytes() + events.index.tobytes())
        for column in values.values():
            content.update(column.tobytes())
        digest = content.hexdigest()
    name = f"{feature_set.name} (SHA-256 {feature_set.code})" if feature_set.code else feature_set.name
    return Source(events.path, digest, selection=f"{name}: {', '.join(cuts) or 'all events'}", version=__version__)
