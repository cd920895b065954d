"""Resonant searches in dijets of several generators, on signals drawn anew, beside supervised trees on the same test.

84,752 events of four generators (data pack: Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A) with m_jj in
2.6 .. 5.5 TeV are the background, unlabelled and pooled; the signal is injected at S/sqrt(B) = 2.2 in the window, and
the part of it that lies in the sidebands with it. Windows: 3.3 .. 3.7 TeV for W'(500, 100), 2.9 .. 3.3 TeV for the two
whose mass is not contained in two jets, W'(1000, 400) and semi-visible jets. Four inputs: mass of the lighter jet and
the difference, tau21 of both. Eight: with tau32 of both, |sum of both pT| and difference of the pT over the sum of the
pT. Fourteen: with the angle to back-to-back in azimuth, tau1 of both, tau1 pT / m of both, and half of |eta_1 + eta_2|.
"SIC at 0.01": eps_S / sqrt(eps_B) in the window at a cut that 1 % of the sidebands passes, signal events being those
that were not injected, background those that were searched, scored by folds that did not see them. "of supervised":
over that of trees that know the labels of half of all events, tested on the other half, with the same inputs, fourteen
for what takes all methods. z: local, of the fit of the spectrum after the cut. "all methods": the sum of the logarithms
of an event's tail fractions in all five. "combined": the look with the largest z in units of its spread in ten
background-only toys. Five folds; all settings are defaults. Which methods go together, and how, was chosen on three
other draws of semi-visible jets and of W'(1000, 400); the inputs by supervised trees.

Run: python analyses/search_dijets.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from samples import DIJETS, SVJ, W500, W1000
from study import Study
from table import Line

import hepaa
from hepaa import search
from hepaa.search.folds import cross_fit_rows
from hepaa.search.methods.base import mass_rows

if TYPE_CHECKING:
    from pathlib import Path

WINDOWS = {
    W500: search.Window("mjj", (3300, 3700), ((2600, 3300), (3700, 5500))),
    W1000: search.Window("mjj", (2900, 3300), ((2600, 2900), (3300, 5500))),
    SVJ: search.Window("mjj", (2900, 3300), ((2600, 2900), (3300, 5500))),
}
GENERATORS = ("pythia8_monash", "pythia8_vincia", "pythia6_perugia0", "pythia6_tuneA")
FOUR = ("mj1", "dmj", "tau21j1", "tau21j2")
EIGHT = (*FOUR, "tau32j1", "tau32j2", "imbalance", "asymmetry")
FOURTEEN = (*EIGHT, "acoplanarity", "tau1j1", "tau1j2", "spreadj1", "spreadj2", "boost")
STRENGTH, TOYS = 2.2, 10
EFFICIENCIES = (0.01, 0.003)
FIRST = 2000  # seed: other draws than those on which anything was chosen


def table_of(data: Path, *files: str) -> hepaa.EventTable:
    """Events of the data pack as data: m_jj, fourteen inputs, no label; j1 is the lighter jet."""
    rows = []
    for file in files:
        with np.load(data / "dijets" / "features" / f"{file}.npz") as content:
            rows.append(content["F"].astype(np.float64))
    jets = np.concatenate(rows).reshape(-1, 2, 7)
    order = np.argsort(jets[:, :, 3], axis=1)[:, :, None]
    px, py, pz, m, tau1, tau2, tau3 = np.moveaxis(np.take_along_axis(jets, order, axis=1), 2, 0)
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    energy = np.sqrt(px**2 + py**2 + pz**2 + m**2)
    mjj = np.sqrt(energy.sum(1) ** 2 - px.sum(1) ** 2 - py.sum(1) ** 2 - pz.sum(1) ** 2)
    scalar = pt.sum(1)
    tau21, tau32, spread = tau2 / np.maximum(tau1, 1e-9), tau3 / np.maximum(tau2, 1e-9), tau1 * pt / np.maximum(m, 1)
    turn = np.abs((phi[:, 0] - phi[:, 1] + np.pi) % (2 * np.pi) - np.pi)
    boost = np.abs(np.arcsinh(pz / pt).sum(1)) / 2
    of_both = (tau21, tau32, np.hypot(px.sum(1), py.sum(1)) / scalar, (pt[:, 0] - pt[:, 1]) / scalar)
    columns = np.column_stack([mjj, m[:, 0], m[:, 1] - m[:, 0], *of_both, np.pi - turn, tau1, spread, boost])
    return hepaa.EventTable.build(columns, ("mjj", *FOURTEEN), label=-1)


def methods(window: search.Window, *, quick: bool) -> search.Combined:
    """What is compared, and combined."""
    few = {"members": 2} if quick else {}

    def cwola(inputs: tuple[str, ...]) -> search.Cwola:
        return search.Cwola(
            window, inputs, decorrelate="flatten", label=f"CWoLa flattened, {len(inputs)} inputs", **few
        )

    return search.Combined(
        [
            search.Residual(window, FOUR, label="residual search, 4 inputs", **few),
            search.Cathode(window, FOUR, label="CATHODE, 4 inputs", **few),
            *(cwola(inputs) for inputs in (FOUR, EIGHT, FOURTEEN)),
        ]
    )


Half = tuple[hepaa.EventTable, np.ndarray]


def halves(events: list[hepaa.EventTable], window: search.Window, seed: int) -> list[Half]:
    """Background and signal of the window with their labels, in two random halves: for training, and for the test."""
    inside = [t[window.in_signal(t["mjj"])] for t in events]
    y = np.repeat([0, 1], [t.n for t in inside])
    half = np.random.default_rng([seed, 7]).permutation(len(y)) % 2 == 0
    return [(hepaa.concatenate(inside)[part], y[part]) for part in (half, ~half)]


def parts(data: Path, seed: int) -> dict[str, dict[str, hepaa.EventTable]]:
    """Both halves of each signal, for the audit: the searches themselves are cross-fitted by the package."""
    background, found = table_of(data, *GENERATORS), {}
    for signal, window in WINDOWS.items():
        (learned, _), (held_out, _) = halves([background, table_of(data, DIJETS[signal])], window, seed)
        found[signal] = {"train": learned, "test": held_out}
    return found


def supervised(
    study: Study, events: list[hepaa.EventTable], window: search.Window, inputs: tuple[str, ...], seed: int
) -> float:
    """SIC at 1 % of trees that know the labels of half of all events of the window, on the other half."""
    (learned, y), (held_out, truth) = halves(events, window, seed)
    model = hepaa.TreeEnsemble(seed=seed, preprocess=None, members=2 if study.quick else 10)
    score = model.fit(learned.select(list(inputs)).X, y).anomaly_score(held_out.select(list(inputs)).X)
    return float((score[truth == 1] > np.quantile(score[truth == 0], 0.99)).mean() / 0.1)


@dataclass
class Search:
    """One signal, in one window, by all methods."""

    name: str
    study: Study
    background: hepaa.EventTable

    @property
    def window(self) -> search.Window:
        return WINDOWS[self.name]

    @property
    def methods(self) -> search.Combined:
        return methods(self.window, quick=self.study.quick)

    @property
    def folds(self) -> int:
        return 2 if self.study.quick else 5

    def draw(self, seed: int) -> dict[str, float]:
        """z and SIC of every look, and those of the ceilings."""
        events = [self.background, table_of(self.study.data, DIJETS[self.name])]
        found = search.inject(
            self.methods, *events, strengths=(STRENGTH,), draws=1, folds=self.folds, efficiencies=EFFICIENCIES,
            seed=FIRST + seed,
        )  # fmt: skip
        values = {
            f"supervised {len(inputs)}": supervised(self.study, events, self.window, inputs, seed)
            for inputs in (FOUR, EIGHT, FOURTEEN)
        }
        for look, z, sic in zip(found.looks, found.z[0, 0], found.sic[0, 0], strict=True):
            values |= {f"z {look}": z, f"sic {look}": sic}
        return values

    @cached_property
    def background_model(self) -> search.Background:
        """Of the data without signal."""
        return search.Background.of(mass_rows(self.background, self.window, FOURTEEN), self.window, seed=0)

    def toy(self, seed: int) -> dict[str, float]:
        """z of every look in a background-only toy."""
        drawn = self.background_model.draw(np.random.default_rng([seed, 9]))
        result = cross_fit_rows(self.methods, drawn, folds=self.folds, efficiencies=EFFICIENCIES, bins=30, seed=seed)
        return {f"z {look}": fit.z for look, fit in result.looks.items()}

    def lines(self) -> list[Line]:
        """A line for each method, all together, the combination and the ceilings."""
        draws = self.study.over_seeds(self.name, self.draw)
        place = f"{self.window.signal[0]:g} .. {self.window.signal[1]:g} GeV, background alone"
        few = range(2 if self.study.quick else TOYS)
        toys = [self.study.values(place, k, partial(self.toy, k)) for k in few]
        names = [m.name for m in self.methods.methods]
        sizes = dict(zip(names, (4, 4, 4, 8, 14), strict=True)) | {"all methods": 14}
        known = {size: np.array(draws[f"supervised {size}"]) for size in (4, 8, 14)}
        z, sic = ({name: {e: np.array(draws[f"{what} {name} at {e:g}"]) for e in EFFICIENCIES} for name in sizes}
                  for what in ("z", "sic"))  # fmt: skip
        lines = [
            self._line(f"{name}, all inputs" if name == "all methods" else name, sic[name][0.01], known[size], z[name])
            for name, size in sizes.items()
        ]
        looks = [(name, e) for name in sizes for e in EFFICIENCIES]
        null = np.array([[toy[f"z {name} at {e:g}"] for toy in toys] for name, e in looks])
        mean, width = null.mean(axis=1, keepdims=True), np.maximum(null.std(axis=1, ddof=1, keepdims=True), 0.1)
        best = np.argmax((np.array([z[name][e] for name, e in looks]) - mean) / width, axis=0)
        chosen = [looks[i][0] for i in best]
        improvement = np.array([sic[name][0.01][k] for k, name in enumerate(chosen)])
        significance = {e: np.array([z[name][e][k] for k, name in enumerate(chosen)]) for e in EFFICIENCIES}
        lines.append(self._line("combined, the most significant", improvement, known[14], significance))
        ceilings = [
            Line(
                f"{self.name}: supervised trees, {size} inputs, half of all labels", {"SIC at 0.01": value.tolist()}, 2
            )
            for size, value in known.items()
        ]
        return [*lines, *ceilings]

    def _line(self, name: str, sic: np.ndarray, known: np.ndarray, z: dict[float, np.ndarray]) -> Line:
        tight = z[0.003]
        cells = {
            "SIC at 0.01": sic.tolist(),
            "of supervised": (sic / known).tolist(),
            "z at 0.01": z[0.01].tolist(),
            "z at 0.003": tight.tolist(),
            "median z": [float(np.median(tight))],
            "z > 4": (tight > 4).astype(float).tolist(),
            "z > 5": (tight > 5).astype(float).tolist(),
        }
        return Line(f"{self.name}: {name}", cells, digits=2)


def main() -> None:
    """Search every draw of every signal, print the table."""
    study = Study.from_command_line(__doc__, seeds=10)
    background = table_of(study.data, *GENERATORS)
    background = background[: 20_000 if study.quick else background.n]
    lines = [line for name in WINDOWS for line in Search(name, study, background).lines()]
    study.publish("Dijets at S/sqrt(B) = 2.2, searches without labels", lines)


if __name__ == "__main__":
    main()
