"""The O_HW amplitude against closed forms, symmetries, and an independent calculation's weights."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.simulate.zh import Coefficients, Parameters, coefficients

MH = 125.09
NARROW = Parameters(wz=1e-4)
CHARGE = {1: -1 / 3, 2: 2 / 3}
ISOSPIN = {1: -0.5, 2: 0.5}


def boost(p: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Momenta (..., 4) as E, x, y, z, boosted by the velocity beta (3,)."""
    b2 = beta @ beta
    gamma = 1 / np.sqrt(1 - b2)
    along = p[..., 1:] @ beta
    e = gamma * (p[..., 0] + along)
    xyz = p[..., 1:] + (((gamma - 1) * along / b2 + gamma * p[..., 0])[..., None]) * beta
    return np.concatenate([e[..., None], xyz], axis=-1)


def phase_space(s: float, mz: float, cos_z: float, cos_l: float, phi_l: float) -> np.ndarray:
    """Momenta (4, 4) of q, qbar, l-, l+ in the centre of mass: q along +z, Z at cos_z in the xz plane."""
    root = np.sqrt(s)
    ez = (s + mz**2 - MH**2) / (2 * root)
    pz = np.sqrt(ez**2 - mz**2)
    sin_z, sin_l = np.sqrt(1 - cos_z**2), np.sqrt(1 - cos_l**2)
    n = np.array([sin_l * np.cos(phi_l), sin_l * np.sin(phi_l), cos_l])
    leptons = np.stack([np.r_[1.0, n], np.r_[1.0, -n]]) * mz / 2
    leptons = boost(leptons, np.array([0, 0, pz / ez]))
    rotation = np.array([[cos_z, 0, sin_z], [0, 1, 0], [-sin_z, 0, cos_z]])
    leptons[:, 1:] = leptons[:, 1:] @ rotation.T
    beams = np.array([[1, 0, 0, 1], [1, 0, 0, -1]]) * root / 2
    return np.concatenate([beams, leptons])


def evaluate(quark: int, p: np.ndarray, parameters: Parameters = NARROW) -> Coefficients:
    """Coefficients of momenta (n, 4, 4), or of one event."""
    p = p.reshape(-1, 4, 4)
    return coefficients(np.full(len(p), quark), *(p[:, i, 1:] for i in range(4)), parameters=parameters)


def cross_section(quark: int, s: float) -> np.ndarray:
    """sigma(q qbar -> Z h -> l+ l- h) in GeV^-2 for a narrow Z: SM, linear, quadratic, by an exact quadrature."""
    par = NARROW
    nodes, w = np.polynomial.legendre.leggauss(4)
    phis = np.arange(8) * np.pi / 4 + 0.1
    points = [(a, b, f) for a in range(4) for b in range(4) for f in phis]
    p = np.array([phase_space(s, par.mz, nodes[a], nodes[b], f) for a, b, f in points])
    weight = np.array([w[a] * w[b] / 32 for a, b, _ in points])
    mean = np.array([(x * weight).sum() for x in evaluate(quark, p)])
    ez = (s + par.mz**2 - MH**2) / (2 * np.sqrt(s))
    beta = 2 * np.sqrt(ez**2 - par.mz**2) / np.sqrt(s)
    # flux 1/2s; two two-body spaces beta/8pi and 1/8pi; |propagator|^2 -> (pi/mG) delta, dk^2/2pi
    return mean / (2 * s) * beta / (8 * np.pi) / (8 * np.pi) * (par.mz * par.wz) / 2


def leptonic_width(par: Parameters) -> float:
    """Gamma(Z -> l+ l-) in GeV at leading order for massless leptons."""
    return par.gf * par.mz**3 / (3 * np.sqrt(2) * np.pi) * ((-0.5 + par.sin2w) ** 2 + par.sin2w**2)


