"""Processes with jets as Pythia's settings: QCD dijets, W' -> X Y, semi-visible jets; and tunes by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from hepaa.errors import InputError, nearest

TUNES: dict[str, tuple[str, ...]] = {
    "monash": ("PartonShowers:model = 1", "Tune:pp = 14"),
    "4cx": ("PartonShowers:model = 1", "Tune:pp = 6"),
    "cuetp8m1": ("PartonShowers:model = 1", "Tune:pp = 18"),
    "a14": ("PartonShowers:model = 1", "Tune:pp = 21"),
    "vincia": ("PartonShowers:model = 2",),
    "vincia-global": ("PartonShowers:model = 2", "Vincia:sectorShower = off"),
}
"""Showers and tunes: Pythia's default shower with the Monash tune (Skands et al., arXiv:1404.5630), 4Cx, CMS'
CUETP8M1, ATLAS' A14 with NNPDF2.3; Vincia (Brooks et al., arXiv:2003.00702) with sectors, and without."""

_BEAMS = ("Beams:eCM = 13000.", "PartonLevel:MPI = off")
"""13 TeV, without multiple parton interactions, as the LHC Olympics R&D set is."""

_WINDOW = (0.7, 1.3)
"""Edges of a Breit-Wigner of the heavy resonance, in units of its mass."""


_THRESHOLDS = {5: 10.6, 4: 3.8}
"""Masses [GeV] from which a dark meson decays to pairs of bottom and charm hadrons."""


