"""Balanced drawing: what is in a batch, what is in an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.training import batches

from hepaa.detectors import VAE, ContrastiveVAE, load_detector
from hepaa.errors import InputError
from hepaa.models.engine.batches import Pool, apportion, shares_of
from hepaa.models.engine.training import Settings, Stage, Trainer
from hepaa.models.losses.terms import KL, Reconstruction
from hepaa.models.nets.mlp import GaussianVAE
from hepaa.table import EventTable, concatenate

PLAIN = Stage(1, (Reconstruction(), KL()))


def loop(balance, validation_fraction=0.0, seeds=(0,)):
    """900 events of group 0, 250 of group 4, 50 of group 7; feature 0 is the number of the event."""
    group = torch.repeat_interleave(torch.tensor([0, 4, 7]), torch.tensor([900, 250, 50]))
    x = torch.arange(1200.0)[:, None].expand(1200, 4).contiguous()
    settings = Settings(batch_size=60, balance=balance, validation_fraction=validation_fraction)
    return Trainer(GaussianVAE(4, (8,), 2), Pool(x, group=group), seeds, settings)


@pytest.mark.parametrize(
    ("balance", "expected"),
    [("groups", (20, 20, 20)), ({0: 3, 4: 2, 7: 1}, (30, 20, 10)), ({7: 0.6, 0: 0.2, 4: 0.2}, (12, 12, 36))],
)
def test_every_batch_has_the_asked_composition(balance, expected):
    trainer = loop(balance)
    total = np.zeros(3, int)
    seen = []
    for batch in batches(trainer, PLAIN):
        counts = np.array([(batch.group == g).sum() for g in (0, 4, 7)])
        assert np.abs(counts - expected).max() <= 1
        total += counts
        seen += batch.x[:, 0].int().tolist()
    assert total.tolist() == [20 * n for n in expected]  # exact over the epoch
    times = np.bincount(seen, minlength=1200)
    for rows in (slice(900), slice(900, 1150), slice(1150, 1200)):
        assert times[rows].max() - times[rows].min() <= 1  # whole permutations of each group, one after the other


def test_members_and_epochs_draw_differently_and_validation_stays_out():
    trainer = loop("groups", validation_fraction=0.25, seeds=(0, 1))
    first, second = ([b.x[..., 0] for b in batches(trainer, PLAIN)] for _ in range(2))
    assert not torch.equal(first[0], second[0])
    for k, member in enumerate(trainer.members):
        drawn = set(torch.cat([b[k] for b in first + second]).int().tolist())
        assert not drawn & set(member.validation.tolist())


def test_largest_remainders():
    assert apportion(10, [0.5, 0.25, 0.25]) in ([5, 3, 2], [5, 2, 3])
    assert apportion(7, [1 / 3] * 3) == [3, 2, 2]
    assert sum(apportion(1_000_003, [0.1234, 0.5678, 0.3088])) == 1_000_003


def test_shares_that_make_no_sense():
    with pytest.raises(InputError, match="pass groups"):
        shares_of("groups", None)
    with pytest.raises(InputError, match=r"groups \[0\], the background is of \[0, 1\]"):
        shares_of({0: 1.0}, torch.tensor([0, 1]))
    with pytest.raises(InputError, match="must be a positive number"):
        shares_of({0: 1.0, 1: 0.0}, torch.tensor([0, 1]))
    with pytest.raises(InputError, match="'groups'"):
        shares_of("generators", torch.tensor([0, 1]))


@pytest.fixture(scope="module")
def two():
    """A frequent and a rare generator that differ, with weights."""
    rng = np.random.default_rng(0)
    many, few = rng.normal(size=(2000, 4)), rng.normal(size=(100, 4)) * 0.3 + 2
    weights = rng.uniform(0.5, 1.5, 2000), rng.uniform(50, 150, 100)
    return concatenate(
        EventTable.build(x, list("abcd"), weight=w, generator=g)
        for x, w, g in zip((many, few), weights, ("pythia", "herwig"), strict=True)
    )


def test_a_balanced_detector_knows_the_rare_generator_better(two):
    def error(balance):
        model = VAE(epochs=25, batch_size=50, balance=balance, weighted_loss=False, preprocess="standard").fit(two)
        score = model.anomaly_score(two)
        return np.array([score[two.generator == two.generators.index(g)].mean() for g in ("herwig", "pythia")])

    plain, mostly = error(None), error({"pythia": 1, "herwig": 9})
    assert error("groups")[0] < 0.8 * plain[0]
    assert mostly[0] < 0.8 * plain[0]
    assert mostly[1] > plain[1]


def test_event_weights_count_within_a_group(two):
    training = VAE(balance="groups")._prepare(two, None, None, None)
    model = VAE(balance="groups")
    pool, _ = model._pools(training, torch.device("cpu"))
    for g in (0, 1):
        here = two.generator == g
        assert float(pool.weight[here].mean()) == pytest.approx(1, abs=1e-5)
        assert np.corrcoef(pool.weight[here], two.weight[here])[0, 1] == pytest.approx(1)


def test_balance_is_a_parameter_that_is_saved(two, tmp_path):
    model = ContrastiveVAE(contrastive="ntxent", epochs=1, balance={"herwig": 1.0, "pythia": 2.0}).fit(two)
    assert model.get_params()["balance"] == {"herwig": 1.0, "pythia": 2.0}
    model.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    assert again.get_params()["balance"] == model.balance
    np.testing.assert_array_equal(again.anomaly_score(two), model.anomaly_score(two))
    by_number = VAE(epochs=1, balance={0: 1.0, 1: 3.0}).fit(two.X, groups=two.generator)
    by_number.save(tmp_path / "n.safetensors")
    assert load_detector(tmp_path / "n.safetensors").balance == {0: 1.0, 1: 3.0}


def test_balance_says_what_is_wrong(two):
    with pytest.raises(InputError, match="did you mean 'herwig'"):
        VAE(balance={"herwigg": 1.0, "pythia": 1.0}).fit(two)
    with pytest.raises(InputError, match="pass groups"):
        VAE(balance="groups").fit(two.X)
