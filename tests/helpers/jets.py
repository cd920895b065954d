"""References for jets: FastJet through its own interface, and plain Python that follows the definitions."""

from __future__ import annotations

import math

import awkward as ak
import fastjet
import numpy as np


def records(offsets, pt, eta, phi):
    """Massless particles as FastJet reads them."""
    counts = np.diff(offsets)
    fields = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": pt * np.cosh(eta)}
    return ak.zip({k: ak.unflatten(v, counts) for k, v in fields.items()})


def fastjet_dijets(offsets, pt, eta, phi, radius=1.0):
    """px, py, pz, E of the two leading anti-kT jets (n, 2, 4), and their constituents, 2 n lists."""
    sequence = fastjet.ClusterSequence(
        records(offsets, pt, eta, phi), fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    )
    jets, parts = sequence.inclusive_jets(min_pt=10.0), sequence.constituents(min_pt=10.0)
    order = ak.argsort(np.hypot(jets.px, jets.py), axis=1, ascending=False)
    jets, parts = jets[order][:, :2], parts[order][:, :2]
    momenta = np.stack([ak.to_numpy(jets[c]) for c in ("px", "py", "pz", "E")], axis=-1)
    return momenta, ak.flatten(parts, axis=1)


def fastjet_taus(constituents, n_max, axes, beta=1.0):
    """tau_1 .. tau_n_max by FastJet contrib, (n_jets, n_max)."""
    sequence = fastjet.ClusterSequence(constituents, fastjet.JetDefinition(fastjet.antikt_algorithm, 100.0))
    taus = sequence.njettiness(njets=list(range(1, n_max + 1)), beta=beta, R0=1.0, axes_definition=axes)
    return ak.to_numpy(taus).reshape(len(constituents), n_max)


def coordinates(p):
    """pT, rapidity, azimuth of (px, py, pz, E)."""
    return math.hypot(p[0], p[1]), math.atanh(p[2] / p[3]), math.atan2(p[1], p[0])


def distance2(a, b):
    (_, y1, phi1), (_, y2, phi2) = coordinates(a), coordinates(b)
    dphi = abs(phi1 - phi2)
    return (y1 - y2) ** 2 + min(dphi, 2 * math.pi - dphi) ** 2


def slow_cluster(particles, power, radius, stop=0):
    """Generalised kT by looking at all pairs every time: jets (or the `stop` objects left), as momentum and members."""
    objects = [(np.array(p), [i]) for i, p in enumerate(particles)]
    jets = []
    while len(objects) > stop:
        scale = [coordinates(p)[0] ** (2 * power) for p, _ in objects]
        best = (math.inf, 0, 0)
        for i in range(len(objects)):
            if not stop:
                best = min(best, (scale[i], i, i))
            for j in range(i):
                d = min(scale[i], scale[j]) * distance2(objects[i][0], objects[j][0]) / radius**2
                best = min(best, (d, i, j))
        _, i, j = best
        if i == j:
            jets.append(objects.pop(i))
        else:
            (p, a), (q, b) = objects.pop(i), objects.pop(j)
            objects.append((p + q, a + b))
    return sorted(jets or objects, key=lambda jet: -coordinates(jet[0])[0])


def slow_tau(particles, axes, beta):
    """tau for axes given as (rapidity, azimuth), R0 = 1."""
    total, sum_pt = 0.0, 0.0
    for p in particles:
        pt, y, phi = coordinates(p)
        nearest = min(math.hypot(y - a, math.remainder(phi - b, 2 * math.pi)) for a, b in axes)
        total += pt * nearest**beta
        sum_pt += pt
    return total / sum_pt


def slow_soft_drop(particles, z_cut, beta):
    """Mass, pT, z, R of the groomed jet: recluster with C/A, then undo the last merging until z > z_cut R^beta."""
    objects = [(np.array(p), None) for p in particles]
    while len(objects) > 1:
        _, i, j = min((distance2(objects[i][0], objects[j][0]), i, j) for i in range(len(objects)) for j in range(i))
        a, b = objects.pop(i), objects.pop(j)
        objects.append((a[0] + b[0], (a, b)))
    node = objects[0]
    while node[1] is not None:
        a, b = sorted(node[1], key=lambda branch: -coordinates(branch[0])[0])
        pt_a, pt_b = coordinates(a[0])[0], coordinates(b[0])[0]
        z, r = pt_b / (pt_a + pt_b), math.sqrt(distance2(a[0], b[0]))
        if z > z_cut * r**beta:
            p = node[0]
            return math.sqrt(max(p[3] ** 2 - p[:3] @ p[:3], 0)), coordinates(p)[0], z, r
        node = a
    return 0.0, coordinates(node[0])[0], 0.0, 0.0
