"""Branches that the selection of objects names, added to a schema; steps of collections that a file lacks, left out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from hepaa.errors import InputError
from hepaa.io.objects import EVENTS, MASK_COLUMNS, Choice, ObjectCuts, Objects, parse_objects, usable
from hepaa.io.schemas import Field, Schema, momentum_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


class NamedFields:
    """The schema with all that its `objects` name, and those of them that the file can have.

    Parameters
    ----------
    schema : Schema
        Without the collections that the file lacks.
    columns : mapping of name -> Field
        All that the schema knows, also where fewer are read.
    branches : names
        Of the tree.
    single : function of a name
        Whether a branch has one number an event.
    has : function of a Field
        Whether the file has its branch.
    path : str
        For messages.

    Attributes
    ----------
    objects : Objects

    Raises
    ------
    InputError
        If a cut names what is not there, or a branch with several numbers where one an event is needed.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        columns: Mapping[str, Field],
        branches: Collection[str],
        single: Callable[[str], bool],
        has: Callable[[Field], bool],
        path: str,
    ) -> None:
        self.source, self.branches, self.single, self.has, self.path = schema, branches, single, has, path
        self.known_columns = {name: spec for name, spec in columns.items() if spec.value is not None or has(spec)}
        self.columns = dict(schema.columns)
        self.members = {name: dict(fields) for name, fields in schema.collections.items()}
        self.beginnings = {name: self._beginning(fields) for name, fields in schema.collections.items()}
        parsed = parse_objects(schema.objects)
        self.cuts = self._of_this_file(parsed.collections)
        for name, cuts in self.cuts.items():
            self._declare_all(name, cuts)
        self._declare_events(parsed)
        self.objects = replace(parsed, collections=self.cuts)

    def schema(self) -> Schema:
        """The schema with them."""
        return replace(self.source, collections=self.members, columns=self.columns)

    def _beginning(self, fields: Mapping[str, Field]) -> str:
        """How most names of a collection's branches begin: `Jet_` where they are Jet_pt_nom, Jet_eta and Jet_phi."""
        names = [next(b for b in spec.branches if self.has(Field((b,)))) for spec in fields.values() if self.has(spec)]
        beginnings = Counter(separated[0] for name in names if (separated := re.match(r".*[_.:/]", name)))
        return max(beginnings, key=beginnings.__getitem__, default="")

    def _of_this_file(self, collections: Mapping[str, ObjectCuts]) -> dict[str, ObjectCuts]:
        """Steps of the collections that the file has; unions of those that are selected, which are selected too."""
        unions = {name: cuts.union for name, cuts in collections.items() if cuts.union}
        unions |= {name: parts for name, parts in self.source.union.items() if name not in unions}
        there = set(self.members)
        for name, parts in unions.items():
            if there & set(parts):
                there.add(name)
        chosen = {}
        for name in dict.fromkeys((*collections, *unions)):
            cuts = collections.get(name, ObjectCuts())
            parts = tuple(part for part in unions.get(name, ()) if part in there)
            if name not in there or (name not in collections and not any(part in collections for part in parts)):
                continue
            clean = {other: radius for other, radius in cuts.clean.items() if other in there}
            chosen[name] = replace(cuts, union=parts, clean=clean)
        return chosen

    def _declare_all(self, name: str, cuts: ObjectCuts) -> None:
        defined: set[str] = set()
        for key, choice in cuts.define.items():
            self._declare(name, choice, defined)
            defined.add(key)
        for choice in (cuts.where, cuts.sort, cuts.btag):
            self._declare(name, choice, defined)

    def _parts(self, name: str) -> tuple[str, ...]:
        cuts = self.cuts.get(name)
        return cuts.union if cuts is not None else ()

    def _declare(self, name: str, choice: Choice, defined: set[str]) -> None:
        """Add what the first usable expression of a collection names."""
        expression = usable(
            choice,
            lambda key: key in defined or self._offers(name, key) or self._is_column(key),
            lambda: {*defined, *self._offered(name), *self.known_columns},
            self.path,
        )
        for key in expression.names if expression is not None else ():
            if key in defined:
                continue
            if self._offers(name, key):
                self._add(name, key)
            else:
                self._add_column(key)

    def _offers(self, name: str, key: str) -> bool:
        """Whether objects of a collection have a field, declared or beside those that are."""
        if parts := self._parts(name):
            return all(self._offers(part, key) for part in parts)
        spec = self.members[name].get(key)
        if spec is not None:
            return spec.value is not None or self.has(spec)
        branch = self.beginnings[name] + key
        return bool(self.beginnings[name]) and branch in self.branches and not self.single(branch)

    def _offered(self, name: str) -> set[str]:
        if parts := self._parts(name):
            return set.intersection(*map(self._offered, parts))
        start = self.beginnings[name]
        return {*self.members[name], *(b.removeprefix(start) for b in self.branches if start and b.startswith(start))}

    def _add(self, name: str, key: str) -> None:
        for part in self._parts(name):
            self._add(part, key)
        if not self._parts(name) and key not in self.members[name]:
            scale = momentum_scale(key, self.source.momentum_factor)
            self.members[name][key] = Field((self.beginnings[name] + key,), scale=scale)

    def _is_column(self, key: str) -> bool:
        return key in self.known_columns or (key in self.branches and self.single(key))

    def _add_column(self, key: str) -> None:
        self.columns.setdefault(key, self.known_columns.get(key, Field((key,))))

    def _declare_events(self, parsed: Objects) -> None:
        counts = {f"n{name}" for name in (*self.members, *self.source.union, *self.cuts)}
        named = {key: e.source for e in parsed.where if e is not None for key in e.names if key not in counts}
        for key, cut in named.items():
            if key in self.branches and not self._is_column(key):
                raise InputError(
                    f"{self.path}: objects.{EVENTS}.where {cut!r} names the branch {key!r}, which has several "
                    "numbers an event; cut objects by it, and count them: njets >= 2"
                )
        expression = usable(
            parsed.where,
            lambda key: key in counts or self._is_column(key),
            lambda: {*counts, *self.known_columns, *filter(self.single, self.branches)},
            self.path,
        )
        for key in expression.names if expression is not None else ():
            if key not in counts:
                self._add_column(key)
        if parsed.luminosity_mask is not None:
            for key in MASK_COLUMNS:
                if not self._is_column(key):
                    raise InputError(
                        f"{self.path}: a luminosity mask needs the column {key!r}; name its branch in the schema"
                    )
                self._add_column(key)
