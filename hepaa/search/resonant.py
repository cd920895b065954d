"""The resonant search of a card, step by step."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.features.registry import feature_info
from hepaa.io.files import write_json
from hepaa.plots import Look, save_figure
from hepaa.report.page import Section, picture, write_page
from hepaa.report.tables import make_table
from hepaa.search import figures
from hepaa.search.checks import bias, check, refuse_correlated, refuse_few
from hepaa.search.folds import cross_fit_rows
from hepaa.search.injection import inject
from hepaa.search.methods.base import MassRows, mass_rows
from hepaa.search.methods.classifiers import Anode, Cathode, Cwola
from hepaa.search.methods.combined import Combined
from hepaa.search.methods.residual import Residual
from hepaa.search.scans import ScanResult, scan_rows
from hepaa.search.toys import Background
from hepaa.search.windows import Window, sliding
from hepaa.table import DATA, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.figure import Figure

    from hepaa.card import Card, MethodCard, ResonantCard
    from hepaa.progress import Reporter
    from hepaa.search.checks import Check
    from hepaa.search.injection import Injection
    from hepaa.search.methods.base import Method
    from hepaa.search.result import CombinedResult, ResonantResult
    from hepaa.search.toys import Calibrated
    from hepaa.search.windows import Interval
    from hepaa.table import EventTable

    Result = ResonantResult | CombinedResult | ScanResult

METHODS: dict[str, type[Method]] = {"residual": Residual, "cwola": Cwola, "cathode": Cathode, "anode": Anode}


def search(
    card: Card,
    section: ResonantCard,
    table: EventTable,
    folder: Path,
    progress: Reporter,
    *,
    unblind: bool,
    map: Callable[..., Iterable[Any]] = map,
    step: Callable[[str], Any] = nullcontext,
) -> dict[str, Any]:
    """Search, write scores, workspace, figures and report into `folder`, and give the numbers for `results.json`."""
    data = table[table.label == DATA]
    data = data.with_weight(np.ones(data.n))
    method = method_of(section)
    rows = mass_rows(data, method.window, method.inputs)
    low, high = method.window.limits
    inside = (rows.mass >= low) & (rows.mass < high)
    data, rows = data[inside], rows[inside]
    refuse_few(section, method.window, rows)
    refuse_correlated(method, rows)
    background = background_of(section, method.window, rows, card.seed)
    n_sidebands = int(method.window.in_sidebands(rows.mass).sum())
    progress.say(f"{n_sidebands} events in the sidebands; searching without the signal region")
    rehearsal = searched(
        section, method, without_signal_region(section, method.window, rows, background, card.seed), card.seed
    )
    injection = injected(section, method, table, background, progress, card.seed, map) if has_signal(table) else None
    n = section.toys if unblind else section.check_toys
    progress.say(f"searching {n} background-only toys")
    toys = rehearsal.toys(n, seed=card.seed + 1, map=map)
    checks = check(rehearsal, toys) if not isinstance(rehearsal, ScanResult) else tuple(bias(rehearsal.looks, toys))
    for failed in (c for c in checks if not c.passed):
        progress.say(f"check failed: {failed.name}: {failed.message}")
    result = searched(section, method, rows, card.seed) if unblind else rehearsal
    calibrated = result.calibrated(toys)
    quoted = all(c.passed for c in checks)
    best = result.best_window if isinstance(result, ScanResult) else result
    part = best.best(None if isinstance(result, ScanResult) else calibrated)
    with step("scores.parquet"):
        save_scores(data, part, folder / "scores.parquet", unblind=unblind, scan=isinstance(result, ScanResult))
    with step("workspace.json"):
        write_json(counting_workspace(part, blind=not unblind), folder / "workspace.json")
    numbers = record(result, part, calibrated, checks, injection, unblind=unblind, quoted=quoted)
    with step("figures and report"):
        pictures = draw(card, result, part, calibrated, injection, background, rows, unblind=unblind, quoted=quoted)
        for name, (figure, _) in pictures.items():
            save_figure(figure, folder / "figures" / name)
        write_report(
            card,
            numbers,
            checks,
            pictures,
            data,
            part,
            folder / "report.html",
            unblind=unblind,
        )
    return {"resonant": numbers}


def method_of(section: ResonantCard) -> Method | Combined:
    """The method of a card, not fitted."""
    window = Window(section.mass, section.signal, tuple(section.sidebands))
    methods = [_method(entry, window) for entry in section.methods]
    names = [method.name for method in methods]
    if len(set(names)) < len(names):
        raise InputError(f"search: methods: names stand twice in {names}; give each a `name` of its own")
    return methods[0] if len(methods) == 1 else Combined(methods)


def _method(entry: MethodCard, window: Window) -> Method:
    made = METHODS[entry.method]
    known = {f.name for f in fields(made)} - {"window", "inputs", "label"}
    for name in entry.options:
        if name not in known:
            raise InputError(f"search: the method {entry.method} has no option {name!r}; {nearest(name, known)}")
    inputs = None if entry.inputs is None else tuple(entry.inputs)
    return made(window, inputs, label=entry.name, **entry.options)


def searched(section: ResonantCard, method: Method | Combined, rows: MassRows, seed: int) -> Result:
    """The search of a card in these rows."""
    settings = cross_fit_settings(section)
    if section.scan is None:
        return cross_fit_rows(method, rows, seed=seed, **settings)
    return scan_rows(method, windows_of(section), settings, rows, seed=seed)


def windows_of(section: ResonantCard) -> tuple[Interval, ...]:
    """Signal regions of a card, one or those of its scan.

    Raises
    ------
    InputError
        If the range of the scan is too short for one.
    """
    if section.scan is None:
        return (section.signal,)
    low, high, width = section.scan.low, section.scan.high, section.scan.width
    windows = tuple(sliding(low, high, width=width, step=section.scan.step))
    if not windows:
        raise InputError(
            f"search: scan: no window of width {width:g} fits into {low:g} .. {high:g} GeV; widen the range"
        )
    return windows


def cross_fit_settings(section: ResonantCard) -> dict[str, Any]:
    """What `cross_fit_rows` takes beside the method, the rows and a seed."""
    return {"folds": section.folds, "efficiencies": tuple(section.efficiencies), "bins": section.bins}


def background_of(section: ResonantCard, window: Window, rows: MassRows, seed: int) -> Background:
    """Model of the data without signal. For a scan, in which every region is one of signal, it is learned from all
    events before any cut: their spectrum and inputs are looked at, no score of them is."""
    return Background.of(rows, window, bins=section.bins, seed=seed, everywhere=section.scan is not None)


def without_signal_region(
    section: ResonantCard, window: Window, rows: MassRows, background: Background, seed: int
) -> MassRows:
    """The rows with a background-only toy in place of the signal region's; of a scan, nothing but a toy."""
    toy = background.draw(np.random.default_rng([seed, 3]))
    if section.scan is not None:
        return toy
    kept, drawn = rows[~window.in_signal(rows.mass)], toy[window.in_signal(toy.mass)]
    return MassRows(np.concatenate([kept.x, drawn.x]), np.concatenate([kept.mass, drawn.mass]), rows.columns)


