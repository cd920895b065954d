"""Makes the embedded samples of `hepaa demo`.

    python -m hepaa.simulate.make_demo OUTDIR

The same seeds give the same events; `hepaa/demo/README.md` says what every file is.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
import h5py
import numpy as np

from hepaa._version import __version__
from hepaa.batch.runs import BatchSetup
from hepaa.errors import HepaaError
from hepaa.simulate.processes import Dijets, WPrime
from hepaa.simulate.production import produce
from hepaa.simulate.pythia import ARRAYS, PartonEvents, dijet_events, wprime_events, zh_events
from hepaa.simulate.tasks import DetectedTask
from hepaa.simulate.weights import OPERATOR, named_weights, parton_coefficients
from hepaa.simulate.writers import write_lhco, write_lhe, write_ntuple
from hepaa.simulate.zh import Parameters
from hepaa.table import EventTable, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEEDS = {"zh": 20251101, "unweight": 20251102, "monash": 20251103, "vincia": 20251104, "wprime": 20251105}
SEARCH_SEEDS = {"dijets": 2026, "wprime": 2027, "order": 2028}
STRENGTH, MASSES = 3.0, (2600.0, 3300.0, 3700.0, 5500.0)
"""S / sqrt(B) in the signal region, and the limits of sideband, signal region and sideband, in GeV."""
M_ZH_EDGES = (0.0, 300.0, 420.0, 600.0, 1000.0, 1700.0, np.inf)


def pure_operator(n: int, pool: int, par: Parameters) -> tuple[PartonEvents, float, float]:
    """Unweighted events of |O_HW|^2 alone, and sigma and error in pb of the Standard Model and of them.

    Standard Model events are accepted with |O_HW|^2 / |SM|^2, which rises like m_ZH^2; so it is done in slices of m_ZH,
    each with its own maximum and its own share of the cross-section.

    Returns
    -------
    events, sm_pb, sm_error_pb
        `events` carries the cross-section at c_HW = 1 TeV^-2.
    """
    rng = np.random.default_rng(SEEDS["unweight"])
    slices, ratios = [], []
    for i, window in enumerate(pairwise(M_ZH_EDGES)):
        slices.append(zh_events(pool, seed=SEEDS["zh"] + 1000 * (i + 1), m_zh=window, parameters=par))
        c = parton_coefficients(slices[-1], par)
        ratios.append(c.quadratic / c.sm)
    sigma = np.array([s.cross_section_pb * r.mean() for s, r in zip(slices, ratios, strict=True)])
    error = np.array([
        np.hypot(s.error_pb * r.mean(), s.cross_section_pb * r.std() / pool**0.5)
        for s, r in zip(slices, ratios, strict=True)
    ])  # fmt: skip
    parts: list[PartonEvents] = []
    for k, (events, ratio) in enumerate(zip(slices, ratios, strict=True)):
        wanted = round(n * sigma[: k + 1].sum() / sigma.sum()) - round(n * sigma[:k].sum() / sigma.sum())
        accepted = np.flatnonzero(rng.random(pool) * ratio.max() < ratio)
        if len(accepted) < wanted:
            raise HepaaError(
                f"m_ZH slice {k}: {len(accepted)} of {wanted} O_HW events accepted; raise --pool above {pool}"
            )
        parts.append(events.take(accepted[:wanted]))
    order = rng.permutation(n)
    arrays = {k: np.concatenate([getattr(e, k) for e in parts])[order] for k in ARRAYS}
    total, total_error = float(sigma.sum()), float(np.hypot.reduce(error))
    first = slices[0].provenance
    facts = {
        "seed": [s.provenance["seed"] for s in slices], "unweighting_seed": SEEDS["unweight"],
        "settings": [x for x in first["settings"] if "mHat" not in x],
        "m_zh_slices_gev": [f"{a:g} to {b:g}" for a, b in pairwise(M_ZH_EDGES)],
        "events_tried": [s.provenance["events_tried"] for s in slices],
    }  # fmt: skip
    sm, sm_error = sum(s.cross_section_pb for s in slices), float(np.hypot.reduce([s.error_pb for s in slices]))
    events = PartonEvents(**arrays, cross_section_pb=total, error_pb=total_error, provenance={**first, **facts})
    return events, sm, sm_error


def make_zh(out: Path, n_sm: int, n_chw: int, pool: int) -> Iterator[Path]:
    """ZH samples as LHE and ROOT: the Standard Model with named weights, and pure O_HW from other events."""
    par = Parameters()
    chw, sm_pb, sm_error = pure_operator(n_chw, pool, par)
    sm = replace(zh_events(n_sm, seed=SEEDS["zh"], parameters=par), cross_section_pb=sm_pb, error_pb=sm_error)
    weights = named_weights(parton_coefficients(sm, par), sm_pb)
    jobs = (
        ("zh_sm", sm, weights, "Standard Model; named weights from the amplitude ratio"),
        (
            "zh_chw", chw, None,
            "pure quadratic O_HW at c_HW/Lambda^2 = 1 TeV^-2: Standard Model events accepted with |O_HW|^2 / |SM|^2",
        ),
    )  # fmt: skip
    for name, events, named, sample in jobs:
        sigma, n = events.cross_section_pb, len(events)
        facts: dict[str, Any] = {
            "made_by": f"hepaa {__version__}", **events.provenance, "sample": sample,
            "process": "q qbar -> Z h -> l+ l- b bbar, 13 TeV, leading order", "operator": OPERATOR,
            "electroweak_inputs": {"mW": par.mw, "mZ": par.mz, "GF": par.gf, "wZ": par.wz, "mH": 125.09},
            "events": n, "cross_section_pb": sigma, "error_pb": events.error_pb,
        }  # fmt: skip
        rule = "unweighted; XWGTUP = cross-section in pb, and their mean is it"
        provenance = {**facts, "sum_of_weights": n * sigma, "weights": rule}
        path = out / f"{name}.lhe.gz"
        write_lhe(path, events, provenance=provenance, weights=named, alpha_em=par.alpha)
        yield path
        rule = "unweighted; weight = cross-section / events in pb, and their sum is it"
        path = out / f"{name}.root"
        write_ntuple(path, events, provenance={**facts, "sum_of_weights": sigma, "weights": rule}, weights=named)
        yield path


def make_dijets(out: Path, n_background: int, n_signal: int) -> Iterator[Path]:
    """Dijets of two showers and a W' signal in LHCO layout."""
    processes = {
        "monash": "hard QCD dijets, Pythia's default shower, Monash tune",
        "vincia": "hard QCD dijets, Vincia antenna shower",
        "wprime": "W'(3500 GeV) -> X(500 GeV) Y(100 GeV) -> 4 quarks, default shower, Monash tune",
    }
    for name, process in processes.items():
        if name == "wprime":
            events = wprime_events(n_signal, seed=SEEDS[name])
        else:
            events = dijet_events(n_background, shower=name, seed=SEEDS[name])
        facts = {
            "made_by": f"hepaa {__version__}", **events.provenance, "process": process,
            "label": events.label, "events": len(events),
            "cross_section_pb": events.cross_section_pb, "error_pb": events.error_pb,
            "sum_of_weights": len(events), "weights": "unweighted; every event counts 1",
        }  # fmt: skip
        path = out / f"dijet_{name}.h5"
        write_lhco(path, events, facts)
        yield path


