"""Priors, the general latent network and capacity: Monte Carlo, torch.distributions, and reduction to the plain VAE."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from hepaa.detectors import VAE, AnomalyAwareVAE
from hepaa.errors import InputError
from hepaa.models.engine.device import generator
from hepaa.models.losses.schedules import Linear
from hepaa.models.losses.terms import CapacityKL, Ramp, TrainingBatch
from hepaa.models.nets.encoders import coder
from hepaa.models.nets.latent import LatentNet
from hepaa.models.nets.mlp import GaussianVAE
from hepaa.models.nets.posteriors import POSTERIORS, posterior_flow
from hepaa.models.nets.priors import PRIORS, Dirichlet, Gaussian, Mixture, Vamp, prior_of


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def monte_carlo(prior, mu: torch.Tensor, logvar: torch.Tensor, n: int = 200_000) -> tuple[float, float]:
    """Mean and error of log q - log p for one event."""
    q = Independent(Normal(mu, (logvar / 2).exp()), 1)
    z = mu + (logvar / 2).exp() * normal(n, len(mu), seed=9)
    ratio = q.log_prob(z) - prior.log_density({}, z, None)
    return float(ratio.mean()), float(ratio.std() / n**0.5)


@pytest.mark.parametrize("prior", [Gaussian(), Dirichlet(3, 0.4), Dirichlet(3, 5.0)])
def test_kl_in_closed_form_is_that_of_monte_carlo(prior) -> None:
    mu, logvar = normal(4, 3), 0.5 * normal(4, 3, seed=1)
    closed = prior.divergence(mu, logvar)
    for i in range(4):
        mean, error = monte_carlo(prior, mu[i], logvar[i])
        assert float(closed[i]) == pytest.approx(mean, abs=5 * error)
    scale = torch.tensor(prior.variance**0.5, dtype=torch.float64)
    torch.testing.assert_close(
        closed, kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0 * scale, scale)).sum(-1)
    )


@pytest.mark.parametrize(("latent", "alpha"), [(2, 0.5), (3, 1.0), (6, 4.0)])
def test_dirichlet_is_the_laplace_approximation(latent: int, alpha: float) -> None:
    """Variance of the Gaussian with the curvature of log Dirichlet in softmax coordinates at its top."""

    def log_density(h: torch.Tensor) -> torch.Tensor:  # the Jacobian of softmax turns alpha - 1 into alpha
        return alpha * torch.log_softmax(h, 0).sum()

    top = torch.zeros(latent, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(log_density, top)
    torch.testing.assert_close(slope, torch.zeros_like(slope))
    curvature = torch.autograd.functional.hessian(log_density, top)
    variance = torch.linalg.pinv(-curvature).diagonal()
    np.testing.assert_allclose(variance, Dirichlet(latent, alpha).variance)


def test_dirichlet_latents_are_mixtures_of_topics() -> None:
    net = LatentNet(*coder("mlp", 4, (8,), 3, 6, None), 3, prior=Dirichlet(3, 0.5))
    out = net(net.init(generator(0, "init")), normal(10, 4).float(), normal(10, 3).float())
    torch.testing.assert_close(out["z"].sum(-1), torch.ones(10))
    assert (out["z"] > 0).all()
    with pytest.raises(InputError, match="latent is 1"):
        VAE(prior="dirichlet", latent=1).fit(normal(50, 3).numpy())


def test_mixture_density_is_torchs() -> None:
    prior = Mixture(3, 4)
    p = {k: t.double() + 0.5 * normal(*t.shape, seed=2) for k, t in prior.init(generator(0, "init")).items()}
    parts = Independent(Normal(p["prior.mean"], (p["prior.logvar"] / 2).exp()), 1)
    reference = MixtureSameFamily(Categorical(logits=p["prior.logit"]), parts)
    z = normal(7, 3, seed=5)
    torch.testing.assert_close(prior.log_density(p, z, None), reference.log_prob(z))


def test_vamp_density_is_the_mean_of_posteriors() -> None:
    prior = Vamp(4, 5, unit=True)
    net = LatentNet(*coder("mlp", 4, (8,), 2, 4, None), 2, prior=prior)
    p = {k: t.double() for k, t in net.init(generator(0, "init")).items()}
    z = normal(6, 2)
    parts = [net._encode(p, torch.sigmoid(u)[None])[:2] for u in p["prior.inputs"]]
    each = torch.stack([Normal(m, (v / 2).exp()).log_prob(z).sum(-1) for m, v in parts])
    torch.testing.assert_close(net.log_prior(p, z), torch.logsumexp(each, 0) - log(5))


def test_the_general_network_is_the_plain_one_where_nothing_is_asked() -> None:
    plain, general = GaussianVAE(4, (8,), 2), LatentNet(*coder("mlp", 4, (8,), 2, 4, None), 2)
    p = plain.init(generator(3, "init"))
    assert p.keys() == general.init(generator(3, "init")).keys()
    x, eps = normal(9, 4).float(), normal(9, 2, seed=1).float()
    for noise in (eps, None):
        a, b = plain(p, x, noise), general(p, x, noise)
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name])
    torch.testing.assert_close(plain.reconstruct(p, x), general.reconstruct(p, x))
    torch.testing.assert_close(plain.means(p, x), general.means(p, x))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("posterior", ["gaussian", "planar", "iaf"])
def test_density_ratio_is_log_q_minus_log_p(posterior: str, prior: str) -> None:
    """Against the change of variables by autograd, for every kind of posterior and prior; its mean is the KL."""
    flow = posterior_flow(posterior, 2, 2, 3 if posterior != "gaussian" else 0)
    context = 3 if flow else 0
    net = LatentNet(
        *coder("mlp", 4, (8,), 2, 4 + context, None),
        2,
        posterior=flow,
        context=context,
        prior=prior_of(prior, 2, 4, 3, 0.7, unit=False),
    )
    p = {k: t + 0.2 * normal(*t.shape, seed=4).float() for k, t in net.init(generator(0, "init")).items()}
    x, eps = normal(5, 4).float(), normal(5, 2, seed=1).float()
    out, ratio = net.sample(p, x, eps)
    mu, logvar, c = net._encode(p, x)
    for i in range(5):
        rows = slice(i, i + 1)

        def end(e: torch.Tensor, rows: slice = rows) -> torch.Tensor:
            start = mu[rows] + (logvar[rows] / 2).exp() * e
            return net._flow(p, start, None if c is None else c[rows])[0][0]

        jacobian = torch.autograd.functional.jacobian(end, eps[i])
        log_q = Normal(0.0, 1.0).log_prob(eps[i]).sum() - torch.linalg.slogdet(jacobian).logabsdet
        log_p = net.log_prior(p, end(eps[i])[None])[0]
        torch.testing.assert_close(ratio[i], log_q - log_p, rtol=1e-4, atol=1e-4)
    closed = posterior == "gaussian" and prior in ("standard", "dirichlet")
    kl = net(p, x, eps)["kl"]
    assert torch.equal(kl, ratio) != closed
    many = x[:1].expand(40_000, -1)
    samples = net.sample(p, many, normal(40_000, 2, seed=8).float())[1]
    if closed:
        assert float(kl[0]) == pytest.approx(float(samples.mean()), abs=5 * float(samples.std()) / 200)
    assert float(samples.mean()) > -5 * float(samples.std()) / 200  # a divergence is not negative
    assert out["x_hat"].shape == (5, 4)


def test_capacity_is_a_distance_that_grows_with_the_epochs() -> None:
    term = CapacityKL(Ramp(4.0, Linear(0.0, 3.0, 4)))
    batch, out = TrainingBatch(x=normal(2, 3)), {"kl": torch.tensor([1.0, 4.0])}
    values = []
    for epoch in range(6):
        assert term.weight(epoch) == 4.0
        values.append(float(term(batch, out)))
    assert values == pytest.approx([2.5, 1.5, 0.5, 0.5, 0.5, 0.5])


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(800, 2))
    return np.concatenate([z, z[:, :1] ** 2 + 0.1 * rng.normal(size=(800, 1)), rng.exponential(size=(800, 2))], axis=1)


def test_capacity_holds_the_kl_where_it_is_told(X: np.ndarray) -> None:
    model = VAE(capacity=2.5, beta=50.0, epochs=25, batch_size=64, learning_rate=1e-2, preprocess="standard").fit(X)
    kl = model.outputs(X)["kl"].mean()
    assert kl == pytest.approx(2.5, abs=0.35)
    assert model.history_["kl"][-1] < 0.3
    tuned = AnomalyAwareVAE(capacity=1.0, beta=5.0, epochs=3, finetune_epochs=3)
    _, second = tuned._stages()
    assert second.terms[1].weight.target(0) == 1.0
    with pytest.raises(InputError, match="capacity is -1"):
        VAE(capacity=-1, epochs=1).fit(X)


def test_beta_warms_up(X: np.ndarray) -> None:
    options = {"epochs": 4, "batch_size": 100, "beta": 2.0}
    model = VAE(beta_epochs=3, **options).fit(X)
    history = model.history_
    weight = (np.array(history["total"]) - history["reconstruction"]) / history["kl"]
    np.testing.assert_allclose(weight, [0.0, 1.0, 2.0, 2.0], rtol=1e-4, atol=1e-6)
    tuned = AnomalyAwareVAE(beta_epochs=3, finetune_epochs=3, **options)
    assert tuned._stages()[1].terms[1].weight(0) == 2.0
    for bad, message in (({"beta_epochs": 0}, "beta_epochs is 0"), ({"beta_epochs": 2, "capacity": 1.0}, "take one")):
        with pytest.raises(InputError, match=message):
            VAE(epochs=1, **bad).fit(X)


def test_learned_variances_are_those_of_the_residuals(X: np.ndarray) -> None:
    """A feature that is noise has variance 1 in standard units, one that is a function of others less."""
    options = {"hidden": (32,), "epochs": 80, "learning_rate": 1e-2, "batch_size": 100, "preprocess": "standard"}
    model = VAE(reconstruction="gaussian", latent=2, **options).fit(X)
    out = model.outputs(X)
    variance = np.exp(out["x_logvar"][0, 0])
    x = torch.from_numpy(np.tile(out["x"], (20, 1)))  # in training, z is a sample
    sampled = model.model_(model.parameters_.frozen(), x, normal(len(x), 2).float())["x_hat"]
    residual = (x - sampled).square().mean(0).numpy()
    assert variance.shape == (5,)
    np.testing.assert_allclose(variance, residual, rtol=0.2, atol=0.02)
    assert variance.min() < 0.6 < variance.max()
    by_hand = 0.5 * ((out["x"] - out["x_hat"][0]) ** 2 / variance + np.log(variance)).sum(axis=1)
    np.testing.assert_allclose(model.anomaly_score(X), by_hand, rtol=1e-3, atol=1e-3)
    labels = (np.arange(len(X)) > 700).astype(int)
    tuned = AnomalyAwareVAE(reconstruction="gaussian", epochs=2, finetune_epochs=2, penalty="log").fit(X, labels)
    assert min(-v for v in tuned.history_["anomaly"][2:]) > 0


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_posterior_trains(posterior: str, X: np.ndarray) -> None:
    options = {"posterior": posterior, "flow_steps": 2, "flow_context": 2, "batch_size": 200, "learning_rate": 5e-3}
    model = VAE(epochs=5, seeds=2, **options).fit(X)
    assert model.history_["total"][-1] < model.history_["total"][0]
    assert np.isfinite(model.anomaly_score(X)).all()
    with pytest.raises(InputError, match="flow_steps is 0"):
        VAE(posterior=posterior, flow_steps=0).fit(X)


@pytest.mark.parametrize("prior", PRIORS)
def test_every_prior_trains(prior: str, X: np.ndarray) -> None:
    model = VAE(prior=prior, components=4, epochs=8, learning_rate=5e-3).fit(X)
    assert model.history_["total"][-1] < model.history_["total"][0]
    assert min(model.history_["kl"]) > 0


def test_a_flow_makes_the_bound_tighter() -> None:
    """Training of the posterior alone towards a banana-shaped density: the flow comes closer than the Gaussian."""

    def log_target(z: torch.Tensor) -> torch.Tensor:
        return Normal(0.0, 1.0).log_prob(z[..., 0]) + Normal(z[..., 0] ** 2, 0.3).log_prob(z[..., 1])

    final = {}
    for kind in ("gaussian", "iaf"):
        flow = posterior_flow(kind, 2, 2)
        p = {"mu": torch.zeros(2), "logvar": torch.zeros(2)} | (flow.init(generator(0, "init")) if flow else {})
        p = {k: t.requires_grad_() for k, t in p.items()}
        optimiser = torch.optim.Adam(p.values(), lr=0.03)
        g = torch.Generator().manual_seed(0)
        for _ in range(120):
            eps = torch.randn(128, 2, generator=g)
            z = p["mu"] + (p["logvar"] / 2).exp() * eps
            log_q = Normal(0.0, 1.0).log_prob(eps).sum(-1) - 0.5 * p["logvar"].sum()
            if flow is not None:
                z, log_det = flow(p, z)
                log_q = log_q - log_det
            loss = (log_q - log_target(z)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        final[kind] = float(loss.detach())
    assert final["iaf"] < 0.5 * final["gaussian"]
