"""Encoders of particles and images: padding, permutations, members, and references in plain torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hepaa.detectors import VAE, load_detector
from hepaa.errors import InputError
from hepaa.models.engine.device import generator
from hepaa.models.nets.encoders import ENCODERS, UNITS, DeepSets, coder, jets_of

if TYPE_CHECKING:
    from pathlib import Path

PARTICLES, JETS = 5, 2
D = JETS * PARTICLES * 3
HIDDEN = {"mlp": (8,), "deepsets": (16, 12), "transformer": (8, 8), "conv": (10,)}


def jets(n: int, seed: int = 0) -> torch.Tensor:
    """n events of two jets with 1 to 5 particles, zero padded (n, 30)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, JETS, PARTICLES, 3, generator=g) * 0.3
    x[..., 0] = torch.rand(n, JETS, PARTICLES, generator=g)
    there = torch.arange(PARTICLES) < torch.randint(1, PARTICLES + 1, (n, JETS, 1), generator=g)
    return (x * there[..., None]).flatten(1)


def made(kind: str, outputs: int = 4):
    d = 64 if kind == "conv" else D
    encoder, decoder = coder(kind, d, HIDDEN[kind], 3, outputs, PARTICLES)
    return d, encoder, decoder


@pytest.mark.parametrize("kind", ENCODERS)
def test_members_are_each_alone(kind: str) -> None:
    d, encoder, decoder = made(kind)
    each = [encoder.init(generator(s, "init")) | decoder.init(generator(s + 9, "init")) for s in range(3)]
    together = {k: torch.stack([one[k] for one in each]) for k in each[0]}
    x = torch.stack([jets(6, s) if d == D else torch.rand(6, d) for s in range(3)])
    z = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(0))
    codes, images = encoder(together, x), decoder(together, z)
    assert codes.shape == (3, 6, 4)
    assert images.shape == (3, 6, d)
    for k, one in enumerate(each):
        torch.testing.assert_close(codes[k], encoder(one, x[k]), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(images[k], decoder(one, z[k]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["deepsets", "transformer"])
class TestSets:
    def test_order_of_particles_does_not_matter_and_that_of_jets_does(self, kind: str) -> None:
        _, encoder, _ = made(kind)
        p = encoder.init(generator(0, "init"))
        x = jets(40).reshape(40, JETS, PARTICLES, 3)
        before = encoder(p, x.flatten(1))
        order = torch.randperm(PARTICLES, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(encoder(p, x[:, :, order].flatten(1)), before, rtol=1e-5, atol=1e-6)
        assert (encoder(p, x.flip(1).flatten(1)) - before).abs().max() > 1e-2

    def test_padding_leaves_no_trace(self, kind: str) -> None:
        """More room, and numbers at places of pT 0, change nothing; a soft particle changes something."""
        _, encoder, _ = made(kind)
        p = encoder.init(generator(0, "init"))
        x = jets(40).reshape(40, JETS, PARTICLES, 3)
        before = encoder(p, x.flatten(1))
        roomy = torch.cat([x, torch.zeros(40, JETS, 3, 3)], dim=2)
        wider, _ = coder(kind, JETS * 8 * 3, HIDDEN[kind], 3, 4, 8)
        torch.testing.assert_close(wider(p, roomy.flatten(1)), before, rtol=1e-5, atol=1e-6)
        dirty = x.clone()
        dirty[..., 1:] = torch.where(x[..., :1] == 0, 7.0, x[..., 1:])
        torch.testing.assert_close(encoder(p, dirty.flatten(1)), before, rtol=1e-5, atol=1e-6)
        dirty[..., 0] += 0.1 * (dirty[..., 0] == 0)
        assert (encoder(p, dirty.flatten(1)) - before).abs().max() > 1e-2

    def test_events_without_particles_are_finite(self, kind: str) -> None:
        _, encoder, _ = made(kind)
        p = {k: t.requires_grad_() for k, t in encoder.init(generator(0, "init")).items()}
        out = encoder(p, torch.zeros(3, D))
        gradients = torch.autograd.grad(out.sum(), list(p.values()))
        assert torch.isfinite(out).all()
        assert all(torch.isfinite(g).all() for g in gradients)


def test_deepsets_by_loops() -> None:
    net = DeepSets(PARTICLES, JETS, (16, 12), 4)
    p = net.init(generator(3, "init"))
    x = jets(5)
    latent = net(p, x)

    def mlp(name: str, v: torch.Tensor) -> torch.Tensor:
        layers = sum(k.startswith(f"{name}.") and k.endswith("weight") for k in p)
        for i in range(layers):
            v = v @ p[f"{name}.{i}.weight"] + p[f"{name}.{i}.bias"][0]
            v = torch.relu(v) if i < layers - 1 else v
        return v

    for i, event in enumerate(x.reshape(5, JETS, PARTICLES, 3)):
        pooled = []
        for jet in event:
            real = [q for q in jet if q[0] > 0]
            codes = [torch.relu(mlp("encoder.particle", q / torch.tensor(UNITS))) for q in real]
            total = sum(q[0] for q in real)
            pooled += [sum(q[0] / total * c for q, c in zip(real, codes, strict=True)), sum(codes) / len(codes)]
        torch.testing.assert_close(latent[i], mlp("encoder.jets", torch.cat(pooled)), rtol=1e-5, atol=1e-6)


def test_attention_is_torchs_encoder_layer() -> None:
    """One block against torch.nn.TransformerEncoderLayer with the same weights, without padding."""
    encoder, _ = coder("transformer", 5 * 3, (8,), 2, 4, 5)
    p = encoder.init(generator(4, "init"))
    layer = torch.nn.TransformerEncoderLayer(8, 4, 16, dropout=0.0, batch_first=True, norm_first=True).eval()
    with torch.no_grad():
        for own, name in (
            ("qkv", "self_attn.in_proj_"),
            ("mix", "self_attn.out_proj."),
            ("up", "linear1."),
            ("down", "linear2."),
        ):
            layer.get_parameter(f"{name}weight").copy_(p[f"encoder.0.{own}.0.weight"].T)
            layer.get_parameter(f"{name}bias").copy_(p[f"encoder.0.{own}.0.bias"][0])
        x = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(2))
        x[..., 0] = x[..., 0].abs() + 0.1
        h = x / torch.tensor(UNITS) @ p["encoder.particle.0.weight"] + p["encoder.particle.0.bias"] + p["encoder.tag"]
        mean = torch.nn.functional.layer_norm(layer(h).mean(1), (8,))
        expected = mean @ p["encoder.out.0.weight"] + p["encoder.out.0.bias"]
        torch.testing.assert_close(encoder(p, x.flatten(1)), expected, rtol=1e-4, atol=1e-5)


def test_convolutions_are_those_of_modules() -> None:
    _, encoder, _ = made("conv")
    p = encoder.init(generator(5, "init"))
    x = torch.rand(7, 64, generator=torch.Generator().manual_seed(0))
    h = x.reshape(7, 1, 8, 8)
    for i in (0, 1):
        module = torch.nn.Conv2d(*p[f"encoder.conv{i}.weight"].shape[1::-1], 3, stride=2, padding=1)
        module.load_state_dict({k: p[f"encoder.conv{i}.{k}"] for k in ("weight", "bias")})
        h = torch.relu(module(h))
    h = torch.relu(h.flatten(1) @ p["encoder.dense.0.weight"] + p["encoder.dense.0.bias"])
    torch.testing.assert_close(encoder(p, x), h @ p["encoder.dense.1.weight"] + p["encoder.dense.1.bias"])


@pytest.mark.parametrize(
    "options",
    [
        {"encoder": "deepsets", "hidden": (16, 16), "reconstruction": "pt-weighted"},
        {"encoder": "transformer", "hidden": (16,), "reconstruction": "pt-weighted", "seeds": 2},
        {"encoder": "deepsets", "hidden": (16,), "reconstruction": "emd"},
        {"encoder": "mlp", "hidden": (16,), "reconstruction": "emd"},
    ],
    ids=lambda o: f"{o['encoder']}-{o['reconstruction']}",
)
def test_detectors_of_jets_learn_and_find_wider_ones(options: dict) -> None:
    x = jets(600).numpy()
    odd = x[:200].reshape(200, JETS, PARTICLES, 3).copy()
    odd[..., 1:] *= 2.5
    odd = odd.reshape(200, D)
    model = VAE(particles=PARTICLES, preprocess=None, beta=1e-3, latent=4, epochs=12, batch_size=64, **options).fit(x)
    history = model.history_["reconstruction"]
    assert history[-1] < 0.95 * history[0]
    score, other = model.anomaly_score(x), model.anomaly_score(odd)
    assert np.mean(other) > 1.3 * np.mean(score)
    if options["encoder"] == "deepsets" and options["reconstruction"] == "emd":
        shuffled = x.reshape(600, JETS, PARTICLES, 3)[:, :, ::-1].reshape(600, D)
        np.testing.assert_allclose(model.anomaly_score(shuffled), score, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("encoder", ["deepsets", "transformer", "conv"])
def test_saved_detectors_give_the_same_scores(encoder: str, tmp_path: Path) -> None:
    x = jets(80).numpy() if encoder != "conv" else np.random.default_rng(0).random((80, 64))
    options = {"encoder": encoder, "hidden": HIDDEN[encoder], "particles": None if encoder == "conv" else PARTICLES}
    model = VAE(preprocess=None, epochs=1, seeds=2, posterior="iaf", flow_context=2, prior="mixture", **options).fit(x)
    model.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(x), model.anomaly_score(x))
    assert again.get_params() == model.get_params()


def test_detectors_of_images_learn() -> None:
    rng = np.random.default_rng(0)
    row = rng.integers(0, 8, 400)
    images = 0.1 * rng.random((400, 8, 8))
    images[np.arange(400), row] += 0.9
    options = {"latent": 3, "beta": 0.1, "epochs": 25, "batch_size": 64, "learning_rate": 1e-2, "seeds": 2}
    model = VAE(encoder="conv", hidden=(16,), reconstruction="bce", preprocess=None, **options)
    model.fit(images.reshape(400, 64))
    assert model.history_["reconstruction"][-1] < 0.8 * model.history_["reconstruction"][0]
    crossed = images.transpose(0, 2, 1).reshape(400, 64)
    assert model.anomaly_score(crossed).mean() > 1.15 * model.anomaly_score(images.reshape(400, 64)).mean()


def test_inputs_that_are_no_jets_or_images_are_told() -> None:
    x = jets(50).numpy()
    assert jets_of(D, PARTICLES) == JETS
    for options, message in (
        ({"encoder": "deepsets", "particles": 5, "preprocess": "skewlog"}, "set preprocess=None"),
        ({"encoder": "deepsets"}, "particles is None"),
        ({"encoder": "deepsets", "particles": 7}, "no whole number of jets of 7"),
        ({"reconstruction": "emd"}, "particles is None"),
        ({"encoder": "transformer", "particles": 5, "hidden": (8, 16)}, "same width"),
        ({"encoder": "deepsets", "particles": 5, "hidden": ()}, "needs a width"),
        ({"encoder": "deepsets", "particles": 5, "prior": "vamp"}, "take prior='mixture'"),
        ({"encoder": "conv"}, "square images"),
        ({"encoder": "resnet"}, "encoder 'resnet' is unknown"),
    ):
        with pytest.raises(InputError, match=message):
            VAE(**{"preprocess": None, "epochs": 1, **options}).fit(x)
