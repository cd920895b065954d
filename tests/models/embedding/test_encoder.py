"""The contrastive encoder: what leaves no trace in an embedding, what training does to it, and who may take it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.base import clone

import hepaa
from hepaa.card import load_card
from hepaa.cli import main
from hepaa.detectors import (
    VAE,
    AnomalyAwareVAE,
    AnoRand,
    ContrastiveEncoder,
    ContrastiveVAE,
    Ensemble,
    Flow,
    GaussianMixture,
    NeuralClassifier,
    load_detector,
)
from hepaa.errors import InputError, NotFittedError
from hepaa.models.clusters import unit
from hepaa.run import checks
from hepaa.stats.separability import linear_probe
from hepaa.table import EventTable
from hepaa.table.streamed import StreamedTable

if TYPE_CHECKING:
    from pathlib import Path

PARTICLES = 6
JETS: dict[str, Any] = {
    "particles": PARTICLES, "hidden": (16, 16), "embedding": 4, "projection": 8, "batch_size": 150, "epochs": 1,
}  # fmt: skip


def jets(n: int, width: float, seed: int = 0) -> np.ndarray:
    """n events of two jets with up to 6 particles of angles about `width`; those that are not there are zeros."""
    rng = np.random.default_rng(seed)
    shares = np.sort(rng.dirichlet(np.ones(PARTICLES), (n, 2)), axis=-1)[..., ::-1]
    x = np.concatenate([shares[..., None], width * rng.normal(size=(n, 2, PARTICLES, 2))], axis=-1)
    x[np.arange(PARTICLES) >= rng.integers(2, PARTICLES + 1, (n, 2))[..., None]] = 0.0
    return x.reshape(n, -1).astype(np.float32)


@pytest.fixture(scope="module")
def events() -> tuple[np.ndarray, np.ndarray]:
    """Two generators, whose jets have other widths."""
    return np.concatenate([jets(150, 0.1), jets(150, 0.2, seed=1)]), np.repeat([3, 7], 150)


@pytest.fixture(scope="module")
def encoder(events: tuple[np.ndarray, np.ndarray]) -> ContrastiveEncoder:
    return ContrastiveEncoder(**JETS, contrastive="both").fit(events[0], groups=events[1])


@pytest.mark.parametrize("kind", ["deepsets", "transformer"])
def test_padding_and_order_leave_no_trace(kind: Any, events: tuple[np.ndarray, np.ndarray]) -> None:
    X, _ = events
    model = ContrastiveEncoder(**JETS, encoder=kind).fit(X)
    z = model.transform(X)
    assert z.shape == (300, 4)
    assert z.dtype == np.float32
    other = X.reshape(300, 2, PARTICLES, 3).copy()
    other[..., 1:][other[..., 0] == 0] = 9.0  # angles of particles that are not there
    np.testing.assert_array_equal(model.transform(other.reshape(300, -1)), z)
    turned = other[:, :, ::-1].reshape(300, -1)
    np.testing.assert_allclose(model.transform(turned), z, rtol=1e-3, atol=2e-5)
    assert model.transform(X[:0]).shape == (0, 4)


def test_supcon_tells_groups_apart_and_ntxent_makes_views_alike(events: tuple[np.ndarray, np.ndarray]) -> None:
    X, group = events
    long = {**JETS, "batch_size": 100, "epochs": 10, "learning_rate": 5e-3, "seed": 1}
    apart = {}
    for rate in (1e-9, 5e-3):
        model = ContrastiveEncoder(**{**long, "learning_rate": rate}, contrastive="supcon").fit(X, groups=group)
        z = unit(model.outputs(X)["mu"][0].astype(float))
        cosine = z @ z.T
        same = group[:, None] == group
        apart[rate] = cosine[same].mean() - cosine[~same].mean()
    assert apart[1e-9] < 0.1
    assert apart[5e-3] > 0.2
    assert linear_probe(model.transform(X), group).accuracy > 0.85
    views = ContrastiveEncoder(**long).fit(X)
    assert views.history_["ntxent"][0] > 5.2  # log of the 199 others, nearly: nothing is alike yet
    assert views.history_["ntxent"][-1] < 5.1
    both = ContrastiveEncoder(**long, contrastive="both").fit(X, groups=group)
    assert set(both.history_) == {"total", "supcon", "ntxent"}


def test_its_own_score_is_the_distance_from_the_nearest_generator(
    encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray]
) -> None:
    X, group = events
    z = encoder.transform(X).astype(float)
    far = []
    for name in (3, 7):
        of = z[group == name]
        offset = z - of.mean(axis=0)
        far.append(np.sqrt(np.einsum("ni,ij,nj->n", offset, np.linalg.inv(np.cov(of.T)), offset)))
    np.testing.assert_allclose(encoder.anomaly_score(X), np.min(far, axis=0), rtol=1e-3)


def test_weights_of_events_weigh_the_clusters(events: tuple[np.ndarray, np.ndarray]) -> None:
    X, group = events
    weight = 1.0 + 9.0 * (np.arange(300) % 3 == 0)
    model = ContrastiveEncoder(**JETS).fit(X, sample_weight=weight, groups=group)
    z = model.transform(X).astype(float)
    means = [np.average(z[group == name], axis=0, weights=weight[group == name]) for name in (3, 7)]
    np.testing.assert_allclose(model.clusters_.means_[0], means, rtol=1e-4, atol=1e-6)


def test_members_stand_side_by_side(events: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = events
    two = ContrastiveEncoder(**JETS, seeds=2).fit(X)
    np.testing.assert_allclose(two.transform(X)[:, :4], ContrastiveEncoder(**JETS).fit(X).transform(X), atol=1e-4)
    assert two.transform(X).shape == (300, 8)
    two.save(tmp_path / "e.safetensors")
    again = load_detector(tmp_path / "e.safetensors")
    assert isinstance(again, ContrastiveEncoder)
    np.testing.assert_array_equal(again.transform(X), two.transform(X))
    mixture = GaussianMixture(encoder=two, components=2).fit(X)
    assert mixture.means_.shape[-1] == 8


def test_in_front_of_a_detector_it_is_a_step_of_its_own(
    encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray]
) -> None:
    X, _ = events
    z = encoder.transform(X)
    for make in (
        lambda **more: GaussianMixture(components=2, **more),
        lambda **more: Flow(kind="maf", transforms=1, hidden=(4,), epochs=1, **more),
        lambda **more: VAE(epochs=1, **more),
        lambda **more: Ensemble(members=("gaussian-mixture", "sum-of-squares"), method="fisher", **more),
    ):
        framed, bare = make(encoder=encoder).fit(X), make().fit(z)
        np.testing.assert_array_equal(framed.anomaly_score(X), bare.anomaly_score(z))


LATER: dict[str, Any] = {
    "mixture": lambda e: GaussianMixture(encoder=e, components=2),
    "vae": lambda e: VAE(encoder=e, epochs=1),
    "fine-tuned vae": lambda e: VAE(
        encoder=e, encoder_training="fine-tune", preprocess=None, particles=PARTICLES, reconstruction="pt-weighted",
        epochs=1, scored_by="mahalanobis",
    ),
    "fine-tuned contrastive vae": lambda e: ContrastiveVAE(
        encoder=e, encoder_training="fine-tune", preprocess=None, particles=PARTICLES, contrastive="ntxent",
        views="physical", epochs=1,
    ),
    "anomaly aware": lambda e: AnomalyAwareVAE(encoder=e, epochs=1, finetune_epochs=1),
    "anorand": lambda e: AnoRand(encoder=e, epochs=1),
    "classifier": lambda e: NeuralClassifier(encoder=e, encoder_training="fine-tune", preprocess=None, epochs=1),
    "probe": lambda e: NeuralClassifier(encoder=e, hidden=(), epochs=1),
}  # fmt: skip


@pytest.mark.parametrize("name", LATER)
def test_detectors_take_an_estimator_or_its_file_and_keep_it(
    name: str, encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, group = events
    table = EventTable.build(X, [f"x{i}" for i in range(X.shape[1])], label=(group == 7).astype(int))
    encoder.save(tmp_path / "e.safetensors")
    model = LATER[name](encoder).fit(table)
    scores = model.anomaly_score(table)
    of_file = LATER[name](str(tmp_path / "e.safetensors")).fit(table)
    np.testing.assert_array_equal(of_file.anomaly_score(table), scores)
    (tmp_path / "e.safetensors").unlink()
    of_file.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(table), scores)
    np.testing.assert_array_equal(again.encoder.transform(X), encoder.transform(X))
    copy = clone(model)
    assert copy.encoder is encoder
    np.testing.assert_array_equal(copy.fit(table).anomaly_score(table), scores)


def test_fine_tuning_starts_from_the_pre_trained_weights(
    encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray]
) -> None:
    X, group = events
    options = {"encoder": encoder, "encoder_training": "fine-tune", "preprocess": None, "epochs": 1}
    still = NeuralClassifier(**options, learning_rate=1e-12).fit(X, group == 7)
    p = {name: t.numpy() for name, t in still.parameters_.frozen().items()}
    by_hand = encoder.transform(X) @ p["encoder.head.0.weight"] + p["encoder.head.0.bias"]
    np.testing.assert_allclose(still.anomaly_score(X), by_hand[:, 0], rtol=1e-4, atol=1e-5)
    moved = NeuralClassifier(**options, learning_rate=1e-2).fit(X, group == 7)
    for name, start in encoder.trunk()[1].items():
        assert (moved.parameters_.tensors[name] != start).any(), name


def test_a_model_that_was_saved_before_there_were_encoders_still_loads(tmp_path: Path) -> None:
    from hepaa.io.sealed import sealed, unsealed
    from hepaa.io.texts import parse_json

    X = np.random.default_rng(0).normal(size=(100, 3))
    model = VAE(epochs=1).fit(X)
    model.save(tmp_path / "m.safetensors")
    record = unsealed(parse_json((tmp_path / "m.json").read_text()))
    del record["width"], record["parameters"]["encoder_training"], record["parameters"]["scored_by"]
    import json

    (tmp_path / "m.json").write_text(json.dumps(sealed(record)))
    np.testing.assert_array_equal(load_detector(tmp_path / "m.safetensors").anomaly_score(X), model.anomaly_score(X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda e: GaussianMixture(encoder=ContrastiveEncoder()), "not fitted yet"),
        (lambda e: GaussianMixture(encoder="deepsets"), "file name ends in .safetensors"),
        (lambda e: GaussianMixture(encoder=3), "give a fitted ContrastiveEncoder"),
        (lambda e: VAE(encoder="deepset"), "did you mean 'deepsets'"),
        (lambda e: VAE(encoder="gone.safetensors"), "gone"),
        (lambda e: VAE(encoder_training="fine-tune"), "needs a pre-trained encoder"),
        (lambda e: VAE(encoder=e, encoder_training="fine-tune"), "set preprocess=None"),
        (lambda e: VAE(encoder=e, encoder_training="thaw"), "'thaw' is unknown"),
        (lambda e: Ensemble(members=(GaussianMixture(encoder=e),)), "give it to Ensemble instead"),
        (lambda e: NeuralClassifier(encoder="deepsets"), "set preprocess=None"),
        (lambda e: NeuralClassifier(validation_fraction=0.1), "holds nothing out"),
        (lambda e: ContrastiveEncoder(**JETS, contrastive="supcon"), "two groups"),
        (lambda e: ContrastiveEncoder(**JETS, validation_fraction=0.1), "no validation loss"),
        (lambda e: ContrastiveEncoder(**JETS, preprocess="skewlog"), "set preprocess=None"),
        (lambda e: ContrastiveEncoder(), "particles is None"),
        (lambda e: ContrastiveEncoder(**JETS, split=2.0), "split"),
    ],
)
def test_what_cannot_be_is_said_before_training(
    make: Any, message: str, encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray]
) -> None:
    with pytest.raises(InputError, match=message):
        make(encoder).check(events[0], y=np.arange(300) % 2)


def test_other_refusals(encoder: ContrastiveEncoder, events: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        ContrastiveEncoder().transform(events[0])
    with pytest.raises(InputError, match="no ONNX form"):
        encoder.to_onnx(tmp_path / "m.onnx")
    table = EventTable.build(events[0], [f"x{i}" for i in range(36)])
    table.save(tmp_path / "t.parquet")
    for model in (VAE(encoder=encoder), ContrastiveEncoder(**JETS)):
        with pytest.raises(InputError, match="needs a table in memory"):
            model.fit(StreamedTable(tmp_path / "t.parquet"))


def test_from_the_command_line_and_a_card(events: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    X, _ = events
    EventTable.build(X, [f"x{i}" for i in range(36)]).save(tmp_path / "t.parquet")
    table, model, mixture = (str(tmp_path / name) for name in ("t.parquet", "e.safetensors", "m.safetensors"))
    small = [f"--option={o}" for o in ("epochs=1", "particles=6", "hidden=[8,8]", "batch_size=100")]
    for words in (
        ["train", table, "--detector", "contrastive-encoder", *small, "-o", model],
        ["train", table, "--detector", "gaussian-mixture", "--option", f"encoder={model}", "-o", mixture],
        ["score", mixture, table, "-o", str(tmp_path / "s.parquet")],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
    scored = EventTable.load(tmp_path / "s.parquet")
    expected = GaussianMixture(encoder=load_detector(model)).fit(X).anomaly_score(X)
    np.testing.assert_allclose(scored["score_m"], expected, rtol=1e-6)
    (tmp_path / "card.yaml").write_text(
        "name: x\noutput: out\nluminosity_fb: 1\nfeatures: {set: constituents-2x30}\n"
        "samples: [{process: b, files: [a.h5]}, {process: s, role: signal, files: [b.h5]}]\n"
        "detectors: [{detector: gaussian-mixture, options: {encoder: e.safetensors}}]\n"
    )
    (untrained,) = checks.untrained(load_card(tmp_path / "card.yaml")).values()
    assert untrained.encoder == model  # beside the card, wherever the run is started
    assert hepaa.ContrastiveEncoder is ContrastiveEncoder
