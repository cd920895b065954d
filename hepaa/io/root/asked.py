"""A schema as one reading asks for it: with varied branches, weights out of arrays, and no more than is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hepaa.errors import InputError, nearest
from hepaa.io.objects import EVENTS, parse_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hepaa.io.schemas import Field, Schema


def with_weights(schema: Schema, names: Sequence[str]) -> Schema:
    """The schema with the weights NAME_3 of arrays NAME that are asked for, in place of the arrays.

    A name that is none of an array is left to those who look for it.
    """
    arrays = {name: spec for name, spec in schema.weights.items() if spec.each}
    entries = {}
    for name in names:
        array, _, number = name.rpartition("_")
        if array in arrays and number.isdecimal():
            entries[name] = replace(arrays[array], index=int(number), each=False, optional=False)
    single = {name: spec for name, spec in schema.weights.items() if not spec.each}
    return replace(schema, weights={**single, **entries})


def with_varied(
    schema: Schema, changes: str | Mapping[str, str | float], has: Callable[[str], bool], path: str
) -> Schema:
    """The schema with other branches, or factors, for some fields.

    Parameters
    ----------
    changes : str or mapping
        Fields of collections ("jets.pt") and columns ("met"), each with a branch or a factor. A string is the end of
        the names of varied branches: for "jesTotalUp", Jet_pt_jesTotalUp or Jet_ptjesTotalUp is taken for Jet_pt.
    has : function of a name
        Whether the file has a branch.

    Raises
    ------
    InputError
        If there is no such field or branch, or none ends so.
    """
    collections = {name: dict(members) for name, members in schema.collections.items()}
    columns = dict(schema.columns)
    places = {f"{name}.{field}": (members, field) for name, members in collections.items() for field in members}
    places |= {name: (columns, name) for name in columns}
    if isinstance(changes, str):
        end, changes = changes, {}
        for name, (group, key) in places.items():
            branch = next((b for b in group[key].branches if has(b)), "")
            varied = next((b for b in (f"{branch}_{end}", f"{branch}{end}") if branch and has(b)), None)
            if varied is not None:
                changes[name] = varied
        if not changes:
            raise InputError(f"{path}: none of the branches that are read has a variation that ends in {end!r}")
    for name, change in changes.items():
        if name not in places:
            raise InputError(f"{path}: there is no {name!r} to vary; {nearest(name, places)}")
        if isinstance(change, str) and not has(change):
            raise InputError(f"{path}: there is no branch {change!r} to vary {name}")
        group, key = places[name]
        group[key] = _changed(group[key], change)
    return replace(schema, collections=collections, columns=columns)


def _changed(spec: Field, change: str | float) -> Field:
    if isinstance(change, str):
        return replace(spec, branches=(change,), value=None, optional=False)
    return replace(spec, scale=spec.scale * change)


def narrowed(schema: Schema, needs: Collection[str]) -> Schema:
    """The schema with the collections that are needed, for themselves or for the selection of those that are."""
    objects = parse_objects(schema.objects)
    cuts = objects.collections
    parts = {
        name: (*schema.union.get(name, ()), *(cuts[name].union if name in cuts else ()))
        for name in {*schema.union, *cuts}
    }
    counts = {f"n{name}": name for name in (*schema.collections, *parts)}
    wanted = [*needs, *(counts[n] for e in objects.where if e is not None for n in e.names if n in counts)]
    kept: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name not in kept:
            kept.add(name)
            wanted += [*parts.get(name, ()), *(cuts[name].clean if name in cuts else ())]
    return replace(
        schema,
        collections={name: members for name, members in schema.collections.items() if name in kept},
        union={name: of for name, of in schema.union.items() if name in kept},
        objects={name: steps for name, steps in schema.objects.items() if name in kept or name == EVENTS},
        optional=schema.optional & kept,
    )
