"""Fixtures that several core tests share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet.config import ModelConfig, RunConfig, TrainConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.model import Autoencoder, ModalityNets
from giblet.nn import MaskedFlatten, UnflattenFrame
from giblet.training import compute_codes
from giblet.types import Aligned, Features, FeatureSpec, TRGrid
from torch import nn


@pytest.fixture(scope="session", autouse=True)
def _not_the_users_cache(tmp_path_factory):
    """What fixtures of a module extract stays out of the user's cache, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIBLET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """No test reads or fills the user's cache of features."""
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path / "cache"))


TRS, VOXELS, PEOPLE = 260, 20, ("a", "b")
BLOCKS = (Block("train", 0, 120), Block("validation", 150, 180), Block("test", 210, 260))


def small_world(seed: int = 0):
    """One run of a linear world: features [T, 1, 6] drive 20 voxels of two people through the canonical response."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((TRS, 6)).astype(np.float32)
    grid = TRGrid(Fraction(3, 2), TRS)
    features = Features(x, np.arange(TRS, dtype=np.int64), Fraction(3, 2))
    aligned = Aligned(features, grid, np.arange(TRS), np.ones(TRS, np.int64))
    drive = convolve_hrf(x, canonical_hrf(1.5))
    inside = np.zeros(TRS, bool)
    for b in BLOCKS:
        inside[b.trs] = True
    scans = {}
    for s in PEOPLE:
        y = drive @ rng.standard_normal((6, VOXELS)) + 0.5 * rng.standard_normal((TRS, VOXELS))
        scans[s] = ((y - y[:120].mean(0)) / y[:120].std(0) * inside[:, None]).astype(np.float32)
    return Timeline("run-1", grid, BLOCKS, {"text": aligned}, scans, dict.fromkeys(PEOPLE, inside))


@pytest.fixture
def world():
    return small_world()


@pytest.fixture
def quick_config():
    train = TrainConfig(
        front_end_steps=20, trunk_steps=40, decoder_steps=20, windows=4, window_trs=40, validate_every=10, subjects=2
    )
    return RunConfig(model=ModelConfig(latent=16, hidden=16, kernel_s=24.0), train=train)


class Head(nn.Linear):
    """A brain head: [n, D] -> [n, 1, V], or with a mask [n, 1, V] -> [n, D]."""

    def forward(self, x, mask=None):
        return super().forward(x).unsqueeze(1) if mask is None else super().forward(x[:, 0])


def squared(prediction, target):
    return (prediction - target).square().flatten(2).mean(-1)


@pytest.fixture
def build():
    """Build the model of a small world: `build(world, config) -> model, codes, nets`."""

    def build(world, config):
        spec = FeatureSpec((6,), 1)
        nets = [ModalityNets("text", "text", MaskedFlatten(), UnflattenFrame(spec), squared, spec, 6)]
        codes = compute_codes([world], nets, {}, config.model, lambda *_: None)
        torch.manual_seed(0)
        voxels = world.scans["a"].shape[1]
        heads = (lambda s, d: Head(d, voxels)), (lambda s, d: Head(voxels, d))
        return Autoencoder(config.model, 1.5, {"text": 6}, {"text": 6}, list(world.scans), *heads), codes, nets

    return build
