"""Feature sets of a user's own, in a file: `./myfeatures.py:mine`."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from hepaa.errors import InputError
from hepaa.io.files import is_file, one_line, sha256

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
    if not is_file(file):
        raise InputError(f"{file}: no such file; a feature set of one's own is `file.py:name`")
    return _imported(str(Path(file).resolve()), f"{PREFIX}{sha256(file)}")


@lru_cache(maxsize=64)
def _imported(file: str, module_name: str) -> str:
    module = ModuleType(module_name)
    module.__file__ = file
    sys.modules[module_name] = module  # where `inspect` finds the source of its functions
    try:
        # not through importlib, whose byte code is that of an earlier state if size and second of change are the same
        exec(compile(Path(file).read_bytes(), file, "exec"), vars(module))
    except Exception as wrong:  # whatever a user's file raises, the place is what helps
        del sys.modules[module_name]
        raise InputError(f"{file} cannot be imported ({type(wrong).__name__}: {one_line(wrong)})") from wrong
    return module_name
