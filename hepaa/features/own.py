"""Feature sets of a user's own, in a file: `./myfeatures.py:mine`."""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from hepaa.errors import InputError
from hepaa.io.files import one_line, sha256

PREFIX = "hepaa_own_"
"""Of the names that such files have as modules; the SHA-256 of their content follows."""


def split_own(name: str) -> tuple[str, str] | None:
    """File and name of `file.py:name`; None for the name of a set that is registered."""
    file, colon, inner = name.rpartition(":")
    return (file, inner) if colon and file.endswith(".py") else None


def module_of(file: str) -> str:
    """Name of the module that a file is imported as, once for each content that it has had.

    Raises
    ------
    InputError
        If the file is missing, or cannot be imported.
    """
    if not Path(file).is_file():
        raise InputError(f"{file}: no such file; a feature set of one's own is `file.py:name`")
    return _imported(str(Path(file).resolve()), f"{PREFIX}{sha256(file)}")


@lru_cache(maxsize=64)
def _imported(file: str, module_name: str) -> str:
    spec = spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is no Python file")
    module = module_from_spec(spec)
    sys.modules[module_name] = module  # where `inspect` finds the source of its functions
    try:
        spec.loader.exec_module(module)
    except Exception as wrong:  # whatever a user's file raises, the place is what helps
        del sys.modules[module_name]
        raise InputError(f"{file} cannot be imported ({type(wrong).__name__}: {one_line(wrong)})") from wrong
    return module_name
