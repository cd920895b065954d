"""The detector `lhco-like` against samples that others made with it: fractions kept, and distributions of features."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from hepaa.features.registry import features
from hepaa.simulate import pythia
from hepaa.simulate.processes import Dijets, SemiVisible, WPrime
from hepaa.simulate.writers import detected_record

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "process", "kept"),
    [
        ("pythia8_monash", Dijets(), 2400),
        ("pythia8_vincia", Dijets(tune="vincia-global"), 800),
        ("wprime_500_100", WPrime(), 2000),
        ("wprime_1000_400", WPrime(masses=(3500.0, 1000.0, 400.0)), 2000),
        ("svj", SemiVisible(), 2000),
    ],
)
def test_samples_of_the_pack_are_reproduced(data, name: str, process, kept: int) -> None:
    pytest.importorskip("pythia8mc")
    with np.load(data / "dijets" / "features" / f"{name}.npz") as pack:
        theirs, tried, passed = pack["F"], int(pack["tried"]), int(pack["kept"])
    events = pythia.detected_events(kept, process.settings(), seed=31, detector="lhco-like")
    table = features(detected_record(events, np.concatenate(events.particles)), "dijet")
    facts = events.provenance
    here, there = facts["events_passed"] / facts["events_tried"], passed / tried
    error = np.sqrt(here * (1 - here) / facts["events_tried"] + there * (1 - there) / tried)
    tests = {c: ks_2samp(table[c], theirs[:, i]) for i, c in enumerate(table.columns)}
    tests["mjj"] = ks_2samp(table["mjj"], mjj(theirs.astype(float)))
    print(f"{name}: kept {here:.4f} (pack {there:.4f} +- {error:.4f}); largest D", end=" ")
    print(*sorted(((round(t.statistic, 4), c, f"p={t.pvalue:.2g}") for c, t in tests.items()), reverse=True)[:3])
    assert abs(here - there) < 3.5 * error
    # 15 distributions of 5 samples: the smallest p of 75 is below 1e-4 by chance in less than one of a hundred
    assert min(t.pvalue for t in tests.values()) > 1e-4


def mjj(columns: np.ndarray) -> np.ndarray:
    """m_jj [GeV] of rows of the 14 features."""
    jets = columns.reshape(-1, 2, 7)[:, :, :4]
    energy = np.sqrt((jets**2).sum(axis=2)).sum(axis=1)
    return np.sqrt(energy**2 - (jets[:, :, :3].sum(axis=1) ** 2).sum(axis=1))
