"""Which objects and events of a file count: cuts on collections, b-tags, cleaning, triggers, luminosity masks.

The section `objects` of a schema, `features.objects` of a card, or `objects=` in Python:

    muons: {where: pt > 20 and abs(eta) < 2.4 and tightId and pfRelIso04_all < 0.15}
    leptons: {union: [electrons, muons], sort: pt}
    jets:
      define: {energy: sqrt((pt * cosh(eta))**2 + m**2)}
      where: [pt > 25 and jetId >= 2, pt > 25]
      clean: {leptons: 0.4}
      sort: pt
      at_most: 4
      btag: [btagDeepFlavB > 0.2783, btagDeepB > 0.4168, null]
    events:
      where: (HLT_IsoMu24 or HLT_Ele32_WPTight_Gsf) and njets >= 2
      luminosity_mask: golden.json

Steps of a collection are done in the order in which they stand above: union of others, derived fields, cuts, removal of
what lies within Delta R of another collection (as that one was selected), order (greatest first), number at most, and
`btag`, which becomes 1 or 0. A list holds alternatives, of which the first is taken that the file has all fields for;
`null` at its end lets the step go where there is none. Expressions are those of `hepaa.expressions`. They name fields
of the collection, other branches that begin like those of its fields (`jetId` is Jet_jetId beside Jet_pt), and columns
of the event. Those of `events` name columns, branches with one number an event, and how many objects were selected:
`njets` for jets. A luminosity mask is JSON of certified luminosity blocks as CMS gives it: {"run": [[first, last]]}.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.events import Events, Step
from hepaa.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import awkward as ak
    from numpy.typing import NDArray

Choice = tuple[Expression | None, ...]
"""Alternatives, of which the first that can be computed is taken; None does without."""

EVENTS = "events"
_STEPS = ("union", "define", "where", "clean", "sort", "at_most", "btag")
_EVENT_STEPS = ("where", "luminosity_mask")
MASK_COLUMNS = ("run", "luminosity_block")
_TOO_HARD_GEV = 3000.0
"""Median pT above which momenta look like MeV: no LHC sample is so hard, and jets in MeV begin at some 10,000."""
_ENOUGH_EVENTS = 1000
"""Events of which the median is taken."""
_MANY_JETS = 20
"""Jets that cannot all be without the score of a tagger that was run."""


@dataclass(frozen=True)
class ObjectCuts:
    """Steps of one collection; see the module for the meaning."""

    union: tuple[str, ...] = ()
    define: Mapping[str, Choice] = field(default_factory=dict)
    where: Choice = ()
    clean: Mapping[str, float] = field(default_factory=dict)
    sort: Choice = ()
    at_most: int | None = None
    btag: Choice = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All that has to be computed, in order."""
        return tuple(choice for choice in (*self.define.values(), self.where, self.sort, self.btag) if choice)


@dataclass(frozen=True)
class Objects:
    """Steps of collections, and cuts on events: by `where`, and by certified blocks of each run."""

    collections: Mapping[str, ObjectCuts] = field(default_factory=dict)
    where: Choice = ()
    luminosity_mask: Mapping[int, NDArray[np.int64]] | None = None


