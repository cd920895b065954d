"""The public face of hepaa.search: every name is there, whatever was imported before."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from hepaa import search


def test_every_name_is_what_its_module_says_also_after_the_module_was_imported():
    for module, names in search._HOME.items():
        home = import_module(f"hepaa.search.{module}")
        for name in names:
            assert getattr(search, name) is getattr(home, name), name
            assert callable(getattr(search, name))
    assert sorted(n for names in search._HOME.values() for n in names) == sorted(search.__all__) == dir(search)


def test_no_module_has_the_name_of_a_function():
    """An import of the module would put it in the function's place."""
    modules = {path.stem for path in Path(search.__path__[0]).iterdir()} - {"two_sample"}
    assert not modules & set(search.__all__)


def test_a_name_that_is_none_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = search.nothing
