"""The conformance kit, and what this plugin promises beyond it."""

from __future__ import annotations

import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from giblet import ConfigError, Features, FeatureSpec, Source, TRGrid, WeightsError
from giblet.media import read_frames, write_film
from giblet.plugins import Registry
from giblet.testing import NETS, Case, modality_checks
from giblet_video_s3d import VideoS3D
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

RATE_HZ = Fraction(25, 2)


def moving_discs(n_trs: int, height: int, width: int, seed: int, frames: int = 19) -> np.ndarray:
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
    return out


def small_film() -> Source:
    path = Path(tempfile.mkdtemp()) / "film.mp4"
    write_film(path, iter(moving_discs(5, 90, 160, 0).reshape(-1, 90, 160, 3)), RATE_HZ)
    return Source(path)


@modality_checks(VideoS3D(), small_film)
def test_conformance(check):
    check()


@pytest.mark.parametrize("temporal", ["mean", "multiscale", "hierarchical", "multiscale+hierarchical"])
def test_nets_with_a_temporal_module_keep_the_laws_of_nets(temporal):
    case = Case(VideoS3D(temporal=temporal), small_film)
    for check in NETS:
        check(case)


@pytest.mark.real_data
def test_real_film_goes_in_and_comes_out_playable(test_data, tmp_path):
    modality = VideoS3D()
    features = Features.concat(modality.extract(Source(test_data / "film" / "speech_12fps_9s.mp4")))
    assert features.values.shape[1:] == (90, 160, 3)
    assert features.values.dtype == np.uint8
    again = Features.concat(read_frames(modality.reconstruct(features, tmp_path / "again"), 160, 90))
    assert len(again.values) == len(features.values)
    assert np.abs(again.values.astype(int) - features.values).mean() < 8


def test_training_beats_the_mean_frame_on_unseen_film():
    torch.manual_seed(0)
    x, unseen = (torch.from_numpy(moving_discs(n, 36, 64, seed)) for n, seed in ((160, 1), (24, 2)))
    modality = VideoS3D(width_px=64, height_px=36, net_width=32, net_height=18, net_frames=6)
    spec = FeatureSpec((36, 64, 3), 19, "uint8")
    encoder, decoder = modality.encode(spec, 64), modality.decode(spec, 64)
    mask = torch.ones(160, 19, dtype=torch.bool)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], 2e-3)
    for _ in range(130):
        rows = torch.randperm(160)[:16]
        loss = modality.loss(decoder(encoder(x[rows], mask[rows])), x[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    encoder.eval(), decoder.eval()
    with torch.no_grad():
        made = decoder(encoder(unseen, mask[:24]))
        constant = x.float().mean((0, 1)).expand_as(made)
        relative = modality.loss(made, unseen).mean() / modality.loss(constant, unseen).mean()
    print(f"relative loss {relative:.3f}")
    assert relative < 0.8


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 9), height=st.integers(16, 41), width=st.integers(16, 41), every=st.booleans())
def test_any_size_comes_out_as_it_went_in(frames, height, width, every):
    net = {"net_frames": 0, "net_width": 0, "net_height": 0} if every else {"net_width": 17, "net_height": 19}
    modality = VideoS3D(width_px=width, height_px=height, **net)
    spec = FeatureSpec((height, width, 3), frames, "uint8")
    x, mask = torch.zeros(2, frames, height, width, 3, dtype=torch.uint8), torch.ones(2, frames, dtype=torch.bool)
    mask[1] = False
    h, decoder = modality.encode(spec, 32)(x, mask), modality.decode(spec, 32)
    assert tuple(modality.loss(decoder(h), x).shape) == (2, frames)
    made = decoder.eval()(h)
    assert tuple(made.shape) == (2, frames, height, width, 3)
    assert torch.isfinite(made).all()


def test_frames_that_are_not_there_do_not_matter():
    modality, spec = VideoS3D(), FeatureSpec((90, 160, 3), 19, "uint8")
    encoder = modality.encode(spec, 64)
    x = torch.from_numpy(moving_discs(3, 90, 160, 3))
    mask = torch.arange(19) < torch.tensor([19, 18, 0])[:, None]
    junk = torch.where(mask[..., None, None, None], x, 255 - x)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, mask), encoder(junk, mask))