@dataclass(frozen=True, kw_only=True)
class JetProcess:
    """A process whose events are detected and kept if they have a hard jet.

    Attributes
    ----------
    tune : str
        One of `TUNES`.
    more : tuple of str
        Lines of Pythia's own settings, read last.
    """

    name: ClassVar[str]
    label: ClassVar[int] = 1
    tune: str = "monash"
    more: tuple[str, ...] = ()

    def settings(self) -> tuple[str, ...]:
        """Lines as in a Pythia command file.

        Raises
        ------
        InputError
            An unknown tune, or numbers that make no sense.
        """
        if self.tune not in TUNES:
            raise InputError(f"unknown shower or tune {self.tune!r}; {nearest(self.tune, TUNES)}")
        return (*_BEAMS, *self.hard_process(), *TUNES[self.tune], *self.more)

    def hard_process(self) -> tuple[str, ...]:
        """The lines of the process itself."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Dijets(JetProcess):
    """Hard QCD, label 0.

    Attributes
    ----------
    pt_hat_min, pt_hat_max : float
        Transverse momentum of the hard process, in GeV.
    """

    name: ClassVar[str] = "dijets"
    label: ClassVar[int] = 0
    pt_hat_min: float = 950.0
    pt_hat_max: float = math.inf

    def hard_process(self) -> tuple[str, ...]:
        """All 2 -> 2 processes of QCD."""
        if not 0 < self.pt_hat_min < self.pt_hat_max:
            raise InputError(f"pT-hat from {self.pt_hat_min:g} to {self.pt_hat_max:g} GeV is no range above 0")
        most = () if math.isinf(self.pt_hat_max) else (f"PhaseSpace:pTHatMax = {self.pt_hat_max}",)
        return ("HardQCD:all = on", f"PhaseSpace:pTHatMin = {self.pt_hat_min}", *most)


@dataclass(frozen=True, kw_only=True)
class WPrime(JetProcess):
    """W' -> X Y, both to two quarks, label 1: the signal of the LHC Olympics R&D set.

    One of X and Y is neutral and decays to pairs of equal flavour; the other is charged and decays to ud and cs.

    Attributes
    ----------
    masses : (float, float, float)
        Of W', X and Y, in GeV.
    width, daughter_width : float
        Over the mass, of W', and of X and Y.
    neutral : "x" or "y"
        X decays to five flavours then, Y to four: bottom quarks are left to the heavier one.
    """

    name: ClassVar[str] = "wprime"
    masses: tuple[float, float, float] = (3500.0, 500.0, 100.0)
    width: float = 0.01
    daughter_width: float = 0.002
    neutral: Literal["x", "y"] = "x"

    def hard_process(self) -> tuple[str, ...]:
        """q qbar' -> W' with X as particle 9000024 and Y as 9000023."""
        mw, mx, my = self.masses
        if not (mx > 0 and my > 0 and mx + my < mw):
            raise InputError(f"W' of {mw} GeV cannot decay to X of {mx} and Y of {my} GeV; masses are (W', X, Y)")
        _check_width(self.width)
        _check_width(self.daughter_width)
        low, high = (x * mw for x in _WINDOW)
        x_neutral = self.neutral == "x"
        charged, neutral = (my, mx) if x_neutral else (mx, my)
        flavours = (1, 2, 3, 4, 5) if x_neutral else (1, 2, 3, 4)
        return (
            "NewGaugeBoson:ffbar2Wprime = on",
            f"9000024:new = {'Y' if x_neutral else 'X'}+ {'Y' if x_neutral else 'X'}- 3 3 0 {self._shape(charged)}",
            "9000024:isResonance = true", "9000024:doForceWidth = on",
            "9000024:addChannel = 1 0.5 101 2 -1", "9000024:addChannel = 1 0.5 101 4 -3",
            f"9000023:new = {'X' if x_neutral else 'Y'}0 void 3 0 0 {self._shape(neutral)}",
            "9000023:isResonance = true", "9000023:doForceWidth = on",
            *(f"9000023:addChannel = 1 {1 / len(flavours)} 101 {q} -{q}" for q in flavours),
            f"34:m0 = {mw}", f"34:mWidth = {self.width * mw}", f"34:mMin = {low}", f"34:mMax = {high}",
            "34:doForceWidth = on", "34:oneChannel = 1 1.0 101 9000024 9000023",
        )  # fmt: skip

    def _shape(self, mass: float) -> str:
        """Mass, width, window and lifetime of X or Y."""
        return f"{mass} {self.daughter_width * mass} {0.8 * mass} {1.2 * mass} 0."


@dataclass(frozen=True, kw_only=True)
class SemiVisible(JetProcess):
    """Z' -> dark quarks that shower and form dark mesons; a fraction of these is invisible. Label 1.

    The Hidden Valley of Pythia (Carloni, Rathsman and Sjostrand, arXiv:1102.3795), used as by Cohen, Lisanti, Lou
    and Mishra-Sharma, arXiv:1707.05326.

    Attributes
    ----------
    mass : float
        Of Z', in GeV.
    r_inv : float
        Fraction of dark mesons that decay invisibly, 0 to 1.
    width : float
        Of Z', over its mass.
    meson_mass : float
        Of the dark mesons in GeV; a dark quark has half of it.
    scale : float
        Lambda of the dark force, in GeV; its coupling runs at one loop.
    colours, flavours : int
        Of the dark force, SU(colours).
    """

    name: ClassVar[str] = "svj"
    mass: float = 3500.0
    r_inv: float = 0.3
    width: float = 0.01
    meson_mass: float = 20.0
    scale: float = 5.0
    colours: int = 2
    flavours: int = 2

    def hard_process(self) -> tuple[str, ...]:
        """q qbar -> Z' -> dark quarks."""
        if not 0 <= self.r_inv <= 1:
            raise InputError(f"r_inv is a fraction of dark mesons, from 0 to 1, not {self.r_inv:g}")
        if not 2 * self.meson_mass < self.mass:
            raise InputError(f"Z' of {self.mass:g} GeV makes no dark mesons of {self.meson_mass:g} GeV")
        _check_width(self.width)
        low, high = (x * self.mass for x in _WINDOW)
        # a pseudoscalar decays to the heaviest quarks it can, for helicity's sake; a vector to light ones
        heavy = next((quark for quark, threshold in _THRESHOLDS.items() if self.meson_mass > threshold), 3)
        mesons = {4900111: heavy, 4900113: 1} | ({4900211: heavy, 4900213: 1} if self.flavours > 1 else {})
        decays = [
            line
            for meson, quark in mesons.items()
            for line in (
                f"{meson}:m0 = {self.meson_mass}",
                f"{meson}:oneChannel = 1 {1 - self.r_inv} 91 {quark} -{quark}",
                f"{meson}:addChannel = 1 {self.r_inv} 0 51 -51",
            )
        ]
        return (
            "HiddenValley:ffbar2Zv = on",
            f"4900023:m0 = {self.mass}", f"4900023:mWidth = {self.width * self.mass}", f"4900023:mMin = {low}",
            f"4900023:mMax = {high}", "4900023:doForceWidth = on", "4900023:onMode = off",
            "4900023:onIfAny = 4900101",
            f"HiddenValley:Ngauge = {self.colours}", f"HiddenValley:nFlav = {self.flavours}",
            "HiddenValley:FSR = on", "HiddenValley:fragment = on", "HiddenValley:alphaOrder = 1",
            f"HiddenValley:Lambda = {self.scale}", f"HiddenValley:pTminFSR = {1.1 * self.scale}",
            f"4900101:m0 = {self.meson_mass / 2}", "51:m0 = 1.", "51:mayDecay = off", *decays,
        )  # fmt: skip


def _check_width(width: float) -> None:
    if not 0 < width < 0.2:
        raise InputError(f"a width of {width:g} of the mass is not between 0 and 0.2")