def has_signal(table: EventTable) -> bool:
    """Whether there is a signal to inject."""
    return bool((table.label == SIGNAL).any())


def injected(
    section: ResonantCard,
    method: Method | Combined,
    table: EventTable,
    background: Background,
    progress: Reporter,
    seed: int,
    map: Callable[..., Iterable[Any]],
) -> Injection:
    """The threshold curve: the card's signal in background-only toys; data do not go in."""
    progress.say("injecting the signal of the card into background-only toys")
    signal = table[table.label == SIGNAL]
    signal = signal.with_weight(np.ones(signal.n))
    return inject(
        method, background, signal, strengths=section.injection.strengths, draws=section.injection.draws,
        seed=seed + 2, map=map, **cross_fit_settings(section),
    )  # fmt: skip


def save_scores(data: EventTable, part: ResonantResult, path: Path, *, unblind: bool, scan: bool) -> None:
    """Data with score, tail fraction and fold; while blind the sidebands alone, and nothing of a scan."""
    if not unblind and scan:
        return
    if unblind:
        rows, kept = data, np.ones(part.rows.n, bool)
    else:
        window = part.method.window
        rows = data[~window.in_signal(data[window.column])]
        kept = ~window.in_signal(part.rows.mass)
    columns = {"score": part.score[kept], "tail": part.tail[kept], "fold": part.fold[kept].astype(np.float64)}
    rows.with_spectators(**columns).save(path)


