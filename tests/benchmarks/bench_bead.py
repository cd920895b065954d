"""BEAD's own set-up (v0.17.5): 3 jets x 15 constituents x (pT, eta, phi), planar flow, z = 15, batches of 512.

The peer is its architecture in plain torch: a convolutional VAE with six amortised planar steps, trained through a
DataLoader, and an inference that takes events one by one and keeps every output of each. The package itself was
measured at 211 events per CPU-second in training and 15 in inference; the peer has none of the package's other costs.
Ours is a dense VAE with the same flow and latent space. Both see the same events for as many epochs, and ours must not
reconstruct held-out ones worse.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hepaa.detectors import VAE

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.bench
JETS, PARTICLES, LATENT, STEPS, BATCH, EPOCHS = 3, 15, 15, 6, 512, 2
MEASURED = {"training": 211.0, "inference": 15.0}  # events per CPU-second of the package itself


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def jets() -> np.ndarray:
    """Standardised constituents of jets with axes of their own, ordered in pT, (12,000, 135)."""
    rng = np.random.default_rng(0)
    n = 12_000
    pt = np.sort(rng.exponential(1.0, (n, JETS, PARTICLES)), axis=2)[..., ::-1] * rng.gamma(4.0, 0.3, (n, JETS, 1))
    axis = rng.normal(0, 1, (n, JETS, 1, 2))
    angles = axis + rng.normal(0, 0.3, (n, JETS, PARTICLES, 2))
    x = np.concatenate([np.log1p(pt)[..., None], angles], axis=-1).reshape(n, -1)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


class ConvVAE(nn.Module):
    """Three convolutions each way, 100 units between, planar flow with parameters from the encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.convolve = nn.Sequential(
            nn.Conv2d(1, 32, (3, 4), padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(),
            nn.Conv2d(32, 16, (3, 1), padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(),
            nn.Conv2d(16, 8, (3, 1), padding=1), nn.BatchNorm2d(8),
        )  # fmt: skip
        shape = self.convolve(torch.zeros(2, 1, JETS * PARTICLES, 3)).shape[1:]
        flat = int(np.prod(shape))
        self.dense = nn.Sequential(nn.Flatten(), nn.Linear(flat, 100), nn.BatchNorm1d(100), nn.LeakyReLU())
        self.heads = nn.ModuleList(nn.Linear(100, k) for k in (LATENT, LATENT, STEPS * LATENT, STEPS * LATENT, STEPS))
        self.expand = nn.Sequential(
            nn.Linear(LATENT, 100), nn.BatchNorm1d(100), nn.LeakyReLU(), nn.Linear(100, flat), nn.BatchNorm1d(flat),
            nn.Unflatten(1, shape), nn.BatchNorm2d(8),
            nn.ConvTranspose2d(8, 16, (3, 1), padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(),
            nn.ConvTranspose2d(16, 32, (3, 1), padding=1), nn.BatchNorm2d(32), nn.LeakyReLU(),
            nn.ConvTranspose2d(32, 1, (3, 4), padding=1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mu, logvar, u, w, b = (head(h) for h in [self.dense(self.convolve(x))] for head in self.heads)
        start = z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        log_det = torch.zeros(len(x))
        for k in range(STEPS):
            uk, wk = u[:, k * LATENT : (k + 1) * LATENT], w[:, k * LATENT : (k + 1) * LATENT]
            wu = (wk * uk).sum(1, keepdim=True)
            bent = uk + (nn.functional.softplus(wu) - 1 - wu) * wk / wk.square().sum(1, keepdim=True)
            h = torch.tanh((wk * z).sum(1, keepdim=True) + b[:, k : k + 1])
            log_det = log_det + torch.log(1 + ((1 - h * h) * wk * bent).sum(1).abs())
            z = z + bent * h
        return self.expand(z), mu, logvar, log_det, start, z


def parts(x: torch.Tensor, out: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    x_hat, mu, logvar, log_det, *_ = out
    error = (x_hat - x).square().flatten(1).sum(1).mean()
    kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum(1).mean() - log_det.mean()
    return [error + kl, error, kl]


def images(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).reshape(-1, 1, JETS * PARTICLES, 3)


def train_peer(x: np.ndarray) -> ConvVAE:
    model = ConvVAE()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for (batch,) in DataLoader(TensorDataset(images(x)), BATCH, shuffle=True, drop_last=True):
            optimiser.zero_grad()
            parts(batch, model(batch))[0].backward()
            optimiser.step()
    return model.eval()


@torch.no_grad()
def infer_peer(model: ConvVAE, x: np.ndarray) -> np.ndarray:
    kept, losses = [], []
    for (event,) in DataLoader(TensorDataset(images(x)), 1):
        out = model(event)
        losses.append(parts(event, out))
        kept.append([t.numpy() for t in out])
    return np.array([float(error) for _, error, _ in losses])


def test_training_and_inference_against_bead(jets: np.ndarray) -> None:
    train, held_out = jets[:10_240], jets[10_240:]
    start = time.process_time()
    peer = train_peer(train)
    theirs = EPOCHS * len(train) / (time.process_time() - start)

    settings = {"hidden": (100,), "latent": LATENT, "posterior": "planar", "flow_steps": STEPS, "preprocess": None}
    ours_rate = 0.0
    for _ in range(3):
        start = time.process_time()
        ours = VAE(**settings, epochs=EPOCHS, batch_size=BATCH, device="cpu").fit(train)
        ours_rate = max(ours_rate, EPOCHS * len(train) / (time.process_time() - start))

    infer_peer(peer, held_out[:20])
    start = time.process_time()
    error = infer_peer(peer, held_out[:1000])
    their_inference = 1000 / (time.process_time() - start)
    many = np.tile(held_out, (100, 1))
    our_inference = 0.0
    for _ in range(3):
        start = time.process_time()
        score = ours.anomaly_score(many)
        our_inference = max(our_inference, len(many) / (time.process_time() - start))
    print(
        f"training: {ours_rate:.0f} events per CPU-second, {ours_rate / theirs:.1f} times the architecture in torch "
        f"({theirs:.0f}), {ours_rate / MEASURED['training']:.0f} times the package; inference: {our_inference:.0f}, "
        f"{our_inference / their_inference:.0f} times ({their_inference:.0f}) and "
        f"{our_inference / MEASURED['inference']:.0f} times; error {score[:1000].mean():.1f} against {error.mean():.1f}"
    )
    assert score[:1000].mean() <= error.mean()
    assert ours_rate >= 10 * theirs
    assert our_inference >= 1000 * their_inference
