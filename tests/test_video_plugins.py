"""What both nets of film promise, on top of the conformance kit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet import ConfigError, Features, FeatureSpec, Source, TRGrid
from giblet.media import read_frames
from giblet.plugins import Registry
from giblet.testing import NETS, Case
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("video_2dcnn", "video_s3d")
EVERYTHING = {"net_frames": 0, "net_width": 0, "net_height": 0}
TINY = {"width_px": 32, "height_px": 18, "net_width": 32, "net_height": 18}
SPEC = FeatureSpec((90, 160, 3), 19, "uint8", tr_s=1.5)
both = pytest.mark.parametrize("name", NAMES)


def build(name, **given_):
    return Registry.discover().modality(name, **given_)


def moving_discs(n_trs: int, height: int, width: int, seed: int, frames: int = 19) -> torch.Tensor:
    """TRs of a coloured disc that drifts over a grey of some brightness, uint8 [T, F, H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    time = np.linspace(-0.5, 0.5, frames)[:, None, None]
    out = np.empty((n_trs, frames, height, width, 3), np.uint8)
    for t in range(n_trs):
        (cy, cx), (vy, vx) = rng.uniform(0.3, 0.7, 2), rng.uniform(-0.5, 0.5, 2)
        inside = np.hypot(y - cy - vy * time, (x - cx - vx * time) * 1.5) < 0.25
        ground, colour = rng.uniform(40, 160), rng.uniform(60, 255, 3)
        out[t] = np.where(inside[..., None], colour, ground)
    return torch.from_numpy(out)


def all_there(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[:2], dtype=torch.bool)


@both
@pytest.mark.parametrize("temporal", ["mean", "multiscale", "hierarchical", "multiscale+hierarchical"])
def test_nets_with_a_temporal_module_keep_the_laws_of_nets(name, temporal):
    case = Case(build(name, temporal=temporal, **TINY))
    for check in NETS:
        check(case)


@pytest.mark.real_data
@both
def test_real_film_goes_in_and_comes_out_playable(name, test_data, tmp_path):
    modality = build(name)
    features = Features.concat(modality.extract(Source(test_data / "film" / "speech_12fps_9s.mp4")))
    assert features.values.shape[1:] == (90, 160, 3)
    assert features.values.dtype == np.uint8
    again = Features.concat(read_frames(modality.reconstruct(features, tmp_path / "again"), 160, 90))
    assert len(again.values) == len(features.values)
    assert np.abs(again.values.astype(int) - features.values).mean() < 8


@pytest.mark.parametrize(("name", "steps"), [("video_2dcnn", 30), ("video_s3d", 50)])
def test_training_beats_the_mean_frame_on_unseen_film(name, steps):
    torch.manual_seed(0)
    x, unseen = (moving_discs(n, 18, 32, seed, frames=6) for n, seed in ((160, 1), (24, 2)))
    modality = build(name, channels=[8, 16, 32], net_frames=6, **TINY)
    spec = FeatureSpec((18, 32, 3), 6, "uint8")
    encoder, decoder = modality.encode(spec, 64), modality.decode(spec, 64)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], 2e-3)
    for _ in range(steps):
        batch = x[torch.randperm(160)[:8]]
        loss = modality.loss(decoder(encoder(batch, all_there(batch))), batch).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    encoder.eval(), decoder.eval()
    with torch.no_grad():
        made = decoder(encoder(unseen, all_there(unseen)))
        constant = x.float().mean((0, 1)).expand_as(made)
        relative = modality.loss(made, unseen).mean() / modality.loss(constant, unseen).mean()
    print(f"relative loss {relative:.3f}")
    assert relative < 0.8


@both
@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 9), height=st.integers(16, 41), width=st.integers(16, 41), every=st.booleans())
def test_any_size_comes_out_as_it_went_in(name, frames, height, width, every):
    net = EVERYTHING if every else {"net_width": 17, "net_height": 19}
    modality = build(name, width_px=width, height_px=height, **net)
    spec = FeatureSpec((height, width, 3), frames, "uint8")
    x, mask = torch.zeros(2, frames, height, width, 3, dtype=torch.uint8), torch.ones(2, frames, dtype=torch.bool)
    mask[1] = False
    h, decoder = modality.encode(spec, 32)(x, mask), modality.decode(spec, 32)
    assert tuple(modality.loss(decoder(h), x).shape) == (2, frames)
    made = decoder.eval()(h)
    assert tuple(made.shape) == (2, frames, height, width, 3)
    assert torch.isfinite(made).all()


