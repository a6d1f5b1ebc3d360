"""What a reconstruction is compared with: the control at the wrong time, of every kind, and one way to score a kind."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet.analysis import text, video
from giblet.pipeline.reconstruct import permuted, render
from giblet.types import Aligned, Features, FeatureSpec, TRGrid

COUNTS = np.array([2, 3, 0, 2, 1, 3])
"""Samples of each TR: a variable rate, one TR without any."""


def test_the_control_is_late_by_half_of_the_trs_whatever_a_tr_holds():
    """TR t must show what was read of TR t - 3, in as many samples as TR t has."""
    code = torch.arange(6.0)[:, None]
    late = permuted(code)
    assert late[:, 0].tolist() == [3, 4, 5, 0, 1, 2]
    grid, n = TRGrid(Fraction(1), 6), int(COUNTS.sum())
    features = Features(np.zeros((n, 1), np.float32), np.arange(n, dtype=np.int64), Fraction(1, 2))
    aligned = Aligned(features, grid, np.cumsum(COUNTS) - COUNTS, COUNTS)
    nets = type("Nets", (), {"spec": FeatureSpec((1,), 3)})
    made = render(nets, lambda rows: late[rows, None].expand(-1, 3, 1), aligned, type("B", (), {"start": 0, "stop": 6}))
    assert made[:, 0].tolist() == np.repeat([3, 4, 5, 0, 1, 2], COUNTS).tolist()


def test_every_kind_is_scored_by_one_entry_point():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((8, 4)).astype(np.float32)
    ticks = np.arange(8, dtype=np.int64)
    texts = {v: Features(x, ticks, Fraction(1)) for v, x in {"original": rows, "measured": rows}.items()}
    assert text.compare(texts, {}, np.ones(8, np.int64))["measured"]["top1"] == 1
    frames = rng.integers(0, 256, (8, 18, 32, 3)).astype(np.uint8)
    films = {v: Features(frames, ticks, Fraction(1, 4)) for v in ("original", "measured")}
    assert video.compare(films, {}, np.full(2, 4))["measured"]["frame_r"] == pytest.approx(1, abs=1e-6)
    assert video.compare(texts, {}, np.ones(8, np.int64)) == {}