def test_code_holds_motion_contrast_and_colour_linearly():
    x = torch.from_numpy(moving_discs(120, 90, 160, 4, frames=12))
    modality, spec = VideoS3D(), FeatureSpec((90, 160, 3), 12, "uint8")
    with torch.no_grad():
        h = modality.encode(spec, 64)(x, torch.ones(120, 12, dtype=torch.bool)).numpy()
    luma = x.numpy().astype(np.float32).mean(-1)
    wanted = np.stack([np.log(np.square(np.diff(luma, axis=1)).mean((1, 2, 3))), x.float().mean((1, 2, 3))[:, 0]], 1)
    design = np.c_[h[:, :15], np.ones(120)]
    guess = design[80:] @ np.linalg.lstsq(design[:80], wanted[:80], rcond=None)[0]
    for k, name in enumerate(("motion energy", "redness")):
        assert np.corrcoef(guess[:, k], wanted[80:, k])[0, 1] > 0.8, name


def test_in_training_the_loss_of_the_clip_is_about_that_of_all_frames():
    modality, spec = VideoS3D(), FeatureSpec((90, 160, 3), 19, "uint8")
    decoder, h = modality.decode(spec, 32), torch.randn(2, 32)
    clip, frames = decoder.train()(h), decoder.eval()(h)
    assert tuple(clip.shape) == (2, 12, 45, 80, 3)
    target = torch.from_numpy(moving_discs(2, 90, 160, 5))
    torch.testing.assert_close(modality.loss(clip, target), modality.loss(frames, target), rtol=0.05, atol=0.02)


def test_summary_of_a_still_grey_film_has_no_motion_and_no_contrast():
    modality = VideoS3D()
    values = np.full((38, 90, 160, 3), 100, np.uint8)
    aligned = modality.align(Features.regular(values, RATE_HZ), TRGrid(Fraction(3, 2), 3))
    summary = modality.summary(aligned)
    assert summary.shape == (3, 436)
    np.testing.assert_allclose(summary[0, :144], 100, rtol=1e-4)
    np.testing.assert_allclose(summary[0, 144:432], 0, atol=1e-3)
    np.testing.assert_allclose(summary[0, 432:435], 100, rtol=1e-4)


def test_one_frame_is_refused_in_one_line():
    with pytest.raises(ValidationError, match="give 0 for all frames"):
        VideoS3D(net_frames=1)


SPEC = FeatureSpec((90, 160, 3), 19, "uint8")
REFERENCE = FeatureSpec((90, 160, 3), 38, "uint8", tr_s=1.5)
SMALL = FeatureSpec((32, 48, 3), 9, "uint8")
TINY = {"net": "full", "scale": 0.125, "net_width": 0, "net_height": 0}


def count(*nets: torch.nn.Module) -> int:
    return sum(p.numel() for net in nets for p in net.parameters())


def parameters(name, **settings_):
    modality = Registry.discover().modality(name, **settings_)
    return count(modality.encode(REFERENCE, 256), modality.decode(REFERENCE, 256))


def test_s3d_is_smaller_than_the_2d_path_at_the_same_latent():
    everything = {"net_frames": 0, "net_width": 0, "net_height": 0}
    assert parameters("video_s3d") < parameters("video_2dcnn")
    assert parameters("video_s3d", net="full", scale=0.25) < parameters("video_2dcnn", **everything)
    dense = 2 * 10 * 6 * 256 * 1024  # the 2D path as it was first built: dense layers of 1,024 units, in and out
    assert parameters("video_s3d", net="full") < dense