@both
def test_frames_that_are_not_there_do_not_matter(name):
    encoder = build(name).encode(SPEC, 64)
    x = moving_discs(3, 90, 160, 3)
    mask = torch.arange(19) < torch.tensor([19, 18, 0])[:, None]
    junk = torch.where(mask[..., None, None, None], x, 255 - x)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, mask), encoder(junk, mask))


@both
def test_code_holds_motion_contrast_and_colour_linearly(name):
    x = moving_discs(120, 45, 80, 4, frames=12)
    with torch.no_grad():
        h = build(name).encode(FeatureSpec((45, 80, 3), 12, "uint8"), 64)(x, all_there(x)).numpy()
    luma = x.numpy().astype(np.float32).mean(-1)
    wanted = np.stack([np.log(np.square(np.diff(luma, axis=1)).mean((1, 2, 3))), x.float().mean((1, 2, 3))[:, 0]], 1)
    design = np.c_[h[:, :15], np.ones(120)]
    guess = design[80:] @ np.linalg.lstsq(design[:80], wanted[:80], rcond=None)[0]
    for k, what in enumerate(("motion energy", "redness")):
        assert np.corrcoef(guess[:, k], wanted[80:, k])[0, 1] > 0.8, what


@both
def test_in_training_the_loss_of_the_clip_is_about_that_of_all_frames(name):
    modality = build(name)
    decoder, h = modality.decode(SPEC, 32), torch.randn(2, 32)
    clip, frames = decoder.train()(h), decoder.eval()(h)
    assert tuple(clip.shape) == (2, 12, 45, 80, 3)
    target = moving_discs(2, 90, 160, 5)
    torch.testing.assert_close(modality.loss(clip, target), modality.loss(frames, target), rtol=0.05, atol=0.02)


def test_summary_of_a_still_grey_film_has_no_motion_and_no_contrast():
    modality = build("video_2dcnn")
    values = np.full((38, 90, 160, 3), 100, np.uint8)
    summary = modality.summary(modality.align(Features.regular(values, Fraction(25, 2)), TRGrid(Fraction(3, 2), 3)))
    assert summary.shape == (3, sum(modality.summary_groups(635)))
    np.testing.assert_allclose(summary[0, :144], 100, rtol=1e-4)
    np.testing.assert_allclose(summary[0, 144:432], 0, atol=1e-3)
    np.testing.assert_allclose(summary[0, 432:435], 100, rtol=1e-4)
    np.testing.assert_allclose(summary[0, 437], 100, rtol=1e-4)
    np.testing.assert_allclose(np.delete(summary[0, 435:], 2), 0, atol=1e-3)


@both
@pytest.mark.parametrize(
    ("given_", "match"),
    [
        ({"net_frames": 1}, "give 0 for all frames"),
        ({"channels": []}, "channels.*at least 1"),
        ({"channels": [0]}, "1"),
    ],
)
def test_nets_that_cannot_be_are_refused_in_one_line(name, given_, match):
    with pytest.raises(ConfigError, match=match) as error:
        build(name, **given_)
    assert "\n" not in str(error.value)


def parameters(name, **given_):
    """Of the encoder, and of encoder and decoder, at a latent of 256, for 38 frames of 160x90."""
    modality, spec = build(name, **given_), FeatureSpec((90, 160, 3), 38, "uint8", tr_s=1.5)
    encoder, decoder = (
        sum(p.numel() for p in net(spec, 256).parameters()) for net in (modality.encode, modality.decode)
    )
    return np.array([encoder, encoder + decoder])


@pytest.mark.parametrize("seen", [{}, EVERYTHING], ids=["12 frames of 80x45", "38 frames of 160x90"])
def test_s3d_is_smaller_than_the_2d_path_at_the_same_latent_and_size(seen):
    assert (parameters("video_s3d", **seen) < parameters("video_2dcnn", **seen)).all()


def test_full_s3d_is_smaller_with_a_quarter_of_its_channels_only():
    flat = parameters("video_2dcnn", **EVERYTHING)
    assert (parameters("video_s3d", net="full", scale=0.25, **EVERYTHING) < flat).all()
    assert (parameters("video_s3d", net="full", **EVERYTHING) > flat).all()
