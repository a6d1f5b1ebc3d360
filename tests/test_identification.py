"""Identification: perfect for the film itself, at chance for noise, and only among legal distractors."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.analysis import bootstrap_interval, clip_slices, identify
from giblet.analysis.identification import legal_distractors
from giblet.errors import DataError
from hypothesis import given
from hypothesis import strategies as st

BLOCKS = [slice(10, 110), slice(150, 270)]


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


@given(st.integers(0, 30), st.integers(6, 90), st.floats(2, 15), st.sampled_from([0.72, 1.0, 1.5, 2.0]))
def test_clips_are_whole_and_do_not_overlap(start, length, clip_s, tr_s):
    clips = clip_slices([slice(start, start + length)], clip_s, tr_s)
    trs = [t for c in clips for t in range(c.start, c.stop)]
    assert len(set(trs)) == len(trs)
    assert all(start <= t < start + length for t in trs)
    assert all(abs((c.stop - c.start) * tr_s - clip_s) <= max(tr_s / 2, tr_s - clip_s) + 1e-9 for c in clips)


def test_distractors_are_far_away_in_the_same_run():
    clips = clip_slices(BLOCKS, 9, 1.5)
    legal = legal_distractors(clips, BLOCKS, 1.5, 30)
    for i, a in enumerate(clips):
        for j, b in enumerate(clips):
            apart_s = 1.5 * max(a.start - b.stop, b.start - a.stop)
            assert legal[i, j] == ((a.start < 120) == (b.start < 120) and apart_s >= 30)


def test_the_film_finds_itself():
    film = noise(0, 300, 6)
    found = identify(film, film, BLOCKS, tr_s=1.5)
    assert (found.top1, found.top5, found.two_way) == (1, 1, 1)
    assert found.top1_interval == (1, 1)
    assert found.p == pytest.approx(1 / 1001)
    assert found.chance_top1 == pytest.approx(1 / found.set_size, rel=0.2)
    assert found.n_clips == 36


def test_noise_is_at_chance():
    results = [identify(noise(2 * i, 300, 6), noise(2 * i + 1, 300, 6), BLOCKS, 1.5, n_shifts=60) for i in range(30)]
    assert np.mean([r.two_way for r in results]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([r.top1 for r in results]) == pytest.approx(results[0].chance_top1, abs=0.03)
    assert np.mean([r.top5 for r in results]) == pytest.approx(results[0].chance_top5, abs=0.06)
    assert np.mean([r.p < 0.1 for r in results]) < 0.3


def test_a_decoder_that_says_nothing_is_at_chance_exactly():
    found = identify(np.ones((300, 4)), noise(0, 300, 4), BLOCKS, 1.5, n_shifts=50)
    assert found.two_way == pytest.approx(0.5)
    assert found.top1 == pytest.approx(found.chance_top1)
    assert found.p == 1


def test_excluded_clips_are_no_distractors():
    clips = clip_slices(BLOCKS, 9, 1.5)
    film = np.zeros((300, 4))
    scenes = noise(0, len(clips) // 2, 6, 4)
    which = np.arange(len(clips)) % len(scenes)
    for clip, scene in zip(clips, which, strict=True):
        film[clip] = scenes[scene]
    confused = identify(film, film, BLOCKS, 1.5, runs=[slice(0, 300)], n_shifts=20)
    told = identify(film, film, BLOCKS, 1.5, runs=[slice(0, 300)], exclude=which[:, None] == which[None], n_shifts=20)
    assert confused.top1 < 0.8
    assert told.top1 == 1


def test_a_short_block_is_refused():
    with pytest.raises(DataError, match="longer test block"):
        identify(noise(0, 20, 2), noise(1, 20, 2), [slice(0, 20)], tr_s=1.5)


def test_the_interval_covers_the_truth():
    covered = 0
    for seed in range(100):
        low, high = bootstrap_interval(noise(seed, 6, 48) + 0.5, n=300, seed=seed)
        covered += low <= 0.5 <= high
    assert 75 <= covered <= 99
