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
from giblet.testing import NETS, Case, modality_checks
from giblet_video_2dcnn import Video2DCNN
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


@modality_checks(Video2DCNN(), small_film)
def test_conformance(check):
    check()


@pytest.mark.parametrize("temporal", ["mean", "multiscale", "hierarchical", "multiscale+hierarchical"])
def test_nets_with_a_temporal_module_keep_the_laws_of_nets(temporal):
    case = Case(Video2DCNN(temporal=temporal), small_film)
    for check in NETS:
        check(case)


@pytest.mark.real_data
def test_real_film_goes_in_and_comes_out_playable(test_data, tmp_path):
    modality = Video2DCNN()
    features = Features.concat(modality.extract(Source(test_data / "film" / "speech_12fps_9s.mp4")))
    assert features.values.shape[1:] == (90, 160, 3)
    assert features.values.dtype == np.uint8
    again = Features.concat(read_frames(modality.reconstruct(features, tmp_path / "again"), 160, 90))
    assert len(again.values) == len(features.values)
    assert np.abs(again.values.astype(int) - features.values).mean() < 8


def test_training_beats_the_mean_frame_on_unseen_film():
    torch.manual_seed(0)
    x, unseen = (torch.from_numpy(moving_discs(n, 36, 64, seed)) for n, seed in ((160, 1), (24, 2)))
    modality = Video2DCNN(width_px=64, height_px=36, net_width=32, net_height=18, net_frames=6)
    spec = FeatureSpec((36, 64, 3), 19, "uint8")
    encoder, decoder = modality.encode(spec, 64), modality.decode(spec, 64)
    mask = torch.ones(160, 19, dtype=torch.bool)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], 2e-3)
    for _ in range(60):
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
    modality = Video2DCNN(width_px=width, height_px=height, **net)
    spec = FeatureSpec((height, width, 3), frames, "uint8")
    x, mask = torch.zeros(2, frames, height, width, 3, dtype=torch.uint8), torch.ones(2, frames, dtype=torch.bool)
    mask[1] = False
    h, decoder = modality.encode(spec, 32)(x, mask), modality.decode(spec, 32)
    assert tuple(modality.loss(decoder(h), x).shape) == (2, frames)
    made = decoder.eval()(h)
    assert tuple(made.shape) == (2, frames, height, width, 3)
    assert torch.isfinite(made).all()


def test_frames_that_are_not_there_do_not_matter():
    modality, spec = Video2DCNN(), FeatureSpec((90, 160, 3), 19, "uint8")
    encoder = modality.encode(spec, 64)
    x = torch.from_numpy(moving_discs(3, 90, 160, 3))
    mask = torch.arange(19) < torch.tensor([19, 18, 0])[:, None]
    junk = torch.where(mask[..., None, None, None], x, 255 - x)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, mask), encoder(junk, mask))


def test_code_holds_motion_contrast_and_colour_linearly():
    x = torch.from_numpy(moving_discs(120, 90, 160, 4, frames=12))
    modality, spec = Video2DCNN(), FeatureSpec((90, 160, 3), 12, "uint8")
    with torch.no_grad():
        h = modality.encode(spec, 64)(x, torch.ones(120, 12, dtype=torch.bool)).numpy()
    luma = x.numpy().astype(np.float32).mean(-1)
    wanted = np.stack([np.log(np.square(np.diff(luma, axis=1)).mean((1, 2, 3))), x.float().mean((1, 2, 3))[:, 0]], 1)
    design = np.c_[h[:, :15], np.ones(120)]
    guess = design[80:] @ np.linalg.lstsq(design[:80], wanted[:80], rcond=None)[0]
    for k, name in enumerate(("motion energy", "redness")):
        assert np.corrcoef(guess[:, k], wanted[80:, k])[0, 1] > 0.8, name


def test_in_training_the_loss_of_the_clip_is_about_that_of_all_frames():
    modality, spec = Video2DCNN(), FeatureSpec((90, 160, 3), 19, "uint8")
    decoder, h = modality.decode(spec, 32), torch.randn(2, 32)
    clip, frames = decoder.train()(h), decoder.eval()(h)
    assert tuple(clip.shape) == (2, 12, 45, 80, 3)
    target = torch.from_numpy(moving_discs(2, 90, 160, 5))
    torch.testing.assert_close(modality.loss(clip, target), modality.loss(frames, target), rtol=0.05, atol=0.02)


def test_summary_of_a_still_grey_film_has_no_motion_and_no_contrast():
    modality = Video2DCNN()
    values = np.full((38, 90, 160, 3), 100, np.uint8)
    aligned = modality.align(Features.regular(values, RATE_HZ), TRGrid(Fraction(3, 2), 3))
    summary = modality.summary(aligned)
    assert summary.shape == (3, 436)
    np.testing.assert_allclose(summary[0, :144], 100, rtol=1e-4)
    np.testing.assert_allclose(summary[0, 144:432], 0, atol=1e-3)
    np.testing.assert_allclose(summary[0, 432:435], 100, rtol=1e-4)


