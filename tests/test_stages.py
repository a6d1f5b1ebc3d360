"""What a stage gives back is checked, and the author at fault is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from giblet import Aligned, DataError, Features, FeatureSpec, Modality, PluginError, Source, TRGrid, seconds, stages
from giblet.data.store import Store, StoreWriter
from giblet.plugins import Registry

GRID = TRGrid(seconds(1), 3)
FEATURES = Features.regular(np.zeros((6, 2), np.float32), 2)
SPEC = FeatureSpec((2,), 2)


class Says(Modality):
    """Gives whatever the test wants at every stage."""

    name = "toy_says"
    kind = "toy"

    def extract(self, source):
        return ANSWERS["extract"]

    def align(self, features, grid):
        return ANSWERS["align"]

    def encode(self, spec, width):
        return ANSWERS["encode"]

    def decode(self, spec, width):
        return ANSWERS["decode"]

    def reconstruct(self, features, out):
        return ANSWERS["reconstruct"]


ANSWERS = {}


@pytest.fixture(params=["alone", "stored"])
def registry(request, tmp_path):
    """A registry without and with a store before the stages."""
    made = Registry()
    if request.param == "stored":
        store = Store(tmp_path / "cache", lambda name: "1")
        made.pm.register(store)
        made.pm.register(StoreWriter(store))
    return made


def source(tmp_path):
    (tmp_path / "film").write_bytes(b"film")
    return Source(tmp_path / "film")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "extract must yield Features, not return NoneType"),
        (3, "extract must yield Features, not return int"),
        (FEATURES, "extract must yield Features, not return Features"),
        ([np.zeros(3)], "extract must yield Features, not ndarray"),
        ([FEATURES, None], "extract must yield Features, not NoneType"),
    ],
)
def test_extract_of_a_wrong_type(registry, tmp_path, answer, said):
    ANSWERS["extract"] = answer
    with pytest.raises(PluginError, match=f"toy_says: {said}$"):
        stages.extract(registry, Says(), source(tmp_path))


def test_an_empty_stream(registry, tmp_path):
    ANSWERS["extract"] = iter([])
    with pytest.raises(DataError, match="the stream is empty"):
        stages.extract(registry, Says(), source(tmp_path))


def test_chunks_are_joined(registry, tmp_path):
    ANSWERS["extract"] = iter([FEATURES, Features.regular(np.ones((1, 2), np.float32), 2, 6)])
    got = stages.extract(registry, Says(), source(tmp_path))
    assert got.ticks.tolist() == list(range(7))
    assert got.values[:, 0].tolist() == [0] * 6 + [1]


def points(first, count):
    return Aligned(FEATURES, GRID, np.array(first), np.array(count))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "align must give Aligned, not NoneType"),
        (FEATURES, "align must give Aligned, not Features"),
        (points([0, 2], [2, 2]), "align gave 2 TRs for a grid of 3"),
        (points([0, 2, 5], [2, 2, 2]), "align points to samples after the last one"),
    ],
)
def test_align(answer, said):
    ANSWERS["align"] = answer
    with pytest.raises(PluginError, match=f"toy_says: {said}"):
        stages.align(Registry(), Says(), FEATURES, GRID)


def test_trs_without_samples_may_lie_anywhere():
    ANSWERS["align"] = points([0, 2, 99], [2, 4, 0])
    assert stages.align(Registry(), Says(), FEATURES, GRID).valid.tolist() == [True, True, False]


@pytest.mark.parametrize("stage", ["encode", "decode"])
def test_nets(stage):
    ANSWERS[stage] = lambda x: x
    with pytest.raises(PluginError, match=f"toy_says: {stage} must give Module, not function"):
        getattr(stages, stage)(Registry(), Says(), SPEC, 4)
    ANSWERS[stage] = torch.nn.Identity()
    assert getattr(stages, stage)(Registry(), Says(), SPEC, 4) is ANSWERS[stage]


def test_reconstruct(tmp_path):
    for answer, said in [("a.wav", "must give .*Path, not str"), (Path("gone.wav"), "said that it wrote gone.wav")]:
        ANSWERS["reconstruct"] = answer
        with pytest.raises(PluginError, match=f"toy_says: reconstruct {said}"):
            stages.reconstruct(Registry(), Says(), FEATURES, tmp_path / "made")
