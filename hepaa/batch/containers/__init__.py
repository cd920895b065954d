"""Recipes of containers with one version of everything, so that all nodes of a batch give the same results.

The compiled loops are in the image. A node whose processor is another than that of the machine that built it compiles
them once by itself. The recipes are checked here by their structure; to build them needs a builder of images.
"""

from __future__ import annotations

from importlib.resources import files

from hepaa._version import __version__
from hepaa.errors import InputError, nearest

_RECIPES = {"docker": "Dockerfile", "apptainer": "apptainer.def"}


def recipe(system: str) -> str:
    """The recipe of a container for "docker" or "apptainer", with this version of hepaa.

    Raises
    ------
    InputError
        If there is no recipe for this system.
    """
    if system not in _RECIPES:
        raise InputError(f"there is no recipe for {system!r}; {nearest(system, _RECIPES)}")
    return files(__name__).joinpath(_RECIPES[system]).read_text(encoding="utf-8").replace("VERSION", __version__)
