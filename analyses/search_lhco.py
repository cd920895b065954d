"""Searches in the LHC Olympics R&D signal region without labels, on signals drawn anew.

Inputs are CATHODE's four (mass of the lighter jet, mass difference, tau21 of both; data pack). No label enters a
search. "Idealised": the data of 3.3 .. 3.7 TeV, 29,605 background events and 395 of signal, against a template of
another 30,000 true background events, as a perfect interpolation of the sidebands would give. "Mini": 3.40 .. 3.60 TeV
is the signal region, 3.30 .. 3.40 and 3.60 .. 3.70 TeV are sidebands, signal at S/sqrt(B) = 1.5 in the signal region,
part of it in the sidebands. Each draw takes other signal events, another division of the background, other starts.
The ceiling knows 20,000 labels. Test: 40,000 background and 20,000 signal events that nothing was trained on, SIC where
25 background events pass; of "mini", those in its signal region. The settings of the thorough residual search (2,000
places, 10 starts, 16 members) were chosen on eight other draws of "mini". Literature with the full file, 120,000 events
in the signal region: supervised 17.65, idealised 15.08, CATHODE 13.99, CWoLa 10.75 (arXiv:2109.00546).

Run: python analyses/search_lhco.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from samples import GEV, REGION
from study import Study
from table import Line

import hepaa
from hepaa import search
from hepaa.stats.performance import sic

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.search.methods.base import Method

IDEALISED = search.Window("mjj", (3300, 3700), ((2600, 3300), (3700, 5500)))
MINI = search.Window("mjj", (3400, 3600), ((3300, 3400), (3600, 3700)))
THOROUGH = {"centres": 2000, "starts": 10, "members": 16}
STRENGTH, SIGNAL = 1.5, 395


def table_of(values: np.ndarray) -> hepaa.EventTable:
    """CATHODE's rows as data: masses in GeV, no label."""
    return hepaa.EventTable.build(
        np.column_stack([values[:, 0] * 1000, values[:, 1:5] * GEV]), ("mjj", *REGION), label=-1
    )


@cache
def load(data: Path) -> dict[str, np.ndarray]:
    """Background and signal to search in, and those to test on."""
    arrays = {name: np.load(data / "lhco" / f"cathode_innerdata_{name}.npy") for name in ("train", "test")}
    extra = np.load(data / "lhco" / "cathode_innerdata_extrasig_train.npy")
    return {
        "train background": arrays["train"][arrays["train"][:, 5] == 0],
        "train signal": np.concatenate([extra[extra[:, 5] == 1], arrays["train"][arrays["train"][:, 5] == 1]]),
        "test": arrays["test"],
    }


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The same without labels, for the audit; a seed takes some of it."""
    del seed
    return {name: values[:, :5] for name, values in load(data).items()}


def judged(score: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Significance improvement: maximal and at a background efficiency of 1 %."""
    cut = np.quantile(score[truth == 0], 0.99)
    greatest = sic(truth, score).max or 0.0
    return {
        "max SIC": greatest,
        "SIC at 0.01": float((score[truth == 1] > cut).mean() / 0.1),
        "max SIC > 6": float(greatest > 6),
    }


def idealised(study: Study, by: str, seed: int) -> dict[str, float]:
    """One draw against a template."""
    events = load(study.data)
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(events["train background"]))
    n = len(order) // (8 if study.quick else 2)
    background, template = events["train background"][order[: n - SIGNAL]], events["train background"][order[n : 2 * n]]
    signal = events["train signal"][rng.permutation(len(events["train signal"]))[:SIGNAL]]
    method = search.Idealised(IDEALISED, template=table_of(template), by=by, members=8 if by == "residual" else 20)
    # the sidebands of the window are not used, but have to be there
    sidebands = events["train background"][order[-500:]] * np.array([0.9, 1, 1, 1, 1, 1])
    method.fit(table_of(np.concatenate([background, signal, sidebands])), seed=seed)
    return judged(method.score(table_of(events["test"])), events["test"][:, 5])


def supervised(study: Study, seed: int) -> dict[str, float]:
    """The ceiling: all labels known."""
    events = load(study.data)
    x = np.concatenate([events["train background"], events["train signal"][:20_000]])
    model = hepaa.TreeEnsemble(seed=seed, preprocess=None, members=2 if study.quick else 20)
    model.fit(x[:, 1:5], x[:, 5].astype(int))
    return judged(model.anomaly_score(events["test"][:, 1:5]), events["test"][:, 5])


def mini(study: Study, method: Method, seed: int) -> dict[str, float]:
    """One draw with sidebands inside the signal region's file."""
    events = load(study.data)
    rng = np.random.default_rng([seed, 2])
    background, signal = (
        events[name][rng.permutation(len(events[name]))] for name in ("train background", "train signal")
    )
    background = background[: len(background) // (4 if study.quick else 1)]
    inside = MINI.in_signal(signal[:, 0] * 1000).mean()
    expected = STRENGTH * np.sqrt(MINI.in_signal(background[:, 0] * 1000).sum()) / inside
    data = np.concatenate([background, signal[: rng.poisson(expected)]])
    trained = method.fresh().fit(table_of(data), seed=seed)
    test = events["test"][MINI.in_signal(events["test"][:, 0] * 1000)]
    return judged(trained.score(table_of(test)), test[:, 5])


def main() -> None:
    """Search every draw, print the tables."""
    study = Study.from_command_line(__doc__, seeds=10)
    quick = {"members": 2} if study.quick else {}
    lines = []
    for name, measure in (
        ("idealised, residual search", partial(idealised, study, "residual")),
        ("idealised, trees", partial(idealised, study, "trees")),
        ("supervised trees, 20,000 labels (ceiling)", partial(supervised, study)),
        ("mini, residual search", partial(mini, study, search.Residual(MINI, degree=1, **quick))),
        ("mini, thorough residual search", partial(mini, study, search.Residual(MINI, degree=1, **THOROUGH | quick))),
        ("mini, CATHODE", partial(mini, study, search.Cathode(MINI, degree=1, **quick))),
        ("mini, CWoLa, flattened", partial(mini, study, search.Cwola(MINI, decorrelate="flatten", **quick))),
        ("mini, ANODE", partial(mini, study, search.Anode(MINI, degree=1))),
    ):
        found = study.over_seeds(name, measure)
        medians = {f"median {key}": [float(np.median(found[key]))] for key in ("max SIC", "SIC at 0.01")}
        lines.append(Line(name, found | medians, digits=2))
    study.publish("LHCO signal region, searches without labels", lines)


if __name__ == "__main__":
    main()
