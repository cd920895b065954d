"""What is read of one ROOT tree, and how its branches become events."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import InputError, TruncatedInputError, nearest
from hepaa.events import Events
from hepaa.io.columns.read import truth_labels
from hepaa.io.columns.source import LABEL_NAMES, WEIGHT_NAMES, exact, usual
from hepaa.io.files import one_line
from hepaa.io.objects import united, warn_of_mev
from hepaa.io.root.asked import narrowed, with_varied, with_weights
from hepaa.io.root.branches import AS_RNTUPLE, is_scalar, known, names
from hepaa.io.root.fields import NamedFields
from hepaa.io.root.totals import generated
from hepaa.io.schemas import Field, Schema, schema_of, schemas, with_objects
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

HEADER_KEY = "hepaa_events"
"""TObjString that hepaa writes beside a tree: names of collections and weights, and the header, as JSON."""


class TreePlan:
    """What is read of one tree, and how it becomes events."""

    def __init__(
        self,
        file: Any,
        path: str,
        key: str,
        schema: str | Path | Mapping[str, Any] | None,
        columns: Sequence[str] | None,
        label: str | None,
        weight: str | None,
        *,
        needs: Sequence[str] | None = None,
        weights: Sequence[str] = (),
        varied: str | Mapping[str, str | float] | None = None,
        objects: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        own = _own_header(file, path)
        mapping = None if schema is None else schema_of(schema)
        if mapping is None and own is not None and (not key or key == own["tree"]):
            mapping = schemas()["hepaa"]
        self._tree_name, self._tree = _tree(file, path, key or (mapping.tree if mapping else None) or "")
        self._names = names(self._tree)
        self._known = known(self._names)
        if mapping is None:
            mapping = next(
                (s for s in schemas().values() if s.recognises(self._known.keys())),
                schemas()["flat"],
            )
        self._own = own if mapping.name == "hepaa" else None
        if mapping.name == "hepaa":
            if own is None:
                raise InputError(f"{path} was not written by hepaa: it has no {HEADER_KEY!r}; leave schema out")
            sections = ("tree", "collections", "columns", "weight", "weights", "label")
            mapping = replace(schema_of({k: own[k] for k in sections if own[k] is not None}), name="hepaa")
        if mapping.flat:
            mapping = self._flat(mapping)
        mapping = with_objects(mapping, objects)
        every_column = mapping.columns
        if columns is not None:
            mapping = replace(mapping, columns={c: mapping.columns.get(c, Field((c,))) for c in columns})
        if label is not None:
            mapping = replace(mapping, label=Field((label,)))
        self._arrays_of_weights = [name for name, spec in mapping.weights.items() if spec.each and self._has(spec)]
        mapping = with_weights(mapping, (*weights, weight) if weight else weights)
        named = mapping.weights.get(weight or "")
        # a ratio to the nominal weight, which is read too
        self._ratio = weight if named is not None and named.relative else None
        if weight is not None and named is not None and self._ratio:
            mapping = replace(mapping, weights={**mapping.weights, weight: replace(named, optional=False)})
        elif weight is not None:
            mapping = replace(mapping, weight=named or Field((weight,)))
        if varied is not None:
            mapping = with_varied(mapping, varied, lambda name: self._branch_of(name) is not None, path)
        self._narrowed = needs is not None
        if needs is not None:
            mapping = narrowed(mapping, needs)
        absent = {c for c in mapping.optional if not self._has(next(iter(mapping.collections[c].values())))}
        mapping = replace(mapping, collections={c: m for c, m in mapping.collections.items() if c not in absent})
        self.schema, self._objects = mapping, None
        if mapping.objects:
            named_fields = NamedFields(
                mapping,
                columns=every_column,
                branches=self._known,
                single=lambda name: is_scalar(self._tree[self._known[name]]),
                has=self._has,
                path=path,
            )
            self.schema, self._objects = named_fields.schema(), named_fields.objects
        self.n = int(self._tree.num_entries)
        self._units_unseen = True
        self._sources: dict[str, str] = {}
        self._branches: dict[int, str] = {}
        self._resolve()
        self.header: dict[str, Any] = {
            **(own["header"] if self._own and own else {}),
            "tree": self._tree_name,
            "schema": mapping.name,
            "events": self.n,
            "branches": dict(self._sources),
            "arrays_of_weights": self._arrays_of_weights,
            **generated(file, weighted=self._has_weight),
        }
        if self.schema.flat:
            used = set(self._branches.values())
            self.header["not_read"] = [b for b in self._names if b not in used]

    def _flat(self, schema: Schema) -> Schema:
        """Every branch with one number an event as a column; usual names of weight and label are those."""
        numbers = [b for b in self._names if is_scalar(self._tree[b])]
        if not numbers:
            raise InputError(
                f"{self.path}: {self._tree_name!r} has no branch with one number an event, and is none of "
                "NanoAOD, PHYSLITE and Delphes; declare a schema. Branches: "
                f"{', '.join(self._names[:20])}{' ...' if len(self._names) > 20 else ''}"
            )
        weight, label = usual(numbers, WEIGHT_NAMES), usual(numbers, LABEL_NAMES)
        return replace(
            schema,
            columns={b: Field((b,)) for b in numbers if b not in (weight, label)},
            weight=Field((weight,)) if weight else None,
            label=Field((label,)) if label else None,
        )

    def _fields(self) -> Iterator[tuple[str, Field]]:
        s = self.schema
        for name, members in s.collections.items():
            yield from ((f"{name}.{f}", spec) for f, spec in members.items())
        yield from s.columns.items()
        yield from ((f"weights[{k!r}]", spec) for k, spec in s.weights.items())
        yield from ((name, spec) for name, spec in (("weight", s.weight), ("label", s.label)) if spec is not None)

    def _resolve(self) -> None:
        """Find the branch of every field; remember it under the field's identity."""
        for name, spec in self._fields():
            if spec.value is not None:
                continue
            branch = next((b for b in spec.branches if self._branch_of(b)), None)
            if branch is None:
                if spec.optional:
                    continue
                raise InputError(
                    f"{self.path}: tree {self._tree_name!r} has no branch "
                    f"{' or '.join(map(repr, spec.branches))} for {name} "
                    f"(schema {self.schema.name}); {_shorter(nearest(spec.branches[0], self._names))}"
                )
            self._branches[id(spec)] = branch
            self._sources[name] = branch

    def _has(self, spec: Field) -> bool:
        return any(self._branch_of(b) for b in spec.branches)

    def _branch_of(self, name: str) -> str | None:
        """The branch of that name, or the one of which it names a member (`p4.fE` of branch `p4`)."""
        if name in self._known:
            return self._known[name]
        head, dot, _ = name.rpartition(".")
        return self._branch_of(head) if dot else None

    @property
    def _has_weight(self) -> bool:
        weight = self.schema.weight
        return weight is not None and (weight.value is not None or id(weight) in self._branches)

    @property
    def bytes_per_event(self) -> float:
        """Uncompressed bytes an event of the branches that are read."""
        size = 0
        for name in self._to_read():
            branch = self._tree[name]
            # an RNTuple field does not say; eight bytes for each of a few objects is near enough
            size += int(getattr(branch, "uncompressed_bytes", 0)) or 64 * self.n
        return size / max(self.n, 1)

    def _to_read(self) -> list[str]:
        return sorted({b for name in self._branches.values() if (b := self._branch_of(name))})

    def read(self, start: int, stop: int) -> dict[str, ak.Array]:
        """Arrays of the events start .. stop, by branch."""
        arrays = {
            name: self._tree[name].array(entry_start=start, entry_stop=stop, library="ak") for name in self._to_read()
        }
        for name, values in arrays.items():
            if len(values) != stop - start:  # before memory is taken for a number of events that the tree declares
                raise InputError(
                    f"{self.path}: branch {name!r} has {len(values)} of the {stop - start} events of its tree"
                )
        return arrays

    def broken(self, start: int, stop: int, failure: Exception) -> TruncatedInputError:
        """The first event in start .. stop that cannot be read, found by halving, as an error."""
        good, bad = start, stop
        while bad - good > 1:
            middle = (good + bad) // 2
            try:
                self.read(good, middle)
            except Exception:
                bad = middle
            else:
                good = middle
        byte, culprit = 0, ""
        for name in self._to_read():
            try:
                self._tree[name].array(entry_start=good, entry_stop=good + 1)
            except Exception:
                byte, culprit = _basket_offset(self._tree[name], good), name
                break
        return TruncatedInputError(
            f"{self.path}: branch {culprit!r} of {self._tree_name!r} cannot be read from event {good} on (byte {byte}; "
            f"{type(failure).__name__}: {one_line(failure)}); {good} events before it are good: copy the file again, "
            "or keep those with keep_partial",
            path=self.path,
            good_events=good,
            byte=byte,
        )

    def events(self, arrays: Mapping[str, ak.Array], start: int, stop: int) -> Events:
        """The event record of what was read."""
        n = stop - start
        s = self.schema
        collections: dict[str, ak.Array] = {}
        for name, members in s.collections.items():
            if (records := self._records(name, members, arrays, start)) is not None:
                collections[name] = records
        for name, parts in s.union.items():
            present = [collections[p] for p in parts if p in collections]
            selected_alone = self._narrowed and self._objects is not None and name in self._objects.collections
            if present and not selected_alone:
                collections[name] = united(present)
        if self._units_unseen:
            warn_of_mev(self.path, collections)
            self._units_unseen = False
        label = None
        if s.label is not None:
            truth = self._scalar("label", s.label, arrays, start)
            label = truth_labels(truth, self.path, start, self._sources["label"])
        nominal = self._scalar("weight", s.weight, arrays, start) if s.weight and self._has_weight else np.ones(n)
        weights = {k: self._scalar(k, f, arrays, start) for k, f in s.weights.items() if id(f) in self._branches}
        weights = {k: nominal * v if s.weights[k].relative else v for k, v in weights.items()}
        return Events(
            path=self.path,
            format="root",
            index=np.arange(start, stop, dtype=np.int64),
            weight=nominal if self._ratio is None else weights[self._ratio],
            weights=weights,
            label=label,
            header=self.header,
            collections=collections,
            columns={k: self._scalar(k, f, arrays, start) for k, f in s.columns.items() if id(f) in self._branches},
            objects=self._objects,
        )

    def _raw(self, spec: Field, arrays: Mapping[str, ak.Array]) -> ak.Array:
        name = self._branches[id(spec)]
        branch = self._branch_of(name) or name
        values = arrays[branch]
        for member in name[len(branch) :].strip(".").split("."):
            if member == "mass" and {"fP", "fE"} <= set(ak.fields(values)):
                values = _mass(values)
            elif member:
                if member not in ak.fields(values):
                    raise InputError(
                        f"{self.path}: branch {branch!r} has no member {member!r}; {nearest(member, ak.fields(values))}"
                    )
                values = values[member]
        # a fixed array in each object
        return values[..., spec.index] if spec.index is not None and values.ndim == 3 else values

    def _records(
        self, name: str, members: Mapping[str, Field], arrays: Mapping[str, ak.Array], start: int
    ) -> ak.Array | None:
        values = {f: self._raw(spec, arrays) for f, spec in members.items() if id(spec) in self._branches}
        if not values:
            return None
        first_name, first = next(iter(values.items()))
        source = self._sources[f"{name}.{first_name}"]
        if first.ndim < 2:
            raise InputError(
                f"{self.path}: {name}.{first_name} is the branch {source!r} with one number an event; "
                "put it under columns"
            )
        lists = {f: _lists(v) for f, v in values.items()}
        offsets = lists[first_name].offsets.data
        total = int(offsets[-1])
        fields: dict[str, Any] = {}
        for f, spec in members.items():
            if spec.value is not None:
                fields[f] = np.full(total, spec.value * spec.scale)
            elif f in lists:
                differ = np.flatnonzero(np.diff(lists[f].offsets.data) != np.diff(offsets))
                if len(differ):
                    raise InputError(
                        f"{self.path}: in event {start + differ[0]} the branches {source!r} and "
                        f"{self._sources[f'{name}.{f}']!r} have different lengths, so they are no one collection"
                    )
                fields[f] = _times(ak.Array(lists[f].content[:total]), spec.scale)
        # what ak.zip gives, without its comparisons of all lengths
        records = ak.contents.RecordArray([ak.to_layout(values) for values in fields.values()], list(fields))
        return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), records))

    def _scalar(self, name: str, spec: Field, arrays: Mapping[str, ak.Array], start: int) -> Any:
        values = self._raw(spec, arrays)
        place = f"{self.path}: {name} is the branch {self._branches[id(spec)]!r}"
        if values.ndim == 2:
            need = 1 if spec.index is None else spec.index + 1 if spec.index >= 0 else -spec.index
            counts = ak.to_numpy(ak.num(values))
            wrong = np.flatnonzero(counts != 1 if spec.index is None else counts < need)
            if len(wrong):
                raise InputError(
                    f"{place}, which has {counts[wrong[0]]} entries in event {start + wrong[0]}; "
                    "give the `index` of one that every event has, or put it under collections"
                )
            values = values[:, spec.index or 0]
        try:
            numbers = ak.to_numpy(values)
        except (ValueError, TypeError) as error:
            raise InputError(f"{place}, which holds no numbers") from error
        if numbers.ndim != 1 or numbers.dtype.kind not in "fiub":
            raise InputError(f"{place}, which holds no single numbers")
        numbers = exact(name, numbers)
        return numbers if spec.scale == 1 else numbers * spec.scale


