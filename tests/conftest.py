"""Shared fixtures: where the real data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real data: `$HEPAA_DATA`, or `shared/data` beside the checkout."""
    root = Path(os.environ.get("HEPAA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / "README.md").is_file():
        pytest.skip(f"the data pack is not at {root}; set HEPAA_DATA to the folder that holds its README.md")
    return root
