"""Tables of a run: rows of words, ready to be shown or copied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.report.figures import event_name, most_anomalous

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepaa.report.saved import SavedRun

HIGH_PULL = 3.0
"""Standard deviations beyond which a feature is marked as the reason of an event."""


@dataclass(frozen=True)
class Cell:
    """Words of a table, and how they look: "", "bad", "good" or "high"."""

    words: str
    style: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the columns in `text` are words rather than numbers, and readers may sort a `sortable` one."""

    caption: str
    head: tuple[str, ...]
    rows: list[list[Cell]]
    text: tuple[int, ...] = field(default=(0,))
    sortable: bool = False


def make_table(caption: str, head: list[str], rows: list[list[Any]], text: tuple[int, ...] = (0,)) -> Table:
    """A table of cells, or of what is made words."""
    cells = [[c if isinstance(c, Cell) else Cell(str(c)) for c in row] for row in rows]
    return Table(caption, tuple(head), cells, text)


def as_text(table: Table) -> str:
    """Tab-separated values."""
    lines = [table.head, *([c.words for c in row] for row in table.rows)]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def number(value: float | None, error: float | None = None, digits: int = 3) -> str:
    """A number, with its error, that has too few events behind it if None."""
    if value is None:
        return "too few events"
    return f"{value:.{digits}f}" if error is None else f"{value:.{digits}f} \u00b1 {error:.{digits}f}"


def _of_signals(run: SavedRun) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    for name, detector in run.results["detectors"].items():
        for signal, numbers in detector["signals"].items():
            yield name, signal, numbers, detector


def summary(run: SavedRun) -> list[Table]:
    """Detectors beside their numbers, expected and observed; no significance where the sculpting gate is closed."""
    rows = []
    for name, signal, numbers, detector in _of_signals(run):
        p, z, limit = numbers["performance"], numbers["significance"], numbers["reach"]["limit"]
        shown: Any = number(z["total"], z["total_error"], 2)
        if not _open(detector):
            shown = Cell("no discovery: sculpting gate", "bad")
        efficiency = number(p["eps_s"]["0.01"], p["eps_s_error"]["0.01"])
        separation = [number(p["auc"], p["auc_error"], 4), efficiency, number(p["max_sic"], p["max_sic_error"], 2)]
        rows.append([name, signal, *separation, shown, _limit(limit)])
    head = ["detector", "signal", "AUC", "signal eff. at 1 % bkg", "max SIC", "Z expected", "95 % limit on strength"]
    expected = [make_table("Expected of the test part, with statistical errors", head, rows, (0, 1))] if rows else []
    return expected + observed(run)


def ceilings(run: SavedRun) -> set[str]:
    """Detectors that learned from every label of the training part: no search has those, so they only bound the others.

    None where all detectors did.
    """
    every_label = {entry.label for entry in run.card.detectors if entry.labelled is None}
    names = {name for name in run.results["detectors"] if name in every_label and run.uses_labels(name)}
    return names if len(names) < len(run.results["detectors"]) else set()


def best(run: SavedRun) -> str:
    """The detector with the largest expected significance among those whose gate is open, all else equal the first.

    Those that know every label come last. Without signal the first of the card.
    """
    detectors, bounds = run.results["detectors"], ceilings(run)

    def worth(name: str) -> tuple[bool, bool, float]:
        signals = detectors[name]["signals"].values()
        z = max((s["significance"]["total"] for s in signals), default=0.0)
        return name not in bounds, _open(detectors[name]), z

    name: str = max(detectors, key=worth)
    return name


def verdict(run: SavedRun) -> list[str]:
    """What a run says, in a sentence for each signal, or of data where there is no signal."""
    detectors, luminosity = run.results["detectors"], f"{run.card.luminosity_fb:g} fb\u207b\u00b9"
    bounds = ceilings(run)
    others = len(detectors) - len(bounds)
    among = f"best of {_count(others)}" if others > 1 else ""
    gates = [d["sculpting"] for d in detectors.values() if d["sculpting"] is not None]
    sentences = []
    for signal in dict.fromkeys(signal for _, signal, _, _ in _of_signals(run)):
        able = {n: d["signals"][signal]["significance"] for n, d in detectors.items() if signal in d["signals"]}
        able = {n: z for n, z in able.items() if _open(detectors[n])}
        if not able:
            sentences.append(f"{signal}: no detector passed the sculpting gate, so no significance is quoted.")
            continue
        name = max(able, key=lambda n: (n not in bounds, able[n]["total"]))
        z = number(able[name]["total"], able[name]["total_error"], 1)
        parts = [f"Z = {z} for {signal} expected at {luminosity}", among, "gate passed" if gates else ""]
        if name not in bounds and (known := [n for n in able if n in bounds]):
            ceiling = max(known, key=lambda n: able[n]["total"])
            parts.append(f"with every label known, {ceiling}: {able[ceiling]['total']:.1f}")
        sentences.append(f"{name}: {'; '.join(filter(None, parts))}.")
    return sentences + _seen(run)


