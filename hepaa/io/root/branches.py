"""Names and shapes of the branches of a TTree and the fields of an RNTuple, which uproot gives in two ways."""

from __future__ import annotations

from typing import Any

import numpy as np
from uproot.behaviors.RNTuple import HasFields
from uproot.interpretation.numerical import Numerical

AS_RNTUPLE = {"CollectionTree": "EventData"}
"""What the tree of events is called where it is an RNTuple, in ATLAS."""

_NUMBERS = {
    "bool", "char", "float", "double", "std::int8_t", "std::uint8_t", "std::int16_t", "std::uint16_t",
    "std::int32_t", "std::uint32_t", "std::int64_t", "std::uint64_t",
}  # fmt: skip
_LEAF, _RECORD = 0, 2  # roles of fields in the specification of RNTuple
_ARRAY = 1  # flag of a fixed number of values


def names(tree: Any) -> list[str]:
    """Names of all branches; a field of a record in an RNTuple is `record.field`."""
    if isinstance(tree, HasFields):  # `keys` takes 2.6 s of CPU for the 1077 fields of PHYSLITE, this 0.06 s
        return [field.path for field in tree.all_fields if not field.is_anonymous]
    return [str(name) for name in tree.keys(recursive=True, full_paths=False)]


def known(names: list[str]) -> dict[str, str]:
    """The branch behind each name by which it is known: its own, and for ATLAS's RNTuples that of the TTree.

    AnalysisJetsAuxDyn.pt is written as AnalysisJetsAuxDyn:pt there, and X.pt as X:.pt where it is a member.
    """
    return {name.replace(":.", ".").replace(":", "."): name for name in names} | {name: name for name in names}


def is_scalar(branch: Any) -> bool:
    """Whether a branch or field has one number an event."""
    interpretation = getattr(branch, "interpretation", None)
    if interpretation is not None:
        if not isinstance(interpretation, Numerical):
            return False
        dtype = np.dtype(interpretation.to_dtype)
        return not dtype.shape and dtype.kind in "fiub"
    if str(branch.typename) not in _NUMBERS or not _single(branch, _LEAF):
        return False
    while not branch.top_level:  # inside a list there are as many as the list is long
        branch = branch.parent
        if not _single(branch, _RECORD):
            return False
    return True


def _single(field: Any, role: int) -> bool:
    return field.record.struct_role == role and not field.record.flags & _ARRAY
