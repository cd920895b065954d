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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

Choice = tuple[Expression | None, ...]
"""Alternatives, of which the first that can be computed is taken; None does without."""

EVENTS = "events"
_STEPS = ("union", "define", "where", "clean", "sort", "at_most", "btag")
_EVENT_STEPS = ("where", "luminosity_mask")
_MASK_COLUMNS = ("run", "luminosity_block")


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
    for name, steps in (changes or {}).items():
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


def usable(choice: Choice, has: Callable[[str], bool], available: Iterable[str], path: str) -> Expression | None:
    """The first expression of which all names are there; None where the choice may do without.

    Raises
    ------
    InputError
        If there is none, with the names nearest to what is missing.
    """
    for expression in choice:
        if expression is None or all(map(has, expression.names)):
            return expression
    if not choice:
        return None
    first = choice[0]
    assert first is not None  # nosec: `_choice` lets null stand at the end alone, and then it is usable
    name = next(name for name in first.names if not has(name))
    raise InputError(f"{path}: {first.place} {first.source!r} names {name!r}; {nearest(name, available)}")
