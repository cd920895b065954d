"""EventTable: the one object between features and figures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hepaa import html
from hepaa.errors import InputError, nearest
from hepaa.table import frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import awkward as ak
    import pandas
    from numpy.typing import ArrayLike, NDArray

BACKGROUND, SIGNAL, DATA = 0, 1, -1
_LABELS = {BACKGROUND: "background", SIGNAL: "signal", DATA: "data"}
ROW_ARRAYS = ("weight", "label", "process", "generator", "file", "event")


@dataclass(frozen=True)
class Source:
    """Where rows come from: one file, and what was asked of it."""

    path: str
    sha256: str
    selection: str = ""
    version: str = ""


@dataclass(frozen=True)
class CutflowRow:
    """Events left after one step of a selection: raw count and sum of weights, for one process and generator."""

    process: str
    generator: str
    step: str
    n: int
    sum_weights: float


@dataclass(frozen=True, eq=False)
class EventTable:
    """Features of events, with all that is needed to count them. Immutable: every operation gives a new table.

    Attributes
    ----------
    X : float32 (n, d)
        The features a detector is trained on.
    columns : tuple of d names
    weight : float64 (n,)
        Expected events: sum over a process is its yield once samples are normalised.
    label : int8 (n,)
        0 background, 1 signal, -1 data.
    process, generator : int16 (n,)
        Indices into `processes` and `generators`, their names.
    file, event : int32 (n,), int64 (n,)
        Index into `sources`, and the number of the event in that file, from 0.
    spectators : mapping of name -> float32 (n,)
        Columns that travel along and are not trained on: masses, scores.
    cutflow : tuple of CutflowRow
        How many events each step of the selection left; a slice has none, for it is not a selection of the file.
    feature_set : str
    units : mapping of column -> unit
        Of the columns that have one and say so, such as "GeV".
    """

    X: NDArray[np.float32]
    columns: tuple[str, ...]
    weight: NDArray[np.float64]
    label: NDArray[np.int8]
    process: NDArray[np.int16]
    generator: NDArray[np.int16]
    file: NDArray[np.int32]
    event: NDArray[np.int64]
    processes: tuple[str, ...]
    generators: tuple[str, ...]
    sources: tuple[Source, ...]
    spectators: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    cutflow: tuple[CutflowRow, ...] = ()
    feature_set: str = ""
    units: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        X: ArrayLike,
        columns: Sequence[str],
        *,
        weight: ArrayLike | None = None,
        label: ArrayLike | int = BACKGROUND,
        process: str = "unknown",
        generator: str = "unknown",
        event: ArrayLike | None = None,
        source: Source | None = None,
        spectators: Mapping[str, ArrayLike] | None = None,
        cutflow: Sequence[CutflowRow] = (),
        feature_set: str = "",
        units: Mapping[str, str] | None = None,
    ) -> EventTable:
        """Table of one process, one generator and one file.

        Parameters
        ----------
        X : (n, d)
            Features; stored as float32.
        columns : d names
        weight : (n,), optional
            Default: 1 for every event.
        label : int or (n,)
            0 background, 1 signal, -1 (or NaN) data.

        Raises
        ------
        InputError
            If lengths differ, a name stands twice, a feature or weight is not finite, or a label is none of those.
        """
        data = np.atleast_2d(np.asarray(X, dtype=np.float32))
        n = len(data)
        source = source or Source(path="memory", sha256=hashlib.sha256(data.tobytes()).hexdigest())
        return cls(
            X=data,
            columns=tuple(columns),
            weight=np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64),
            label=np.broadcast_to(_labels(label), (n,)).copy(),
            process=np.zeros(n, np.int16),
            generator=np.zeros(n, np.int16),
            file=np.zeros(n, np.int32),
            event=np.arange(n) if event is None else _event_numbers(event),
            processes=(process,),
            generators=(generator,),
            sources=(source,),
            spectators={k: np.asarray(v, dtype=np.float32) for k, v in (spectators or {}).items()},
            cutflow=tuple(cutflow),
            feature_set=feature_set,
            units=dict(units or {}),
        )

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or self.X.shape[1] != len(self.columns):
            raise InputError(
                f"a table of shape {self.X.shape} cannot have the {len(self.columns)} columns {self.columns}"
            )
        names = [*self.columns, *self.spectators, *ROW_ARRAYS]
        if len(set(names)) != len(names):
            raise InputError(
                f"column names stand twice: {sorted({c for c in names if names.count(c) > 1})}; "
                f"{', '.join(ROW_ARRAYS)} are names of the table itself"
            )
        arrays: dict[str, NDArray[Any]] = {k: getattr(self, k) for k in ROW_ARRAYS} | dict(self.spectators)
        for name, array in arrays.items():
            if array.shape != (len(self.X),):
                raise InputError(f"{name!r} has shape {array.shape} for {len(self.X)} events")
        self._refuse_not_finite()
        _labels(self.label)
        for array in (self.X, *arrays.values()):
            array.setflags(write=False)

    def _refuse_not_finite(self) -> None:
        for name, values in [*zip(self.columns, self.X.T, strict=True), ("weight", self.weight)]:
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                place = f"{self.sources[self.file[bad[0]]].path}, event {self.event[bad[0]]}"
                raise InputError(
                    f"{name!r} is {values[bad[0]]} in {place} ({len(bad)} of {len(values)} events); "
                    "cut such events away or mend the file"
                )

    def __len__(self) -> int:
        return len(self.X)

    @property
    def n(self) -> int:
        """Number of events."""
        return len(self.X)

    @overload
    def __getitem__(self, key: str) -> NDArray[np.float32]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any] | Sequence[int]) -> EventTable: ...
    def __getitem__(self, key: str | slice | NDArray[Any] | Sequence[int]) -> NDArray[np.float32] | EventTable:
        """`table["mjj"]` is a column, feature or spectator; `table[mask]`, `table[3:7]`, `table[[2, 5]]` are tables."""
        if isinstance(key, str):
            if key in self.columns:
                return self.X[:, self.columns.index(key)]
            if key in self.spectators:
                return self.spectators[key]
            raise InputError(f"this table has no column {key!r}; {nearest(key, [*self.columns, *self.spectators])}")
        rows = key if isinstance(key, slice) else np.asarray(key)
        return replace(
            self,
            X=self.X[rows],
            cutflow=(),
            spectators={k: v[rows] for k, v in self.spectators.items()},
            **{k: getattr(self, k)[rows] for k in ROW_ARRAYS},
        )

    def without(self, names: Sequence[str]) -> EventTable:
        """The events of all processes and generators but these."""
        if not names:
            return self
        left_out = np.zeros(len(self), bool)
        for index, known in ((self.process, self.processes), (self.generator, self.generators)):
            left_out |= np.isin(index, [i for i, name in enumerate(known) if name in names])
        return self[~left_out]

    def select(self, columns: Sequence[str]) -> EventTable:
        """The same events with these columns, in this order, as features; features left out become spectators."""
        X = np.column_stack([self[c] for c in columns]) if columns else np.empty((len(self), 0), np.float32)
        others = [c for c in (*self.columns, *self.spectators) if c not in columns]
        return replace(self, X=X, columns=tuple(columns), spectators={c: self[c] for c in others})

    def with_weight(self, weight: ArrayLike) -> EventTable:
        """The same events with other weights, (n,)."""
        return replace(self, weight=np.array(weight, dtype=np.float64))

    def scaled(self, factor: float) -> EventTable:
        """The same events with weights, and the weights of the cutflow, multiplied by `factor`."""
        cutflow = tuple(replace(row, sum_weights=row.sum_weights * factor) for row in self.cutflow)
        return replace(self, weight=self.weight * factor, cutflow=cutflow)

    def with_generator(self, name: str) -> EventTable:
        """The same events, all of them from the generator `name`."""
        return replace(self, generator=np.zeros(len(self), np.int16), generators=(name,))

    def with_spectators(self, **columns: ArrayLike) -> EventTable:
        """The same events with more columns that are not trained on, (n,) each; same names are replaced."""
        new = {k: np.array(v, dtype=np.float32) for k, v in columns.items()}
        return replace(self, spectators={**self.spectators, **new})

    def to_pandas(self) -> pandas.DataFrame:
        """Data frame of all columns: features, spectators, weight, label, names of process and generator, event.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise InputError("to_pandas needs pandas; install it with: python -m pip install pandas") from None
        return pd.DataFrame(self._columns())

    def to_awkward(self) -> ak.Array:
        """Array of records (n,) with the columns of `to_pandas`."""
        import awkward as ak

        return ak.zip(self._columns())

    def _columns(self) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {name: self[name] for name in (*self.columns, *self.spectators)}
        columns |= {"weight": self.weight, "label": self.label}
        columns["process"] = np.asarray(self.processes)[self.process]
        columns["generator"] = np.asarray(self.generators)[self.generator]
        return columns | {"event": self.event}

    def _repr_html_(self) -> str:
        """Columns, events of each process, and the cutflow, for notebooks."""
        title = f"{self.feature_set or 'features'}: {self.n} events, sum of weights {self.sum_weights:.4g}"
        names = (*self.columns, *self.spectators)
        ranges = [(name, self.units.get(name, ""), *_range(self[name])) for name in names]
        samples = np.stack([self.process, self.generator, self.label.astype(np.int16)], axis=1)
        groups, number = np.unique(samples, axis=0, return_inverse=True)
        events, sums = np.bincount(number), np.bincount(number, self.weight)
        counts = [
            (self.processes[p], self.generators[g], _LABELS[k], int(n), float(w))
            for (p, g, k), n, w in zip(groups.tolist(), events, sums, strict=True)
        ]
        parts = [
            html.table(["column", "unit", "least", "mean", "greatest"], ranges, caption=title),
            html.table(["process", "generator", "label", "events", "sum of weights"], counts),
        ]
        if self.cutflow:
            steps = [(r.step, r.process, r.generator, r.n, r.sum_weights) for r in self.cutflow]
            parts.append(html.table(["cut", "process", "generator", "events", "sum of weights"], steps, "cutflow"))
        return "".join(parts)

    def __repr__(self) -> str:
        counts = {name: int(np.sum(self.label == k)) for k, name in _LABELS.items()}
        rows = ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "no events"
        return f"EventTable({self.feature_set or 'features'}: {rows}; {', '.join(self.columns)})"

    @property
    def background(self) -> EventTable:
        """Events with label 0."""
        return self[np.flatnonzero(self.label == BACKGROUND)]

    @property
    def signal(self) -> EventTable:
        """Events with label 1."""
        return self[np.flatnonzero(self.label == SIGNAL)]

    @property
    def sum_weights(self) -> float:
        """Sum of weights: the expected number of events."""
        return float(np.sum(self.weight))

    def event_hash(self, salt: str = "") -> NDArray[np.uint64]:
        """A number for each event, uniform in 0 .. 2^64 - 1, that depends on the file's content and the event alone.

        The same event has the same number whatever the order of files or the size of the pieces they were read in.
        """
        seeds = [hashlib.blake2b(f"{salt}|{s.sha256}".encode(), digest_size=8).digest() for s in self.sources]
        seed = np.array([int.from_bytes(s, "little") for s in seeds], np.uint64)
        return _splitmix64(self.event.astype(np.uint64) + seed[self.file])

    def save(self, path: str | Path) -> None:
        """Write as Parquet, or as ROOT where the name ends in .root, under its final name only when complete.

        A ROOT file has the TTree `events` with all columns, and the TObjStrings `processes`, `generators` and
        `sources`: one name a line, in the order of the indices. It is for others to read: `load` takes Parquet.
        """
        from hepaa.io.files import atomic_path

        if str(path).endswith(".root"):
            from hepaa.io.root.results import write_columns_root

            sources = [source.path for source in self.sources]
            names = {"processes": self.processes, "generators": self.generators, "sources": sources}
            write_columns_root(self._stored(), names, path)
            return
        with atomic_path(path) as partial:
            self.write(partial)

    def write(self, path: str | Path) -> None:
        """Write as Parquet to a file that the caller gives its name later."""
        from hepaa.io.parquet.columns import write

        metadata = {
            "columns": self.columns,
            "spectators": list(self.spectators),
            "processes": self.processes,
            "generators": self.generators,
            "sources": [vars(source) for source in self.sources],
            "cutflow": [vars(row) for row in self.cutflow],
            "feature_set": self.feature_set,
            "units": dict(self.units),
        }
        write(self._stored(), metadata, path)

    def _stored(self) -> dict[str, NDArray[Any]]:
        columns: dict[str, NDArray[Any]] = {name: self[name] for name in (*self.columns, *self.spectators)}
        return columns | {name: getattr(self, name) for name in ROW_ARRAYS}

    @classmethod
    def from_pandas(
        cls,
        frame: pandas.DataFrame,
        *,
        inputs: Sequence[str] | None = None,
        label: str | None = None,
        weight: str | None = None,
    ) -> EventTable:
        """Table of a data frame, such as `to_pandas` gives.

        Parameters
        ----------
        frame : DataFrame
            Columns `process` and `generator` are taken for that, and `event` where it tells the rows apart; columns of
            text and categories, numbers of runs, and the index are left out.
        inputs : sequence of str, optional
            Columns to train on; other numeric columns become spectators. Default: all numeric columns.
        label : str, optional
            Column of the truth: 0 or False background, 1 or True signal, -1 or missing data; or these words. Default: a
            column with a usual name (`label`, `is_signal` ...), if there is one; else all is background.
        weight : str, optional
            Column of weights. Default: a column with a usual name (`weight`, `genWeight` ...); else all are 1.

        Raises
        ------
        InputError
            If a column stands twice or is missing, an input or weight is not finite, or a label is none of those.
        """
        return cls._of(frames.of_frame(frame, label, weight), inputs)

    @classmethod
    def _of(cls, columns: frames.ForeignTable, inputs: Sequence[str] | None) -> EventTable:
        weight, label = columns.weight, columns.label
        n = len(next(iter((*columns.numbers.values(), *(a for a in (weight, label) if a is not None))), ()))
        table = cls.build(
            np.empty((n, 0)),
            [],
            weight=weight,
            label=BACKGROUND if label is None else label,
            event=columns.event,
            source=Source(columns.path, columns.sha256),
            spectators=columns.numbers,
        )
        for plural, name in (("processes", "process"), ("generators", "generator")):
            if name in columns.names:
                names, index = np.unique(columns.names[name], return_inverse=True)
                indexed: dict[str, Any] = {plural: tuple(map(str, names)), name: index.astype(np.int16)}
                table = replace(table, **indexed)
        return table.select(list(columns.numbers) if inputs is None else inputs)

    @classmethod
    def load(cls, path: str | Path, *, inputs: Sequence[str] | None = None) -> EventTable:
        """Read what `save` wrote, or the columns of a CSV, HDF5, npz, npy or Parquet file of others.

        Parameters
        ----------
        path : str or Path
            `file:name` for a table inside an HDF5 or npz file.
        inputs : sequence of str, optional
            Columns of a file of others to train on; the others become spectators. Default: all, but for numbers of
            events and runs.

        Raises
        ------
        InputError
            If the file is missing or damaged, holds no table, or is of a newer format, or an input is not finite.
        """
        from hepaa.io.parquet.columns import metadata, read

        if not frames.is_own(path):
            return cls._of(frames.of_file(path), inputs)
        n, meta = metadata(path)
        columns, spectators = tuple(meta["columns"]), meta["spectators"]
        arrays = read(path, [*columns, *spectators, *ROW_ARRAYS])
        for name, names in (("process", "processes"), ("generator", "generators"), ("file", "sources")):
            if n and not 0 <= arrays[name].min() <= arrays[name].max() < len(meta[names]):
                raise InputError(f"{path}: is a damaged table ({name} without a name); copy or write it again")
        return cls(
            X=np.column_stack([arrays[name] for name in columns]) if columns else np.empty((n, 0), np.float32),
            columns=columns,
            spectators={name: arrays[name] for name in spectators},
            processes=tuple(meta["processes"]),
            generators=tuple(meta["generators"]),
            sources=tuple(Source(**source) for source in meta["sources"]),
            cutflow=tuple(CutflowRow(**row) for row in meta["cutflow"]),
            feature_set=meta["feature_set"],
            units=meta["units"],
            **{name: arrays[name] for name in ROW_ARRAYS} | {"event": _event_numbers(arrays["event"])},
        )