@pytest.fixture(scope="module")
def torchvision_s3d():
    """Torchvision's own net: random weights, and statistics that are not those it begins with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchvision.models.video import s3d

    torch.manual_seed(1)
    net = s3d()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture
def weights_file(torchvision_s3d, tmp_path):
    path = tmp_path / "gewichte für S3D.pt"
    torch.save(torchvision_s3d.state_dict(), path)
    return path


def test_weights_of_a_file_give_torchvisions_features_and_stay(torchvision_s3d, weights_file):
    encoder = VideoS3D(net="full", weights=str(weights_file)).encode(SMALL, 64).train()
    clip = torch.randn(1, 3, 9, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(encoder.features(clip), torchvision_s3d.features(clip))
    before = {k: v.clone() for k, v in encoder.features.state_dict().items()}
    x, mask = torch.from_numpy(moving_discs(1, 32, 48, 6, frames=9)), torch.ones(1, 9, dtype=torch.bool)
    encoder(x, mask).sum().backward()
    assert not any(p.requires_grad for p in encoder.features.parameters())
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    assert all(torch.equal(before[k], v) for k, v in encoder.features.state_dict().items())


def test_finetuning_trains_weights_but_not_statistics(weights_file):
    encoder = VideoS3D(net="full", weights=str(weights_file), finetune=True).encode(SMALL, 64).train()
    before = {k: v.clone() for k, v in encoder.features.named_buffers()}
    x, mask = torch.from_numpy(moving_discs(2, 32, 48, 6, frames=9)), torch.ones(2, 9, dtype=torch.bool)
    encoder(x, mask).sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert before
    assert all(torch.equal(before[k], v) for k, v in encoder.features.named_buffers())


def test_layers_are_torchvisions_at_scale_1_and_fewer_below(torchvision_s3d):
    from giblet_video_s3d.architecture import FrozenStatistics, grouped, s3d_features

    theirs = {k: v.shape for k, v in torchvision_s3d.features.state_dict().items() if "num_batches" not in k}
    assert {k: v.shape for k, v in s3d_features(1.0, FrozenStatistics).state_dict().items()} == theirs
    sizes = [count(s3d_features(scale, grouped)) for scale in (0.125, 0.25, 0.5, 1.0)]
    assert sizes == sorted(set(sizes))


def test_full_net_trains_without_batch_statistics():
    modality = VideoS3D(**TINY)
    encoder = modality.encode(SMALL, 64)
    x, mask = torch.from_numpy(moving_discs(1, 32, 48, 6, frames=9)), torch.ones(1, 9, dtype=torch.bool)
    encoder(x, mask).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert not any("BatchNorm" in type(m).__name__ for m in encoder.modules())


def test_full_nets_keep_the_laws_of_nets():
    case = Case(VideoS3D(width_px=48, height_px=32, **TINY), small_film)
    for check in NETS:
        check(case)


def test_full_net_sees_every_frame_of_a_tr():
    modality = VideoS3D(**TINY)
    assert modality.encode(SMALL, 64).size_KHW == (9, 32, 48)
    assert VideoS3D().encode(SMALL, 64).size_KHW == (12, 45, 80)
    encoder = modality.encode(SMALL, 64).eval()
    x, mask = torch.from_numpy(moving_discs(1, 32, 48, 6, frames=9)), torch.ones(1, 9, dtype=torch.bool)
    with torch.no_grad():
        h = encoder(x, mask)
        for frame in range(9):
            other = x.clone()
            other[:, frame] = 255 - other[:, frame]
            assert not torch.allclose(encoder(other, mask), h, atol=1e-4), f"frame {frame} is not seen"


def test_what_is_refused_as_too_small_is_what_leaves_nothing():
    from giblet_video_s3d.architecture import grouped, s3d_features
    from giblet_video_s3d.full import LEAST

    net = s3d_features(0.125, grouped)
    assert net(torch.zeros(1, 3, *LEAST)).shape[2:] == (1, 1, 1)
    for axis in range(3):
        size = [n - (k == axis) for k, n in enumerate(LEAST)]
        with pytest.raises(RuntimeError, match="too small"):
            net(torch.zeros(1, 3, *size))
        with pytest.raises(ConfigError, match="at least 5 frames of 17x17"):
            VideoS3D(**TINY).encode(FeatureSpec((size[1], size[2], 3), size[0], "uint8"), 64)


@pytest.mark.parametrize("content", [None, b"", b"no weights"], ids=["missing", "empty", "foreign"])
def test_bad_weights_say_what_to_do_in_one_line(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"kinetics400.*state dict.*weights=none") as error:
        VideoS3D(net="full", weights=str(path)).encode(SMALL, 64)
    assert "\n" not in str(error.value)


def test_weights_of_another_net_are_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="cannot be had"):
        VideoS3D(net="full", weights=str(tmp_path / "other.pt")).encode(SMALL, 64)


@pytest.mark.parametrize(
    ("settings_", "match"),
    [
        ({"weights": "kinetics400"}, "net=full"),
        ({"scale": 0.5}, "net=full"),
        ({"net": "full", "weights": "kinetics400", "scale": 0.5}, "leave out scale"),
        ({"net": "full", "temporal": "mean"}, "needs net=light"),
    ],
)
def test_settings_without_effect_are_refused(settings_, match):
    with pytest.raises(ValidationError, match=match):
        VideoS3D(**settings_)
