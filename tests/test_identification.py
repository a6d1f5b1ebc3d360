"""Identification: perfect for the film itself, at chance for noise, and only among legal distractors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet.alignment import bin_events
from giblet.analysis import bootstrap_interval, clip_slices, identify
from giblet.analysis.decode import Reader
from giblet.analysis.identification import identify_each, legal_distractors
from giblet.analysis.scenes import alike_in_features, alike_in_text, segments, tr_texts
from giblet.errors import DataError
from giblet.model import RelativeLoss, constant_prediction, predict_scans
from giblet.pipeline.identify import identification
from giblet.training.codes import fit_projection
from giblet.training.front_ends import training_parts
from giblet.types import Features, TRGrid
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

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


def test_distractors_are_far_away_in_the_same_block():
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
    assert found.top1_interval == (pytest.approx(0.05 ** (1 / 36)), 1), "36 of 36, not certainty"
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
    whole = [slice(0, 300)]
    clips = clip_slices(whole, 9, 1.5)
    film = np.zeros((300, 4))
    scenes = noise(0, len(clips) // 2, 6, 4)
    which = np.arange(len(clips)) % len(scenes)
    for clip, scene in zip(clips, which, strict=True):
        film[clip] = scenes[scene]
    confused = identify(film, film, whole, 1.5, n_shifts=20)
    told = identify(film, film, whole, 1.5, exclude=which[:, None] == which[None], n_shifts=20)
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


def annotated(events, n_trs):
    """Events (onset, duration, text) on TRs of 1 s."""
    onset, duration, texts = zip(*events, strict=True)
    features = Features.events(np.zeros((len(texts), 1), np.float32), onset, duration, texts=list(texts))
    return bin_events(features, TRGrid(Fraction(1), n_trs))


def test_words_and_scenes_are_read_off_the_annotations():
    aligned = annotated([(0, 2, "A  dog"), (2, 1, "a DOG"), (4, 2, "a cat"), (6, 1, "a dog")], 8)
    texts = tr_texts(aligned)
    assert texts == ["a dog", "a dog", "a dog", "", "a cat", "a cat", "a dog", ""]
    np.testing.assert_array_equal(segments(texts), [1, 1, 1, 0, 2, 2, 3, 0])


@given(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=4, max_size=40), st.integers(1, 5))
def test_clips_are_alike_exactly_where_a_scene_or_all_words_are_shared(texts, width):
    clips = [slice(a, a + width) for a in range(0, len(texts) - width + 1, width)]
    segment = segments(texts)
    alike = alike_in_text(texts, segment, clips)
    assert (alike == alike.T).all()
    for i, a in enumerate(clips):
        for j, b in enumerate(clips):
            between = texts[min(a.stop, b.stop) - 1 : max(a.start, b.start) + 1]
            one_scene = i != j and bool(between[0]) and len(set(between)) == 1
            if one_scene:
                assert alike[i, j]
            if set(texts[a]) & set(texts[b]) <= {""}:
                assert not alike[i, j]


def test_the_same_words_at_another_time_are_no_distractor():
    texts = ["a", "b", "c", "c", "a", "b", "d", "d"]
    alike = alike_in_text(texts, segments(texts), [slice(k, k + 2) for k in range(0, 8, 2)])
    assert alike.tolist() == [[k == j or {k, j} == {0, 2} for j in range(4)] for k in range(4)]


def test_clips_without_features_or_with_the_same_are_no_distractors():
    film = noise(0, 40, 3)
    film[8:16], film[24:32] = 0, film[:8]
    alike = alike_in_features(film, [slice(k, k + 8) for k in range(0, 40, 8)])
    expected = np.eye(5, dtype=bool)
    expected[1], expected[:, 1], expected[0, 3], expected[3, 0] = True, True, True, True
    np.testing.assert_array_equal(alike, expected)


def test_each_person_is_scored_as_if_alone():
    film, people = noise(0, 300, 6), [noise(s, 300, 6) for s in (1, 2)]
    people[0] += film
    each = identify_each(people, film, BLOCKS, 1.5)
    for person, scores in zip(people, each.swapaxes(0, 1), strict=True):
        alone = identify(person, film, BLOCKS, 1.5, n_shifts=2)
        np.testing.assert_array_equal(scores, alone.per_clip)
    low, high = bootstrap_interval(each[2])
    assert low < each[2].mean() < high


def some(seed, *blanks):
    """Two in three of 300 TRs were measured, and nothing between any of the blanks' ends."""
    valid = np.random.default_rng(seed).random(300) < 2 / 3
    for a, b in blanks:
        valid[a:b] = False
    return valid


def test_clips_are_compared_over_what_was_measured():
    """NumPy's correlations over the measured TRs of each decoded clip; a clip without any is not sought."""
    film, valid = noise(0, 300, 6), some(0, (154, 165))
    made = film + 2 * noise(1, 300, 6)
    clips = clip_slices(BLOCKS, 9, 1.5)
    legal = legal_distractors(clips, BLOCKS, 1.5, 30)
    expected = []
    for i, clip in enumerate(clips):
        there = valid[clip]
        if there.any():
            row = [np.corrcoef(made[clip][there].ravel(), film[c][there].ravel())[0, 1] for c in clips]
            expected.append(np.mean(np.array(row)[legal[i]] < row[i]))
    assert len(expected) < len(clips)
    spoilt = np.where(valid[:, None], made, 100 * noise(2, 300, 6))
    found = identify(spoilt, film, BLOCKS, 1.5, n_shifts=100, valid=valid)
    assert found.n_clips == len(expected)
    np.testing.assert_allclose(found.per_clip[2], expected)
    whole = identify(made, film, BLOCKS, 1.5, n_shifts=100)
    same = identify(made, film, BLOCKS, 1.5, n_shifts=100, valid=np.ones(300, bool))
    assert {f: getattr(same, f) for f in ("top1", "two_way", "p")} == {
        f: getattr(whole, f) for f in ("top1", "two_way", "p")
    }


