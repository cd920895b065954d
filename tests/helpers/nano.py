"""Small NanoAOD-like files of random numbers."""

from __future__ import annotations

import awkward as ak
import numpy as np
import uproot

EVENTS = 60


def nano_branches(**scores):
    """Branches like those of NanoAOD: a few jets, two muons, run numbers and a trigger.

    `scores` are names of fields of the jets, and how large they get.
    """
    rng = np.random.default_rng(3)
    counts = rng.poisson(4, EVENTS)
    total = counts.sum()
    jet = {
        "pt": rng.exponential(60, total) + 15, "eta": rng.normal(0, 1, total), "phi": rng.uniform(-3, 3, total),
        "mass": np.full(total, 5.0), **{name: rng.uniform(0, high, total) for name, high in scores.items()},
    }  # fmt: skip
    muon = {
        "pt": rng.exponential(40, 2 * EVENTS) + 5, "eta": rng.normal(0, 1, 2 * EVENTS),
        "phi": rng.uniform(-3, 3, 2 * EVENTS), "mass": np.full(2 * EVENTS, 0.106), "charge": np.tile([1, -1], EVENTS),
        "mediumId": rng.uniform(size=2 * EVENTS) < 0.8, "pfRelIso04_all": rng.uniform(0, 0.5, 2 * EVENTS),
    }  # fmt: skip
    return {
        "Jet": ak.zip({k: ak.unflatten(v, counts) for k, v in jet.items()}),
        "Muon": ak.zip({k: ak.unflatten(v, np.full(EVENTS, 2)) for k, v in muon.items()}),
        "run": np.repeat(np.arange(3, dtype=np.uint32), EVENTS // 3),
        "luminosityBlock": np.tile(np.arange(1, EVENTS // 3 + 1, dtype=np.uint32), 3),
        "HLT_IsoMu24": rng.uniform(size=EVENTS) < 0.7,
        "MET_pt": rng.exponential(40, EVENTS),
    }


def write_tree(path, branches, tree="Events"):
    with uproot.recreate(path) as file:
        file.mktree(
            tree, {k: v.dtype if isinstance(v, np.ndarray) else ak.type(v).content for k, v in branches.items()}
        )
        file[tree].extend(branches)
    return path
