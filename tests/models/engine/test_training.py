"""The training loop and Adam against torch's own, and what the loop promises."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from helpers.training import batches

from hepaa.errors import HepaaError, InputError
from hepaa.models.engine import steps
from hepaa.models.engine.device import generator, pick_device, threads_for
from hepaa.models.engine.optimiser import Adam, MemberParameters
from hepaa.models.engine.steps import autocast
from hepaa.models.engine.training import Pool, Settings, Stage, Trainer, outputs
from hepaa.models.losses.schedules import Linear
from hepaa.models.losses.terms import KL, AnomalyPenalty, Reconstruction
from hepaa.models.nets.mlp import GaussianVAE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepaa.models.losses.terms import TrainingBatch

PLAIN = (Reconstruction(), KL())


def pool(n: int, d: int = 4, seed: int = 0, shift: float = 0.0) -> Pool:
    return Pool(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift)


def trainer(n: int = 300, seeds: tuple[int, ...] = (0,), anomalies: Pool | None = None, **settings: object) -> Trainer:
    return Trainer(GaussianVAE(4, (8,), 2), pool(n), seeds, Settings(batch_size=32, **settings), anomalies)  # type: ignore[arg-type]


@pytest.mark.parametrize(("clip", "decay"), [(None, 0.0), (0.5, 0.0), (0.5, 0.3)])
def test_adam_is_torchs_adam(clip: float | None, decay: float) -> None:
    ours = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    theirs = [torch.nn.Parameter(row.clone()) for row in ours]
    adam = Adam(ours, 0.01, clip=clip, weight_decay=decay)
    optimisers = [torch.optim.AdamW([p], lr=0.01, weight_decay=decay) for p in theirs]
    for step in range(30):
        gradient = torch.randn(2, 5, generator=torch.Generator().manual_seed(step)) * 3
        adam.step(gradient)
        for p, g, optimiser in zip(theirs, gradient, optimisers, strict=True):
            p.grad = g.clone()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_([p], clip)
            optimiser.step()
    torch.testing.assert_close(ours, torch.stack([p.detach() for p in theirs]), rtol=1e-5, atol=1e-6)


def test_one_epoch_equals_a_plain_torch_loop() -> None:
    """The same start values, order and noise through nn.Linear, torch.optim.Adam and a loop over batches."""
    ours = trainer(n=100)
    model, x = ours.model, ours.background.x
    start = {k: v.detach().clone() for k, v in ours.parameters.tensors.items()}
    layers = {}
    for name in ("encoder.0", "encoder.1", "decoder.0", "decoder.1"):
        weight = start[f"{name}.weight"]
        layers[name] = torch.nn.Linear(*weight.shape)
        layers[name].weight.data = weight.T.clone()
        layers[name].bias.data = start[f"{name}.bias"][0].clone()
    optimiser = torch.optim.Adam([p for layer in layers.values() for p in layer.parameters()], lr=1e-3)
    order = torch.randperm(100, generator=generator(0, "order"))
    noise = torch.randn(100, 2, generator=generator(0, "noise"))
    for batch, eps in zip(x[order].split(32), noise.split(32), strict=True):
        mu, logvar = layers["encoder.1"](layers["encoder.0"](batch).relu()).chunk(2, dim=1)
        x_hat = layers["decoder.1"](layers["decoder.0"](mu + eps * (logvar / 2).exp()).relu())
        kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)
        loss = (((batch - x_hat) ** 2).sum(1) + kl).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    ours.run([Stage(1, PLAIN)])
    out = next(iter(outputs(model, ours.parameters, x)))["x_hat"][0]
    mu = layers["encoder.1"](layers["encoder.0"](x).relu()).chunk(2, dim=1)[0]
    torch.testing.assert_close(out, layers["decoder.1"](layers["decoder.0"](mu).relu()).detach(), rtol=1e-4, atol=1e-5)


def test_members_equal_models_trained_alone() -> None:
    rare = pool(20, shift=3.0, seed=9)
    stages = [Stage(3, PLAIN), Stage(2, (*PLAIN, AnomalyPenalty(weight=Linear(0, 1, 2))), anomaly_fraction=0.1)]
    together = trainer(seeds=(3, 4, 5), anomalies=rare, validation_fraction=0.2, patience=2, gradient_clip=5.0)
    together.run(stages)
    for k, seed in enumerate((3, 4, 5)):
        alone = trainer(seeds=(seed,), anomalies=rare, validation_fraction=0.2, patience=2, gradient_clip=5.0)
        alone.run(stages)
        torch.testing.assert_close(together.parameters.flat[k], alone.parameters.flat[0], rtol=1e-3, atol=1e-4)


def test_every_event_is_seen_once_an_epoch_and_anomalies_keep_their_share() -> None:
    data = Pool(torch.arange(303.0)[:, None].expand(303, 4).contiguous())
    rare = Pool(-1 - torch.arange(7.0)[:, None].expand(7, 4).contiguous())
    loop = Trainer(GaussianVAE(4, (8,), 2), data, (0,), Settings(batch_size=32), rare)
    seen, dealt, sizes = [], [], []
    for batch in batches(loop, Stage(1, PLAIN, anomaly_fraction=0.1)):
        values = batch.x[:, 0]
        assert (values[len(values) - batch.anomalies :] < 0).all()
        seen += values[values >= 0].tolist()
        dealt += values[values < 0].tolist()
        sizes.append((len(values), batch.anomalies))
        assert batch.noise is not None
        assert batch.noise.shape == (len(values), 2)
    assert sorted(seen) == list(range(303))
    assert sizes[:-1] == [(32, 3)] * 10
    assert sizes[-1] == (15, 2)
    counts = np.unique(dealt, return_counts=True)[1]
    assert len(counts) == 7
    assert counts.max() - counts.min() <= 1  # whole permutations, one after the other


def test_early_stopping_restores_the_best_weights() -> None:
    loop = trainer(n=60, validation_fraction=0.5, patience=3, learning_rate=0.05)
    loop.run([Stage(400, PLAIN)])
    losses = loop.history["validation"]
    assert len(losses) < 400
    assert int(np.argmin(losses)) == len(losses) - 1 - 3
    now = float(loop._validate(Stage(1, PLAIN), [1.0, 1.0])[0])
    assert now == pytest.approx(min(losses), rel=1e-6)


def test_divergence_is_an_error_that_names_epoch_and_term() -> None:
    with pytest.raises(HepaaError, match=r"diverged in epoch \d+ \(seed 0, .*lower learning_rate"):
        trainer(learning_rate=1e30).run([Stage(3, PLAIN)])


def test_history_callback_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    seen = []
    loop = trainer(callback=lambda epoch, losses: seen.append((epoch, losses["total"])))
    loop.run([Stage(2, PLAIN), Stage(1, (*PLAIN, AnomalyPenalty()), anomaly_fraction=0.1)])
    assert {k: len(v) for k, v in loop.history.items()} == {"total": 3, "reconstruction": 3, "kl": 3, "anomaly": 3}
    assert seen == list(enumerate(loop.history["total"]))
    total = [r + k for r, k in zip(loop.history["reconstruction"], loop.history["kl"], strict=True)]
    np.testing.assert_allclose(loop.history["total"], total, rtol=1e-9)
    assert capsys.readouterr() == ("", "")


def test_global_state_is_left_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(10.0):
            assert torch.get_num_threads() == 1
        with threads_for(1e12):
            assert torch.get_num_threads() == 2
        trainer().run([Stage(1, PLAIN)])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(before, torch.get_rng_state())


def test_device_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEPAA_DEVICE", "cpu")
    assert pick_device() == torch.device("cpu")
    monkeypatch.setenv("HEPAA_DEVICE", "abacus")
    with pytest.raises(InputError, match="'abacus' cannot be used"):
        pick_device()
    with pytest.raises(InputError, match="seed is -1"):
        generator(-1, "init")


def test_parameters_are_views_of_one_block() -> None:
    model = GaussianVAE(3, (5,), 2)
    parameters = MemberParameters.stack([model.init(generator(s, "init")) for s in (0, 1)], torch.device("cpu"))
    parameters.flat.fill_(7.0)
    assert all((t == 7).all() for t in parameters.tensors.values())
    assert parameters.flat.shape == (2, sum(t[0].numel() for t in parameters.tensors.values()))


@pytest.mark.parametrize(
    "bad",
    [{"batch_size": 0}, {"learning_rate": 0.0}, {"validation_fraction": 1.0}, {"patience": 3}, {"gradient_clip": 0.0}],
)
def test_settings_that_make_no_sense(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        Settings(**bad)  # type: ignore[arg-type]


def test_a_nan_gradient_of_a_finite_loss_names_its_step_and_term() -> None:
    """sqrt(0) is finite, its slope is not."""

    class Root:
        name, weight = "root", staticmethod(lambda epoch: 1.0)

        def __call__(self, batch: TrainingBatch, out: Mapping[str, torch.Tensor]) -> torch.Tensor:
            here = (batch.x[..., 0] > 2.9).any(-1)  # the event that makes trouble
            return ((out["mu"] * 0).sum((-2, -1)) + ~here).sqrt()

    x = torch.zeros(200, 4)
    x[57] = 3.0
    for seeds in ((0,), (4, 5)):
        loop = Trainer(GaussianVAE(4, (8,), 2), Pool(x), seeds, Settings(batch_size=10))
        firsts = [int((torch.randperm(200, generator=generator(s, "order")) == 57).nonzero()) // 10 for s in seeds]
        seed = seeds[int(np.argmin(firsts))]
        with pytest.raises(
            HepaaError, match=rf"epoch 0 \(seed {seed}, step {min(firsts)}, gradient of root not finite"
        ):
            loop.run([Stage(1, (Reconstruction(), KL(), Root()))])


def test_amp_is_off_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(autocast(torch.device("cpu"), wanted=True), nullcontext)
    assert isinstance(autocast(torch.device("cuda"), wanted=False), nullcontext)
    plain, mixed = trainer(fused=False), trainer(fused=False, amp=True)
    for loop in (plain, mixed):
        loop.run([Stage(2, PLAIN)])
    assert torch.equal(plain.parameters.flat, mixed.parameters.flat)


def test_training_under_autocast_is_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's bfloat16 in place of cuda's: losses and gradients stay float32, and the result near."""
    plain, half = (trainer(n=600, seeds=(0, 1), fused=False, amp=amp) for amp in (False, True))
    plain.run([Stage(4, PLAIN)])
    monkeypatch.setattr(steps, "autocast", lambda device, wanted: torch.autocast("cpu", dtype=torch.bfloat16))
    half.run([Stage(4, PLAIN)])
    assert half.parameters.flat.dtype == torch.float32
    assert not torch.equal(plain.parameters.flat, half.parameters.flat)
    np.testing.assert_allclose(half.history["total"], plain.history["total"], rtol=0.02)
