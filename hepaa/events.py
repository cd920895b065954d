"""The event record that every reader gives, whatever the format of the file, and the sample that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

from hepaa.errors import InputError, nearest
from hepaa.vectors import named, with_behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    import awkward as ak
    import numpy as np
    import pylhe
    from numpy.typing import ArrayLike, NDArray

    from hepaa.io.objects import Objects


Role = Literal["background", "signal", "data"]
LABEL: dict[Role, int] = {"background": 0, "signal": 1, "data": -1}
UNITS = dict.fromkeys(("pt", "px", "py", "pz", "e", "m", "msoftdrop", "met", "met_x", "met_y", "scale"), "GeV") | {
    "phi": "rad", "met_phi": "rad", "lifetime": "mm",
}  # fmt: skip
"""Units of the fields and columns that readers give, whatever the file has; what is not here is a pure number, or the
file's own."""


@dataclass(frozen=True)
class Sample:
    """The physics behind a set of files.

    Attributes
    ----------
    process : str
        Name of the process, such as "ZH" or "QCD dijets".
    role : "background", "signal" or "data"
        What the events count as.
    generator : str
        Generator and tune that made them; "unknown" where nobody says.
    """

    process: str
    role: Role = "background"
    generator: str = "unknown"

    @property
    def label(self) -> int:
        """0 background, 1 signal, -1 data."""
        return LABEL[self.role]


@dataclass(frozen=True)
class Step:
    """What one step of a selection left: events, or objects of a collection ("jets: pt > 25"), and their weights."""

    step: str
    n: int
    sum_weights: float


_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Collections(Mapping[str, "ak.Array"]):
    """Collections by name; those with momenta have vector's behaviour, and vector is imported for the first one read.

    `arrays` holds them without it, for loops over flat arrays.
    """

    def __init__(self, collections: Mapping[str, ak.Array]) -> None:
        arrays: Mapping[str, ak.Array] = collections.arrays if isinstance(collections, Collections) else collections
        self.arrays: dict[str, ak.Array] = {name: named(records) for name, records in arrays.items()}

    def __getitem__(self, name: str) -> ak.Array:
        return with_behaviour(self.arrays[name])

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


_OUR_NAMES = {"mass": "m", "M": "m", "energy": "e", "E": "e", "pdgId": "pdgid", "pdg_id": "pdgid"}
_OF_VECTOR = {"x": "px", "y": "py", "z": "pz", "t": "e", "rho": "pt", "tau": "m"}
"""Coordinates in arrays that vector made."""


