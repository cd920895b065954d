"""Named feature sets: how events become a table. A set is one function with one decorator.

Examples
--------
A set of one's own, in an analysis script:

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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa._version import __version__
from hepaa.errors import InputError, nearest
from hepaa.events import Sample
from hepaa.table import CutflowRow, EventTable, Source, concatenate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from hepaa.events import Events

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
        old = _SETS.get(name)
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
        _SETS[name] = FeatureSet(
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
    return dict(_SETS)


def _get(name: str) -> FeatureSet:
    sets = feature_sets()
    if name not in sets:
        raise InputError(f"there is no feature set {name!r}; {nearest(name, sets)}")
    return sets[name]


def feature_info(name: str, feature_set: str = "") -> Feature:
    """What is known of a column.

    Parameters
    ----------
    name : str
        The column.
    feature_set : str, optional
        The set it belongs to, for names that mean different things in two sets; by default the first set that has it.

    Raises
    ------
    InputError
        If no set, or not this one, has such a column.
    """
    sets = [_get(feature_set)] if feature_set else feature_sets().values()
    known = {f.name: f for s in reversed(list(sets)) for f in (*s.columns, *s.spectators)}
    if name not in known:
        place = f"feature set {feature_set!r}" if feature_set else "any feature set"
        raise InputError(f"there is no feature {name!r} in {place}; {nearest(name, known)}")
    return known[name]


def features(events: Events | Iterable[Events], name: str) -> EventTable:
    """Table of the feature set `name` for these events.

    Parameters
    ----------
    events : Events, or iterable of Events
        Pieces of files (`hepaa.iterate`) are joined into one table; only the table is held in memory.
    name : str
        One of `feature_sets()`.

    Returns
    -------
    EventTable
        Events that pass the set's cuts; its cutflow tells how many each cut left ("all" first, cumulative). The label
        is the file's own, else that of the sample, else 0.

    Raises
    ------
    InputError
        If the set is unknown, the events lack what it needs, or a feature of an accepted event is not finite.
    """
    feature_set = _get(name)
    if hasattr(events, "collections"):
        return _table(events, feature_set)  # type: ignore[arg-type]
    tables = [_table(piece, feature_set) for piece in events]  # type: ignore[union-attr]
    if not tables:
        raise InputError(f"there are no events to compute {name!r} of; check the list of files")
    return concatenate(tables)


def _table(events: Events, feature_set: FeatureSet) -> EventTable:
    _check_inputs(events, feature_set)
    values, cuts = feature_set.compute(events)
    sample = events.sample or Sample("unknown")
    process, generator = sample.process, sample.generator
    keep = np.ones(events.n, bool)
    cutflow = [CutflowRow(process, generator, "all", events.n, float(np.sum(events.weight)))]
    for step, mask in cuts.items():
        keep &= mask
        cutflow.append(CutflowRow(process, generator, step, int(keep.sum()), float(np.sum(events.weight[keep]))))
    declared = (*feature_set.columns, *feature_set.spectators)
    missing = [f.name for f in declared if f.name not in values and f.name not in feature_set.optional]
    if missing:
        raise InputError(f"feature set {feature_set.name!r} did not compute {', '.join(missing)}; mend its function")
    columns = [f.name for f in feature_set.columns if f.name in values]
    X = np.empty((int(keep.sum()), len(columns)), np.float32)
    for i, column in enumerate(columns):
        X[:, i] = values[column][keep]
    return EventTable.build(
        X,
        columns,
        weight=events.weight[keep],
        label=sample.label if events.label is None else events.label[keep],
        process=process,
        generator=generator,
        event=events.index[keep],
        source=_source(events, feature_set.name, cuts),
        spectators={f.name: values[f.name][keep] for f in feature_set.spectators if f.name in values},
        cutflow=cutflow,
        feature_set=feature_set.name,
        units={f.name: f.unit for f in declared if f.unit and f.name in values},
    )


def _check_inputs(events: Events, feature_set: FeatureSet) -> None:
    has = {*events.arrays, *events.columns}
    if not any(has.issuperset(needs.split(" + ")) for needs in feature_set.inputs):
        raise InputError(
            f"{events.path} ({events.format}) cannot give the feature set {feature_set.name!r}: it needs "
            f"{', or '.join(feature_set.inputs)}; it has {', '.join(sorted(has)) or 'none of them'}"
        )


def _source(events: Events, name: str, cuts: Cuts) -> Source:
    """Provenance. Events that were made in memory are identified by their weights and numbers."""
    from hepaa.io.files import sha256

    # A ROOT path may name a tree after a colon.
    on_disk = next((p for p in (events.path, events.path.rpartition(":")[0]) if p and Path(p).is_file()), None)
    if on_disk is not None:
        digest = sha256(on_disk)
    else:
        digest = hashlib.sha256(events.path.encode() + events.weight.tobytes() + events.index.tobytes()).hexdigest()
    return Source(events.path, digest, selection=f"{name}: {', '.join(cuts) or 'all events'}", version=__version__)
