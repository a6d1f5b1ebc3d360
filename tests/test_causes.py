"""How scores follow from films, against drives that were made so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.config import ModelConfig
from giblet.training.causes import causes_of, film_ridge
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from sklearn.linear_model import Ridge

CONFIG = ModelConfig(kernel_s=24.0)
DELAYS = (-1.0, 0.0, 1.0)


def model(applied, late_s=None):
    """People of whom the closed form knows how late they are, or who have none."""
    encoding = None if late_s is None else SimpleNamespace(get_buffer={"late_s": torch.tensor(late_s)}.get)
    hemodynamics = SimpleNamespace(tr_s=1.5)
    sizes = {"table": 2, "film": 4}
    return SimpleNamespace(
        sizes=sizes,
        applied=applied,
        subjects=["a"],
        hemodynamics=hemodynamics,
        config=CONFIG,
        slice_time_ref=0.5,
        encoding=encoding,
    )


def drives(features, into, applied, late_s=0.0):
    """What the features of both cause in all TRs, [T, S]."""
    kernels = [canonical_hrf(1.5, 24, stretch=(5 + late_s + d) / 5)[:17] for d in DELAYS]
    film = sum(convolve_hrf(features["film"], k) @ w for k, w in zip(kernels, into["film"], strict=True))
    if applied:
        return film + features["table"] @ into["table"][0]
    return film + sum(convolve_hrf(features["table"], k) @ w for k, w in zip(kernels, into["table"], strict=True))


def trendless(block):
    """What takes a constant and a trend out of a block, and the two rows of it that are left of x."""
    trend = np.linalg.qr(np.stack([np.ones(len(block)), np.arange(len(block))], 1))[0].astype(np.float32)
    return SimpleNamespace(into=trend.T.copy(), out=trend)


@pytest.mark.parametrize(("applied", "late"), [(["table"], None), ([], None), ([], [0.5, 1.5])])
def test_what_films_cause_is_found_each_under_its_response(world, applied, late):
    late_s = np.mean(late or 0.0)
    rng = np.random.default_rng(0)
    features = {n: rng.standard_normal((260, size)) for n, size in model(applied).sizes.items()}
    into = {"film": rng.standard_normal((3, 4, 5)), "table": rng.standard_normal((1 if applied else 3, 2, 5))}
    train = world.trs("train")
    clean = trendless(train)
    world = replace(world, cleaning={(0, len(train)): clean})
    seen = drives(features, into, applied, late_s)[train]
    seen -= clean.out @ (clean.into @ seen)
    found = causes_of(model(applied, late), [features], [seen], [world], ("train",))
    for name, cause in found.items():
        np.testing.assert_allclose(cause.variance, features[name][train].var(0), rtol=1e-6)
        assert len(cause.kernels) == len(cause.into) == len(into[name])
    guess = drives(features, {n: c.into for n, c in found.items()}, applied, late_s)[150:180]
    known = drives(features, into, applied, late_s)[150:180]
    assert np.square(guess - known).sum() < 0.01 * np.square(known).sum()


@pytest.mark.parametrize("kept", [0.0, 0.6, 0.9])
def test_memory_is_what_is_left_a_tr_later(world, kept):
    rng = np.random.default_rng(1)
    x = lfilter([np.sqrt(1 - kept**2)], [1, -kept], rng.standard_normal((260, 40)), axis=0)
    features = {"table": x[:, :2], "film": x}
    found = causes_of(model([]), [features], [np.zeros((120, 5))], [world], ("train",))["film"]
    # of what does not last, 0.01 by chance after 6 s is 0.3 a TR
    assert found.memory == pytest.approx(kept, abs=0.05 if kept else 0.35)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 100))
def test_film_ridges_are_scikit_learns_by_either_way(n, width, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, width)), rng.standard_normal((n, 3))
    known = Ridge(alpha=1e-2 * np.square(x).sum() / n, fit_intercept=False).fit(x, y).coef_.T
    np.testing.assert_allclose(film_ridge(x, y), known, atol=1e-6)
    assert not film_ridge(x[:0], y[:0]).any()
