"""Small cards of a search, with data whose signal region can be another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import yaml

from hepaa import demo

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIGNAL, SIDEBANDS = (3300, 3700), [[2600, 3300], [3700, 5500]]


def demo_rows(name: str, n: int) -> tuple[list[str], NDArray[np.float32]]:
    """Names of the 14 columns, and the first n rows of an embedded file of `search.yaml`."""
    with h5py.File(demo.path(f"search_{name}.h5")) as file:
        return [str(c) for c in file["events"].attrs["columns"]], file["events"][:n]


def masses(columns: list[str], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Dijet masses (n,) in GeV."""
    value = dict(zip(columns, rows.astype(np.float64).T, strict=True))
    jets = [[value[f"{q}j{j}"] for q in ("px", "py", "pz", "m")] for j in (1, 2)]
    energy = sum(np.sqrt(px**2 + py**2 + pz**2 + m**2) for px, py, pz, m in jets)
    momentum = [sum(jet[i] for jet in jets) for i in range(3)]
    return np.asarray(np.sqrt(energy**2 - momentum[0] ** 2 - momentum[1] ** 2 - momentum[2] ** 2))


def write_rows(path: Path, columns: list[str], rows: NDArray[np.float32]) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("events", data=rows).attrs["columns"] = columns
    return path


def write_card(folder: Path, *, n: int = 3000, signal: bool = False, resonant: dict[str, Any] | None = None,
               **changes: Any) -> Path:  # fmt: skip
    """`card.yaml` of a quick search in `data.h5` beside it: the first n events of the demo's."""
    columns, rows = demo_rows("data", n)
    write_rows(folder / "data.h5", columns, rows)
    samples: list[dict[str, Any]] = [{"process": "data", "role": "data", "files": ["data.h5"]}]
    if signal:
        wprime = {"process": "W'", "role": "signal", "files": ["demo:search_wprime.h5"], "expected_events": 30}
        samples.append(wprime)
    section = {
        "mass": "mjj", "signal": list(SIGNAL), "sidebands": SIDEBANDS, "folds": 2, "efficiencies": [0.1], "bins": 12,
        "toys": 10, "check_toys": 10, "injection": {"strengths": [0, 2], "draws": 1},
        "methods": [{"method": "residual", "options": {"members": 1}}],
    }  # fmt: skip
    content = {
        "name": "small search", "output": str(folder / "out"), "luminosity_fb": 1, "samples": samples,
        "features": {"set": "dijet-hl", "inputs": ["mj1", "dmj"]},
        "search": {"resonant": section | (resonant or {})},
    }  # fmt: skip
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path
