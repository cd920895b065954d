"""Speed of training and scoring beside a plain torch loop over a DataLoader, and beside PyOD where it is installed.

One thread, 14 features, 16 hidden units, 2 latent. Before anything is timed, the peer must give our loss and our scores
from the same parameters. Runs are interleaved and medians compared, so that a busy machine slows both sides.
"""

from __future__ import annotations

import time
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from hepaa.detectors import VAE, ContrastiveVAE
from hepaa.models.engine.device import generator
from hepaa.models.engine.optimiser import MemberParameters
from hepaa.models.engine.training import Pool, Settings, Stage, Trainer
from hepaa.models.losses.terms import KL, Reconstruction
from hepaa.models.nets.mlp import GaussianVAE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.bench
ROUNDS = 5
EPOCHS = 3  # ours, so that checking, hashing and thresholds count as in a short training, not more


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30000, 14)).astype(np.float32)


class PlainVAE(torch.nn.Module):
    """The same network, as torch's tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(14, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
        self.decoder = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 14))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        return self.decoder(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)), mu, logvar


def loss_of(model: PlainVAE, x: torch.Tensor) -> torch.Tensor:
    x_hat, mu, logvar = model(x)
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)
    return (((x - x_hat) ** 2).sum(1) + kl).mean()


def data_loader_epoch(X: np.ndarray, batch_size: int) -> None:
    model = PlainVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for (x,) in DataLoader(TensorDataset(torch.from_numpy(X)), batch_size, shuffle=True):
        loss = loss_of(model, x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def peer_of(model: VAE) -> PlainVAE:
    """The peer with the parameters of a fitted VAE."""
    peer, ours = PlainVAE(), model.parameters_.frozen()
    for part, layers in (("encoder", peer.encoder), ("decoder", peer.decoder)):
        for i, layer in enumerate((layers[0], layers[2])):
            layer.weight.data = ours[f"{part}.{i}.weight"].T.contiguous()
            layer.bias.data = ours[f"{part}.{i}.bias"][0].clone()
    return peer


@torch.no_grad()
def scores_in_batches(peer: PlainVAE, X: np.ndarray) -> np.ndarray:
    parts = []
    for x in torch.from_numpy(X).split(512):
        mu = peer.encoder(x).chunk(2, dim=1)[0]
        parts.append(((x - peer.decoder(mu)) ** 2).sum(1).numpy())
    return np.concatenate(parts)


@pytest.fixture(scope="module", autouse=True)
def the_peer_is_equal(X: np.ndarray) -> None:
    """One step of one batch: our loss is the peer's at the start values, and our scores are the peer's after it."""
    few = X[:128]
    fitted = VAE(epochs=1, batch_size=128, preprocess=None, device="cpu").fit(few)
    net = fitted._model(14)
    start = MemberParameters.stack([net.init(generator(0, "init"))], torch.device("cpu"))
    peer = peer_of(SimpleNamespace(parameters_=start))
    x = torch.from_numpy(few)[torch.randperm(128, generator=generator(0, "order"))]
    noise = torch.randn(128, 2, generator=generator(0, "noise"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randn_like", lambda _: noise)
        assert fitted.history_["total"][0] == pytest.approx(float(loss_of(peer, x).detach()), rel=1e-5)
    np.testing.assert_allclose(scores_in_batches(peer_of(fitted), X), fitted.anomaly_score(X), rtol=1e-4)


def seconds(*jobs: Callable[[], object]) -> list[float]:
    """Median time of each job, [s]; the jobs take turns."""
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(ROUNDS):
        for job, of_job in zip(jobs, times, strict=True):
            start = time.perf_counter()
            job()
            of_job.append(time.perf_counter() - start)
    return [median(of_job) for of_job in times]


def fit(X: np.ndarray, batch_size: int, members: int) -> VAE:
    return VAE(epochs=EPOCHS, batch_size=batch_size, seeds=members, preprocess=None, device="cpu").fit(X)


@pytest.mark.parametrize(("batch_size", "one", "ten"), [(128, 2.2, 14.0), (512, 2.5, 14.0)])
def test_training_against_a_data_loader(X: np.ndarray, batch_size: int, one: float, ten: float) -> None:
    plain, single, ensemble = seconds(
        lambda: [data_loader_epoch(X, batch_size) for _ in range(EPOCHS)],
        lambda: fit(X, batch_size, 1),
        lambda: fit(X, batch_size, 10),
    )
    print(
        f"batch {batch_size}: DataLoader {EPOCHS * len(X) / plain:.0f}/s, one member {plain / single:.2f} times as "
        f"fast, ten members {10 * plain / ensemble:.1f} times per member"
    )
    assert plain / single >= one
    assert 10 * plain / ensemble >= ten


@pytest.mark.parametrize(("batch_size", "factor"), [(128, 2.5), (512, 4.0)])
def test_training_against_pyod(X: np.ndarray, batch_size: int, factor: float) -> None:
    vae = pytest.importorskip("pyod.models.vae", reason="pip install pyod")

    def peer() -> None:
        settings = {"encoder_neuron_list": [16], "decoder_neuron_list": [16], "latent_dim": 2, "epoch_num": EPOCHS}
        vae.VAE(**settings, batch_size=batch_size, verbose=0, device="cpu", preprocessing=False).fit(X)

    theirs, ours = seconds(peer, lambda: fit(X, batch_size, 1))
    print(f"batch {batch_size}: {theirs / ours:.2f} times PyOD")
    assert theirs / ours >= factor


def test_scoring_against_torch_in_batches() -> None:
    X = np.random.default_rng(1).normal(size=(1_100_000, 14)).astype(np.float32)
    model = fit(X[:2000], 128, 1)
    peer = peer_of(model)
    np.testing.assert_allclose(scores_in_batches(peer, X), model.anomaly_score(X), rtol=1e-4)
    theirs, ours = seconds(lambda: scores_in_batches(peer, X), lambda: model.anomaly_score(X))
    print(f"scoring: {len(X) / ours:.0f} events/s, {theirs / ours:.2f} times torch in batches of 512")
    assert theirs / ours >= 3.0


def test_scoring_against_pyod(X: np.ndarray) -> None:
    """PyOD draws z at random and gives |x - x_hat|: how fast it scores is compared, not what it gives."""
    vae = pytest.importorskip("pyod.models.vae", reason="pip install pyod")
    settings = {"encoder_neuron_list": [16], "decoder_neuron_list": [16], "latent_dim": 2, "epoch_num": 1}
    peer = vae.VAE(**settings, batch_size=512, verbose=0, device="cpu", preprocessing=False).fit(X[:2000])
    model = fit(X[:2000], 512, 1)
    theirs, ours = seconds(lambda: peer.decision_function(X), lambda: model.anomaly_score(X))
    print(f"scoring: {theirs / ours:.0f} times PyOD in batches of 512")
    assert theirs / ours >= 50


@pytest.mark.parametrize("kind", ["supcon", "ntxent"])
def test_contrastive_steps_are_affordable(X: np.ndarray, kind: str) -> None:
    """Beside a step of the VAE in torch operations; the compiled step is shown too."""
    size = 4096
    groups = np.arange(2 * size) % 3
    x = X[: 2 * size]
    model = ContrastiveVAE(contrastive=kind, epochs=EPOCHS, batch_size=size, preprocess=None, device="cpu")

    def torch_steps() -> None:
        settings = Settings(batch_size=size, fused=False)
        loop = Trainer(GaussianVAE(14, (16,), 2), Pool(torch.from_numpy(x)), (0,), settings)
        loop.run([Stage(EPOCHS, (Reconstruction(), KL()))])

    plain, compiled, contrastive = seconds(torch_steps, lambda: fit(x, size, 1), lambda: model.fit(x, groups=groups))
    print(
        f"{kind}, batch {size}: {contrastive / plain:.0f} times the VAE's step in torch, "
        f"{contrastive / compiled:.0f} times the compiled one"
    )
    assert contrastive / plain <= 150
