"""Responses that come later, or earlier, than the canonical one."""

from __future__ import annotations

import numpy as np
import pytest
from giblet.alignment import canonical_hrf
from giblet.config import ModelConfig
from giblet.errors import ConfigError
from giblet.model.hemodynamics import EARLIEST_S, PEAK_S, response
from hypothesis import example, given
from hypothesis import strategies as st

FINE_S = 0.05


def late(seconds, **changes):
    """A response at 20 Hz, and its times."""
    taps = response(ModelConfig(kernel_s=60.0, **changes), FINE_S, 0.5, seconds).numpy()
    return taps, np.arange(len(taps)) * FINE_S


@example(0.3125, "glover", 0.5)
@given(st.floats(0.3, 2.0), st.sampled_from(["glover", "spm"]), st.floats(0.1, 0.5))
def test_what_is_stretched_is_the_same_by_a_slower_clock(stretch, model, tr_s):
    slow = canonical_hrf(tr_s, 32.0, model, stretch=stretch)
    clock = canonical_hrf(tr_s / stretch, 32.0, model)
    n = min(len(slow), len(clock))
    np.testing.assert_allclose(slow[:n], clock[:n], atol=0.02 * clock.max())  # they are sampled at other points


@pytest.mark.parametrize("seconds", [-2.0, 0.0, 1.5])
def test_a_response_peaks_so_much_later_and_lasts_as_much_longer(seconds):
    taps, times = late(seconds)
    assert times[taps.argmax()] == pytest.approx(PEAK_S + seconds, abs=2 * FINE_S)
    above = times[taps > taps.max() / 2]
    canonical, _ = late(0.0)
    width = np.count_nonzero(canonical > canonical.max() / 2) * FINE_S
    assert np.ptp(above) == pytest.approx(width * (PEAK_S + seconds) / PEAK_S, abs=3 * FINE_S)
    assert taps.sum() == pytest.approx(1, abs=0.01)


def test_what_is_later_than_its_length_is_cut_off():
    cut, whole = (canonical_hrf(1.5, length_s, stretch=1.6) for length_s in (30.0, 32.0))
    assert len(cut) == 21
    np.testing.assert_allclose(cut, whole[:21], atol=1e-3)


def test_none_peaks_before_its_stimulus():
    taps, times = late(-9.0)
    assert times[taps.argmax()] == pytest.approx(EARLIEST_S, abs=2 * FINE_S)
    np.testing.assert_array_equal(taps, late(EARLIEST_S - PEAK_S)[0])


@pytest.mark.parametrize("fixed", ["none", "shift"])
def test_a_response_that_is_fixed_is_no_later(fixed):
    np.testing.assert_array_equal(late(0.0, hemodynamics=fixed)[0], late(1.0, hemodynamics=fixed)[0])


@pytest.mark.parametrize("stretch", [0.0, -1.0, np.nan, np.inf])
def test_a_stretch_is_a_number_above_0(stretch):
    with pytest.raises(ConfigError, match=r"stretch must be a number above 0"):
        canonical_hrf(1.5, stretch=stretch)