@pytest.mark.parametrize("quark", [1, 2])
@pytest.mark.parametrize("root_s", [250.0, 400.0, 2000.0])
def test_sm_cross_section_is_the_textbook_formula(quark: int, root_s: float) -> None:
    # Djouadi, hep-ph/0503172, section 3.2: GF^2 mZ^4 / (288 pi s) (v^2 + a^2) sqrt(l) (l + 12 mZ^2/s) / (1 - mZ^2/s)^2
    par, s = NARROW, root_s**2
    a, v = 2 * ISOSPIN[quark], 2 * ISOSPIN[quark] - 4 * CHARGE[quark] * par.sin2w
    lam = (1 - (par.mz + MH) ** 2 / s) * (1 - (par.mz - MH) ** 2 / s)
    expected = par.gf**2 * par.mz**4 / (288 * np.pi * s) * (v**2 + a**2)
    expected *= np.sqrt(lam) * (lam + 12 * par.mz**2 / s) / (1 - par.mz**2 / s) ** 2
    expected *= leptonic_width(par) / par.wz
    assert cross_section(quark, s)[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("quark", [1, 2])
@pytest.mark.parametrize("root_s", [250.0, 400.0, 2000.0])
def test_operator_changes_the_cross_section_as_polarisations_say(quark: int, root_s: float) -> None:
    # With the vertex A g + B (q.k g - k q) the amplitudes are A + B sqrt(s) E for a transverse Z and
    # A E/m + B sqrt(s) m for a longitudinal one; the cross-section is their sum of squares over the quark's helicities.
    par, s = NARROW, root_s**2
    e = (s + par.mz**2 - MH**2) / (2 * root_s)
    s2 = par.sin2w
    g = 2 * par.mw / par.v / np.sqrt(1 - s2)
    electric = np.sqrt(4 * np.pi * par.alpha)
    total = np.zeros(3)
    for handed in (ISOSPIN[quark], 0.0):
        z = g * (handed - CHARGE[quark] * s2) / (s - par.mz**2)
        photon = electric * CHARGE[quark] / s
        a = 2 * par.mz**2 / par.v * z
        b = 4e-6 * par.v * np.sqrt(1 - s2) * (np.sqrt(1 - s2) * z + np.sqrt(s2) * photon)
        for x, y, count in ((a, b * root_s * e, 2), (a * e / par.mz, b * root_s * par.mz, 1)):
            total += count * np.array([x * x, 2 * x * y, y * y])
    sigma = cross_section(quark, s)
    np.testing.assert_allclose(sigma[1:] / sigma[0], total[1:] / total[0], rtol=1e-6)


def random_events(n: int, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([
        phase_space(rng.uniform(250, 3000) ** 2, rng.uniform(60, 120), *rng.uniform(-1, 1, 2), rng.uniform(0, 6.28))
        for _ in range(n)
    ])  # fmt: skip


@pytest.mark.parametrize("quark", [1, 2])
def test_boosts_and_rotations_change_nothing(quark: int) -> None:
    p = random_events(50)
    reference = evaluate(quark, p, Parameters())
    rng = np.random.default_rng(4)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    for beta in (np.array([0, 0, 0.9]), np.array([0, 0, -0.99]), np.array([0.3, -0.5, 0.2])):
        moved = boost(p, beta)
        moved[..., 1:] = moved[..., 1:] @ rotation.T
        for got, want in zip(evaluate(quark, moved, Parameters()), reference, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10 * np.abs(want).max())


def test_parity_exchanges_handedness_and_so_changes_only_signs_that_cp_protects() -> None:
    # CP: quark <-> antiquark and l- <-> l+ with all momenta reflected gives the same squared amplitude.
    p = random_events(50)
    swapped = p[:, [1, 0, 3, 2]].copy()
    swapped[..., 1:] *= -1
    for a, b in zip(evaluate(2, p), evaluate(2, swapped), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12 * np.abs(a).max())


def test_direction_of_the_quark_matters() -> None:
    p = random_events(50)
    wrong = p[:, [1, 0, 2, 3]]
    assert np.median(np.abs(evaluate(2, wrong).sm / evaluate(2, p).sm - 1)) > 0.01


def test_squared_amplitude_is_a_square() -> None:
    # sm + c lin + c^2 quad >= 0 for every real c needs lin^2 <= 4 sm quad (Cauchy-Schwarz).
    c = evaluate(1, random_events(200), Parameters())
    assert (c.linear**2 <= 4 * c.sm * c.quadratic * (1 + 1e-12)).all()
    np.testing.assert_allclose(c.ratio(0.5), (c.sm + 0.5 * c.linear + 0.25 * c.quadratic) / c.sm, rtol=1e-13)


def read_lhe(path, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Particle lines (n, 8, 13) and named weights (n, k) of an eight-particle LHE file, by hand."""
    with gzip.open(path, "rt") as handle:
        text = handle.read() if limit is None else handle.read(1300 * limit)
    blocks = text.split("<event>")[1 : None if limit is None else -1][:limit]
    rows = [np.array(" ".join(b.strip().split("\n")[1:9]).split(), dtype=float).reshape(8, 13) for b in blocks]
    weights = [[float(x) for x in re.findall(r"<wgt id='\w+'>\s*(\S+)", b)] for b in blocks]
    return np.array(rows), np.array(weights)


def lhe_coefficients(rows: np.ndarray, parameters: Parameters | None = None) -> Coefficients:
    i = np.arange(len(rows))
    q = np.where(rows[:, 0, 0] > 0, 0, 1)
    lm = np.where(rows[:, 4, 0] > 0, 4, 5)
    p = rows[:, :, 6:9]
    return coefficients(rows[i, q, 0], p[i, q], p[i, 1 - q], p[i, lm], p[i, 9 - lm], parameters=parameters)


def test_event_weights_of_an_independent_amplitude(data) -> None:
    rows, w = read_lhe(data / "zh" / "zh_sm_rwgt.lhe.gz")
    points = [-1.0, 0.0, 0.5, 1.0, 2.0]
    # that amplitude has no width in its propagators: without it the two agree to the digits that the file holds
    narrow = lhe_coefficients(rows, Parameters(wz=0.0))
    wide = lhe_coefficients(rows)
    for i, c in enumerate(points):
        expected = w[:, i] / w[:, 1]
        np.testing.assert_allclose(narrow.ratio(c), expected, rtol=2e-6)
        np.testing.assert_allclose(wide.ratio(c), expected, rtol=2e-3)


def test_cross_section_and_means_of_madgraph(data) -> None:
    rows, _ = read_lhe(data / "zh" / "zh_sm.lhe.gz", 25_000)
    c = lhe_coefficients(rows)
    linear, quadratic = c.linear / c.sm, c.quadratic / c.sm
    for x, expected in ((linear, 0.733), (quadratic, 0.244)):
        assert abs(x.mean() - expected) < 0.01 * expected + 2 * x.std() / len(x) ** 0.5
    h, z = rows[:, 2, 6:10], rows[:, 3, 6:10]
    total = h + z
    mass = np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(axis=1))
    leptons = rows[:, 4:6, 6:9]
    pt = np.hypot(leptons[..., 0], leptons[..., 1])
    eta, phi = np.arcsinh(leptons[..., 2] / pt), np.arctan2(leptons[..., 1], leptons[..., 0])
    dphi = np.abs(np.remainder(phi[:, 0] - phi[:, 1] + np.pi, 2 * np.pi) - np.pi)
    shapes = {
        "pT_H": (np.hypot(h[:, 0], h[:, 1]), 149.3),
        "m_ZH": (mass, 477.5),
        "pT_l1": (pt.max(axis=1), 127.5),
        "dR_ll": (np.hypot(eta[:, 0] - eta[:, 1], dphi), 1.95),
    }
    for name, (x, expected) in shapes.items():
        mean = np.average(x, weights=quadratic)
        error = np.sqrt((quadratic**2 * (x - mean) ** 2).sum()) / quadratic.sum()
        assert abs(mean - expected) < 0.005 * expected + 2 * error, name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quark": [21]}, "no quark"),
        ({"p_quark": [[0.0, 0.0]]}, "shape"),
        ({"p_lepton": [[0.0, 0.0, np.nan]]}, "not finite"),
    ],
)
def test_wrong_input_is_one_line_that_says_what(change: dict, message: str) -> None:
    p = random_events(1)[0, :, 1:]
    good = {"quark": [2], "p_quark": p[:1], "p_antiquark": p[1:2], "p_lepton": p[2:3], "p_antilepton": p[3:4]}
    with pytest.raises(InputError, match=message) as caught:
        coefficients(**(good | change))
    assert "\n" not in str(caught.value)


def test_parameters_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="mw < mz"):
        Parameters(mw=100.0)
