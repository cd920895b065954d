"""Views for contrastive learning: what they leave as it is, and how much they change the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepaa.detectors import ContrastiveVAE
from hepaa.errors import InputError
from hepaa.models.vae.views import SOFT, Jets, Momenta, Noise
from hepaa.table import EventTable
from hepaa.table.preprocess import SkewLogStandardize


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def jets(n: int) -> torch.Tensor:
    """n events of 2 jets with 4 particles, the last of the second jet padding."""
    x = 0.3 * draw(n, 2, 4, 3)
    x[..., 0] = torch.tensor([0.5, 0.3, 0.15, 0.05])
    x[:, 1, 3] = 0.0
    return x


def test_noise_is_noise() -> None:
    x = draw(20_000, 3)
    off = Noise(3, 0.25)(x, draw(20_000, 3, seed=1)) - x
    np.testing.assert_allclose(off.std(0), 0.25, rtol=0.03)


def test_views_of_jets_turn_reflect_smear_and_drop() -> None:
    x = jets(20_000)
    view = Jets(4, 2, smear=0.1)
    out = view(x.flatten(1), draw(20_000, view.noise, seed=2)).reshape(x.shape)
    assert (out[:, 1, 3] == 0).all()
    gone = (out[..., 0] == 0).float().mean(0)
    expected = 0.5 * torch.exp(-x[0, ..., 0] / SOFT)
    expected[1, 3] = 1.0
    np.testing.assert_allclose(gone, expected, atol=0.01)
    kept = out[:, 0, :3]
    kept = kept[(kept[..., 0] > 0).all(1)]
    rows = (out[:, 0, :3, 0] > 0).all(1)
    before = x[rows][:, 0, :3]
    # angles between particles and to the axis are kept, their orientation is anything
    for a, b in ((kept, before),):
        radius = [v[..., 1:].square().sum(-1) for v in (a, b)]
        torch.testing.assert_close(*radius, rtol=1e-4, atol=1e-6)
        inner = [(v[:, 0, 1:] * v[:, 1, 1:]).sum(-1) for v in (a, b)]
        torch.testing.assert_close(*inner, rtol=1e-3, atol=1e-6)
        cross = [v[:, 0, 1] * v[:, 1, 2] - v[:, 0, 2] * v[:, 1, 1] for v in (a, b)]
        reflected = (cross[0] * cross[1] < 0).float().mean()
        assert float(reflected) == pytest.approx(0.5, abs=0.02)
    turn = torch.atan2(kept[:, 0, 2], kept[:, 0, 1])
    assert np.abs(np.fft.fft(np.histogram(turn, 16, (-np.pi, np.pi))[0])[1:3]).max() / len(turn) < 0.03  # uniform
    smear = kept[..., 0] / before[..., 0]
    np.testing.assert_allclose(smear.mean(0), 1, atol=0.005)
    np.testing.assert_allclose(smear.std(0), 0.1, atol=0.005)


def test_both_jets_are_reflected_together_and_turned_alone() -> None:
    x = jets(4000)
    view = Jets(4, 2, smear=0.0)
    out = view(x.flatten(1), draw(4000, view.noise, seed=3)).reshape(x.shape)
    angles = []
    for j in (0, 1):
        cross = [v[:, j, 0, 1] * v[:, j, 1, 2] - v[:, j, 0, 2] * v[:, j, 1, 1] for v in (x, out)]
        angles.append(torch.sign(cross[0] * cross[1]))
    both = (angles[0] * angles[1] >= 0).float().mean()
    assert float(both) == 1.0
    turned = torch.atan2(out[..., 0, 2], out[..., 0, 1])
    assert abs(np.corrcoef(np.cos(turned.T.numpy()))[0, 1]) < 0.05


NAMES = ("pxj1", "pyj1", "pzj1", "mj1", "tau1j1", "ptH", "etaH", "phiH", "drbb")


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    n = 3000
    return np.column_stack(
        [
            rng.normal(0, 50, (n, 3)), rng.exponential(20, n), rng.random(n),
            rng.exponential(80, n), rng.normal(size=n), rng.uniform(-3, 3, n), rng.gamma(2, 1, n),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("prepared", [False, True])
def test_views_of_named_momenta(X: np.ndarray, prepared: bool) -> None:
    fitted = SkewLogStandardize().fit(X) if prepared else None
    x = torch.from_numpy(fitted.transform(X) if fitted else X.astype(np.float32))
    view = Momenta(NAMES, fitted, smear=0.05)
    assert view.noise == 4  # angle, reflection, j1 and H
    noise = draw(len(x), 4, seed=1)
    raw = view._raw(view(x, noise)).numpy().astype(float)
    scale = {name: 1 + 0.05 * noise[:, i].numpy() for name, i in view.objects.items()}
    pt, before = np.hypot(raw[:, 0], raw[:, 1]), np.hypot(X[:, 0], X[:, 1])
    np.testing.assert_allclose(pt, before * scale["j1"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(np.abs(raw[:, 2]), np.abs(X[:, 2]) * scale["j1"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(raw[:, 3], X[:, 3] * scale["j1"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(raw[:, 5], X[:, 5] * scale["H"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(raw[:, [4, 8]], X[:, [4, 8]], rtol=1e-3, atol=1e-3)
    sign = np.where(noise[:, 1].numpy() < 0, -1, 1)
    np.testing.assert_allclose(raw[:, 6], sign * X[:, 6], atol=1e-3)
    np.testing.assert_array_equal(np.sign(raw[:, 2]), sign * np.sign(X[:, 2]))
    # the same rotation for all objects
    turn_h = np.exp(1j * (raw[:, 7] - X[:, 7]))
    turn_j = (raw[:, 0] + 1j * raw[:, 1]) / (X[:, 0] + 1j * X[:, 1])
    np.testing.assert_allclose(turn_h, turn_j / np.abs(turn_j), atol=5e-3)
    assert np.abs(turn_h.mean()) < 0.05


def test_without_momenta_there_is_nothing_to_turn(X: np.ndarray) -> None:
    for names in (None, ("drbb", "tau21j1", "mjj")):
        with pytest.raises(InputError, match="finds no momentum"):
            Momenta(names, None, 0.1)
    with pytest.raises(InputError, match="finds no momentum"):
        ContrastiveVAE(contrastive="ntxent", views="physical", epochs=1).fit(X)
    with pytest.raises(InputError, match="views 'flip' is unknown"):
        ContrastiveVAE(contrastive="ntxent", views="flip", epochs=1).fit(X)


def test_contrastive_training_makes_views_alike(X: np.ndarray) -> None:
    """NT-Xent on physical views: latent directions of two views of an event agree more than without it."""
    table = EventTable.build(X[:1200], NAMES)
    agreement = {}
    for weight in (0.0, 2.0):
        options = {"latent": 4, "epochs": 8, "batch_size": 200, "learning_rate": 5e-3, "view_noise": 0.05}
        model = ContrastiveVAE(
            contrastive="ntxent", views="physical", contrastive_weight=weight, beta=0.1, **options
        ).fit(table)
        net, x = model.model_, torch.from_numpy(model.prepared(table))
        noise = torch.cat([torch.zeros(len(x), 4), draw(len(x), 2 * net.view.noise, seed=5)], dim=1)
        with torch.no_grad():
            out = net(model.parameters_.frozen(), x, noise)
        agreement[weight] = torch.nn.functional.cosine_similarity(out["view_a"], out["view_b"]).mean().item()
    assert agreement[2.0] > agreement[0.0] + 0.2


def test_views_of_jets_in_training() -> None:
    x = jets(300).flatten(1).numpy()
    model = ContrastiveVAE(
        contrastive="ntxent", views="physical", encoder="deepsets", particles=4, reconstruction="pt-weighted",
        preprocess=None, posterior="planar", epochs=4, batch_size=100, learning_rate=5e-3, seeds=2,
    ).fit(x)  # fmt: skip
    assert model.history_["contrastive"][-1] < model.history_["contrastive"][0]
    assert np.isfinite(model.anomaly_score(x)).all()


def moments(x: torch.Tensor) -> torch.Tensor:
    """Sum of pT, its mean angles and second moments, of each jet: what a collinear splitting cannot change."""
    pt, eta, phi = x.unbind(-1)
    return torch.stack([(pt * f).sum(-1) for f in (torch.ones_like(pt), eta, phi, eta * eta, eta * phi, phi * phi)], -1)


def test_splittings_are_collinear_and_take_free_places_alone() -> None:
    x = jets(4000)
    view = Jets(4, 2, smear=0.0, split=0.6)
    noise = draw(4000, view.noise, seed=4)
    parts = x[..., 0], x[..., 1], x[..., 2]
    out = torch.stack(view._split(*parts, torch.split(noise, view.sizes, dim=-1)[-1]), dim=-1)
    torch.testing.assert_close(moments(out), moments(x), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(out[:, 0], x[:, 0])  # a full jet has no room
    born = out[:, 1, 3, 0] > 0
    assert float(born.float().mean()) == pytest.approx(0.6, abs=0.03)
    torch.testing.assert_close(out[born, 1, 3, 1:], x[born, 1, 0, 1:])
    share = out[born, 1, 3, 0] / x[born, 1, 0, 0]
    np.testing.assert_allclose(np.histogram(share, 4, (0, 1))[0] / len(share), 0.25, atol=0.04)


def test_shifts_move_all_particles_of_a_jet_alike() -> None:
    x = jets(3000)
    still, moved = Jets(4, 2, smear=0.05), Jets(4, 2, smear=0.05, shift=0.1)
    noise = draw(3000, moved.noise, seed=5)
    before = still(x.flatten(1), noise[:, : still.noise]).reshape(x.shape)
    after = moved(x.flatten(1), noise).reshape(x.shape)
    there = before[..., 0] > 0
    torch.testing.assert_close(after[..., 0], before[..., 0])
    assert (after[~there] == 0).all()
    step = (after - before)[..., 1:]
    first = step[:, :, :1].expand_as(step)
    both = there & there[:, :, :1]
    torch.testing.assert_close(step[both], first[both], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(step[:, :, 0][there[:, :, 0]].std(0), 0.1, rtol=0.05)
