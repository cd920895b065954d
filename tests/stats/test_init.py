"""The face of `hepaa.stats` and of `hepaa.plots`: what is listed is there, and nothing else is listed."""

from importlib import import_module
from types import ModuleType

import pytest

import hepaa.plots
import hepaa.stats


def test_what_is_listed_is_there():
    for module in (hepaa.stats, hepaa.plots):
        names = dir(module)
        assert not [name for name in names if name.startswith("_")]
        for name in names:
            assert getattr(module, name) is not None
    assert hepaa.stats.upper_limit is import_module("hepaa.stats.limits").upper_limit
    with pytest.raises(AttributeError, match="no attribute 'upper_limits'"):
        _ = hepaa.stats.upper_limits


def test_every_module_is_listed_whatever_was_imported_before():
    from pathlib import Path

    modules = {path.stem for path in Path(hepaa.stats.__file__).parent.glob("[a-z]*.py")}
    assert {name for name in dir(hepaa.stats) if isinstance(getattr(hepaa.stats, name), ModuleType)} == modules