def _labels(label: ArrayLike) -> NDArray[np.int8]:
    """Labels as they are stored; one that is not known (NaN, None) is that of data.

    Raises
    ------
    InputError
        If one is none of 0, 1, -1 and NaN, True and False, "background", "signal" and "data".
    """
    values = np.asarray(label)
    if values.dtype.kind in "OUT":
        words: dict[Any, Any] = {name: number for number, name in _LABELS.items()} | {None: DATA}
        values = np.array(
            [words.get(v, v) if isinstance(v, str | None) else v for v in values.ravel().tolist()], object
        )
        if all(isinstance(v, int | float) for v in values):
            values = values.astype(np.float64)
        values = values.reshape(np.shape(label))
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), DATA, values)
    wrong = values.ravel() if values.dtype.kind == "O" else values[~np.isin(values, list(_LABELS))]
    if wrong.size:
        raise InputError(f"a label is {wrong.flat[0]}; labels are 0 (background), 1 (signal) and -1 or NaN (data)")
    return values.astype(np.int8)


def _event_numbers(event: ArrayLike) -> NDArray[np.int64]:
    """Numbers of events, (n,), as they are stored.

    Raises
    ------
    InputError
        If one is no whole number, or beyond 2^63.
    """
    numbers = np.asarray(event)
    with np.errstate(invalid="ignore"):
        whole = numbers.astype(np.int64) if numbers.dtype.kind in "iuf" else np.empty(0, np.int64)
    wrong = np.flatnonzero(whole != numbers) if whole.shape == numbers.shape else np.zeros(1, int)
    if len(wrong):
        raise InputError(f"{numbers.flat[wrong[0]]} is no number of an event, which is whole and below 2^63")
    return whole


