"""Anomaly metrics against torch.distributions, scipy and closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from scipy.special import logsumexp
from sklearn.metrics.pairwise import cosine_distances
from sklearn.neighbors import NearestNeighbors
from torch.distributions import Normal, kl_divergence

from hepaa.detectors import VAE, ContrastiveVAE, SumOfSquares, load_detector
from hepaa.errors import InputError
from hepaa.models.clusters import Clusters
from hepaa.models.presets import detector
from hepaa.models.vae.scoring import SCORES
from hepaa.scores import LatentDistance, feature_errors, importance_weighted, vae_scores
from hepaa.table import EventTable
from hepaa.table.streamed import StreamedTable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(600, 5)) @ rng.normal(size=(5, 5))


@pytest.fixture(scope="module")
def model(X: np.ndarray) -> VAE:
    return VAE(epochs=4, batch_size=32, seeds=2, beta=0.5).fit(X)


def test_vae_scores(model: VAE, X: np.ndarray) -> None:
    scores = vae_scores(model, X)
    out = {k: torch.from_numpy(v) for k, v in model.outputs(X).items()}
    kl = kl_divergence(Normal(out["mu"], (out["logvar"] / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean(0)
    np.testing.assert_allclose(scores["kl"], kl.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores["reconstruction"], model.anomaly_score(X), rtol=1e-5)
    np.testing.assert_allclose(scores["elbo"], model.anomaly_score(X) + 0.5 * kl.numpy(), rtol=1e-4)
    with pytest.raises(InputError, match="SumOfSquares has no latent space"):
        vae_scores(SumOfSquares().fit(X), X)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mse", "huber", "bce"])
def test_feature_errors_sum_to_the_score(kind: str, X: np.ndarray) -> None:
    images = 1 / (1 + np.exp(-X))
    model = VAE(epochs=2, reconstruction=kind, preprocess=None).fit(images if kind == "bce" else 3 * X)
    inputs = images if kind == "bce" else 3 * X
    errors = feature_errors(model, inputs)
    assert errors.shape == (600, 5)
    np.testing.assert_allclose(errors.sum(axis=1), model.anomaly_score(inputs), rtol=1e-4)


def test_latent_distance_is_scipys_to_the_nearest_group(model: VAE, X: np.ndarray) -> None:
    group = (X[:, 0] > 0).astype(int) * 7
    distance = LatentDistance(model).fit(X, group)
    assert distance.groups_.tolist() == [0, 7]
    mu = model.outputs(X)["mu"].astype(float)
    by_hand = np.empty((2, 600, 2))
    for k in range(2):
        for j, g in enumerate((0, 7)):
            rows = mu[k, group == g]
            inverse = np.linalg.inv(np.cov(rows.T))
            by_hand[k, :, j] = [mahalanobis(m, rows.mean(0), inverse) for m in mu[k]]
    np.testing.assert_allclose(distance.distances(X), by_hand.mean(0), rtol=1e-6)
    np.testing.assert_allclose(distance(X), by_hand.mean(0).min(axis=1), rtol=1e-6)
    with pytest.raises(InputError, match="group 1 has 2 events"):
        LatentDistance(model).fit(X, (np.arange(600) < 2).astype(int))
    with pytest.raises(InputError, match="one group an event"):
        LatentDistance(model).fit(X, [0, 1])


def test_other_distances_are_those_of_peers(model: VAE, X: np.ndarray) -> None:
    group = (X[:, 0] > 0).astype(int)
    mu = model.outputs(X)["mu"].astype(float)
    new = X[:50] + 1.0
    there = model.outputs(new)["mu"].astype(float)

    def by_hand(distance) -> np.ndarray:
        return np.mean([[distance(mu[k, group == g], there[k]) for g in (0, 1)] for k in range(2)], axis=0).T

    def euclidean(cluster: np.ndarray, points: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points - cluster.mean(0), axis=1)

    def cosine(cluster: np.ndarray, points: np.ndarray) -> np.ndarray:
        direction = (cluster / np.linalg.norm(cluster, axis=1, keepdims=True)).mean(0)
        return cosine_distances(points, direction[None])[:, 0]

    def knn(cluster: np.ndarray, points: np.ndarray) -> np.ndarray:
        return NearestNeighbors(n_neighbors=7).fit(cluster).kneighbors(points)[0][:, -1]

    for metric, reference in (("euclidean", euclidean), ("cosine", cosine), ("knn", knn)):
        distance = LatentDistance(model, metric, neighbours=7).fit(X, group)
        np.testing.assert_allclose(distance.distances(new), by_hand(reference), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(distance(new), distance.distances(new).min(axis=1))
    with pytest.raises(InputError, match="metric 'manhattan' is unknown"):
        LatentDistance(model, "manhattan")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="group 1 has 2 events, too few for 20 neighbours"):
        LatentDistance(model, "knn").fit(X, (np.arange(600) < 2).astype(int))
    with pytest.raises(InputError, match="neighbours is 0"):
        LatentDistance(model, "knn", neighbours=0)


@pytest.mark.parametrize("options", [{}, {"posterior": "planar", "flow_steps": 2}, {"prior": "dirichlet", "latent": 3}])
def test_importance_weights_approach_the_evidence(options: dict, X: np.ndarray) -> None:
    """Against -log of the integral over the prior, by brute force; the bound falls with the number of samples."""
    fitted = VAE(epochs=3, batch_size=32, preprocess="standard", **options).fit(X)
    few = X[:6]
    net, p = fitted._latent_net(5), fitted.parameters_.frozen()
    x = torch.from_numpy(fitted.prepared(few))
    scale = getattr(net.prior, "variance", 1.0) ** 0.5
    z = scale * torch.randn(100_000, net.latent, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        x_hat = net.decoder(p, net.prior.point(z))
        errors = np.array([(row - x_hat).square().sum(-1).double().numpy() for row in x])
    evidence = -(logsumexp(-errors, axis=1) - np.log(len(z)))
    many = importance_weighted(fitted, few, samples=1000)
    np.testing.assert_allclose(many, evidence, atol=0.12)
    bounds = [np.mean([importance_weighted(fitted, X[:100], s, seed) for seed in range(25)]) for s in (1, 10)]
    assert bounds[0] > bounds[1]
    np.testing.assert_allclose(
        importance_weighted(fitted, X[100:200]), importance_weighted(fitted, X)[100:200], rtol=1e-5
    )


def test_importance_weights_need_a_vae(X: np.ndarray, model: VAE) -> None:
    with pytest.raises(InputError, match="no latent space"):
        importance_weighted(SumOfSquares().fit(X), X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="samples is 0"):
        importance_weighted(model, X, samples=0)


def test_errors_of_jets_have_shares_or_say_that_they_have_none() -> None:
    rng = np.random.default_rng(0)
    jets = rng.normal(0, 0.2, (80, 4, 3))
    jets[..., 0] = rng.dirichlet(np.ones(4), 80)
    x = jets.reshape(80, 12)
    options = {"particles": 4, "preprocess": None, "epochs": 2, "encoder": "deepsets", "beta": 0.01}
    weighted = VAE(reconstruction="pt-weighted", **options).fit(x)
    errors = feature_errors(weighted, x)
    np.testing.assert_allclose(errors.sum(1), weighted.anomaly_score(x), rtol=1e-4)
    off = (x - weighted.outputs(x)["x_hat"][0]).reshape(80, 4, 3) ** 2
    np.testing.assert_allclose(errors.reshape(80, 4, 3)[..., 1], jets[..., 0] * off[..., 1], rtol=1e-3, atol=1e-7)
    mover = VAE(reconstruction="emd", **options).fit(x)
    np.testing.assert_allclose(vae_scores(mover, x)["reconstruction"], mover.anomaly_score(x), rtol=1e-2, atol=1e-4)
    with pytest.raises(InputError, match="a feature has no share"):
        feature_errors(mover, x)


def test_learned_variances_stay_in_pieces(X: np.ndarray) -> None:
    """Shares with a learned variance, for more events than fit into one piece."""
    fitted = VAE(epochs=1, reconstruction="gaussian", seeds=2).fit(X)
    rows = np.tile(X, (60, 1))
    np.testing.assert_allclose(feature_errors(fitted, rows).sum(1), fitted.anomaly_score(rows), rtol=1e-4, atol=1e-5)


def mixed(n: int = 600, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Events of two generators, of which the second lies elsewhere, and far-off ones at the end."""
    rng = np.random.default_rng(8)
    group = np.arange(n) % 2
    return rng.normal(size=(n, d)) + 2.0 * group[:, None], group