def make_search(out: Path) -> Iterator[Path]:
    """Data to search in, with a W' among the dijets, and more of that W': columns of the two leading jets."""
    tables, facts = [], []
    with TemporaryDirectory() as folder:
        for process, events, block in ((Dijets(), 27_000, 1000), (WPrime(), 1_500, 500)):
            batch = BatchSetup(Path(folder) / f"{process.name}.batch")
            task = DetectedTask.of(
                process, folder=str(batch.folder), seed=SEARCH_SEEDS[process.name], block=block, detector="lhco-like",
                jet_pt_min=1200.0, raw=False,
            )  # fmt: skip
            _, made = produce(task, events, batch, Path(folder) / process.name)
            tables.append(EventTable.load(made / "features.parquet"))
            facts.append(json.loads((made / "summary.json").read_text(encoding="utf-8")))
    yield from write_search(out, tables, facts)


def write_search(out: Path, tables: Sequence[EventTable], facts: Sequence[dict[str, Any]]) -> Iterator[Path]:
    """`search_data.h5`: dijets, and so many W' events that S / sqrt(B) is 3 in the signal region of the demo's card, in
    random order; `search_wprime.h5`: the other W' events.

    Parameters
    ----------
    out : Path
    tables : dijets and W'
    facts : the summaries of their productions
    """
    low, start, stop, high = MASSES
    dijets, wprime = (t[(t["mjj"] >= low) & (t["mjj"] < high)] for t in tables)
    b, s = (int(((t["mjj"] >= start) & (t["mjj"] < stop)).sum()) for t in (dijets, wprime))
    mixed_in = round(STRENGTH * b**0.5 * wprime.n / s)
    data = concatenate([dijets, wprime[:mixed_in]])
    data = data[np.random.default_rng(SEARCH_SEEDS["order"]).permutation(data.n)]
    made = [{key: value for key, value in entry.items() if key != "cpu_seconds"} for entry in facts]
    common = {"made_by": f"hepaa {__version__}", "region": f"{low:g} <= mjj < {high:g} GeV", "seeds": SEARCH_SEEDS}
    yield _write_columns(out / "search_data.h5", data, common | {"productions": made, "wprime_events": mixed_in})
    yield _write_columns(out / "search_wprime.h5", wprime[mixed_in:], common | {"productions": made[1:]})


