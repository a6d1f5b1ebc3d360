"""How late responses come, in all and person by person, against scans that were made so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.model import predict_scans
from giblet.model.encoding import FEATURES
from giblet.training.closed_form import Choice, fit_encoding
from giblet.training.lateness import lowest
from hypothesis import given
from hypothesis import strategies as st

BOTH = ("train", "validation")
TEST = np.arange(210, 260)


@pytest.fixture
def fitted(build, world, quick_config):
    """Two people who hear the same, as late as is asked: how late they are found to be, and r on the test block."""

    def fitted(late_s, voxels, *, shared=True):
        rng = np.random.default_rng(5)
        heard, weights, scans = world.aligned["text"].features.values, rng.standard_normal((6, voxels)), {}
        for s, late in zip(("a", "b"), late_s, strict=True):
            y = convolve_hrf(heard, canonical_hrf(1.5, stretch=(5 + late) / 5)) @ weights
            y = y / y[:120].std(0) + 0.5 * rng.standard_normal(y.shape)
            scans[s] = (y * world.scanned[s][:, None]).astype(np.float32)
        made, codes, _ = build(replace(world, scans=scans), quick_config)
        made.heads.shared = made.heads.own[0] if shared else None
        made.eval()
        made.encode([voxels] * 2, codes.plain_sizes)
        fit_encoding(made, codes, [replace(world, scans=scans)], BOTH, Choice(0.2, 0.0, 1.0))
        (predicted,) = predict_scans(made, codes, [world])
        r = [np.corrcoef(predicted[s][TEST, v], scans[s][TEST, v])[0, 1] for s in scans for v in range(voxels)]
        return made.encoding.get_buffer("delay_s").tolist(), np.mean(r)

    return fitted


@given(st.floats(-3, 3), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_parabola_is_lowest_where_it_is_or_at_an_end(lowest_at, bend, height):
    at = np.arange(-2.5, 2.51, 0.5)
    found = lowest(at, bend * (at - lowest_at) ** 2 + height)
    assert found == pytest.approx(np.clip(lowest_at, -2.5, 2.5), abs=1e-6)


@pytest.mark.parametrize("seconds", [-1.4, 0.0, 1.0])
@pytest.mark.parametrize("voxels", [20, 150])
def test_people_are_as_late_as_they_are(fitted, seconds, voxels):
    (first, second), r = fitted((0.0, seconds), voxels)
    assert second - first == pytest.approx(seconds, abs=0.3)
    assert r > 0.75


@pytest.mark.parametrize("shared", [True, False])
def test_many_voxels_tell_how_late_all_are(fitted, shared):
    """Later than voxels may be beside their people."""
    found, r = fitted((1.8, 1.8), 150, shared=shared)
    assert found == pytest.approx([1.8, 1.8], abs=0.3)
    assert r > 0.8


def test_few_voxels_do_not_tell_how_late_all_are(fitted):
    found, _ = fitted((1.2, 1.2), FEATURES // 2 - 1, shared=False)
    assert found == [0, 0]
    found, _ = fitted((1.2, 1.2), FEATURES - 1)
    assert np.mean(found) == pytest.approx(0, abs=1e-6)
