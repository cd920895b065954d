"""Distance correlation against the package dcor and a sum by hand; a penalty that makes a score forget the mass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hepaa
from hepaa.errors import InputError
from hepaa.models.losses.disco import BLOCK, DisCo, distance_correlation
from hepaa.models.losses.reconstruction import ERRORS, PARTICLE_ERRORS, EventError
from hepaa.models.losses.terms import TrainingBatch


def by_hand(a, b, w):
    """Weighted squared distance correlation, element by element."""
    w = w / w.sum()
    n = len(a)

    def centred(x):
        d = np.abs(x[:, None] - x[None, :])
        rows = [sum(w[k] * d[i, k] for k in range(n)) for i in range(n)]
        mean = sum(w[i] * rows[i] for i in range(n))
        return np.array([[d[i, j] - rows[i] - rows[j] + mean for j in range(n)] for i in range(n)])

    def covariance(x, y):
        return sum(w[i] * w[j] * x[i, j] * y[i, j] for i in range(n) for j in range(n))

    x, y = centred(a), centred(b)
    return covariance(x, y) / np.sqrt(covariance(x, x) * covariance(y, y))


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    a = rng.normal(size=40)
    return a, a**2 + 0.3 * rng.normal(size=40), rng.uniform(0.1, 2.0, 40)


def test_equals_the_sum_by_hand(sample):
    a, b, w = sample
    value = distance_correlation(*(torch.tensor(x) for x in (a, b, w)))
    assert value.item() == pytest.approx(by_hand(a, b, w), rel=1e-10)


def test_equals_dcor(sample):
    dcor = pytest.importorskip("dcor", reason="dcor is not installed")
    a, b, _ = sample
    value = distance_correlation(torch.tensor(a), torch.tensor(b))
    assert value.item() == pytest.approx(dcor.distance_correlation_sqr(a, b), rel=1e-8)


def test_weights_stand_for_copies_and_members_are_apart(sample):
    a, b, _ = (torch.tensor(x) for x in sample)
    w = torch.ones(40, dtype=torch.float64)
    w[:10] = 3
    copies = torch.cat([torch.arange(40), torch.arange(10), torch.arange(10)])
    torch.testing.assert_close(distance_correlation(a, b, w), distance_correlation(a[copies], b[copies]))
    both = distance_correlation(torch.stack([a, b]), torch.stack([b, b]))
    torch.testing.assert_close(both, torch.stack([distance_correlation(a, b), torch.tensor(1.0, dtype=torch.float64)]))


def test_a_constant_has_no_correlation_and_a_finite_gradient():
    a = torch.zeros(8, requires_grad=True)
    value = distance_correlation(a, torch.arange(8.0))
    assert value.item() == 0
    value.backward()
    assert torch.isfinite(a.grad).all()


def test_gradient_is_that_of_finite_differences(sample):
    a, b, w = (torch.tensor(x[:12]) for x in sample)
    assert torch.autograd.gradcheck(lambda x: distance_correlation(x, b, w), a.requires_grad_())


def test_term_counts_background_alone():
    generator = torch.Generator().manual_seed(0)
    x, x_hat, mass = (torch.randn(*s, generator=generator) for s in ((10, 3), (10, 3), (10,)))
    whole = DisCo()(TrainingBatch(x=x[:7], spectator=mass[:7]), {"x_hat": x_hat[:7]})
    mixed = DisCo()(TrainingBatch(x=x, anomalies=3, spectator=mass), {"x_hat": x_hat})
    torch.testing.assert_close(whole, mixed)
    error = torch.log1p(((x - x_hat) ** 2).sum(-1))[:7]
    torch.testing.assert_close(whole, distance_correlation(error, mass[:7]))
    with pytest.raises(InputError, match="needs a spectator"):
        DisCo()(TrainingBatch(x=x), {"x_hat": x_hat})
    with pytest.raises(InputError, match="negative weights"):
        DisCo()(TrainingBatch(x=x, spectator=mass, weight=-torch.ones(10)), {"x_hat": x_hat})


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_enters_as_its_logarithm(kind):
    generator = torch.Generator().manual_seed(3)
    jets, mass = torch.rand(40, 2, 3, 3, generator=generator), torch.rand(40, generator=generator)
    jets[:4, 1] = 0.0
    x, x_hat = jets.flatten(1), torch.randn(40, 18, generator=generator)
    logvar = torch.linspace(-6, 1, 18)[None]
    error = EventError(kind, 3 if kind in PARTICLE_ERRORS else 0)
    value = DisCo(error)(TrainingBatch(x=x, spectator=mass), {"x_hat": x_hat, "x_logvar": logvar})
    d2 = (x - x_hat) ** 2
    share = jets[..., 0] / jets[..., 0].sum(-1, keepdim=True).clamp(min=1e-9)
    by_hand = {
        "mse": d2.sum(1),
        "mae": d2.sqrt().sum(1),
        "huber": torch.where(d2 < 1, d2, 2 * d2.sqrt() - 1).sum(1),
        "bce": (torch.nn.functional.softplus(x_hat) - x * x_hat).sum(1),
        "gaussian": 0.5 * (d2 / logvar.exp()).sum(1),  # the variances are the same for all events
        "pt-weighted": (torch.stack([torch.ones_like(share), share, share], -1).flatten(1) * d2).sum(1),
        "emd": EventError("emd", 3)(x, {"x_hat": x_hat}),
    }[kind]
    torch.testing.assert_close(value, distance_correlation(by_hand.log1p(), mass))


@pytest.mark.slow
def test_training_with_it_makes_the_error_forget_the_mass():
    """A linear map is to reproduce x, whose size grows with the mass: its error does too, unless it is penalised."""
    rng = torch.Generator().manual_seed(1)
    mass = torch.rand(200, generator=rng)
    x = torch.randn(200, 3, generator=rng) * (0.3 + 2 * mass[:, None])
    left = {}
    for penalty in (0.0, 20.0):
        net = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=rng))
        optimiser = torch.optim.Adam(net.parameters(), 0.01)
        for _ in range(100):
            optimiser.zero_grad()
            x_hat = net(x) * 0.5
            batch = TrainingBatch(x=x, spectator=mass)
            value = DisCo()(batch, {"x_hat": x_hat})
            (((x - x_hat) ** 2).sum(-1).mean() + penalty * value).backward()
            optimiser.step()
        left[penalty] = value.item()
    assert left[20.0] < 0.3 * left[0.0]


@pytest.fixture(scope="module")
def table():
    """Background whose width, and with it every error, grows with a mass; and some anomalies."""
    rng = np.random.default_rng(3)
    mass = rng.uniform(size=3000).astype(np.float32)
    X = rng.normal(size=(3000, 4)) * (0.3 + 2 * mass[:, None])
    return hepaa.EventTable.build(X, tuple("abcd"), label=(np.arange(3000) >= 2800).astype(int), spectators={"m": mass})


@pytest.mark.parametrize(
    "cls",
    [
        hepaa.VAE,
        pytest.param(hepaa.AnomalyAwareVAE, marks=pytest.mark.slow),
        pytest.param(hepaa.ContrastiveVAE, marks=pytest.mark.slow),
    ],
)
def test_a_detector_is_decorrelated_by_one_option(cls, table):
    options = {"hidden": (16,), "epochs": 8, "learning_rate": 0.01, "preprocess": "standard", "reconstruction": "mse"}
    if cls is hepaa.AnomalyAwareVAE:
        options |= {"finetune_epochs": 3}
    if cls is hepaa.ContrastiveVAE:
        options |= {"contrastive": "ntxent"}
    left = {}
    for column in (None, "m"):
        model = cls(decorrelate=column, disco_weight=100.0, validation_fraction=0.2, **options).fit(table)
        error = np.log1p(model.anomaly_score(table.background))
        left[column] = float(distance_correlation(torch.tensor(error), torch.tensor(table.background["m"]).double()))
        assert ("disco" in model.history_) == (column is not None)
    assert left["m"] < 0.5 * left[None]


def test_the_column_must_be_there(table):
    with pytest.raises(InputError, match="no column 'mm'"):
        hepaa.VAE(decorrelate="mm", epochs=1).fit(table)
    with pytest.raises(InputError, match="EventTable or a data frame"):
        hepaa.VAE(decorrelate="m", epochs=1).fit(table.X)


def test_large_batches_are_a_mean_over_blocks():
    generator = torch.Generator().manual_seed(2)
    n = BLOCK + 10
    x, x_hat, mass = (torch.randn(*s, generator=generator) for s in ((n, 3), (n, 3), (n,)))
    one, rest = (
        DisCo()(TrainingBatch(x=x[r], spectator=mass[r]), {"x_hat": x_hat[r]}) for r in (slice(BLOCK), slice(BLOCK, n))
    )
    torch.testing.assert_close(
        DisCo()(TrainingBatch(x=x, spectator=mass), {"x_hat": x_hat}), (BLOCK * one + 10 * rest) / n
    )