def _seen(run: SavedRun) -> list[str]:
    """What the data say to the best detector; nothing without data, or of what is blind."""
    name = best(run)
    observed = run.results["detectors"][name].get("observed")
    if observed is None or observed["total"] is None:
        return []
    t = observed["total"]
    return [f"{name}: {t['events']} events observed on {t['b']:.6g} \u00b1 {t['sigma_b']:.3g}, Z = {_z(t['z'])}."]


def _open(detector: dict[str, Any]) -> bool:
    """Whether a significance of this detector may be quoted."""
    gate = detector["sculpting"]
    return gate is None or bool(gate["passed"])


def _count(n: int) -> str:
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n - 1] if n <= len(words) else str(n)


def observed(run: SavedRun) -> list[Table]:
    """Data against their prediction, of each detector and region; none without data."""
    rows = []
    for name, detector in run.results["detectors"].items():
        for region, numbers in _regions(detector):
            seen = numbers["observed"]
            if seen["total"] is None:
                b = sum(seen["b"])
                rows.append([name, region, "blind" if seen["blind_above"] is not None else "", f"{b:.6g}", "", "", ""])
                continue
            t = seen["total"]
            least = min(seen["p"])
            rows.append(
                [name, region, t["events"], f"{t['b']:.6g} \u00b1 {t['sigma_b']:.3g}", f"{t['p']:.3g}", _z(t["z"]),
                 f"{least:.3g} in bin {seen['p'].index(least)}"]
            )  # fmt: skip
    head = ["detector", "region", "observed", "predicted", "p of the excess", "Z observed", "smallest p of a bin"]
    return [make_table("Data against their prediction, all bins together", head, rows, (0, 1))] if rows else []