@pytest.fixture(scope="module")
def trained() -> dict[str, VAE]:
    """Of every score, one training; the score changes nothing in it."""
    X, group = mixed()
    options = {"epochs": 3, "seed": 3, "posterior": "planar", "flow_steps": 1, "seeds": 2, "beta": 0.3}
    return {score: VAE(scored_by=score, **options).fit(X, groups=group) for score in SCORES}


def test_scores_of_a_fit_are_those_of_the_functions(trained: dict[str, VAE]) -> None:
    X, group = mixed()
    plain = trained["reconstruction"]
    assert all(np.array_equal(m.parameters_.flat, plain.parameters_.flat) for m in trained.values())
    by_hand = vae_scores(plain, X)
    for score in ("reconstruction", "kl", "elbo"):
        np.testing.assert_allclose(trained[score].anomaly_score(X), by_hand[score], rtol=1e-5, err_msg=score)
    for metric in ("mahalanobis", "euclidean", "cosine"):
        distance = LatentDistance(plain, metric).fit(X, group)
        np.testing.assert_allclose(trained[metric].anomaly_score(X), distance(X), rtol=1e-6, err_msg=metric)
    np.testing.assert_array_equal(trained["importance"].anomaly_score(X), importance_weighted(plain, X))


def test_the_flow_score_is_the_density_of_the_flow(trained: dict[str, VAE]) -> None:
    """-log p(f(mu)) |det df/dmu| by autograd, with p the prior."""
    X, _ = mixed(20)
    plain = trained["reconstruction"]
    net, out = plain.model_, plain.outputs(X)
    expected = []
    for k in range(2):
        p = {name: t[k] for name, t in plain.parameters_.frozen().items()}
        for mu in torch.from_numpy(out["mu"][k]):
            image, jacobian = (
                net.posterior(p, mu[None], None)[0][0],
                torch.autograd.functional.jacobian(lambda m, p=p: net.posterior(p, m[None], None)[0][0], mu),
            )
            prior = -0.5 * image.square().sum() - np.log(2 * np.pi)
            expected.append(-float(prior + torch.linalg.slogdet(jacobian)[1]))
    expected = np.reshape(expected, (2, 20)).mean(axis=0)
    np.testing.assert_allclose(trained["flow"].anomaly_score(X), expected, rtol=1e-4, atol=1e-4)


