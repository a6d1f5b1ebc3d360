"""The conformance kit, and what this plugin promises beyond it."""

from __future__ import annotations

import warnings
from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet import ConfigError, Features, FeatureSpec, WeightsError
from giblet.testing import NETS, Case, modality_checks
from giblet_video_2dcnn import Video2DCNN
from pydantic import ValidationError

RATE_HZ = Fraction(25, 2)


@modality_checks(Video2DCNN())
def test_conformance(check):
    check()


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
def film(tmp_path_factory):
    return Video2DCNN().example(tmp_path_factory.mktemp("film"))


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


def test_features_are_those_of_torchvisions_resnet(resnet, film):
    net, path = resnet
    modality = Video2DCNN(weights=str(path), **SMALL)
    features = Features.concat(modality.extract(film))
    assert features.values.shape[1:] == (2048,)
    pixels = Features.concat(Video2DCNN(width_px=32, height_px=32).extract(film))
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
    case = Case(modality)
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
def test_bad_weights_say_what_to_do_in_one_line(tmp_path, film, content):
    path = tmp_path / "weights.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights=imagenet.*PATH.*features=frames") as error:
        next(Video2DCNN(weights=str(path), **SMALL).extract(film))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("net", [{"channels": [8]}, {"net_frames": 0}, {"net_width": 32}, {"net_height": 32}])
def test_settings_of_the_nets_of_pictures_are_refused_with_features(net):
    with pytest.raises(ValidationError, match=f"{next(iter(net))}: no effect on features=resnet50"):
        Video2DCNN(weights="imagenet", **SMALL, **net)
