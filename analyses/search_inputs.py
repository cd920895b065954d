"""Resonant searches with 8 and 14 inputs in dijets, beside supervised trees with the same inputs on the same test.

Events, windows, injection (S/sqrt(B) = 2.2) and test are those of `search_dijets.py`; draws are others. Eight inputs:
masses of the lighter jet and the difference, tau21 and tau32 of both, |sum of both pT| and difference of the pT, over
the sum of the pT. Fourteen: with the angle to back-to-back in azimuth, tau1 of both, tau1 pT / m of both, and half of
|eta_1 + eta_2|. The rapidity gap (rank correlation with the mass 0.57) and pT / m_jj are left out; none here exceeds
0.17. Residual search: shrinkage 0.05. CWoLa: flattened. Five folds. "SIC": eps_S / sqrt(eps_B) in the window at cuts
that 1 % and 0.3 % of the sidebands pass; "of supervised": over that of trees that know the labels of half of all
events. Inputs were chosen by supervised trees and one other draw of the semi-visible jets.

Run: python analyses/search_inputs.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from functools import partial

import numpy as np
from samples import DIJETS, SVJ, W500, W1000
from search_dijets import GENERATORS, SIX, STRENGTH, WINDOWS
from study import Study
from table import Line

import hepaa
from hepaa import search

EIGHT = (*SIX, "imbalance", "asymmetry")
FOURTEEN = (*EIGHT, "acoplanarity", "tau1j1", "tau1j2", "spreadj1", "spreadj2", "boost")
EFFICIENCIES = (0.01, 0.003)
SIGNALS = (SVJ, W1000, W500)
FIRST = 1000  # seed: other draws than those of search_dijets.py


def table_of(study: Study, *files: str) -> hepaa.EventTable:
    """Events of the data pack as data: m_jj, fourteen inputs, no label; j1 is the lighter jet."""
    parts = []
    for file in files:
        with np.load(study.data / "dijets" / "features" / f"{file}.npz") as content:
            parts.append(content["F"].astype(np.float64))
    jets = np.concatenate(parts).reshape(-1, 2, 7)
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


def supervised(study: Study, inside: list[hepaa.EventTable], inputs: tuple[str, ...], seed: int) -> dict[str, float]:
    """SIC of trees that know the labels of half of all events of the window, on the other half."""
    x = np.concatenate([t.select(list(inputs)).X for t in inside])
    y = np.repeat([0, 1], [t.n for t in inside])
    half = np.random.default_rng([seed, 7]).permutation(len(y)) % 2 == 0
    model = hepaa.TreeEnsemble(seed=seed, preprocess=None, members=2 if study.quick else 10).fit(x[half], y[half])
    score, truth = model.anomaly_score(x[~half]), y[~half]
    cuts = {e: np.quantile(score[truth == 0], 1 - e) for e in EFFICIENCIES}
    return {f"sic {e:g}": float((score[truth == 1] > cut).mean() / np.sqrt(e)) for e, cut in cuts.items()}


def draw(
    study: Study, method: search.Residual | search.Cwola, events: list[hepaa.EventTable], number: int
) -> dict[str, float]:
    """z and SIC of one draw."""
    found = search.inject(
        method, *events, strengths=(STRENGTH,), draws=1, folds=2 if study.quick else 5, efficiencies=EFFICIENCIES,
        seed=FIRST + number,
    )  # fmt: skip
    names = [f"{e:g}" for e in EFFICIENCIES]
    return {f"z {n}": z for n, z in zip(names, found.z[0, 0], strict=True)} | {
        f"sic {n}": s for n, s in zip(names, found.sic[0, 0], strict=True)
    }


def main() -> None:
    """Search every draw of every signal, print the table."""
    study = Study.from_command_line(__doc__, seeds=10)
    background = table_of(study, *GENERATORS)
    background = background[: 20_000 if study.quick else background.n]
    few = {"members": 2} if study.quick else {}
    lines = []
    for signal in SIGNALS:
        window, events = WINDOWS[signal], [background, table_of(study, DIJETS[signal])]
        inside = [t[window.in_signal(t["mjj"])] for t in events]
        for inputs in (FOURTEEN, EIGHT):
            name = f"{signal}, {len(inputs)} inputs"
            known = study.over_seeds(f"{name}, supervised", partial(supervised, study, inside, inputs))
            for title, method in (
                ("CWoLa flattened", search.Cwola(window, inputs, decorrelate="flatten", **few)),
                ("residual search", search.Residual(window, inputs, shrinkage=0.05, **few)),
            ):
                values = study.over_seeds(f"{name}, {title}", partial(draw, study, method, events))
                cells = {
                    "SIC at 0.01": values["sic 0.01"],
                    "of supervised": np.divide(values["sic 0.01"], known["sic 0.01"]).tolist(),
                    "SIC at 0.003": values["sic 0.003"],
                    "z at 0.01": values["z 0.01"],
                    "z at 0.003": values["z 0.003"],
                }
                lines.append(Line(f"{name}: {title}", cells, digits=2))
            ceiling = {"SIC at 0.01": known["sic 0.01"], "SIC at 0.003": known["sic 0.003"]}
            lines.append(Line(f"{name}: supervised trees, half of all labels", ceiling, 2))
    study.publish("Dijets at S/sqrt(B) = 2.2, searches with many inputs", lines)


if __name__ == "__main__":
    main()
