"""Scans read in closed form: against the textbook's posterior, processes that were drawn, and scipy's least squares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.model import RelativeLoss, predict_scans, read_block
from giblet.model.inversion import SCORES, Inversion
from giblet.model.shrinkage import best_multiples
from giblet.training import DecoderTask
from giblet.training.filtering import Cause, Noise, filters
from giblet.training.inversion import fit_inversion
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from scipy.signal import lfilter
from sklearn.decomposition import PCA

FIT, TEST = np.r_[:120, 150:180], np.arange(210, 260)
BOTH = ("train", "validation")


@pytest.fixture
def fitted(build, world, quick_config):
    """A model whose predictions are the world's true responses, up to noise, and what it reads."""
    model, codes, _ = build(world, quick_config)
    drive = convolve_hrf(world.aligned["text"].features.values[:, :6], canonical_hrf(1.5))
    predicted = {}
    for s, y in world.scans.items():
        weights = np.linalg.lstsq(drive[FIT], y[FIT], rcond=None)[0]
        predicted[s] = (drive @ weights).astype(np.float32)
    model.eval()
    model.invert([20, 20])
    return model, codes, predicted


def invert(model, codes, world, predicted, labels=("train",)):
    return fit_inversion(model, model.inversion, codes, [world], [predicted], labels)


def test_scores_are_the_posterior_means_of_components(fitted, world):
    """With variances S of components C and noise N: E[c | y] = S C (C'SC + N)^-1 y, which inverts in voxels."""
    model, codes, predicted = fitted
    invert(model, codes, world, predicted, BOTH)
    together = PCA(6).fit(np.concatenate([predicted[s][FIT] for s in model.subjects], 1).astype(np.float64))
    variance = together.explained_variance_ * (len(FIT) - 1) / len(FIT)
    for k, s in enumerate(model.subjects):
        mine = together.components_[:, 20 * k : 20 * k + 20]
        noise = np.square(world.scans[s][FIT] - predicted[s][FIT], dtype=np.float64).mean(0)
        known = (variance[:, None] * mine) @ np.linalg.inv((mine.T * variance) @ mine + np.diag(noise))
        into = model.inversion.get_buffer(f"into_{k}").double().numpy()
        signs = np.sign((into[:, :6] * known.T).sum(0))
        np.testing.assert_allclose(into[:, :6], known.T * signs, atol=1e-4 * np.abs(known).max())
        assert not into[:, 6:].any()


def processes(n, variance, memory, rng):
    """Features [n, Q] that are independent of each other, of which so much is left a TR later."""
    fresh = rng.standard_normal((n, len(variance))) * np.sqrt(variance)
    return lfilter([np.sqrt(1 - memory**2)], [1, -memory], fresh, axis=0)


def test_filters_are_the_regression_of_many_features_on_their_scores():
    """On 200,000 TRs, drawn as the model says, least squares find the weights that the filter has from no TR at all."""
    rng, n, lags = np.random.default_rng(0), 200_000, np.arange(-1, 4)
    kernels = {"film": np.array([[0, 1.0, 0.5], [0, 0, 1.0]]), "table": np.eye(1)}
    memory, variance = {"film": 0.7, "table": 0.2}, {"film": np.array([1.0, 0.3]), "table": np.array([0.5])}
    into = {name: rng.standard_normal((len(k), len(variance[name]), 3)) for name, k in kernels.items()}
    covariance = np.diag([0.5, 1.0, 2.0]) + 0.2
    scores = processes(n, np.ones(3), 0.4, rng) @ np.linalg.cholesky(covariance).T
    features = {name: processes(n, variance[name], memory[name], rng) for name in kernels}
    for name, x in features.items():
        for kernel, weights in zip(kernels[name], into[name], strict=True):
            scores += lfilter(kernel, [1], x, axis=0) @ weights
    causes = {name: Cause(variance[name], memory[name], kernels[name], into[name]) for name in kernels}
    inside = np.arange(50, n - 50)
    rows = np.concatenate([scores[inside + lag] for lag in lags], 1)
    for name, found in filters(causes, Noise(covariance, 0.4), lags).items():
        known = np.linalg.lstsq(rows, features[name][inside], rcond=None)[0]
        np.testing.assert_allclose(found, known, atol=0.02)


