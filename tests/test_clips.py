"""Clips inside networks: resampling against torch's own, and the loss of frames at any size."""

import pytest
import torch
import torch.nn.functional as F
from giblet.nn import CoarseDecoder, as_levels, frame_loss, stretch, to_frames
from giblet.nn.coarse import CELLS, CONTRAST
from hypothesis import given, settings
from hypothesis import strategies as st

sizes = st.tuples(st.integers(1, 7), st.integers(9, 21), st.integers(16, 33))


@settings(max_examples=20, deadline=None)
@given(size=sizes)
def test_the_coarse_film_is_interpolated_as_torch_does(size):
    torch.manual_seed(0)
    decoder, h = CoarseDecoder(size, 8), torch.randn(2, 8)
    with torch.no_grad():
        cells = decoder.dense(h).unflatten(1, (3, *CELLS)) / CONTRAST
        want = F.interpolate(cells, size=size, mode="trilinear").transpose(1, 2) + decoder.mean
        torch.testing.assert_close(decoder(h), want)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 9), frames=st.integers(1, 40))
def test_stretching_in_time_is_torchs_linear_interpolation(n, frames):
    clip = torch.randn(2, n, 3, generator=torch.Generator().manual_seed(n))
    want = F.interpolate(clip.transpose(1, 2), size=frames, mode="linear").transpose(1, 2)
    torch.testing.assert_close(stretch(clip, frames), want)


def film(n, frames=4, height=6, width=8):
    return torch.randint(0, 256, (n, frames, height, width, 3), dtype=torch.uint8)


@pytest.mark.parametrize("n", [0, 1, 4, 9])
def test_loss_of_frames_is_their_mean_squared_error(n):
    torch.manual_seed(0)
    target, prediction = film(n), 255 * torch.rand(n, 4, 6, 8, 3)
    want = (prediction / 255 - target / 255).square().mean((2, 3, 4))
    torch.testing.assert_close(frame_loss(prediction, target), want)
    assert frame_loss(target.float(), target).sum() == 0


@pytest.mark.parametrize("size", [(1, 3, 4), (2, 3, 5), (4, 5, 8), (3, 6, 8)])
def test_loss_of_a_small_clip_is_zero_where_the_film_repeats_it(size):
    frames, height, width = size
    colour = torch.tensor([10.0, 20.0, 30.0])
    target = colour.to(torch.uint8).expand(2, 4, 6, 8, 3)
    loss = frame_loss(colour.expand(2, frames, height, width, 3), target)
    assert tuple(loss.shape) == (2, 4)
    torch.testing.assert_close(loss, torch.zeros(2, 4))
    assert (frame_loss(colour.expand(2, frames, height, width, 3) + 25.5, target) > 0.009).all()


def test_loss_of_a_clip_of_half_the_size_sees_each_pixel_of_a_pair_once_in_four_frames():
    target = film(1, frames=4)
    clip = as_levels(torch.rand(1, 4, 3, 3, 4))
    corners = [target[:, :, i::2, j::2].float() for i in (0, 1) for j in (0, 1)]
    want = torch.stack([(clip[:, f] - corners[f][:, f]).div(255).square().mean((1, 2, 3)) for f in range(4)], 1)
    torch.testing.assert_close(frame_loss(clip, target), want)


def test_levels_and_frames_of_a_clip_agree_at_its_own_size():
    clip = torch.rand(2, 3, 3, 5, 7)
    torch.testing.assert_close(as_levels(clip), to_frames(clip, 3, 5, 7))