def test_combined_scores_join_the_shares_of_background(trained: dict[str, VAE]) -> None:
    X, _ = mixed()
    parts = ("reconstruction", "kl", "mahalanobis")
    scores = np.stack([trained[part].anomaly_score(X) for part in parts])
    below = (scores[:, None, :] < scores[:, :, None]).mean(axis=2)  # on the training background itself
    rank, fisher = trained["rank"].anomaly_score(X), trained["fisher"].anomaly_score(X)
    np.testing.assert_allclose(rank, below.mean(axis=0), atol=0.01)
    middle = (below < 0.9).all(axis=0)  # beyond, a tail takes the place of the steps
    np.testing.assert_allclose(fisher[middle], -np.log1p(-below[:, middle]).sum(axis=0), atol=0.06)


@pytest.mark.parametrize("score", SCORES)
def test_a_saved_detector_keeps_its_score(score: str, trained: dict[str, VAE], tmp_path: Path) -> None:
    X, _ = mixed(50)
    trained[score].save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(X), trained[score].anomaly_score(X))
    assert again.threshold_ == trained[score].threshold_


def test_clusters_follow_generators_and_weights() -> None:
    """Contrast or not, a cluster is that of a generator; an event of weight 0 does not move it."""
    X, group = mixed()
    options = {"epochs": 1, "scored_by": "mahalanobis", "contrastive": "ntxent"}
    model = ContrastiveVAE(**options).fit(X, groups=10 * group)
    assert model.scoring_.clusters["mahalanobis"].means_.shape == (1, 2, 2)
    assert ContrastiveVAE(**options).fit(X).scoring_.clusters["mahalanobis"].means_.shape == (1, 1, 2)
    weight = np.where(X[:, 0] > 2, 0.0, 1.0)
    points = X[None, :, :2]
    rows = weight > 0
    heavy, light = Clusters("mahalanobis").fit(points, weight=weight), Clusters("mahalanobis").fit(points[:, rows])
    np.testing.assert_allclose(heavy.means_, light.means_)
    np.testing.assert_allclose(heavy.distances(points), light.distances(points), rtol=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scored_by": "mahalanobi"}, "did you mean 'mahalanobis'"),
        ({"scored_by": "flow"}, "take one as posterior"),
        ({"scored_by": "rank", "combined": ("kl",)}, "give two scores or more"),
        ({"scored_by": "fisher", "combined": ("kl", "rank")}, "a score in combined 'rank' is unknown"),
        ({"scored_by": "cosine"}, "group 1 has 1 events, too few"),
    ],
)
def test_scores_that_cannot_be_are_refused_before_training(
    options: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VAE, "_fit", lambda *_: pytest.fail("trained before the check"))
    with pytest.raises(InputError, match=message):
        VAE(**options).fit(mixed(50)[0], groups=(np.arange(50) < 1).astype(int))


def test_scores_that_have_no_other_form_say_so(trained: dict[str, VAE], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'kl' has no ONNX form"):
        trained["kl"].to_onnx(tmp_path / "m.onnx")
    table = EventTable.build(mixed(200)[0], list("abcde"))
    table.save(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="clusters of the latent space need a table in memory"):
        VAE(scored_by="cosine", epochs=1).fit(StreamedTable(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match=r"boosting .* has no latent space"):
        detector("boosting", scored_by="kl")
