"""Samples: what a set of files stands for, and how generators are mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["background", "signal", "data"]
LABEL: dict[Role, int] = {"background": 0, "signal": 1, "data": -1}


@dataclass(frozen=True)
class Sample:
    """The physics behind a set of files.

    Attributes
    ----------
    process : str
        Name of the process, such as "ZH" or "QCD dijets".
    role : "background", "signal" or "data"
        What the events count as.
    generator : str
        Generator and tune that made them; "unknown" where nobody says.
    cross_section_pb : float or None
        Cross-section in pb, branching fractions included; None takes the one that the file states.
    k_factor : float
        Multiplies the cross-section.
    """

    process: str
    role: Role = "background"
    generator: str = "unknown"
    cross_section_pb: float | None = None
    k_factor: float = 1.0

    @property
    def label(self) -> int:
        """0 background, 1 signal, -1 data."""
        return LABEL[self.role]
