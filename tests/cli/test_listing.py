"""`hepaa features --list` shows every set with its columns and units."""

from __future__ import annotations

import subprocess
import sys

from hepaa.features import feature_sets


def test_the_command_lists_every_set_with_units():
    code = "from hepaa.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "features", "--list"], capture_output=True, text=True, check=True
    )
    for name, chosen in feature_sets().items():
        assert f"{name}: from {' or '.join(chosen.inputs)}" in done.stdout
        for feature in (*chosen.columns, *chosen.spectators):
            assert (f"{feature.name} [{feature.unit}]" if feature.unit else feature.name) in done.stdout
    assert "ptb1 [GeV]" in done.stdout