def _write_columns(path: Path, table: EventTable, facts: dict[str, Any]) -> Path:
    """HDF5 with one data set, float32 (n, columns), that names its columns; values are those of half precision."""
    values = table.X.astype(np.float16).astype(np.float32)
    facts = {**facts, "events": table.n, "rounding": "11 bits of mantissa"}
    options: dict[str, Any] = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("events", data=values, chunks=(min(table.n, 2048), values.shape[1]), **options)
        stored.attrs["columns"] = list(table.columns)
        file.attrs["provenance"] = json.dumps(facts)
    return path


@click.command(
    epilog="Example: python -m hepaa.simulate.make_demo hepaa/demo/data   "
    "(needs pip install 'hepaa[simulate]'; eight minutes on one core)"
)
@click.argument("outdir", type=click.Path(file_okay=False, path_type=Path))
@click.option("--only", type=click.Choice(["zh", "dijet", "search"]), help="Make these samples alone.")
@click.option("--pool", default=30_000, show_default=True, help="ZH events per slice of m_ZH for O_HW.")
@click.option("--zh-sm", default=5000, show_default=True, help="Standard Model ZH events.")
@click.option("--zh-chw", default=4000, show_default=True, help="Pure O_HW ZH events.")
@click.option("--dijets", default=1500, show_default=True, help="QCD dijet events of each shower.")
@click.option("--wprime", default=750, show_default=True, help="W' events.")
def main(outdir: Path, only: str | None, pool: int, zh_sm: int, zh_chw: int, dijets: int, wprime: int) -> None:
    """Write the embedded samples (LHE, ROOT, LHCO HDF5) to OUTDIR."""
    outdir.mkdir(parents=True, exist_ok=True)
    samples = {
        "zh": make_zh(outdir, zh_sm, zh_chw, pool),
        "dijet": make_dijets(outdir, dijets, wprime),
        "search": make_search(outdir),
    }
    try:
        for path in chain.from_iterable(paths for name, paths in samples.items() if only in (None, name)):
            click.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    except HepaaError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