def _range(values: NDArray[np.float32]) -> tuple[float, float, float] | tuple[str, str, str]:
    """Least value, mean and greatest value."""
    if not len(values):
        return "", "", ""
    return float(values.min()), float(values.mean(dtype=np.float64)), float(values.max())


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit moves half of the output bits."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def concatenate(tables: Iterable[EventTable]) -> EventTable:
    """One table of several with the same columns.

    Raises
    ------
    InputError
        If there is no table, or columns or spectators differ; the message names the first that is missing.
    """
    parts = list(tables)
    if not parts:
        raise InputError("there is no table to concatenate")
    first = parts[0]
    for part in parts[1:]:
        for group, ours, theirs in (
            ("columns", first.columns, part.columns),
            ("spectators", tuple(first.spectators), tuple(part.spectators)),
        ):
            if ours != theirs:
                raise InputError(
                    f"{group} differ between {first.sources[0].path} {ours} and {part.sources[0].path} {theirs}; "
                    "build both with the same feature set"
                )
    merged: dict[str, Any] = {}
    for index, names in (("process", "processes"), ("generator", "generators"), ("file", "sources")):
        everything = list(dict.fromkeys(x for p in parts for x in getattr(p, names)))
        position = {x: i for i, x in enumerate(everything)}
        merged[names] = tuple(everything)
        merged[index] = np.concatenate(
            [
                np.array([position[x] for x in getattr(p, names)], getattr(p, index).dtype)[getattr(p, index)]
                for p in parts
            ]
        )
    return EventTable(
        X=np.concatenate([p.X for p in parts]),
        columns=first.columns,
        weight=np.concatenate([p.weight for p in parts]),
        label=np.concatenate([p.label for p in parts]),
        event=np.concatenate([p.event for p in parts]),
        spectators={k: np.concatenate([p.spectators[k] for p in parts]) for k in first.spectators},
        cutflow=_add_cutflows(row for p in parts for row in p.cutflow),
        feature_set=first.feature_set,
        units=first.units,
        **merged,
    )


def _add_cutflows(rows: Iterable[CutflowRow]) -> tuple[CutflowRow, ...]:
    total: dict[tuple[str, str, str], tuple[int, float]] = {}
    for r in rows:
        n, w = total.get((r.process, r.generator, r.step), (0, 0.0))
        total[r.process, r.generator, r.step] = (n + r.n, w + r.sum_weights)
    return tuple(CutflowRow(*key, *value) for key, value in total.items())