def _tree(file: Any, path: str, key: str) -> tuple[str, Any]:
    """Name and object of the tree `key`, or of the only one."""
    forms = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
    trees = dict.fromkeys(name for name, form in file.classnames(cycle=False).items() if form in forms)
    if key:
        name = key if key in trees else AS_RNTUPLE.get(key, key)
        if name not in trees:
            raise InputError(f"{path} has no tree {key!r}; {nearest(key, trees)}")
        return name, file[name]
    if not trees:
        raise InputError(
            f"{path} has no TTree or RNTuple; it has: {', '.join(file.keys(cycle=False)[:10]) or 'nothing'}"
        )
    usual = [s.tree for s in schemas().values() if s.tree]
    there = [name for name in (*usual, *AS_RNTUPLE.values()) if name in trees]
    if len(trees) > 1 and not there:
        raise InputError(f"{path} has several trees; name one of them as '{path}:TREE': {', '.join(trees)}")
    name = there[0] if there else next(iter(trees))
    return name, file[name]


def _own_header(file: Any, path: str) -> dict[str, Any] | None:
    """What hepaa's own writer says of the tree, or None for a file of others."""
    if HEADER_KEY not in file.keys(cycle=False):
        return None
    try:
        content = parse_json(str(file[HEADER_KEY]))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: {HEADER_KEY!r} is damaged ({error}); write the file again") from error
    return dict(content)


