"""What still frames are scored by, against independent formulas and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis.video import as_pictures, frame_correlation, psnr, ssim
from giblet.errors import DataError
from giblet.types import Features

RNG = np.random.default_rng(0)
CLIP = RNG.integers(0, 256, (6, 24, 32, 3)).astype(np.uint8)
OTHER = np.random.default_rng(1).integers(0, 256, CLIP.shape).astype(np.uint8)
DARK = np.zeros((2, 12, 12, 3), np.uint8)


def test_a_film_is_like_itself():
    assert frame_correlation(CLIP, CLIP) == pytest.approx(1, abs=1e-6)
    assert psnr(CLIP, CLIP) == 100
    assert ssim(CLIP, CLIP) == pytest.approx(1)


def test_an_unrelated_film_scores_nothing():
    assert abs(frame_correlation(CLIP, OTHER)) < 0.05
    assert ssim(CLIP, OTHER) < 0.1
    assert psnr(CLIP, OTHER) < 10


def test_frame_correlation_is_numpys():
    each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(CLIP, OTHER, strict=True)]
    assert frame_correlation(CLIP, OTHER) == pytest.approx(np.mean(each), abs=1e-6)


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_a_uniform_frame_is_like_nothing(level):
    uniform = np.full_like(CLIP, level)
    assert frame_correlation(CLIP, uniform) == 0
    assert frame_correlation(uniform, uniform) == 0


def test_psnr_is_its_definition():
    assert psnr(DARK, DARK + np.uint8(5)) == pytest.approx(20 * np.log10(255 / 5))


def test_ssim_is_wangs_sum_over_windows():
    a, b = CLIP[:1], (CLIP[1] // 2 + CLIP[0] // 2)[None]
    x, y = ((f[0] * [0.299, 0.587, 0.114]).sum(-1) for f in (a, b))
    g = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / np.outer(g, g).sum()
    values = []
    for i in range(24 - 10):
        for j in range(32 - 10):
            u, v = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mu, mv = (w * u).sum(), (w * v).sum()
            vu, vv, c = (w * (u - mu) ** 2).sum(), (w * (v - mv) ** 2).sum(), (w * (u - mu) * (v - mv)).sum()
            k1, k2 = 2.55**2, 7.65**2
            values.append((2 * mu * mv + k1) * (2 * c + k2) / ((mu**2 + mv**2 + k1) * (vu + vv + k2)))
    assert ssim(a, b) == pytest.approx(np.mean(values), abs=1e-4)


def test_ssim_is_scikit_images():
    from skimage.metrics import structural_similarity

    as_published = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for other in (OTHER, CLIP // 2 + OTHER // 2, np.full_like(CLIP, 99)):
        lumas = ([f @ np.array([0.299, 0.587, 0.114]) for f in film] for film in (CLIP, other))
        each = [structural_similarity(x, y, **as_published) for x, y in zip(*lumas, strict=True)]
        assert ssim(CLIP, other) == pytest.approx(np.mean(each), abs=1e-6)


def test_frames_below_the_window_have_no_ssim_and_the_rest():
    small, other = CLIP[:, :10], OTHER[:, :10]
    assert ssim(small, other) is None
    assert np.isfinite([frame_correlation(small, other), psnr(small, other)]).all()


@pytest.mark.parametrize("other", [CLIP[:3], CLIP[..., :1], CLIP[:, :12]])
def test_films_of_other_shapes_are_refused(other):
    for score in (frame_correlation, psnr, ssim):
        with pytest.raises(DataError, match="shapes"):
            score(CLIP, other)


def test_float_features_are_scored_as_they_are_shown():
    shown = as_pictures(Features.regular(np.array([[[[-1.0, 0.5, 2.0]]]], np.float32), 25))
    np.testing.assert_array_equal(shown.ravel(), [0, 128, 255])