@given(st.floats(0, 0.95), st.integers(0, 100))
def test_noise_alone_says_nothing_and_certainty_says_all(memory, seed):
    rng = np.random.default_rng(seed)
    into = rng.standard_normal((1, 2, 4))
    cause, lags = Cause(np.ones(2), memory, np.eye(1), into), np.arange(0, 1)
    small, large = (filters({"x": cause}, Noise(s * np.eye(4), 0.0), lags)["x"] for s in (1e-4, 1e6))
    x = rng.standard_normal((50, 2))
    np.testing.assert_allclose(x @ into[0] @ small, x, atol=0.05)
    assert np.abs(x @ into[0] @ large).max() < 0.01


def test_a_row_holds_the_scores_of_a_tr_and_of_those_around_it_in_the_block():
    inversion = Inversion([5], {"text": 3}, 1.5)
    assert inversion.lags.tolist() == list(range(-4, 9))
    torch.manual_seed(0)
    inversion.put("into_0", torch.randn(5, SCORES))
    y, valid = torch.randn(2, 12, 5), torch.rand(2, 12) > 0.2
    rows = inversion.around(inversion(y, valid, 0)).reshape(2, 12, 13, SCORES)
    for b in range(2):
        for t in range(12):
            for k, lag in enumerate(inversion.lags):
                there = 0 <= t + lag < 12 and valid[b, t + lag]
                want = y[b, t + lag] @ inversion.get_buffer("into_0") if there else torch.zeros(SCORES)
                torch.testing.assert_close(rows[b, t, k], want)


def test_what_scans_hold_is_read_and_what_they_do_not_is_left_out(fitted, world):
    model, codes, predicted = fitted
    truth = codes.targets[0]["text"]
    truth[:, 5] = np.random.default_rng(1).standard_normal(len(truth))
    invert(model, codes, world, predicted).put(model.inversion)
    valid = np.ones(len(TEST), bool)
    guess = model.both_ways(read_block(model, world.scans["a"][TEST], valid, "a"))[1]["text"].numpy()
    assert guess[:, 5].var() < 0.2 * guess[:, :5].var(0).min()
    inside = slice(0, len(TEST) - 9)  # behind them, responses lie outside the block
    r = [np.corrcoef(guess[inside, c], truth[TEST][inside, c])[0, 1] for c in range(5)]
    assert np.mean(r) > 0.6
    assert min(r) > 0.4


@pytest.mark.parametrize("seed", range(3))
def test_of_noise_that_the_encoder_knows_by_heart_nothing_is_trusted(build, world, quick_config, seed):
    """Predictions are fitted to noise: in sample it seems to be known, and the validation blocks say that it is not."""
    rng = np.random.default_rng(seed)
    noise = {s: np.zeros_like(y) for s, y in world.scans.items()}
    for y in noise.values():
        y[np.r_[FIT, TEST]] = rng.standard_normal((len(FIT) + len(TEST), 20))
    world = replace(world, scans=noise)
    model, codes, nets = build(world, quick_config)
    drive = convolve_hrf(world.aligned["text"].features.values[:, :6], canonical_hrf(1.5)).astype(np.float32)

    def encoded(trs):
        return {s: drive @ np.linalg.lstsq(drive[trs], y[trs], rcond=None)[0] for s, y in noise.items()}

    losses = {"text": RelativeLoss(nets[0].loss, nets[0].spec, torch.zeros(1, 6))}
    task = DecoderTask(model, nets, losses, codes, [world], [encoded(FIT)], quick_config)
    task.calibrate([encoded(np.arange(120))])
    errors = []
    for s in model.subjects:
        guess = model.rebuild(read_block(model, noise[s][TEST], np.ones(len(TEST), bool), s))["text"].detach().numpy()
        errors.append(np.square(guess - codes.targets[0]["text"][TEST]).sum())
    assert np.mean(errors) < 1.02 * np.square(codes.targets[0]["text"][TEST]).sum()


