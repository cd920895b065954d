"""How every loop of the package is compiled: numba's flags, in one place.

numba initialises the extensions of all installed packages at the first compilation of a process. That of vector
imports sympy and vector's own compiled methods: 0.4 of the 1.2 CPU seconds of `hepaa features` on 5,000 events. None of
the loops here takes vectors, so this extension waits until somebody has imported vector; from then on numba has it, at
the next compilation, as if it had been there from the start. Other extensions load as numba loads them.
"""

from __future__ import annotations

import gc
import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

from numba import njit
from numba.core import entrypoints, event

if TYPE_CHECKING:
    from collections.abc import Callable

_Function = TypeVar("_Function")
_initialise_all: Callable[[], None] = entrypoints.init_all


def compiled(**flags: Any) -> Callable[[_Function], _Function]:
    """Decorator that compiles a function: kept on disk, division as IEEE 754 has it, other threads free to run.

    Parameters
    ----------
    **flags
        Of numba's `njit` besides, such as `fastmath={"contract"}`.
    """
    # without the wrapper for C, which nobody calls, a short function compiles in two thirds of the time
    flags = {"cache": True, "error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True} | flags
    numba_decorator: Any = njit
    decorator: Callable[[_Function], _Function] = numba_decorator(**flags)
    return decorator


kernel = compiled(no_rewrites=True)
"""Without numba's passes for expressions of whole arrays, which these loops do not have: 8 % less time to compile."""
helper = compiled(no_cpython_wrapper=True, no_rewrites=True)
"""For what only compiled loops call; it has no wrapper for Python either."""
_REORDERED = {"contract", "reassoc", "nsz"}
reordered = compiled(fastmath=_REORDERED)
"""For sums that may be reordered and fused, so that they are vectors; NaN and infinity keep their meaning."""
inlined = compiled(fastmath=_REORDERED, forceinline=True)
"""The same for what such a loop calls. A function compiled by itself may sum in another order than its copy in the
caller, and which of the two runs depends on what the cache holds: the first run would differ from all later ones."""


class _NoCollection(event.Listener):
    """Lets Python look for no garbage while a loop compiles: numba's graphs grow so large that this took a tenth of the
    CPU time of a first `hepaa features`. Compilations are nested, and one thread's at a time.
    """

    def __init__(self) -> None:
        self._nested: list[bool] = []

    def on_start(self, _event: event.Event) -> None:
        self._nested.append(gc.isenabled())
        gc.disable()

    def on_end(self, _event: event.Event) -> None:
        if self._nested.pop():
            gc.enable()


event.register("numba:compile", _NoCollection())  # type: ignore[no-untyped-call]


def _initialise_without_vector() -> None:
    if "vector" in sys.modules:
        entrypoints.init_all = _initialise_all
        _initialise_all()
    elif not _others_are_there:
        _others_are_there.append(True)
        for extension in entry_points(group="numba_extensions", name="init"):
            if extension.module != "vector":
                initialise: Any = extension.load()
                initialise()


_others_are_there: list[bool] = []
if "vector" not in sys.modules:
    entrypoints.init_all = _initialise_without_vector
