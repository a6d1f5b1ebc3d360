"""Motion coherence and cuts: known answers for known motion."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis.video import compare_films, find_cuts, motion_coherence
from scipy.ndimage import gaussian_filter

H, W, F = 45, 80, 6


def texture(seed: int, sharp: float = 2.0, shape: tuple[int, int] = (H, W)) -> np.ndarray:
    x = gaussian_filter(np.random.default_rng(seed).standard_normal(shape), sharp, mode="wrap")
    return np.clip(128 + 45 * x / max(x.std(), 0.01), 0, 255)


def moving(seed: int, step: tuple[int, int], n: int = F) -> np.ndarray:
    """A texture that drifts `step` pixels a frame, round the edges, [n, H, W, 3]."""
    picture = texture(seed).astype(np.uint8)
    frames = [np.roll(picture, (k * step[0], k * step[1]), (0, 1)) for k in range(n)]
    return np.repeat(np.stack(frames)[..., None], 3, axis=-1)


@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 2), (-2, 1)])
def test_motion_is_like_itself_and_unlike_its_reverse(step):
    clip = moving(0, step)
    assert motion_coherence(clip, clip) == pytest.approx(1, abs=1e-6)
    assert motion_coherence(clip, clip[::-1]) < -0.9


def test_other_pictures_that_move_alike_are_coherent():
    assert motion_coherence(moving(0, (1, 2)), moving(1, (1, 2))) > 0.9


def test_the_speed_does_not_matter_and_the_direction_does():
    assert motion_coherence(moving(0, (0, 1)), moving(1, (0, 2))) > 0.9
    assert abs(motion_coherence(moving(0, (0, 2)), moving(1, (2, 0)))) < 0.1


def test_unrelated_motion_is_at_zero():
    rng = np.random.default_rng(0)
    steps = [tuple(int(v) for v in np.rint(2 * np.array([np.sin(a), np.cos(a)]))) for a in rng.uniform(0, 6.28, 24)]
    scores = [motion_coherence(moving(0, (0, 2)), moving(k, s)) for k, s in enumerate(steps)]
    assert abs(np.mean(scores)) < 2.5 * np.std(scores) / np.sqrt(len(scores))


def test_a_still_or_uniform_reconstruction_follows_nothing():
    clip = moving(0, (1, 2))
    assert motion_coherence(clip, np.repeat(clip[:1], F, axis=0)) == 0
    assert motion_coherence(clip, np.zeros_like(clip)) == 0


def test_motion_made_up_where_the_original_is_still_lowers_the_score():
    clip, made = moving(0, (0, 2)), moving(0, (0, 2))
    clip[:, :, W // 2 :] = 128
    assert motion_coherence(clip, clip) == pytest.approx(1, abs=1e-6)
    assert 0.4 < motion_coherence(clip, made) < 0.9


@pytest.mark.parametrize("clip", [np.full((F, H, W, 3), 9, np.uint8), moving(0, (0, 0)), moving(0, (1, 2), 1)])
def test_without_motion_there_is_nothing_to_follow(clip):
    assert motion_coherence(clip, clip) is None


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (7, 5), (181, 321)])
def test_frames_of_any_size_are_scored(shape):
    picture = texture(0, 2.0, shape).astype(np.uint8)
    clip = np.repeat(np.stack([np.roll(picture, k, 1) for k in range(3)])[..., None], 3, axis=-1)
    assert motion_coherence(clip, clip) in (None, pytest.approx(1, abs=1e-6))


def test_wide_frames_are_scored_as_their_small_copies():
    small = moving(0, (1, 2))
    wide = small.repeat(2, axis=1).repeat(2, axis=2)
    assert motion_coherence(wide, wide[::-1]) == pytest.approx(motion_coherence(small, small[::-1]), abs=1e-6)


SHOTS = np.concatenate([moving(0, (0, 1), 9), 255 - moving(1, (1, 0), 7) // 2, moving(2, (0, 2), 10)])


def test_cuts_are_found_and_pans_and_fades_are_none():
    assert np.flatnonzero(find_cuts(SHOTS)).tolist() == [9, 16]
    flash = moving(0, (0, 1), 12)
    flash[6] = 255
    assert np.flatnonzero(find_cuts(flash)).tolist() == [6, 7]
    fade = (moving(0, (0, 1), 30) * np.linspace(1, 0, 30)[:, None, None, None]).astype(np.uint8)
    assert not find_cuts(fade).any()


def test_one_frame_has_no_cut():
    assert find_cuts(SHOTS[:1]).tolist() == [False]
    assert find_cuts(SHOTS[8:10]).tolist() == [False, True]


def test_trs_with_a_cut_are_scored_apart():
    counts = np.array([6, 6, 0, 7, 7])  # the cuts at 9 and 16 lie in the second and the fourth
    still = np.repeat(SHOTS[:1], len(SHOTS), axis=0)
    half = np.concatenate([SHOTS[:6], SHOTS[:6][::-1], SHOTS[12:]])
    scores = compare_films(SHOTS, {"same": SHOTS, "still": still, "half": half}, counts)
    same = scores["same"]
    assert (same["n_trs"], same["n_trs_at_cuts"], same["n_moving_trs"], same["n_moving_trs_at_cuts"]) == (2, 2, 2, 2)
    for suffix in ("", "_at_cuts"):
        assert same[f"frame_r{suffix}"] == pytest.approx(1, abs=1e-6)
        assert same[f"motion_r{suffix}"] == pytest.approx(1, abs=1e-6)
        assert scores["still"][f"motion_r{suffix}"] == 0
    assert scores["half"]["frame_r"] == pytest.approx(1, abs=1e-6)
    assert scores["half"]["frame_r_at_cuts"] < 0.9


def test_trs_of_one_frame_have_no_motion_and_no_cut():
    scores = compare_films(SHOTS, {"same": SHOTS}, np.ones(len(SHOTS), int))["same"]
    assert (scores["n_trs"], scores["n_trs_at_cuts"], scores["n_moving_trs"]) == (len(SHOTS), 0, 0)
    assert scores["motion_r"] is None
    assert scores["frame_r_at_cuts"] is None
    assert scores["frame_r"] == pytest.approx(1, abs=1e-6)