def merged_objects(usual: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The steps of a schema with those that a user changes; `null` takes a step, or all of a collection, away."""
    merged = {name: dict(steps) for name, steps in usual.items()}
    for name, steps in ({} if changes is None else _mapping(changes, "objects")).items():
        if steps is None:
            merged.pop(name, None)
            continue
        merged[name] = {
            step: value
            for step, value in {**merged.get(name, {}), **_mapping(steps, f"objects.{name}")}.items()
            if value is not None
        }
    return merged


def with_masks(objects: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same with the content of a luminosity mask in place of the name of its file, relative to `folder`."""
    events = objects.get(EVENTS)
    if not isinstance(events, Mapping) or not isinstance(events.get("luminosity_mask"), str):
        return dict(objects)
    from hepaa.io.texts import parse_json

    path = folder / events["luminosity_mask"]
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a luminosity mask ({error}); give a JSON file of CMS") from error
    return {**objects, EVENTS: {**events, "luminosity_mask": content}}


def parse_objects(content: Any, place: str = "objects") -> Objects:
    """What a mapping stands for.

    Raises
    ------
    InputError
        If a key or value is not understood; the message starts with the path to it.
    """
    sections = with_masks(_mapping(content, place), Path())
    events = _steps(sections.pop(EVENTS, None) or {}, _EVENT_STEPS, f"{place}.{EVENTS}")
    mask = events.get("luminosity_mask")
    return Objects(
        collections={name: _cuts(name, steps or {}, f"{place}.{name}") for name, steps in sections.items()},
        where=_choice(events.get("where"), f"{place}.{EVENTS}.where", EVENTS),
        luminosity_mask=None if mask is None else _mask(mask, f"{place}.{EVENTS}.luminosity_mask"),
    )


def _cuts(name: str, content: Any, place: str) -> ObjectCuts:
    steps = _steps(content, _STEPS, place)
    union, at_most = steps.get("union") or (), steps.get("at_most")
    if not isinstance(union, list | tuple) or not all(isinstance(part, str) for part in union):
        raise InputError(f"{place}.union must be a list of names, not {union!r}")
    if at_most is not None and (isinstance(at_most, bool) or not isinstance(at_most, int) or at_most < 1):
        raise InputError(f"{place}.at_most must be a whole number of at least 1, not {at_most!r}")
    clean = _mapping(steps.get("clean") or {}, f"{place}.clean")
    for other, radius in clean.items():
        if isinstance(radius, bool) or not isinstance(radius, int | float) or not 0 < radius < np.inf:
            raise InputError(f"{place}.clean.{other} must be a Delta R above 0, not {radius!r}")
    define = _mapping(steps.get("define") or {}, f"{place}.define")
    return ObjectCuts(
        union=tuple(union),
        define={key: _choice(value, f"{place}.define.{key}", name) for key, value in define.items()},
        where=_choice(steps.get("where"), f"{place}.where", name),
        clean={str(other): float(radius) for other, radius in clean.items()},
        sort=_choice(steps.get("sort"), f"{place}.sort", name),
        at_most=at_most,
        btag=_choice(steps.get("btag"), f"{place}.btag", name),
    )


def _steps(content: Any, known: tuple[str, ...], place: str) -> dict[str, Any]:
    steps = _mapping(content, place)
    for key in steps:
        if key not in known:
            raise InputError(f"{place}: unknown key {key!r}; {nearest(str(key), known)}")
    return dict(steps)


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{place} must be a mapping of names, not {value!r}")
    return value


def _choice(value: Any, place: str, unit: str) -> Choice:
    if value is None:
        return ()
    options = value if isinstance(value, list | tuple) else [value]
    if not options or not all(isinstance(o, str) or (o is None and o is options[-1]) for o in options):
        raise InputError(f"{place} must be an expression or a list of them, of which the last may be null: {value!r}")
    return tuple(
        None if text is None else Expression.parse(text, place=place, dotted=True, unit=unit) for text in options
    )


def _mask(content: Any, place: str) -> dict[int, NDArray[np.int64]]:
    """Certified blocks of each run, (ranges, 2)."""
    mask = {}
    for run, ranges in _mapping(content, place).items():
        try:
            blocks = np.array(ranges, dtype=np.int64).reshape(-1, 2)
            mask[int(run)] = blocks
        except (ValueError, TypeError):
            raise InputError(f"{place}: run {run!r} has {ranges!r}, not [[first, last], ...]") from None
    return mask


def usable(
    choice: Choice, has: Callable[[str], bool], available: Callable[[], Iterable[str]], path: str
) -> Expression | None:
    """The first expression of which all names are there; None where the choice may do without.

    Raises
    ------
    InputError
        If there is none, with the names nearest to what is missing.
    """
    for expression in choice:
        if expression is None or all(map(has, expression.names)):
            return expression
    first = next((expression for expression in choice if expression is not None), None)
    if first is None:
        return None
    name = next(name for name in first.names if not has(name))
    raise InputError(f"{path}: {first.place} {first.source!r} names {name!r}; {nearest(name, available())}")


def select_objects(events: Events, objects: Mapping[str, Any] | None = None) -> Events:
    """Events of which the collections hold the objects that count, without the events that do not.

    Parameters
    ----------
    events : Events
    objects : mapping, optional
        Steps as the module describes, in place of those that the events bring along (`events.objects`: those of the
        schema of their file, or of `hepaa.open(..., objects=...)`). Here fields are those that the events have.

    Returns
    -------
    Events
        `steps` says what each step left: objects (all of them, then after each cut) and events. The events that a cut
        on events drops are gone; sums of weights for a normalisation have to be made before.

    Raises
    ------
    InputError
        If a collection or field is missing, a b-tag is cut outside of the range of its score, or an expression is
        undefined for an object.
    """
    chosen = events.objects if objects is None else parse_objects(objects)
    if chosen is None:
        return events
    selection = _Selection(events, chosen)
    for name in chosen.collections:
        selection.collection(name)
    rows = selection.events()
    selected = replace(events, collections=selection.done, objects=None, steps=tuple(selection.steps))
    return selected if rows is None else selected.select(rows)


class _Flat:
    """Objects of all events in one row, with the event that each belongs to; those that are taken are copied once."""

    def __init__(self, records: ak.Array) -> None:
        import awkward as ak

        self.records = ak.flatten(records, axis=1)
        self.owner: NDArray[np.int64] = np.repeat(np.arange(len(records)), ak.to_numpy(ak.num(records, axis=1)))
        self.rows: NDArray[np.int64] | None = None
        self.arrays: dict[str, NDArray[Any]] = {}
        self.tags: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, name: str) -> NDArray[Any]:
        import awkward as ak

        if name not in self.arrays:
            values = self.records[name]
            if values.ndim != 1:
                raise InputError(f"the field {name!r} has several numbers an object; cut one that has a single number")
            self.arrays[name] = np.asarray(ak.to_numpy(values, allow_missing=False))
        return self.arrays[name] if self.rows is None else self.arrays[name][self.rows]

    def define(self, name: str, values: NDArray[Any]) -> None:
        """A field of all objects, before any are taken."""
        import awkward as ak

        self.records = ak.with_field(self.records, values, name)
        self.arrays.pop(name, None)

    def take(self, chosen: NDArray[Any]) -> None:
        """Keep these, in this order: a mask, or numbers of objects that leave the events in order."""
        numbers = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        self.owner = self.owner[numbers]
        self.rows = numbers if self.rows is None else self.rows[numbers]

    def jagged(self, n: int) -> ak.Array:
        """As lists of n events."""
        import awkward as ak

        records = self.records if self.rows is None else self.records[self.rows]
        if self.tags is not None:
            records = ak.with_field(records, self.tags, "btag")
        return ak.unflatten(records, np.bincount(self.owner, minlength=n))


