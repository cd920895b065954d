"""The compiled training loop against autograd and the loop of torch operations."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hepaa.detectors import VAE
from hepaa.errors import HepaaError
from hepaa.models.engine import fused, training
from hepaa.models.engine.batches import Pool
from hepaa.models.engine.device import generator
from hepaa.models.engine.fused_steps import FusedSteps, can_fuse, fused_scores
from hepaa.models.engine.optimiser import MemberParameters
from hepaa.models.engine.training import Settings, Stage, Trainer
from hepaa.models.losses.reconstruction import EventError
from hepaa.models.losses.schedules import Fixed, Linear
from hepaa.models.losses.terms import KL, NORMALISATIONS, PENALTIES, AnomalyPenalty, Reconstruction, TrainingBatch
from hepaa.models.nets.mlp import GaussianVAE

if TYPE_CHECKING:
    from pathlib import Path

D = 7


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def parameters(model: GaussianVAE, seed: int = 0) -> MemberParameters:
    return MemberParameters.stack([model.init(generator(seed, "init"))], torch.device("cpu"))


@pytest.mark.parametrize("hidden", [(5,), (9, 6), ()])
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("penalty", [*PENALTIES, None])
def test_gradient_is_autograds(hidden: tuple[int, ...], normalisation: str, penalty: str | None) -> None:
    model = GaussianVAE(D, hidden, 3)
    p = parameters(model)
    x, rare = normal(300, D), 2 * normal(40, D, seed=1)
    w, w_rare = 0.5 + torch.rand(300), 0.5 + torch.rand(40)
    order, dealt, noise = torch.randperm(300)[:143], torch.randperm(40)[:26], normal(169, 3, seed=2)
    clip = None if penalty is None else 12.0
    terms = (
        Reconstruction(EventError(), normalisation),
        KL(normalisation),
        AnomalyPenalty(EventError(), penalty or "clip", clip, normalisation),
    )
    factors = torch.tensor([1.0, 0.6, 0.3])
    batch = TrainingBatch(torch.cat([x[order], rare[dealt]]), 26, noise, torch.cat([w[order], w_rare[dealt]]))
    out = model(p.tensors, batch.x, noise)
    values = torch.stack([term(batch, out) for term in terms])
    expected = p.gradient(factors @ values)[0].numpy()

    net = fused.lay_out(model.encoder.sizes, model.decoder.sizes)
    objective = fused.Objective(
        reconstruction=1.0,
        kl=float(factors[1]),
        anomaly=float(factors[2]),
        literal=normalisation == "literal",
        per_class=normalisation == "per-class",
        penalty=fused.NO_PENALTY if penalty is None else 1 + PENALTIES.index(penalty),
        clip=float("inf") if clip is None else clip,
    )
    a, delta = (np.full((net.rows, fused.T), np.nan, np.float32) for _ in range(2))  # scratch may hold anything
    gradient, sums = np.zeros_like(expected), np.zeros(3)
    common, few = fused.EventRows(x.numpy(), w.numpy()), fused.EventRows(rare.numpy(), w_rare.numpy())
    fused.add_gradient(
        p.flat[0].numpy(), net, objective, common, order.numpy(), few, dealt.numpy(), noise.numpy(), a, delta, gradient,
        sums,
    )  # fmt: skip
    np.testing.assert_allclose(gradient, expected, rtol=2e-5, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(sums, values.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("weighted", "options"),
    [(False, {}), (True, {}), (True, {"weight_decay": 20.0, "schedule": "cosine"}), (False, {"schedule": "plateau"})],
)
def test_a_training_is_that_of_torch_operations(weighted: bool, options: dict[str, object]) -> None:
    weight = torch.rand(500) + 0.5 if weighted else None
    stages = [
        Stage(2, (Reconstruction(), KL(weight=Fixed(0.5)))),
        Stage(3, (Reconstruction(), KL(), AnomalyPenalty(clip=30.0, weight=Linear(0, 1, 3))), 0.2, watch=False),
    ]

    def run(compiled: bool) -> Trainer:
        settings = Settings(
            batch_size=70,
            gradient_clip=2.0,
            validation_fraction=0.2,
            patience=5,
            fused=compiled,
            **options,  # type: ignore[arg-type]
        )
        common = Pool(normal(500, D), weight)
        rare = Pool(normal(30, D, seed=5) + 2, None if weight is None else weight[:30])
        trainer = Trainer(GaussianVAE(D, (8,), 2), common, (1, 2, 3), settings, rare)
        trainer.run(stages)
        return trainer

    ours, theirs = run(True), run(False)
    torch.testing.assert_close(ours.parameters.flat, theirs.parameters.flat, rtol=1e-3, atol=1e-4)
    for name, values in theirs.history.items():
        np.testing.assert_allclose(ours.history[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


def test_it_is_what_a_small_vae_is_trained_by(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    monkeypatch.setattr(training, "FusedSteps", lambda *a: used.append(1) or FusedSteps(*a))
    VAE(epochs=1).fit(normal(50, D).numpy())
    assert used == [1]
    VAE(epochs=1, reconstruction="huber").fit(normal(50, D).numpy())
    VAE(epochs=1, hidden=(2000,), batch_size=4096).fit(normal(50, D).numpy())
    assert used == [1]


def test_objectives_that_it_does_not_know_are_left_to_torch() -> None:
    model = GaussianVAE(D, (4,), 2)
    p = parameters(model)
    assert can_fuse(model, (Reconstruction(), KL()), p, 128)
    assert can_fuse(
        model, (Reconstruction(EventError(), "batch"), KL("batch"), AnomalyPenalty(normalisation="batch")), p, 128
    )
    for terms in (
        (Reconstruction(EventError("bce")), KL()),
        (Reconstruction(), KL("batch")),
        (KL(), Reconstruction()),
        (Reconstruction(),),
        (Reconstruction(), KL(), AnomalyPenalty(EventError("huber"))),
    ):
        assert not can_fuse(model, terms, p, 128)

    class Other(GaussianVAE):
        pass

    assert not can_fuse(Other(D, (4,), 2), (Reconstruction(), KL()), p, 128)


def test_scores_are_torchs_and_do_not_depend_on_the_company() -> None:
    model = GaussianVAE(D, (6,), 2)
    p = MemberParameters.stack([model.init(generator(s, "init")) for s in (0, 1)], torch.device("cpu"))
    x = normal(1000, D)
    ours = fused_scores(model, p, x.numpy())
    x_hat = model.reconstruct(p.frozen(), x.expand(2, 1000, D)).double()
    np.testing.assert_allclose(ours, (x_hat - x.double()).square().sum(-1).numpy(), rtol=1e-5)
    np.testing.assert_array_equal(fused_scores(model, p, x[333:450].numpy()), ours[:, 333:450])


def test_a_gradient_that_is_no_number_stops_at_its_step() -> None:
    x = normal(200, D)
    x[150:] = 1e25  # the square is infinite in float32
    loop = Trainer(GaussianVAE(D, (8,), 2), Pool(x), (0,), Settings(batch_size=10))
    order = torch.randperm(200, generator=generator(0, "order"))
    step = int((order >= 150).nonzero()[0]) // 10
    with pytest.raises(HepaaError, match=rf"epoch 0 \(seed 0, step {step}, reconstruction not finite\)"):
        loop.run([Stage(1, (Reconstruction(), KL()))])


@pytest.mark.slow
def test_a_fresh_compilation_trains_to_the_bits_of_a_cached_one(tmp_path: Path) -> None:
    code = (
        "import numpy as np, hepaa\n"
        "X = np.random.default_rng(0).normal(size=(400, 6))\n"
        "print(hepaa.VAE(epochs=3, batch_size=64).fit(X).anomaly_score(X).tobytes().hex())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
        for _ in range(2)
    )
    assert first == second
