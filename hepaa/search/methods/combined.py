"""Several strategies on the same data: the most significant counts, and toys say how often that happens by chance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from hepaa.search.methods.base import Method
    from hepaa.search.windows import Window


TOGETHER = "all methods"
"""Name of the look at all scores of an event together."""


class Combined:
    """The smallest p-value of several methods in one window, calibrated on the same toys (arXiv:2408.12296).

    What all methods together say of an event is looked at too: see `hepaa.search.result.Together`.

    `hepaa.search.cross_fit` gives a `CombinedResult`, and everything that takes a method takes this.

    Parameters
    ----------
    methods : sequence of Method
        Two or more, of the same window, no two with the same name.

    Raises
    ------
    InputError
        If windows differ or names repeat.
    """

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = tuple(methods)
        if len(self.methods) < 2:
            raise InputError(f"{len(self.methods)} method is nothing to combine: give two or more")
        if len({m.window for m in self.methods}) > 1:
            raise InputError("the methods of a combination look at different windows: give all the same")
        names = [m.name for m in self.methods]
        if TOGETHER in names:
            raise InputError(f"{TOGETHER!r} is the name of all methods together: give the method another `label`")
        if len(set(names)) < len(names):
            raise InputError(
                f"two methods of a combination have the same name ({', '.join(names)}): give one a `label`"
            )

    @property
    def window(self) -> Window:
        """Of all methods."""
        return self.methods[0].window

    @property
    def inputs(self) -> Sequence[str] | None:
        """All that a method asks for; None, which is all columns, if one asks for none in particular."""
        if any(m.inputs is None for m in self.methods):
            return None
        return tuple(dict.fromkeys(name for m in self.methods for name in m.inputs or ()))

    @property
    def name(self) -> str:
        """For tables and figures."""
        return "Combined"

    def fresh(self, **changes: Any) -> Self:
        """The same combination with a parameter of all methods changed, such as `window`."""
        return type(self)([replace(m, **changes) for m in self.methods])

    def settings(self) -> dict[str, Any]:
        """Parameters as JSON."""
        return {"method": "Combined", "methods": [m.settings() for m in self.methods]}