def test_noise_that_was_measured_in_part_is_at_chance():
    results = []
    for i in range(30):
        valid = some(i, (10, 70), (150, 240))
        made = noise(2 * i, 300, 6) * valid[:, None]
        results.append(identify(made, noise(2 * i + 1, 300, 6), BLOCKS, 1.5, n_shifts=60, valid=valid))
    assert np.mean([r.two_way for r in results]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([r.p < 0.1 for r in results]) < 0.3
    assert np.mean([r.p for r in results]) == pytest.approx(0.5, abs=0.15)


def test_where_no_clip_was_measured_it_says_so():
    with pytest.raises(DataError, match="was measured; hold out another"):
        identify(noise(0, 300, 2), noise(1, 300, 2), BLOCKS, 1.5, valid=np.zeros(300, bool))


def test_people_are_scored_on_the_clips_that_they_were_measured_in():
    film = noise(0, 300, 6)
    masks = [np.ones(300, bool), np.arange(300) < 150]
    whole, half = (identify_each([film * m[:, None]], film, BLOCKS, 1.5, valid=[m])[2, 0] for m in masks)
    assert (whole == 1).all()
    assert (half[:16] == 1).all()
    assert np.isnan(half[16:]).all()
    low, high = bootstrap_interval(np.stack([whole, half]))
    assert (low, high) == (pytest.approx(0.05 ** (1 / len(whole))), 1)


def test_an_interval_draws_people_and_neighbouring_clips():
    """People who differ make it wide, and clips that are like their neighbours; clips that take turns hardly do."""
    signs = np.resize([1.0, -1.0], 48)

    def width(scores):
        low, high = bootstrap_interval(scores)
        return high - low

    assert width(signs[None]) < 0.05
    assert width(np.repeat(signs[:6, None], 48, 1)) == pytest.approx(2 * 1.645 / 6**0.5, rel=0.2)
    assert width(np.repeat(signs[:4], 12)[None]) == pytest.approx(2 * 1.645 * 0.89 / 12**0.5, rel=0.2)


def test_the_null_moves_what_was_decoded_by_at_least_the_distance_of_distractors():
    """All shifts from 20 to 280 of 300 TRs, and none is as good as the film itself."""
    film = noise(0, 300, 6)
    assert identify(film, film, [slice(0, 300)], 1.5).p == pytest.approx(1 / 262)


def test_a_run_leaves_out_what_its_annotations_call_the_same(world, quick_config, build):
    model, codes, nets = build(world, quick_config)
    parts, spec = training_parts([world], "text"), nets[0].spec
    losses = {"text": RelativeLoss(nets[0].loss, spec, constant_prediction(parts, spec)).calibrate(parts)}
    reader = Reader(model.eval(), nets, losses, codes, [world], predict_scans(model, codes, [world]), quick_config)
    plain = identification(nets[0], reader)
    texts = [str(t) for t in range(260)]
    texts[210:216] = texts[246:252] = ["one scene"] * 6
    world.aligned["text"].features.attrs["texts"] = texts
    told = identification(nets[0], reader)
    pairs = {name: round(f["n_clips"] * (f["set_size"] - 1)) for name, f in (("plain", plain), ("told", told))}
    assert pairs["plain"] - pairs["told"] == 2
    low, high = told["people"]["two_way_interval"]
    assert (told["people"]["n"], low <= told["people"]["two_way"] <= high) == (2, True)


def test_a_code_of_many_columns_does_not_drown_plain_features(world, quick_config, build, monkeypatch):
    """What is read of two plain columns tells most clips, beside sixty columns of which nothing is right."""
    model, codes, nets = build(world, quick_config)
    rng = np.random.default_rng(0)
    code, plain = (rng.standard_normal((260, n)).astype(np.float32) for n in (60, 2))
    projection = fit_projection([(code, plain)], [np.arange(260)], quick_config.model)
    targets = projection.apply(code, plain)[1]
    codes.projections["text"], codes.targets[0]["text"] = projection, targets
    reader = Reader(model.eval(), nets, {}, codes, [world], predict_scans(model, codes, [world]), quick_config)
    block = world.of("test")[0]
    read = 0.5 * torch.from_numpy(rng.standard_normal((block.stop - block.start, 62)).astype(np.float32))
    read[:, 60:] += 0.5 * torch.from_numpy(targets[block.trs, 60:])
    monkeypatch.setattr(model, "rebuild", lambda z: {"text": read})
    found, weights = identification(nets[0], reader), np.repeat([60**-0.5, 2**-0.5], [60, 2])
    alone = identify(read.numpy() * weights, targets[block.trs] * weights, [slice(0, len(read))], 1.5)
    assert (found["two_way"], found["top1"], found["top5"]) == (alone.two_way, alone.top1, alone.top5)
    assert found["two_way"] > 0.8


@given(st.integers(1, 60), st.integers(1, 4), st.booleans())
def test_where_all_clips_are_told_or_none_the_interval_is_the_exact_one(clips, people, told):
    low, high = bootstrap_interval(np.full((people, clips), float(told)))
    known = binomtest(clips * told, clips).proportion_ci(0.9, method="exact")
    assert (low, high) == pytest.approx((known.low, known.high))
    assert bootstrap_interval(np.r_[np.full((people, clips), float(told)), np.full((1, clips), np.nan)]) == (low, high)
