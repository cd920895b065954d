"""Detectors by name."""

from __future__ import annotations

import subprocess
import sys


def test_every_preset_is_there_whatever_was_imported_before() -> None:
    code = "from hepaa.models.presets import PRESETS, detector\nprint(all(detector(name) for name in PRESETS))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "True"
