"""How late responses come, in all and person by person, against scans that were made so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.model import predict_scans
from giblet.model.encoding import DELAYS_S, FEATURES
from giblet.model.hemodynamics import EARLIEST_S, PEAK_S
from giblet.training import lateness
from giblet.training.closed_form import Choice, fit_encoding
from giblet.training.lateness import lowest
from hypothesis import given
from hypothesis import strategies as st

BOTH = ("train", "validation")
TEST = np.arange(210, 260)


@pytest.fixture
def fitted(build, world, quick_config):
    """Two people who hear the same, as late as is asked: how late they are found to be, and r on the test block.

    Half of their voxels hear nothing, and the others differ by half a second around their person.
    """

    def fitted(late_s, voxels, *, shared=True, noise=0.5, scanned=None, begun=0.0):
        rng, scanned = np.random.default_rng(5), scanned or world.scanned
        heard, weights = world.aligned["text"].features.values, rng.standard_normal((6, voxels))
        beside, hears, scans = rng.normal(0, 0.5, voxels), rng.permutation(voxels) < voxels / 2, {}
        for s, late in zip(("a", "b"), late_s, strict=True):
            kernels = [canonical_hrf(1.5, stretch=max(0.2, (5 + late + b) / 5)) for b in beside]
            drive = zip((heard @ weights).T, kernels, strict=True)
            y = np.stack([convolve_hrf(x[:, None], k)[:, 0] for x, k in drive], 1)
            y = hears * y / y[:120].std(0) + noise * rng.standard_normal(y.shape)
            scans[s] = (y * scanned[s][:, None]).astype(np.float32)
        mine = replace(world, scans=scans, scanned=scanned)
        made, codes, _ = build(mine, quick_config)
        made.heads.shared = made.heads.own[0] if shared else None
        made.eval()
        made.encode([voxels] * 2, codes.plain_sizes)
        made.encoding.get_buffer("late_s").fill_(begun)
        fit_encoding(made, codes, [mine], BOTH, Choice(0.2, 0.0, 1.0))
        (predicted,) = predict_scans(made, codes, [mine])
        there = [(predicted[s], y) for s, y in scans.items() if scanned[s].any()]
        r = [np.corrcoef(guess[TEST, v], y[TEST, v])[0, 1] for guess, y in there for v in np.flatnonzero(hears)]
        return made.encoding.get_buffer("late_s").tolist(), np.mean(r)

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
@pytest.mark.parametrize("seconds", [-1.3, 0.5, 1.8])
def test_many_voxels_tell_how_late_all_are(fitted, shared, seconds):
    """Also if that is later than voxels may be beside their people."""
    found, r = fitted((seconds, seconds), 150, shared=shared)
    assert found == pytest.approx([seconds] * 2, abs=0.35)
    assert r > 0.8


def test_people_are_late_against_each_other_also_where_all_are_late(fitted):
    (first, second), _ = fitted((2.2, 4.6), 150)
    assert second - first == pytest.approx(2.4, abs=0.5)


def test_those_voxels_tell_of_which_most_is_known(fitted, monkeypatch):
    monkeypatch.setattr(lateness, "TELLING", 50)
    found, _ = fitted((1.3, 1.3), 150, noise=1.5)
    assert found == pytest.approx([1.3, 1.3], abs=0.35)


def test_a_second_fit_finds_what_the_first_does(fitted):
    assert fitted((0.5, 1.0), 150, begun=2.0) == fitted((0.5, 1.0), 150)


def test_few_voxels_do_not_tell_how_late_all_are(fitted):
    found, _ = fitted((1.2, 1.2), FEATURES - 1, shared=False, noise=2.0)
    assert found == [0, 0], "though there are more than features in all"
    found, _ = fitted((1.2, 1.2), FEATURES - 1)
    assert np.mean(found) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_who_was_not_measured_is_as_late_as_the_others(fitted, world, shared):
    first = world.scanned["a"]
    found, _ = fitted((1.5, 0.0), 150, shared=shared, scanned={"a": first, "b": np.zeros_like(first)})
    assert found == pytest.approx([1.5, 1.5], abs=0.35)


def test_none_is_so_early_that_all_responses_are_one(fitted):
    found, _ = fitted((-4.5, -1.5), 150)
    assert min(found) >= EARLIEST_S - PEAK_S - min(DELAYS_S)