def counting_workspace(part: ResonantResult, *, blind: bool) -> dict[str, Any]:
    """HistFactory workspace of the signal region after the tightest cut: mu is a number of signal events there."""
    fit = part.fit(part.efficiencies[-1])
    relative = fit.error / fit.expected
    background = {"hi": 1 + relative, "lo": max(1 - relative, 1e-3)}
    return {
        "version": "1.0.0",
        "channels": [
            {
                "name": "signal_region",
                "samples": [
                    {
                        "name": "signal",
                        "data": [1.0],
                        "modifiers": [{"name": "mu", "type": "normfactor", "data": None}],
                    },
                    {
                        "name": "background",
                        "data": [fit.expected],
                        "modifiers": [{"name": "sideband_fit", "type": "normsys", "data": background}],
                    },
                ],
            }
        ],
        "observations": [{"name": "signal_region", "data": [fit.expected if blind else float(fit.observed)]}],
        "measurements": [
            {
                "name": "hepaa",
                "config": {"poi": "mu", "parameters": [{"name": "mu", "bounds": [[0.0, 10.0 * fit.expected + 50]]}]},
            }
        ],
    }


def record(
    result: Result,
    part: ResonantResult,
    calibrated: Calibrated,
    checks: tuple[Check, ...],
    injection: Injection | None,
    *,
    unblind: bool,
    quoted: bool,
) -> dict[str, Any]:
    """The numbers of a search. Where a check failed, no significance is among them."""
    whose = "data" if unblind else "background-only toy in the signal region"
    looks = {}
    for name, fit in result.looks.items():
        looks[name] = fit.to_dict()
        if not quoted:
            looks[name]["z"] = None
    overall = calibrated.overall
    numbers: dict[str, Any] = {
        "window": {
            "mass": part.method.window.column,
            "signal": list(part.method.window.signal),
            "sidebands": [list(b) for b in part.method.window.sidebands],
        },
        "signal_region_holds": whose,
        "looks": looks,
        "p_value": {
            "global": overall.p,
            "global_z": overall.z,
            "is_bound": overall.bound,
            "toys": len(calibrated.toys),
            "toys_refused": calibrated.refused,
            "each": {name: p.p for name, p in calibrated.each.items()},
            "calibrated_z": calibrated.calibrated,
        }
        if quoted
        else None,
        "checks": [c.to_dict() for c in checks],
        "injection": None if injection is None else injection.to_dict(),
    }
    tightest = part.efficiencies[-1]
    if quoted and unblind:
        numbers["found_in_folds"] = [part.found_in(tightest), len(part.folds)]
    if part.modelling and quoted:
        fraction, error = part.strength()
        numbers["signal_fraction"] = [fraction, error]
    if quoted and injection is not None and injection.limits:
        look = f"{part.method.name} at {tightest:g}"
        typical = float(injection.band(look)[1][0])
        numbers["upper_limit"] = {
            "look": look,
            "level": 0.95,
            "injected_up_to": float(injection.strengths[-1]),
            "expected": injection.upper_limit(look, typical),
            "observed": injection.upper_limit(look, part.fit(tightest).z) if unblind else None,
        }
    numbers["verdict"] = verdict(part, calibrated, checks, unblind=unblind, quoted=quoted)
    return numbers


def verdict(
    part: ResonantResult, calibrated: Calibrated, checks: tuple[Check, ...], *, unblind: bool, quoted: bool
) -> str:
    """One sentence."""
    if not quoted:
        failed = [c.name for c in checks if not c.passed]
        return f"no significance is quoted: {len(failed)} of {len(checks)} checks failed ({', '.join(failed)})"
    sign = "<" if calibrated.overall.bound else "="
    numbers = f"global p {sign} {calibrated.overall.p:.2g} ({calibrated.overall}) from {calibrated.of_toys}"
    if not unblind:
        return (
            f"blind: a background-only toy stands for the signal region; its {numbers}; all {len(checks)} checks passed"
        )
    low, high = part.method.window.signal
    z = max(fit.z for fit in part.fits())
    seen, folds = part.found_in(part.efficiencies[-1]), len(part.folds)
    return (
        f"{part.method.name} in {low:.0f} .. {high:.0f} GeV: largest local z = {z:.1f}, {numbers}; seen in {seen} of "
        f"{folds} folds"
    )


def look_of(card: Card, *, unblind: bool) -> Look:
    """Look of the figures: data are no simulation."""
    return Look(
        card.figures.style,
        card.label if unblind else f"{card.label} blind".strip(),
        card.luminosity_fb,
        card.sqrt_s_tev,
        card.process_labels,
    )


