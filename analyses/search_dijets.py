"""Resonant searches in dijets of several generators, on signals drawn anew, beside supervised trees on the same test.

84,752 events of four generators (data pack: Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A) with m_jj in
2.6 .. 5.5 TeV are the background, unlabelled and pooled; the signal is injected at S/sqrt(B) = 2.2 in the window, and
the part of it that lies in the sidebands with it. Windows: 3.3 .. 3.7 TeV for W'(500, 100), 2.9 .. 3.3 TeV for the two
whose mass is not contained in two jets, W'(1000, 400) and semi-visible jets. "SIC at 0.01": eps_S / sqrt(eps_B) in the
window at a cut that 1 % of the sidebands passes, signal events being those that were not injected, background those
that were searched, scored by folds that did not see them. "of supervised": over that of trees that know the labels of
half of all events, tested on the other half. z: local, of the fit of the spectrum after the cut at 0.003. "combined"
takes the method with the largest z in units of its spread in ten background-only toys. Five folds; all settings are
defaults.

Run: python analyses/search_dijets.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from samples import DIJETS, SVJ, W500, W1000
from study import Study
from table import Line

import hepaa
from hepaa import search
from hepaa.search.folds import cross_fit_rows
from hepaa.search.methods.base import mass_rows

WINDOWS = {
    W500: search.Window("mjj", (3300, 3700), ((2600, 3300), (3700, 5500))),
    W1000: search.Window("mjj", (2900, 3300), ((2600, 2900), (3300, 5500))),
    SVJ: search.Window("mjj", (2900, 3300), ((2600, 2900), (3300, 5500))),
}
GENERATORS = ("pythia8_monash", "pythia8_vincia", "pythia6_perugia0", "pythia6_tuneA")
FOUR = ("mj1", "dmj", "tau21j1", "tau21j2")
SIX = (*FOUR, "tau32j1", "tau32j2")
STRENGTH, TOYS = 2.2, 10


def table_of(study: Study, *files: str) -> hepaa.EventTable:
    """Events of the data pack as data: m_jj, the six inputs, no label."""
    parts = []
    for file in files:
        with np.load(study.data / "dijets" / "features" / f"{file}.npz") as content:
            parts.append(content["F"].astype(np.float64))
    values = np.concatenate(parts)
    jets = values.reshape(len(values), 2, 7)
    energy = np.sqrt((jets[:, :, :4] ** 2).sum(axis=2))
    mass = np.sqrt(energy.sum(axis=1) ** 2 - (jets[:, :, :3].sum(axis=1) ** 2).sum(axis=1))
    order = np.argsort(jets[:, :, 3], axis=1)
    light, heavy = (np.take_along_axis(jets, order[:, i, None, None], axis=1)[:, 0] for i in (0, 1))
    tau = [jet[:, k + 1] / np.maximum(jet[:, k], 1e-9) for k in (4, 5) for jet in (light, heavy)]
    columns = np.column_stack([mass, light[:, 3], heavy[:, 3] - light[:, 3], *tau])
    return hepaa.EventTable.build(columns, ("mjj", *SIX), label=-1)


def methods(window: search.Window, *, quick: bool) -> search.Combined:
    """What is compared, and combined."""
    few = {"members": 2} if quick else {}
    return search.Combined(
        [
            search.Residual(window, FOUR, label="residual search, 4 inputs", **few),
            search.Residual(window, SIX, label="residual search, 6 inputs", **few),
            search.Cathode(window, FOUR, label="CATHODE, 4 inputs", **few),
            search.Cwola(window, FOUR, decorrelate="flatten", label="CWoLa flattened, 4 inputs", **few),
        ]
    )


def supervised(study: Study, background: hepaa.EventTable, signal: hepaa.EventTable, seed: int) -> float:
    """SIC at 1 % of trees that know the labels of half of all events of the window, on the other half."""
    rng = np.random.default_rng([seed, 7])
    x = np.concatenate([background.X[:, 1:5], signal.X[:, 1:5]])
    y = np.repeat([0, 1], [background.n, signal.n])
    half = rng.permutation(len(y)) % 2 == 0
    model = hepaa.TreeEnsemble(seed=seed, preprocess=None, members=2 if study.quick else 20).fit(x[half], y[half])
    score = model.anomaly_score(x[~half])
    cut = np.quantile(score[y[~half] == 0], 0.99)
    return float((score[y[~half] == 1] > cut).mean() / 0.1)


@dataclass(frozen=True)
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
        """z and SIC of every look, and that of the ceiling."""
        signal = table_of(self.study, DIJETS[self.name])
        found = search.inject(
            self.methods, self.background, signal, strengths=(STRENGTH,), draws=1, folds=self.folds, seed=seed
        )
        inside = [t[self.window.in_signal(t["mjj"])] for t in (self.background, signal)]
        values = {"supervised": supervised(self.study, *inside, seed)}
        for look, z, sic in zip(found.looks, found.z[0, 0], found.sic[0, 0], strict=True):
            values |= {f"z {look}": z, f"sic {look}": sic}
        return values

    def toy(self, seed: int) -> dict[str, float]:
        """z of every look in a background-only toy."""
        model = search.Background.of(mass_rows(self.background, self.window, SIX), self.window, seed=seed)
        drawn = model.draw(np.random.default_rng([seed, 9]))
        result = cross_fit_rows(
            self.methods, drawn, folds=self.folds, efficiencies=(0.1, 0.01, 0.003), bins=30, seed=seed
        )
        return {f"z {look}": fit.z for look, fit in result.looks.items()}

    def lines(self) -> list[Line]:
        """A line for each method, the combination and the ceiling."""
        draws = self.study.over_seeds(self.name, self.draw)
        few = range(2 if self.study.quick else TOYS)
        toys = [self.study.values(f"{self.name}, background alone", k, partial(self.toy, k)) for k in few]
        names = [m.name for m in self.methods.methods]
        null = np.array([[t[f"z {name} at 0.003"] for t in toys] for name in names])
        mean, width = null.mean(axis=1, keepdims=True), np.maximum(null.std(axis=1, ddof=1, keepdims=True), 0.1)
        z = np.array([draws[f"z {name} at 0.003"] for name in names])
        sic = np.array([draws[f"sic {name} at 0.01"] for name in names])
        known = np.array(draws["supervised"])
        best = np.argmax((z - mean) / width, axis=0), np.arange(len(known))
        rows = dict(zip(names, zip(sic, z, strict=True), strict=True)) | {"combined": (sic[best], z[best])}
        lines = []
        for name, (improvement, significance) in rows.items():
            cells = {
                "SIC at 0.01": improvement.tolist(),
                "of supervised": (improvement / known).tolist(),
                "z at 0.003": significance.tolist(),
                "median z": [float(np.median(significance))],
                "z > 4": (significance > 4).astype(float).tolist(),
                "z > 5": (significance > 5).astype(float).tolist(),
            }
            lines.append(Line(f"{self.name}: {name}", cells, digits=2))
        return [*lines, Line(f"{self.name}: supervised trees, half of all labels", {"SIC at 0.01": known.tolist()}, 2)]


def main() -> None:
    """Search every draw of every signal, print the table."""
    study = Study.from_command_line(__doc__, seeds=10)
    background = table_of(study, *GENERATORS)
    background = background[: 20_000 if study.quick else background.n]
    lines = [line for name in WINDOWS for line in Search(name, study, background).lines()]
    study.publish("Dijets at S/sqrt(B) = 2.2, searches without labels", lines)


if __name__ == "__main__":
    main()
