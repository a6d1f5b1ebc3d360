"""Temporal modules: what they compute, and the laws that every one of them keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from giblet import ConfigError
from giblet.nn import FrameEncoder, build_temporal
from giblet.nn.temporal import AttentionPool, Hierarchical, MultiScale, time_in_tr
from giblet.types import FeatureSpec
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("mean", "multiscale", "hierarchical", "multiscale+hierarchical")
WIDTH, TR_S = 16, 1.5
by_name = pytest.mark.parametrize("name", NAMES)


def module(name: str, width: int = WIDTH, seed: int = 0) -> torch.nn.Module:
    """A module whose every weight is drawn, so that nothing is hidden behind a zero."""
    torch.manual_seed(seed)
    net = build_temporal(name, width, TR_S).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return net


def frames(n: int, f: int, width: int = WIDTH, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, f, width, generator=torch.Generator().manual_seed(seed))


masks = st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=4)


@by_name
@settings(max_examples=25, deadline=None)
@given(rows=masks)
def test_frames_that_are_not_there_change_nothing(name, rows):
    mask = torch.tensor(rows)
    x, junk = frames(len(mask), 9), frames(len(mask), 9, seed=2) * 1e3
    net = module(name)
    with torch.no_grad():
        a, b = net(x, mask), net(torch.where(mask.unsqueeze(-1), x, junk), mask)
    assert torch.equal(a, b)
    assert torch.isfinite(a).all()


@by_name
@settings(max_examples=25, deadline=None)
@given(rows=masks)
def test_each_row_depends_on_itself_alone(name, rows):
    mask, net = torch.tensor(rows), module(name)
    x = frames(len(mask), 9)
    with torch.no_grad():
        together = net(x, mask)
        alone = torch.cat([net(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@by_name
def test_37_frames_are_the_same_with_and_without_a_pad(name):
    x, net = frames(3, 38), module(name)
    mask = (torch.arange(38) < 37).expand(3, 38)
    with torch.no_grad():
        torch.testing.assert_close(net(x, mask), net(x[:, :37], mask[:, :37]), rtol=1e-4, atol=1e-4)


def test_time_is_that_of_the_tr_and_not_of_the_pad():
    mask = torch.arange(38) < torch.tensor([[38], [37], [10], [0]])
    t = time_in_tr(mask)
    step = 1.5 / 37.5  # 25 Hz: a TR holds 37 or 38 frames, evenly around its middle
    for row, count in ((0, 38), (1, 37)):
        true = 0.75 + (np.arange(count) - (count - 1) / 2) * step
        assert np.abs(1.5 * t[row, :count].numpy() - true).max() < step / 2
    np.testing.assert_allclose(1.5 * t[2, :10], (np.arange(10) + 0.5) * step, atol=step / 5)  # the film ends here
    assert t.min() >= 0
    assert t.max() <= 1


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_order_of_the_frames_is_kept(name):
    x, mask = frames(2, 12), torch.ones(2, 12, dtype=torch.bool)
    net = module(name)
    with torch.no_grad():
        assert not torch.allclose(net(x, mask), net(x.flip(1), mask), atol=1e-2)


def test_the_baseline_is_the_masked_mean():
    x, mask = frames(3, 7), torch.arange(7) < torch.tensor([[7], [3], [0]])
    want = np.stack([x[0].numpy().mean(0), x[1, :3].numpy().mean(0), np.zeros(WIDTH)])
    np.testing.assert_allclose(build_temporal("mean", WIDTH)(x, mask).numpy(), want, rtol=1e-5, atol=1e-6)


def test_multiscale_without_its_mixture_is_the_masked_mean():
    net = module("multiscale")
    torch.nn.init.zeros_(net.refine.mix.weight), torch.nn.init.zeros_(net.refine.mix.bias)
    x, mask = frames(3, 7), torch.arange(7) < torch.tensor([[7], [3], [0]])
    torch.testing.assert_close(net(x, mask), build_temporal("mean", WIDTH)(x, mask))


def test_multiscale_is_a_sum_of_numpy_convolutions():
    net, x = MultiScale(4), frames(1, 20, 4)
    mask = (torch.arange(20) < 17)[None]
    torch.nn.init.zeros_(net.time.mix.weight)
    seen = x[0].numpy() * mask[0].numpy()[:, None]
    scales = []
    for branch in net.branches:
        for weight, bias in zip(branch.weight.detach().numpy(), branch.bias.detach().numpy(), strict=True):
            one = sum(np.convolve(seen[:, c], weight[c, ::-1], "same") for c in range(4))
            scales.append(one + bias)
    s = np.stack(scales, 1)
    gelu = s * 0.5 * (1 + np.vectorize(math.erf)(s / np.sqrt(2)))
    want = seen + gelu @ net.mix.weight.detach().numpy().T + net.mix.bias.detach().numpy()
    with torch.no_grad():
        np.testing.assert_allclose(net(x, mask)[0, :17].numpy(), want[:17], rtol=1e-4, atol=1e-5)


def quiet(net: Hierarchical) -> Hierarchical:
    """A hierarchy whose learned parts say nothing, as only its means are left."""
    for part in (net.time.mix, net.neighbours, net.part[-1], net.whole[-1], net.fuse[-1]):
        for p in part.parameters():
            torch.nn.init.zeros_(p)
    return net


def test_a_hierarchy_that_has_learned_nothing_is_the_mean_of_the_means_of_its_parts():
    net = quiet(Hierarchical(8, TR_S))
    x, counts = frames(2, 38, 8), (38, 37)
    mask = torch.arange(38) < torch.tensor(counts)[:, None]
    want = []
    for row, count in zip(x.numpy(), counts, strict=True):
        part = ((np.arange(count) + 0.5) / count * 8).astype(int)  # 1.5 s: 8 parts of 188 ms
        want.append(np.mean([row[:count][part == p].mean(0) for p in range(8)], 0))
    with torch.no_grad():
        np.testing.assert_allclose(net(x, mask).numpy(), np.stack(want), rtol=1e-4, atol=1e-5)


def test_attention_chooses_the_frame_that_scores_high():
    pool, x = AttentionPool(4), torch.zeros(1, 3, 4)
    x[0, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    torch.nn.init.constant_(pool.score.weight, 10.0)
    members = torch.tensor([[[True, True, True], [True, False, True], [False, False, False]]])
    with torch.no_grad():
        out = pool(x, members)[0]
    torch.testing.assert_close(out[0], x[0, 1], atol=1e-4, rtol=1e-4)
    assert torch.equal(out[1:], torch.zeros(2, 4))  # all members are 0; no members


@by_name
@pytest.mark.parametrize("count", [1, 12])
def test_a_gradient_reaches_every_parameter(name, count):
    net = build_temporal(name, WIDTH, TR_S)
    x = frames(4, count).requires_grad_()
    net(x, torch.ones(4, count, dtype=torch.bool)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "millions"), [("multiscale", 1.0), ("hierarchical", 4.0)])
def test_sizes_are_those_that_are_stated(name, millions):
    with torch.device("meta"):
        count = sum(p.numel() for p in build_temporal(name, 256, TR_S).parameters())
    assert count == pytest.approx(millions * 1e6, rel=0.1)


def test_modules_learn_when_something_happened_and_the_mean_cannot():
    """A click in one of 12 frames: is it in the first half of the TR?"""
    torch.manual_seed(0)
    place = torch.randint(0, 12, (256,))
    x = torch.nn.functional.one_hot(place, 12).float().unsqueeze(-1) * torch.ones(WIDTH)
    late, mask = (place >= 6).float(), torch.ones(256, 12, dtype=torch.bool)
    errors = {}
    for name in NAMES:
        net = torch.nn.Sequential(torch.nn.Linear(WIDTH, 1))
        pool = build_temporal(name, WIDTH, TR_S)
        optimiser = torch.optim.Adam([*net.parameters(), *pool.parameters()], 1e-2)
        for _ in range(60):
            loss = (net(pool(x, mask))[:, 0] - late).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        errors[name] = float(loss.detach())
    assert errors.pop("mean") > 0.2
    assert max(errors.values()) < 0.02


def test_a_name_that_does_not_exist_is_told_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'multiscale'"):
        build_temporal("multi-scale", 8)


def test_a_hierarchy_must_know_the_tr():
    with pytest.raises(ConfigError, match="tr_s"):
        build_temporal("hierarchical", 8)


@pytest.mark.parametrize("name", ["own", *NAMES])
def test_the_default_encoder_takes_every_module(name):
    spec = FeatureSpec((5,), 9, tr_s=TR_S)
    encoder = FrameEncoder(spec, 6, hidden=16, temporal=name)
    mask = torch.arange(9) < torch.tensor([[9], [8]])
    x = frames(2, 9, 5)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x, mask), encoder(torch.where(mask.unsqueeze(-1), x, 7.0), mask))
