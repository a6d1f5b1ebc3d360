"""Which clip is it, by its pictures: known answers, chance, and what may not be mistaken."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from giblet.alignment import bin_frames
from giblet.analysis.video import Library, retrieve, sketch
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.pipeline import film_clips
from giblet.pipeline.film_clips import retrieval
from giblet.types import Features, TRGrid

RNG = np.random.default_rng(0)
LOOKS = RNG.standard_normal((40, 60))
START = np.tile(np.arange(20) * 6, 2)
RUN = np.repeat([0, 1], 20)
SOUGHT = np.arange(30, 40)


def library(looks: np.ndarray = LOOKS) -> Library:
    """Forty clips of 9 s in two runs; the last ten are sought."""
    return Library(looks, RUN, START, SOUGHT, 6, 1.5)


def test_a_clip_finds_itself_at_any_contrast():
    found = retrieve(library(), {"same": 0.1 * LOOKS[SOUGHT] + 3})
    assert (found["same"]["top1"], found["same"]["top5"]) == (1, 1)
    assert found["n_clips"] == 10


def test_chance_and_set_size_leave_out_what_is_near_in_the_run():
    found = retrieve(library(), {})
    # 30 s are 3.3 clips of 9 s: up to 4 on either side are too near, fewer at the run's end
    near = [min(4, i) + min(4, 19 - i) for i in range(10, 20)]
    sizes = 40 - np.array(near)
    assert found["set_size"] == pytest.approx(sizes.mean())
    assert found["chance_top1"] == pytest.approx((1 / sizes).mean())
    assert found["chance_top5"] == pytest.approx((5 / sizes).mean())


def test_noise_and_one_answer_for_all_are_at_chance():
    tops = []
    for k in range(20):
        noise = np.random.default_rng(k).standard_normal((10, 60))
        tops.append(retrieve(library(), {"noise": noise})["noise"]["top5"])
    chance = retrieve(library(), {})["chance_top5"]
    assert np.mean(tops) == pytest.approx(chance, abs=3 * np.std(tops) / np.sqrt(20))
    blank = retrieve(library(), {"blank": np.ones((10, 60))})["blank"]
    assert blank["top5"] == pytest.approx(chance)


def test_a_clip_that_is_shown_twice_is_not_held_against_itself():
    twice = LOOKS.copy()
    twice[0] = twice[39]
    found = retrieve(library(twice), {"same": twice[SOUGHT]})
    assert found["same"]["top1"] == 1
    assert found["set_size"] < retrieve(library(), {})["set_size"]


def test_the_neighbour_in_time_is_no_error():
    blurred = (LOOKS[SOUGHT] + 2 * LOOKS[SOUGHT - 1]) / 3
    assert retrieve(library(), {"blurred": blurred})["blurred"]["top1"] == 1


def test_a_sketch_is_four_small_pictures_a_tr():
    frames = np.zeros((9, 18, 32, 3), np.uint8)
    frames[:] = (10 * np.arange(9))[:, None, None, None]
    looks = sketch(frames, np.array([0, 4, 9]), np.array([4, 5, 0])).reshape(3, 4, 9, 16, 3)
    assert looks[0, :, 0, 0, 0].tolist() == [0, 10, 20, 30]
    assert looks[1, :, 0, 0, 0].tolist() == [40, 50, 70, 80]
    assert not looks[2].any()


def test_a_tr_of_one_frame_shows_it_four_times():
    frames = RNG.integers(0, 255, (2, 9, 16, 3)).astype(np.uint8)
    looks = sketch(frames, np.arange(2), np.ones(2, int)).reshape(2, 4, 9, 16, 3)
    np.testing.assert_array_equal(looks, np.broadcast_to(frames[:, None], looks.shape))


def test_pictures_of_trs_that_nobody_was_measured_in_are_like_nothing(monkeypatch):
    values = RNG.integers(0, 255, (40, 9, 16, 3)).astype(np.uint8)
    grid, block = TRGrid(Fraction(1), 40), Block("test", 10, 40)
    run = Timeline("run", grid, (block,), {"video": bin_frames(Features.regular(values, 1), grid)})
    somebody = np.arange(30) % 3 > 0
    reader = SimpleNamespace(timelines=[run], somebody=lambda *_: somebody)
    monkeypatch.setattr(film_clips, "read_code", lambda *_: np.zeros((30, 1)))
    for name in ("decoded", "roundtrip"):
        monkeypatch.setattr(film_clips, name, lambda *parts: values[parts[-1].trs])
    seen, through = (
        film_clips._looks(SimpleNamespace(name="video"), reader, v, 0.0, 0, block) for v in ("measured", "roundtrip")
    )
    assert through.any(1).all()
    np.testing.assert_array_equal(seen, np.where(somebody[:, None], through, 0))


def test_a_test_block_shorter_than_a_clip_is_said():
    film = Features.regular(RNG.integers(0, 255, (40, 9, 16, 3)).astype(np.uint8), 1)
    grid = TRGrid(Fraction(1), 40)
    blocks = (Block("train", 0, 20), Block("test", 32, 40))
    run = Timeline("run", grid, blocks, {"video": bin_frames(film, grid)})
    found = retrieval(SimpleNamespace(name="video"), SimpleNamespace(timelines=[run], places=lambda: [(0, blocks[1])]))
    assert found == {"note": "no test block is as long as one clip of 9 s"}