def test_trust_multiplies_columns_and_more_data_changes_what_is_read(fitted, world):
    model, codes, predicted = fitted
    invert(model, codes, world, predicted).put(model.inversion)
    few = model.inversion.get_buffer("weights_text").clone()
    readout = invert(model, codes, world, predicted, BOTH)
    readout.put(model.inversion)
    many = model.inversion.get_buffer("weights_text").clone()
    assert not torch.allclose(few, many)
    readout.put(model.inversion, {"text": np.arange(6) / 6})
    torch.testing.assert_close(model.inversion.get_buffer("weights_text"), many * torch.arange(6) / 6)


@pytest.mark.parametrize(("labels", "unseen"), [(("train",), 150), (BOTH, 210)])
def test_nothing_of_other_blocks_is_used(fitted, world, labels, unseen):
    model, codes, predicted = fitted
    invert(model, codes, world, predicted, labels).put(model.inversion)
    before = {k: v.clone() for k, v in model.inversion.state_dict().items()}
    noisy = {s: y.copy() for s, y in world.scans.items()}
    other = {s: y.copy() for s, y in predicted.items()}
    tables = (table[0]["text"] for table in (codes.inputs, codes.summaries, codes.targets))
    for rows in (*noisy.values(), *other.values(), *tables):
        rows[unseen:] = np.nan
    invert(model, codes, replace(world, scans=noisy), other, labels).put(model.inversion)
    assert all(torch.equal(before[k], v) for k, v in model.inversion.state_dict().items())


def test_a_prediction_that_says_nothing_reads_nothing(fitted, world):
    model, codes, predicted = fitted
    invert(model, codes, world, {s: 0 * y for s, y in predicted.items()}).put(model.inversion)
    assert not any(v.any() for k, v in model.inversion.state_dict().items() if not k.startswith("offset"))


def test_few_training_trs_do_no_harm(build, world, quick_config):
    few = replace(world, blocks=(replace(world.blocks[0], stop=6), *world.blocks[1:]))
    model, codes, nets = build(few, quick_config)
    losses = {"text": RelativeLoss(nets[0].loss, nets[0].spec, torch.zeros(1, 6))}
    task = DecoderTask(model, nets, losses, codes, [few], predict_scans(model, codes, [few]), quick_config)
    task.calibrate(task.predicted)
    assert all(torch.isfinite(v).all() for v in model.inversion.state_dict().values())
    assert torch.isfinite(model.shrinkage.get_buffer("of_text")).all()


@given(st.integers(0, 10_000), st.floats(-2, 2), st.floats(-2, 2), st.floats(-1, 1))
def test_two_guesses_are_weighed_as_scipy_does(seed, a, b, alike):
    rng = np.random.default_rng(seed)
    one, other, noise = rng.standard_normal((3, 40))
    other = alike * one + other
    target = a * one + b * other + noise
    found = best_multiples(*(torch.from_numpy(x) for x in (one, other, target)))
    np.testing.assert_allclose(found, nnls(np.stack([one, other], 1), target)[0], atol=1e-8)


def test_a_guess_of_nothing_gets_nothing():
    zero, x = torch.zeros(9), torch.arange(9.0)
    assert best_multiples(zero, zero, x) == (0.0, 0.0)
    assert best_multiples(zero, x, 2 * x) == (0.0, pytest.approx(2.0))
    assert best_multiples(x, x, 2 * x) == (pytest.approx(2.0), 0.0)
