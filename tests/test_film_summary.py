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


@settings(max_examples=20)
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


def of_film(frames):
    """The plain numbers of a film of grey frames [h, w], all in one TR."""
    values = np.repeat(np.stack(frames).round().astype(np.uint8)[..., None], 3, -1)
    return film_summary(bin_frames(Features.regular(values, Fraction(10)), TRGrid(Fraction(2), 1)))[0]


def test_a_film_of_more_pixels_has_about_the_same_energies():
    """At full resolution orientation costs no more than at 160x90, and means the same."""
    picture = stripes(CYCLES[1], np.pi / 4)
    small, large = (of_film([np.kron(picture, np.ones((n, n), np.float32))] * 2) for n in (2, 8))
    np.testing.assert_allclose(large[440:], small[440:], atol=0.02)


def test_texture_that_is_too_fine_is_not_taken_for_stripes():
    """Of 90 rows, two are averaged; were one left out, 34 cycles would look like 11."""
    y, _ = np.mgrid[:90, :160]
    fine, coarse = (of_film([128 + 50 * np.cos(2 * np.pi * c * y / 90)] * 2) for c in (34, 11))
    assert np.exp(fine[440:452].max()) < 0.25 * np.exp(coarse[440:452].max())


def test_a_picture_that_grows_brighter_has_no_stripes_at_its_border():
    """Beyond the border it goes on as its mirror image: neither an edge nor the other side is seen."""
    ramp = np.tile(np.linspace(100, 150, WIDTH, dtype=np.float32), (HEIGHT, 1))
    grating = inner(oriented_energy(stripes(CYCLES[2], 0.0, contrast=10)[None])).max()
    assert oriented_energy(ramp[None]).max() < 0.2 * grating
    bar = np.full((HEIGHT, WIDTH), 128, np.float32)
    bar[:, -4:] = 255
    energy = oriented_energy(bar[None])[0]
    assert energy[:, :, 0].max() < 0.01 * energy[:, :, -1].max()


def test_grey_has_no_colour_contrast_and_colours_of_one_brightness_have():
    y, x = np.mgrid[:90, :160]
    wave = 40 * np.sign(np.sin(x / 5.0))
    grey = np.stack([128 + wave] * 3, -1)
    red = np.stack([128 + wave, 128 - wave * 0.299 / 0.587, 128 + 0 * y], -1)

    def contrasts(picture):
        values = np.stack([picture.round().astype(np.uint8)] * 4)
        return film_summary(bin_frames(Features.regular(values, Fraction(4)), TRGrid(Fraction(1), 1)))[0, 435:437]

    assert contrasts(grey) == pytest.approx([40, 0], abs=1)
    luma, colour = contrasts(red)
    assert luma < 1
    assert colour > 40


@pytest.mark.parametrize("frames", [1, 2])
def test_floats_from_0_to_1_and_levels_tell_the_same(frames):
    levels = np.random.default_rng(0).integers(0, 256, (frames, 30, 40, 3), np.uint8)
    grid = TRGrid(Fraction(1), 2)
    a, b = (
        film_summary(bin_frames(Features.regular(v, Fraction(2)), grid)) for v in (levels, (levels / 255).astype("f4"))
    )
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    assert np.isfinite(a).all()
    assert not a[1].any()
