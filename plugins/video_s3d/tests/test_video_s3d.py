"""The conformance kit, and what this plugin promises beyond it."""

from __future__ import annotations

import warnings

import pytest
import torch
from giblet import ConfigError, FeatureSpec, WeightsError
from giblet.testing import NETS, Case, modality_checks
from giblet_video_s3d import VideoS3D
from pydantic import ValidationError


@modality_checks(VideoS3D())
def test_conformance(check):
    check()


SMALL = FeatureSpec((32, 48, 3), 9, "uint8")
TINY = {"net": "full", "scale": 0.125, "net_width": 0, "net_height": 0}


def count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def noise(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """TRs of random pictures, and all their frames there."""
    x = torch.randint(0, 256, (n, SMALL.frames, *SMALL.shape), dtype=torch.uint8)
    return x, torch.ones(n, SMALL.frames, dtype=torch.bool)


@pytest.mark.parametrize("everything", [False, True])
def test_decoders_dense_layer_does_not_grow_with_the_film(everything):
    net = {"net_frames": 0, "net_width": 0, "net_height": 0} if everything else {}
    decoder = VideoS3D(**net).decode(FeatureSpec((90, 160, 3), 38, "uint8"), 256)
    assert decoder.start[0].out_features == 12 * 3 * 6 * 10


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
    x, mask = noise(1)
    encoder(x, mask).sum().backward()
    assert not any(p.requires_grad for p in encoder.features.parameters())
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)
    assert all(torch.equal(before[k], v) for k, v in encoder.features.state_dict().items())


def test_finetuning_trains_weights_but_not_statistics(weights_file):
    encoder = VideoS3D(net="full", weights=str(weights_file), finetune=True).encode(SMALL, 64).train()
    before = {k: v.clone() for k, v in encoder.features.named_buffers()}
    x, mask = noise(2)
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
    x, mask = noise(1)
    encoder(x, mask).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert not any("BatchNorm" in type(m).__name__ for m in encoder.modules())


def test_full_nets_keep_the_laws_of_nets():
    case = Case(VideoS3D(width_px=48, height_px=32, **TINY))
    for check in NETS:
        check(case)


def test_full_net_sees_every_frame_of_a_tr():
    modality = VideoS3D(**TINY)
    assert modality.encode(SMALL, 64).size_KHW == (9, 32, 48)
    assert VideoS3D().encode(SMALL, 64).size_KHW == (12, 45, 80)
    encoder = modality.encode(SMALL, 64).eval()
    x, mask = noise(1)
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
        ({"finetune": True}, "finetune=True trains given weights on"),
        ({"net": "full", "finetune": True}, "finetune=True trains given weights on"),
        ({"net": "full", "temporal": "mean"}, "needs net=light"),
    ],
)
def test_settings_without_effect_are_refused(settings_, match):
    with pytest.raises(ValidationError, match=match):
        VideoS3D(**settings_)