class _Selection:
    def __init__(self, source: Events, objects: Objects) -> None:
        self.source, self.objects = source, objects
        self.done: dict[str, ak.Array] = dict(source.arrays)
        self.ready: set[str] = set()
        self.open: list[str] = []
        self.steps = [Step("all", source.n, float(np.sum(source.weight)))]

    def collection(self, name: str) -> ak.Array:
        """A collection as it was selected; those that it needs are selected before."""
        if name in self.open:
            raise InputError(f"objects: {' -> '.join([*self.open, name])} goes in a circle; clean one of them only")
        cuts = self.objects.collections.get(name)
        if cuts is not None and name not in self.ready:
            self.open.append(name)
            self.done[name] = self._selected(name, cuts)
            self.open.pop()
            self.ready.add(name)
        if name not in self.done:
            raise InputError(f"{self.source.path}: no collection {name!r}; {nearest(name, self.done)}")
        return self.done[name]

    def _selected(self, name: str, cuts: ObjectCuts) -> ak.Array:
        if cuts.union:
            records = united([self.collection(part) for part in cuts.union], ordered=not cuts.sort)
        elif name in self.done:
            records = self.done[name]
        else:
            raise InputError(f"{self.source.path}: no collection {name!r}; {nearest(name, self.done)}")
        objects = _Flat(records)
        self._count(name, "all", objects)
        for key, choice in cuts.define.items():
            if (expression := self._usable(choice, objects)) is not None:
                objects.define(key, expression.number(self._values(objects), len(objects)))
        if (expression := self._usable(cuts.where, objects)) is not None:
            for part in expression.parts:
                objects.take(part.truth(self._values(objects), len(objects)))
                self._count(name, part.text, objects)
        for other, radius in cuts.clean.items():
            objects.take(~_near(objects, _Flat(self.collection(other)), radius, self.source.n))
            self._count(name, f"Delta R >= {radius:g} from {other}", objects)
        if (expression := self._usable(cuts.sort, objects)) is not None:
            keys = expression.number(self._values(objects), len(objects))
            objects.take(np.lexsort((-keys, objects.owner)))
        if cuts.at_most is not None:
            rank = np.arange(len(objects)) - np.searchsorted(objects.owner, objects.owner)
            objects.take(rank < cuts.at_most)
            self._count(name, f"at most {cuts.at_most}", objects)
        if (expression := self._usable(cuts.btag, objects)) is not None:
            tagged = expression.truth(self._values(objects), len(objects))
            _check_working_points(expression, objects, self.source.path)
            objects.tags = tagged.astype(np.int64)
            self._count(name, f"b-tag, {expression.text}", objects, tagged)
        return objects.jagged(self.source.n)

    def _count(self, name: str, step: str, objects: _Flat, rows: Any = slice(None)) -> None:
        weights = self.source.weight[objects.owner[rows]]
        self.steps.append(Step(f"{name}: {step}", len(weights), float(np.sum(weights))))

    def _usable(self, choice: Choice, objects: _Flat) -> Expression | None:
        names = {*objects.records.fields, *self.source.columns}
        return usable(choice, names.__contains__, lambda: names, self.source.path)

    def _values(self, objects: _Flat) -> Callable[[str], NDArray[Any]]:
        def value(name: str) -> NDArray[Any]:
            return objects[name] if name in objects.records.fields else self.source.columns[name][objects.owner]

        return value

    def events(self) -> NDArray[np.bool_] | None:
        """Which events pass the cuts on events; None where there are none."""
        if not self.objects.where and self.objects.luminosity_mask is None:
            return None
        keep = np.ones(self.source.n, bool)
        if self.objects.luminosity_mask is not None:
            keep &= self._certified(self.objects.luminosity_mask)
            self._count_events("luminosity mask", keep)
        import awkward as ak

        counts = {f"n{name}": ak.to_numpy(ak.num(records, axis=1)) for name, records in self.done.items()}
        values = {**self.source.columns, **counts}
        expression = usable(self.objects.where, values.__contains__, lambda: values, self.source.path)
        for part in expression.parts if expression is not None else ():
            rows = np.flatnonzero(keep)
            keep[rows] = part.truth(lambda name, rows=rows: values[name][rows], len(rows))  # type: ignore[misc]
            self._count_events(part.text, keep)
        return keep

    def _count_events(self, step: str, keep: NDArray[np.bool_]) -> None:
        self.steps.append(Step(step, int(np.count_nonzero(keep)), float(np.sum(self.source.weight[keep]))))

    def _certified(self, mask: Mapping[int, NDArray[np.int64]]) -> NDArray[np.bool_]:
        for column in MASK_COLUMNS:
            if column not in self.source.columns:
                raise InputError(
                    f"{self.source.path}: a luminosity mask needs the columns {' and '.join(MASK_COLUMNS)}; "
                    "name their branches in the schema"
                )
        runs, blocks = (self.source.columns[column] for column in MASK_COLUMNS)
        good = np.zeros(self.source.n, bool)
        for run in np.unique(runs):
            rows = np.flatnonzero(runs == run)
            first, last = mask.get(int(run), np.empty((0, 2), np.int64)).T
            inside = (blocks[rows, None] >= first) & (blocks[rows, None] <= last)
            good[rows] = inside.any(axis=1)
        return good