def _mass(momenta: ak.Array) -> ak.Array:
    """Masses of TLorentzVectors, 0 where rounding makes the square negative."""
    parts = (momenta.fP.fX, momenta.fP.fY, momenta.fP.fZ, momenta.fE)
    px, py, pz, e = (ak.values_astype(part, np.float64) for part in parts)
    return np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0.0))


def _lists(values: ak.Array) -> Any:
    """The lists of a jagged array, with offsets from 0."""
    layout = ak.to_layout(values)
    return (layout if layout.is_list else ak.to_layout(ak.to_packed(values))).to_ListOffsetArray64(True)


def _times(values: ak.Array, scale: float) -> ak.Array:
    """Scaled values; whole numbers stay whole where the factor is."""
    if scale == 1:
        return values
    return values * (int(scale) if float(scale).is_integer() else scale)


def _basket_offset(branch: Any, entry: int) -> int:
    """Offset in the file of the basket that holds an entry; 0 where the file does not say."""
    try:
        offsets = getattr(branch, "entry_offsets", None)
        seeks = branch.member("fBasketSeek", none_if_missing=True) if hasattr(branch, "member") else None
    except Exception:  # the list of baskets is damaged too; the event is what counts
        return 0
    if offsets is None or seeks is None:
        return 0
    basket = int(np.searchsorted(offsets, entry, side="right")) - 1
    return int(seeks[basket]) if basket < len(seeks) else 0


def _shorter(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else text[:limit].rsplit(",", 1)[0] + ", ..."