def test_one_frame_is_refused_in_one_line():
    with pytest.raises(ValidationError, match="give 0 for all frames"):
        Video2DCNN(net_frames=1)


def test_full_setting_is_ten_by_six_by_256():
    modality = Video2DCNN(net_frames=0, net_width=0, net_height=0)
    encoder = modality.encode(FeatureSpec((90, 160, 3), 2, "uint8"), 256)
    assert tuple(encoder.frame(torch.zeros(1, 3, 90, 160)).shape) == (1, 256, 6, 10)


def test_full_resolution_comes_out_as_it_went_in():
    modality = Video2DCNN(
        width_px=640, height_px=360, net_frames=2, net_width=0, net_height=0, channels=(4, 8, 8, 8, 8, 8)
    )
    spec = FeatureSpec((360, 640, 3), 2, "uint8")
    encoder, decoder = modality.encode(spec, 32), modality.decode(spec, 32).eval()
    h = encoder(torch.zeros(1, 2, 360, 640, 3, dtype=torch.uint8), torch.ones(1, 2, dtype=torch.bool))
    assert tuple(decoder(h).shape) == (1, 2, 360, 640, 3)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A ResNet-50 of random weights, and the file of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchvision.models import resnet50

    torch.manual_seed(0)
    net = resnet50().eval()
    path = tmp_path_factory.mktemp("weights") / "resnet 50 ü.pt"
    torch.save(net.state_dict(), path)
    return net, path


SMALL = {"features": "resnet50", "width_px": 32, "height_px": 32}


def test_features_are_those_of_torchvisions_resnet(resnet):
    net, path = resnet
    modality = Video2DCNN(weights=str(path), **SMALL)
    features = Features.concat(modality.extract(small_film()))
    assert features.values.shape[1:] == (2048,)
    pixels = Features.concat(Video2DCNN(width_px=32, height_px=32).extract(small_film()))
    np.testing.assert_array_equal(features.ticks, pixels.ticks)
    x = torch.from_numpy(pixels.values[:4]).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    seen = {}
    hook = net.avgpool.register_forward_hook(lambda module, inputs, output: seen.update(pooled=output.flatten(1)))
    with torch.no_grad():
        net(x)
    hook.remove()
    np.testing.assert_allclose(features.values[:4], seen["pooled"].numpy(), rtol=1e-3, atol=1e-4)


def test_resnet_features_keep_the_laws_of_modalities(resnet):
    modality = Video2DCNN(weights=str(resnet[1]), **SMALL)
    case = Case(modality, small_film)
    for check in NETS:
        check(case)
    assert modality.spec(case.aligned).unit != "level"
    assert modality.summary(case.aligned).shape == (4, 4096)


def test_resnet_only_encodes_and_says_so(resnet, tmp_path):
    modality = Video2DCNN(weights=str(resnet[1]), **SMALL)
    assert not modality.can_reconstruct()
    assert "encoding only" in modality.how
    features = Features.regular(np.zeros((4, 2048), np.float32), RATE_HZ)
    with pytest.raises(ConfigError, match=r"encoding only.*features=frames"):
        modality.reconstruct(features, tmp_path / "made")
    assert list(tmp_path.iterdir()) == []


def test_other_weights_at_the_same_path_are_other_features(resnet, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(b"one")
    modality = Video2DCNN(weights=str(path), **SMALL)
    one = modality.fit([], [])
    path.write_bytes(b"two")
    assert one != modality.fit([], [])
    assert Video2DCNN().fit([], []) == Video2DCNN()


def test_resnet_sees_the_size_it_was_trained_on_unless_told():
    assert (Video2DCNN(features="resnet50", weights="imagenet").width_px, Video2DCNN().width_px) == (224, 160)
    modality = Video2DCNN(weights="imagenet", **SMALL)
    assert modality.width_px == 32
    assert Video2DCNN(**modality.settings()) == modality


@pytest.mark.parametrize(
    ("settings_", "match"),
    [({"features": "resnet50"}, "weights=imagenet.*weights=PATH.*features=frames"), ({"weights": "x"}, "resnet50")],
)
def test_weights_and_features_belong_together(settings_, match):
    with pytest.raises(ValidationError, match=match):
        Video2DCNN(**settings_)


@pytest.mark.parametrize("content", [None, b"", b"no weights"], ids=["missing", "empty", "foreign"])
def test_bad_weights_say_what_to_do_in_one_line(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights=imagenet.*PATH.*features=frames") as error:
        next(Video2DCNN(weights=str(path), **SMALL).extract(small_film()))
    assert "\n" not in str(error.value)