@dataclass(frozen=True, eq=False, repr=False)
class Events:
    """Some consecutive events of one file.

    Attributes
    ----------
    path : str
        The file, as it was given.
    format : str
        What the content was recognised as: "lhe", "lheh5", "hepmc", "lhco", "lhco-features",
        "bead", "root", "events", "table".
    index : int64 (n,)
        Number of each event in its file, from 0.
    weight : float64 (n,)
        Nominal weight, in the generator's own unit (pb for LHE with IDWTUP = +-1, +-4); 1 where the format has none.
    weights : mapping of name -> float64 (n,)
        Named weights (LHE `<rwgt>`, ROOT branches).
    label : int8 (n,) or None
        Truth of the file: 0 background, 1 signal; None where the format has none.
    header : dict
        What the file says of itself: run block, weight groups, generator, cross-section.
    collections : mapping of name -> awkward array
        Variable-length objects ("particles", "jets", "leptons", ...) as records; reached as attributes too. Momenta in
        GeV, angles in radians. Records of px py pz e, or pt eta phi and e, m or neither, are vector's momenta:
        `.pt`, `.eta`, `.mass`, `.deltaR(other)`; a field of the file is what the file says (`.m` of LHE particles).
    columns : mapping of name -> float64 (n,)
        One number an event: feature files, event-level branches. Units as the file states them.
    sample : Sample or None
        The physics the file stands for: process, generator, cross-section.
    objects : Objects or None
        Which objects and events count. The collections hold all of them until features are computed, or
        `hepaa.select_objects` is asked, for the weights of all events are needed to normalise a sample.
    steps : tuple of Step
        What such a selection left, where it is done.
    """

    path: str
    format: str
    index: NDArray[np.int64]
    weight: NDArray[np.float64]
    weights: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: _NOTHING)
    label: NDArray[np.int8] | None = None
    header: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    collections: Mapping[str, ak.Array] = field(default_factory=lambda: _NOTHING)
    columns: Mapping[str, NDArray[np.float64]] = field(default_factory=lambda: _NOTHING)
    sample: Sample | None = None
    objects: Objects | None = None
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "collections", Collections(self.collections))
        named_parts = (*self.weights.items(), *self.arrays.items(), *self.columns.items())
        for name, part in (("weight", self.weight), ("label", self.label), *named_parts):
            if part is not None and len(part) != self.n:
                raise InputError(f"{self.path}: {name!r} has {len(part)} entries for {self.n} events")

    @classmethod
    def from_awkward(
        cls,
        *,
        weight: ArrayLike | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
        label: ArrayLike | None = None,
        sample: Sample | None = None,
        path: str = "awkward",
        **parts: Any,
    ) -> Events:
        """Events of your own arrays.

        Parameters
        ----------
        weight : (n,), optional
            Nominal weight; 1 by default.
        weights : mapping of name -> (n,), optional
            Named weights.
        label : (n,), optional
            Truth: 0 or False background, 1 or True signal, -1 data.
        sample : Sample, optional
        path : str
            What errors call the events.
        **parts : arrays of n entries
            Lists of records become collections ("jets", "leptons", "fatjets", "particles"), numbers become columns
            ("met"). Momenta in GeV: pt eta phi, or px py pz, with m (mass) or e (energy); vector's arrays are as good.
            What feature sets look at beside: `btag` of jets (0 or 1), `pdgid` of leptons and particles; see
            `hepaa features --list`.

        Raises
        ------
        InputError
            If there is no array, lengths differ, or one is neither lists of records nor numbers.

        Examples
        --------
        >>> import awkward as ak, hepaa
        >>> jets = ak.zip({"pt": [[90.0, 40.0], [60.0]], "eta": [[0.1, 1.2], [-0.7]], "phi": [[0.0, 2.9], [1.0]]})
        >>> hepaa.Events.from_awkward(jets=jets, met=[31.0, 12.0])
        Events('awkward', awkward: 2 events, sum of weights 2, jets, 1 columns)
        """
        import numpy as np

        if not parts:
            raise InputError("events need one array at least: Events.from_awkward(jets=..., met=...)")
        made = {name: _part_of(path, name, part) for name, part in parts.items()}
        n = len(next(iter(made.values())))
        truth = None if label is None else np.asarray(label)
        if truth is not None and not np.isin(truth, (0, 1, -1)).all():
            raise InputError(f"{path}: labels are 0 or False (background), 1 or True (signal) and -1 (data)")
        return cls(
            path=path,
            format="awkward",
            index=np.arange(n),
            weight=np.ones(n) if weight is None else np.asarray(weight, np.float64),
            weights={name: np.asarray(values, np.float64) for name, values in (weights or {}).items()},
            label=None if truth is None else truth.astype(np.int8),
            collections={name: part for name, part in made.items() if not isinstance(part, np.ndarray)},
            columns={name: part for name, part in made.items() if isinstance(part, np.ndarray)},
            sample=sample,
        )

    @property
    def n(self) -> int:
        """Number of events."""
        return len(self.index)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        counts = {"columns": len(self.columns), "named weights": len(self.weights)}
        parts = [f"{self.n} events", f"sum of weights {self.weight.sum():.6g}", *self.collections]
        parts += [f"{n} {title}" for title, n in counts.items() if n]
        return f"Events({self.path!r}, {self.format}: {', '.join(parts)})"

    @property
    def arrays(self) -> Mapping[str, ak.Array]:
        """The collections as plain awkward arrays, for loops that need no behaviour."""
        return cast("Collections", self.collections).arrays

    def select(self, rows: NDArray[np.bool_]) -> Events:
        """The events where `rows`, a mask (n,), is true."""
        return replace(
            self,
            index=self.index[rows],
            weight=self.weight[rows],
            weights={k: v[rows] for k, v in self.weights.items()},
            label=None if self.label is None else self.label[rows],
            collections={k: v[rows] for k, v in self.arrays.items()},
            columns={k: v[rows] for k, v in self.columns.items()},
        )

    def to_pylhe(self) -> pylhe.LHEFile:
        """The same events as pylhe gives them of their file: header, `<init>` block, events with all named weights.

        `hepaa.from_pylhe` is the way back.

        Raises
        ------
        InputError
            If they lack something that LHE events have.
        """
        from hepaa.lhef import file_of

        return file_of(self)

    def __getattr__(self, name: str) -> ak.Array:
        # Reached only for names that are no field: a collection of the file's own format.
        if name.startswith("_") or name == "collections":
            raise AttributeError(name)
        try:
            return self.collections[name]
        except KeyError:
            raise AttributeError(
                f"{self.path} ({self.format}) has no collection {name!r}; {nearest(name, self.collections)}"
            ) from None


def _part_of(path: str, name: str, part: Any) -> Any:
    """Lists of records with our names of fields, or numbers (n,), of an array of somebody's own.

    Raises
    ------
    InputError
        If it is neither.
    """
    import awkward as ak
    import numpy as np

    if type(part).__module__.partition(".")[0] == "dask_awkward":
        raise InputError(f"{path}: {name!r} is an array of dask, with no events yet; give what its compute() returns")
    try:
        values = ak.Array(part)
    except (TypeError, ValueError) as wrong:
        raise InputError(f"{path}: {name!r} is no array ({type(part).__name__}); give one entry an event") from wrong
    fields = ak.fields(values)
    if values.ndim == 2 and fields:
        of_vector = str(values.layout.purelist_parameter("__record__")).startswith(("Momentum", "Vector"))
        spelt = _OUR_NAMES | _OF_VECTOR if of_vector else _OUR_NAMES
        ours = {spelt.get(f, f): values[f] for f in fields if spelt.get(f, f) == f or spelt[f] not in fields}
        return ak.zip(ours, depth_limit=2)
    if fields:
        raise InputError(f"{path}: {name!r} is one record an event; give its fields as arrays, or lists of records")
    if values.ndim != 1:
        raise InputError(f"{path}: {name!r} holds lists without names; join them to records: ak.zip({{'pt': ...}})")
    try:
        numbers = ak.to_numpy(values, allow_missing=False)
    except (TypeError, ValueError) as wrong:
        raise InputError(f"{path}: {name!r} has missing values; fill or cut them") from wrong
    if numbers.dtype.kind not in "fiub":
        raise InputError(f"{path}: {name!r} holds no numbers")
    # whole numbers of events may be beyond what float64 holds
    return numbers if numbers.dtype.kind in "iu" else numbers.astype(np.float64)