def warn_of_mev(path: str, collections: Mapping[str, ak.Array]) -> None:
    """A warning for each collection of which the momenta are said to be in GeV, and look like MeV."""
    import awkward as ak

    for name, records in collections.items():
        first = records[:_ENOUGH_EVENTS]
        pt = ak.to_numpy(ak.flatten(first.pt, axis=1)) if "pt" in ak.fields(first) else ()
        if len(pt) and (median := float(np.median(pt))) > _TOO_HARD_GEV:
            warnings.warn(
                f"{path}: the median pT of the {name} is {median:.0f} GeV; if that is MeV, say momentum_unit: MeV in "
                "the schema",
                stacklevel=2,
            )


def united(parts: list[ak.Array], *, ordered: bool = True) -> ak.Array:
    """Objects of all parts as one collection, with the fields they share, hardest first if they are `ordered`."""
    import awkward as ak

    shared = [f for f in ak.fields(parts[0]) if all(f in ak.fields(p) for p in parts)]
    joined = ak.concatenate([p[shared] for p in parts], axis=1)
    return joined[ak.argsort(joined.pt, axis=1, ascending=False)] if ordered and "pt" in shared else joined


def _near(objects: _Flat, others: _Flat, radius: float, n: int) -> NDArray[np.bool_]:
    """Whether each object has one of the others of its event within Delta R."""
    counts = np.bincount(others.owner, minlength=n)
    partners = counts[objects.owner]
    mine = np.repeat(np.arange(len(objects)), partners)
    first = np.repeat(np.cumsum(counts)[objects.owner] - partners, partners)
    theirs = first + np.arange(len(mine)) - np.repeat(np.cumsum(partners) - partners, partners)
    deta = objects["eta"].astype(np.float64)[mine] - others["eta"][theirs]
    dphi = objects["phi"].astype(np.float64)[mine] - others["phi"][theirs]
    dphi = (dphi + np.pi) % (2 * np.pi) - np.pi
    close = deta**2 + dphi**2 < radius**2
    return np.bincount(mine[close], minlength=len(objects)) > 0


def _check_working_points(expression: Expression, objects: _Flat, path: str) -> None:
    """A score that is a probability cannot be cut beyond 0 .. 1; one that no jet has is warned of.

    Raises
    ------
    InputError
        If it is; marks for "no score", such as -1, are no scores.
    """
    for name, point in expression.thresholds:
        if name not in objects.records.fields:
            continue
        scores = np.asarray(objects[name], dtype=np.float64)
        inside = scores[(scores > 0) & (scores < 1)]
        if len(scores) >= _MANY_JETS and scores.max() < 0:
            warnings.warn(
                f"{path}: {name!r} is {scores.max():g} for all {len(scores)} jets: the tagger was not run; cut another",
                stacklevel=2,
            )
        if len(inside) and scores.max() <= 1 and not 0 <= point < 1:
            raise InputError(
                f"{path}: {expression.place} {expression.source!r}: scores of {name!r} lie in {inside.min():.3g} .. "
                f"{inside.max():.3g}, and {point:g} is no working point of it"
            )
