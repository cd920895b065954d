"""Behaviour of vector's momenta for the records of events: px py pz e, or pt eta phi with e, m or neither (massless).

vector's own record names refuse records that hold both an energy and a mass, as those of LHE files do; hence a name of
our own. A field that the file has is always what the file says: `.m` is the mass as it was read, `.mass` follows from
the momentum.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    import awkward as ak

MOMENTUM = "hepaa.Momentum"
"""Name of the records that have this behaviour."""
_CARTESIAN, _POLAR = {"px", "py", "pz"}, {"pt", "eta", "phi"}
_ENERGY, _MASS = {"e", "E", "energy"}, {"m", "mass", "M"}


def is_momentum(fields: Collection[str]) -> bool:
    """Whether records with these fields have a momentum."""
    have = set(fields)
    return have >= _POLAR or (have >= _CARTESIAN and not have.isdisjoint(_ENERGY | _MASS))


def named(records: ak.Array) -> ak.Array:
    """The same array, its records called `MOMENTUM` if they have one and no name yet; nothing is copied."""
    import awkward as ak

    if records.layout.purelist_parameter("__record__") is None and is_momentum(ak.fields(records)):
        return ak.with_name(records, MOMENTUM)
    return records


def with_behaviour(records: ak.Array) -> ak.Array:
    """The same array with the behaviour of its records; vector is imported at the first call."""
    import awkward as ak

    if records.layout.purelist_parameter("__record__") != MOMENTUM:
        return records
    _register()
    return ak.Array(records.layout, behavior=records.behavior, attrs=records.attrs)


@cache
def _register() -> None:
    """Tell awkward of the behaviour: classes of arrays and records, and sums, differences, products as vector has."""
    import awkward as ak
    import vector
    from vector.backends import awkward as backend

    vector.register_awkward()

    class Momentum:
        """Coordinates of a momentum, from the fields that there are."""

        def __awkward_validation__(self) -> None:
            # vector's own would refuse an energy beside a mass
            pass

        @property
        def azimuthal(self: Any) -> Any:
            if set(self.fields) >= _CARTESIAN:
                return backend.AzimuthalAwkwardXY(self["px"], self["py"])
            return backend.AzimuthalAwkwardRhoPhi(self["pt"], self["phi"])

        @property
        def longitudinal(self: Any) -> Any:
            if set(self.fields) >= _CARTESIAN:
                return backend.LongitudinalAwkwardZ(self["pz"])
            return backend.LongitudinalAwkwardEta(self["eta"])

        @property
        def temporal(self: Any) -> Any:
            for names, kept in ((_ENERGY, backend.TemporalAwkwardT), (_MASS, backend.TemporalAwkwardTau)):
                for name in names.intersection(self.fields):
                    return kept(self[name])
            return backend.TemporalAwkwardTau(self["pt"] * 0)

    def field_first(name: str, inherited: property) -> property:
        return property(
            lambda self: self[name] if name in self.fields else inherited.__get__(self), doc=inherited.__doc__
        )

    for name in set(dir(backend.MomentumAwkward4D)) - {*vars(Momentum), "lib"}:
        if isinstance(inherited := getattr(backend.MomentumAwkward4D, name), property):
            setattr(Momentum, name, field_first(name, inherited))

    class MomentumArray(Momentum, backend.MomentumArray4D):
        """Array of momenta."""

    class MomentumRecord(Momentum, backend.MomentumRecord4D):
        """One momentum."""

    ak.behavior["*", MOMENTUM] = MomentumArray
    ak.behavior[MOMENTUM] = MomentumRecord
    for key, function in backend.behavior.items():
        if isinstance(key, tuple) and callable(key[0]) and "Momentum4D" in key:
            for names in product(*((part, MOMENTUM) if part == "Momentum4D" else (part,) for part in key)):
                ak.behavior.setdefault(names, function)
