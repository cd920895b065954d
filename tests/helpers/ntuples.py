"""Small TTrees, such as experiments write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_tree(path: Path, name: str, branches: Mapping[str, Any]) -> None:
    """A file with one tree of flat and jagged branches."""
    types = {k: v.dtype if isinstance(v, np.ndarray) else ak.type(v).content for k, v in branches.items()}
    with uproot.recreate(path) as file:
        file.mktree(name, types)
        file[name].extend(dict(branches))
