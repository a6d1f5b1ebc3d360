"""The plain numbers of a film: which of them follow the orientation and the scale of what is seen."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from giblet.alignment import bin_frames
from giblet.types import Features, TRGrid
from giblet.video import film_summary
from giblet.video.oriented import CYCLES, ORIENTATIONS, oriented_energy
from hypothesis import given, settings
from hypothesis import strategies as st

HEIGHT, WIDTH = 45, 80


def stripes(cycles, angle_rad, phase=0.0, contrast=50.0):
    """A grating of so many cycles to its height, [h, w]; at 0 it changes from left to right."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    along = x * np.cos(angle_rad) + y * np.sin(angle_rad)
    return (128 + contrast * np.cos(2 * np.pi * cycles * along / HEIGHT + phase)).astype(np.float32)


def inner(energy):
    """Energy of each filter away from the borders, [12]."""
    return energy[:, :, 12:-12, 16:-16].mean((0, 2, 3))


@pytest.mark.parametrize("scale", range(len(CYCLES)))
@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_grating_answers_in_its_own_filter(scale, orientation):
    picture = stripes(CYCLES[scale], np.pi * orientation / ORIENTATIONS)
    assert inner(oriented_energy(picture[None])).argmax() == scale * ORIENTATIONS + orientation


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 6.28), st.floats(1, 100))
def test_energy_does_not_hang_on_phase_and_is_that_of_a_grating(phase, contrast):
    """A quadrature pair gives contrast ** 2 of a grating of its own frequency, wherever the stripes lie."""
    found = inner(oriented_energy(stripes(CYCLES[0], 0.0, phase, contrast)[None]))[0]
    assert found == pytest.approx(contrast**2, rel=0.06)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (4, 4), (9, 16), (91, 33)])
def test_pictures_of_any_size_have_finite_energy(shape):
    picture = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    energy = oriented_energy(picture)
    assert energy.shape == (2, 12, *shape)
    assert np.isfinite(energy).all()


def test_what_moves_twice_as_fast_is_said_to_be_faster_at_any_contrast():
    """Speed is change in time over change in space: contrast leaves it as it is, motion does not."""

    def speed(px_per_frame, contrast):
        frames = [stripes(5.5, 0.0, -2 * np.pi * 5.5 * px_per_frame * k / HEIGHT, contrast) for k in range(20)]
        values = np.repeat(np.stack(frames).round().astype(np.uint8)[..., None], 3, -1)
        film = bin_frames(Features.regular(values, Fraction(10)), TRGrid(Fraction(2), 1))
        return film_summary(film)[0, 440]

    slow, fast, faint = speed(0.5, 80), speed(1.0, 80), speed(0.5, 40)
    assert fast - slow == pytest.approx(np.log(4), abs=0.1)
    assert faint == pytest.approx(slow, abs=0.05)