def draw(
    card: Card,
    result: Result,
    part: ResonantResult,
    calibrated: Calibrated,
    injection: Injection | None,
    background: Background,
    rows: MassRows,
    *,
    unblind: bool,
    quoted: bool,
) -> dict[str, tuple[Figure, str]]:
    """Figures by the name of their file, with a title each."""
    look = look_of(card, unblind=unblind)
    labels = {c: (i.label, i.unit) for c in part.rows.columns if (i := feature_info(c, card.features.named))}
    info = feature_info(part.method.window.column, card.features.named)
    mass = f"{info.label} [{info.unit or 'GeV'}]"
    title = look.names.get("data") if unblind else "signal region: toy"
    drawn: dict[str, tuple[Figure, str]] = {}
    spectra = figures.spectra(part.fits(), part.method.window.signal, mass=mass, title=title, quoted=quoted, look=look)
    drawn["spectrum"] = (spectra, "Mass spectrum after each cut, and the fit of its sidebands")
    if isinstance(result, ScanResult) and quoted:
        scan = figures.scan_p_values(result, calibrated, mass=mass, look=look)
        drawn["scan"] = (scan, "Local p-value against the mass")
    if injection is not None:
        signals = dict.fromkeys(look.called(s.process) for s in card.samples if s.role == "signal")
        threshold = figures.threshold(injection, signal=" + ".join(signals), look=look)
        drawn["threshold"] = (threshold, "Significance found against that injected")
    if unblind and quoted:
        panel = figures.signal_panel(part, labels=labels, look=look)
        drawn["signal"] = (panel, "Inputs of the events that pass, over what the background predicts")
    sidebands = rows[part.method.window.in_sidebands(rows.mass)].of(part.rows.columns)
    samples = background.draw_at(sidebands.mass, np.random.default_rng(card.seed)).of(part.rows.columns)
    panel = figures.closure_panel(samples.x, sidebands.x, part.rows.columns, labels=labels, look=look)
    drawn["closure"] = (panel, "Samples of the background's density, and sideband events")
    return drawn


def write_report(
    card: Card,
    numbers: dict[str, Any],
    checks: tuple[Check, ...],
    pictures: dict[str, tuple[Figure, str]],
    data: EventTable,
    part: ResonantResult,
    path: Path,
    *,
    unblind: bool,
) -> None:
    """The page of a search."""
    failed = [f"{c.name}: {c.message}" for c in checks if not c.passed]
    looks = make_table(
        "Signal region after each cut",
        ["look", "observed" if unblind else "toy", "expected", "error of the fit", "local z"],
        [
            [
                name,
                f["observed"],
                f"{f['expected']:.1f}",
                f"{f['error']:.1f}",
                "" if f["z"] is None else f"{f['z']:.2f}",
            ]
            for name, f in numbers["looks"].items()
        ],
    )
    rows = [[c.name, "yes" if c.passed else "NO", f"{c.value:.3f}", f"{c.limit:g}", c.message] for c in checks]
    tests = make_table("What each check saw", ["check", "passed", "value", "limit", "what was seen"], rows, (0, 1, 4))
    images = {name: (picture(figure), title) for name, (figure, title) in pictures.items()}
    sections = [
        Section("summary", "Summary", [numbers["verdict"]], failed, [looks], [images["spectrum"]], top=True),
        Section("scan", "Scan", figures=_only(images, "scan")),
        Section(
            "signal",
            "What was found",
            tables=_events(data, part) if unblind and "signal" in images else [],
            figures=_only(images, "signal"),
            wide=True,
        ),
        Section("threshold", "What would have been found", figures=_only(images, "threshold")),
        Section(
            "checks",
            "Checks",
            ["None of them looks at the signal region."],
            tables=[tests],
            figures=[images["closure"]],
            wide=True,
        ),
        Section("card", "The card", ["All settings."], blocks={"The card, with all defaults": card.to_yaml()}),
    ]
    kept = [s for s in sections if s.words or s.tables or s.figures]
    write_page(card, kept, path, label=look_of(card, unblind=unblind).label)


def _events(data: EventTable, part: ResonantResult) -> list[Any]:
    """The events most like signal, as a table."""
    rows = part.most_signal_like(10)
    columns = [part.method.window.column, *part.rows.columns]
    values = np.column_stack([part.rows.mass[rows], part.rows.x[rows]])
    names = (
        [f"{Path(data.sources[data.file[i]].path).name} #{data.event[i]}" for i in rows]
        if data.n == part.rows.n
        else rows
    )
    return [
        make_table(
            "Events most like the signal",
            ["event", *columns],
            [[name, *(f"{v:.4g}" for v in line)] for name, line in zip(names, values, strict=True)],
        )
    ]


def _only(images: dict[str, tuple[str, str]], name: str) -> list[tuple[str, str]]:
    return [images[name]] if name in images else []