def _regions(detector: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The signal region and the others, where data are compared with a prediction."""
    signal = [("signal region", detector)] if detector.get("observed") is not None else []
    return [*signal, *detector.get("regions", {}).items()]


def _z(z: float | None) -> str:
    return "no event" if z is None else f"{z:.2f}"


def observed_bins(run: SavedRun) -> list[Table]:
    """Data and prediction of every bin, one table a detector and region."""
    out = []
    for name, detector in run.results["detectors"].items():
        for region, numbers in _regions(detector):
            edges, seen = numbers["binning"]["edges"], numbers["observed"]
            bins = range(len(edges) - 1)
            counts = seen["events"] or [""] * len(bins)
            p, z = (seen[key] or [None] * len(bins) for key in ("p", "z"))
            rows = [
                [f"{edges[i]:.4g} .. {edges[i + 1]:.4g}", "blind" if counts[i] is None else counts[i],
                 f"{seen['b'][i]:.4g} \u00b1 {seen['sigma_b'][i]:.2g}", *([""] * 2 if p[i] is None else
                 [f"{p[i]:.3g}", _z(z[i])])]
                for i in bins
            ]  # fmt: skip
            head = ["score", "observed", "predicted", "p of the excess", "Z"]
            out.append(make_table(f"{name}, {region}: data and prediction", head, rows))
    return out


def _limit(limit: dict[str, Any]) -> str:
    middle = limit["expected"][len(limit["expected"]) // 2]
    return number(middle, limit["expected_error"])


def samples(run: SavedRun) -> Table:
    """Yields of every sample after selection."""
    rows = [
        [s["process"], s["generator"], s["events"], f"{s['expected_events']:.6g}", f"{s['n_eff']:.1f}",
         f"{100 * s['negative_fraction']:.2f} %"]
        for s in run.results["samples"]
    ]  # fmt: skip
    head = ["process", "generator", "events", "expected events", "effective events", "negative weights"]
    return make_table("Samples after selection", head, rows, (0, 1))


def parts(run: SavedRun) -> Table:
    """Events in each part."""
    rows = [[name, *counts.values()] for name, counts in run.results["parts"].items()]
    head = ["part", *next(iter(run.results["parts"].values()))]
    return make_table("Events in each part, disjoint", head, rows)


def sources(run: SavedRun) -> Table:
    """Files and their content hashes."""
    rows = [[s["path"], s["sha256"][:16], s["version"]] for s in run.results["sources"]]
    return make_table("Files read, with the start of their SHA-256", ["file", "SHA-256", "hepaa"], rows, (0, 1, 2))


def cutflow(run: SavedRun) -> Table:
    """Events left after each step, and objects of each collection ("jets: pt > 25")."""
    rows: list[list[Any]] = []
    first: dict[tuple[str, str, str], float] = {}
    for r in run.results["cutflow"]:
        key = r["process"], r["generator"]
        start = first.setdefault((*key, r["step"].rpartition(": ")[0]), r["sum_weights"])
        share = f"{100 * r['sum_weights'] / start:.2f} %" if start else ""
        rows.append([*key, r["step"], r["n"], f"{r['sum_weights']:.6g}", share])
    head = ["process", "generator", "step", "left", "expected", "of the first"]
    return make_table("Events, and objects of collections, left after each step", head, rows, (0, 1, 2))


def performance(run: SavedRun) -> list[Table]:
    """Separation, with errors; none without signal."""
    rows = []
    for name, signal, numbers, _ in _of_signals(run):
        p = numbers["performance"]
        best = "" if p["eps_s_at_max_sic"] is None else f"{p['eps_s_at_max_sic']:.3f}, {p['eps_b_at_max_sic']:.2g}"
        rows.append(
            [name, signal, number(p["auc"], p["auc_error"], 4), number(p["auc_pr"], p["auc_pr_error"], 4)]
            + [number(p["eps_s"][e], p["eps_s_error"][e]) for e in p["eps_s"]]
            + [number(p["max_sic"], p["max_sic_error"], 2), best]
        )
    if not rows:
        return []
    efficiencies = next(_of_signals(run))[2]["performance"]["eps_s"]
    head = ["detector", "signal", "AUC", "AUC-PR", *(f"eff. at {float(e):.2%} bkg" for e in efficiencies), "max SIC",
            "there: signal, bkg eff."]  # fmt: skip
    return [make_table("Separation on the test part", head, rows, (0, 1))]


def uncertainties(run: SavedRun) -> str:
    """Names of the shared uncertainties, as a list of words."""
    first = next(iter(run.results["detectors"].values()))["uncertainties"]
    return ", ".join(first) or "none"


def bins(run: SavedRun) -> list[Table]:
    """Yields and significance of every bin, one table a detector with signal."""
    out = []
    for name, detector in run.results["detectors"].items():
        edges = detector["binning"]["edges"]
        signals = detector["signals"]
        if not signals:
            continue
        rows = []
        for i, events in enumerate(detector["background_events"]):
            any_z = next(iter(signals.values()))["significance"]
            background = f"{any_z['b'][i]:.4g} \u00b1 {any_z['stat_b'][i]:.2g}"
            row = [f"{edges[i]:.4g} .. {edges[i + 1]:.4g}", events, background, f"{any_z['sigma_b'][i]:.2g}"]
            for numbers in signals.values():
                z = numbers["significance"]
                row += [f"{z['s'][i]:.4g} \u00b1 {z['stat_s'][i]:.2g}", f"{z['z'][i]:.3f} \u00b1 {z['z_error'][i]:.3f}"]
            rows.append(row)
        head = ["score", "simulated bkg", "background", "all uncertainties"]
        head += [title for signal in signals for title in (signal, "Z")]
        out.append(make_table(f"{name}: bins", head, rows))
    return out


def reach(run: SavedRun) -> list[Table]:
    """Luminosity for 3 and 5 sigma, and limits; none without signal."""
    rows = []
    for name, signal, numbers, _ in _of_signals(run):
        r, z = numbers["reach"], numbers["significance"]
        needed = [_luminosity(r["luminosity_fb"][k], r["luminosity_fb_error"][k]) for k in ("3", "5")]
        limit = r["limit"]
        low, high = limit["expected"][1], limit["expected"][3]
        observed = "" if limit["observed"] is None else f"{limit['observed']:.3g}"
        expected = [number(z["total_known"], z["total_known_error"], 2), number(z["total"], z["total_error"], 2)]
        limits = [_limit(limit), f"{low:.3g} .. {high:.3g}", f"{limit['expected_pb'][2]:.3g}", observed]
        rows.append([name, signal, *expected, *needed, *limits])
    head = ["detector", "signal", "Z, statistics only", "Z", "fb\u207b\u00b9 for 3\u03c3", "fb\u207b\u00b9 for 5\u03c3",
            "95 % limit on strength", "68 % range", "limit [pb]", "observed"]  # fmt: skip
    caption = "Reach, expected, with statistical errors of the simulation"
    return [make_table(caption, head, rows, (0, 1))] if rows else []


def _luminosity(value: float | None, error: float | None) -> str:
    if value is None:
        return "out of reach"
    return f"{value:.4g}" if error is None else f"{value:.4g} \u00b1 {error:.2g}"


def fits(run: SavedRun) -> list[Table]:
    """Results of pyhf for the workspaces; none without `infer` in the card."""
    rows = []
    for name, signal, numbers, _ in _of_signals(run):
        fit = numbers["fit"]
        if fit is not None:
            observed = ["" if fit[k] is None else f"{fit[k]:.3f}" for k in ("observed_z", "observed_limit")]
            rows.append(
                [name, signal, f"{fit['expected_z']:.3f}", observed[0], f"{fit['expected_limit'][2]:.3f}", observed[1]]
            )
    if not rows:
        return []
    head = ["detector", "signal", "Z expected", "Z observed", "95 % limit expected", "observed"]
    return [make_table("Workspaces, fitted with pyhf", head, rows, (0, 1))]


def sculpting(run: SavedRun) -> Table:
    """The gate of every detector."""
    rows = []
    for name, detector in run.results["detectors"].items():
        gate = detector["sculpting"]
        s, bump = gate["sculpting"], gate["bump"]
        verdict = "passed" if gate["passed"] else "not tested" if bump is None else "FAILED"
        largest = ["", ""]
        if bump is not None:
            sign = "> " if bump["overall"]["bound"] else ""
            largest = [f"{sign}{bump['overall']['z']:.2f}", f"{bump['low']:.0f} .. {bump['high']:.0f}"]
        rows.append(
            [name, Cell(verdict, "good" if gate["passed"] else "bad"), gate["events"], *largest,
             f"{s['jsd']:.3g}", f"{s['expected']:.3g}", f"{s['mean_shift']:+.3f}", f"{s['width_shift']:+.3f}"]
        )  # fmt: skip
    head = ["detector", "gate", "events after the cut", "overall Z of the largest bump", "at [GeV]", "JSD",
            "JSD by chance", "shift of mean", "of width"]  # fmt: skip
    return make_table("Background alone after the cut", head, rows, (0, 1))


def generators(run: SavedRun) -> list[Table]:
    """False positives of every generator at cuts that those trained on set; none for one generator."""
    rows = []
    for name, detector in run.results["detectors"].items():
        for generator, rates in detector["generators"].items():
            left_out = "no" if generator in run.card.split.train_without else "yes"
            rows += [
                [name, generator, left_out, f"{100 * f['target']:g} %", f"{100 * f['rate']:.3g} %",
                 f"{100 * f['low']:.3g} .. {100 * f['high']:.3g} %", f["events"]]
                for f in rates
            ]  # fmt: skip
    head = ["detector", "generator", "trained on", "wanted", "false positives", "68 % interval", "events"]
    caption = "False positives of each generator, at cuts set by validation events of those trained on"
    return [make_table(caption, head, rows, (0, 1, 2))] if rows else []


def events(run: SavedRun) -> list[Table]:
    """The most anomalous test events of each detector with the pulls of their features."""
    out = []
    for name in run.detectors:
        rows = most_anomalous(run, name)
        pulls, words = run.pulls(name, rows)
        scores = run.score(name)
        lines = []
        for i, row in enumerate(rows):
            why = [Cell(f"{p:+.1f}", "high" if abs(p) >= HIGH_PULL else "") for p in pulls[i]]
            lines.append([event_name(run, int(row)), f"{scores[row]:.4g}", *why])
        head = ["event", "score", *run.test.columns]
        worst = [run.test.columns[j] for j in np.argsort(-np.abs(pulls).mean(axis=0))[:3]]
        caption = f"{name}: {words}; furthest off: {', '.join(worst)}"
        out.append(replace(make_table(caption, head, lines), sortable=True))
    return out
