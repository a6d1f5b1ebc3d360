"""Averaged weights, balanced losses, augmentation, shrinkage, and how far the reconstruction gradient reaches."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet.config import build_config
from giblet.errors import ConfigError
from giblet.model import RelativeLoss, constant_prediction, decode_code, predict_scans, read_block
from giblet.model.shrinkage import best_multiple, calibrated_loss
from giblet.nn import augmented
from giblet.training import DecoderTask, FrontEndTask, Schedule, TrunkTask, checkpoint, compute_codes, fit
from giblet.training.averaging import Average
from giblet.training.balance import Losses, equalised
from giblet.training.front_ends import training_parts
from giblet.types import FeatureSpec
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn


def quiet(*_):
    """No log, no progress."""


def with_train(config, **train):
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def decoder_task(build, world, config):
    model, codes, nets = build(world, config)
    parts, spec = training_parts([world], "text"), nets[0].spec
    losses = {"text": RelativeLoss(nets[0].loss, spec, constant_prediction(parts, spec)).calibrate(parts)}
    return DecoderTask(model, nets, losses, codes, [world], predict_scans(model, codes, [world]), config)


def test_the_average_is_numpys_recursion():
    module = nn.Linear(3, 2)
    average, known = Average(module, 0.6), module.weight.detach().numpy().copy()
    rng = np.random.default_rng(0)
    for step in range(1, 12):
        now = rng.standard_normal((2, 3)).astype(np.float32)
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(now))
        average.update(step)
        d = min(0.6, step / (step + 9))
        known = d * known + (1 - d) * now
    np.testing.assert_allclose(average.weights["weight"].numpy(), known, atol=1e-6)
    with average.in_place():
        np.testing.assert_allclose(module.weight.detach().numpy(), known, atol=1e-6)
    np.testing.assert_array_equal(module.weight.detach().numpy(), now)


def test_averaged_weights_are_validated_and_kept(build, world, quick_config, tmp_path):
    model, codes, _ = build(world, quick_config)
    task = TrunkTask(model, codes, [world], quick_config)
    rows = []
    best = fit(task, Schedule(20, 1e-2, 1.0, 99, 10, 0, average=0.9), tmp_path / "t.pt", rows.append, quiet)
    with torch.no_grad():
        assert task.validate() == pytest.approx(best.score, abs=1e-6)
    state, _ = checkpoint.load(checkpoint.newest(tmp_path / "t.pt"))
    kept = model.state_dict()
    assert all(torch.equal(kept[k], state[f"best/{k}"]) for k in kept)
    assert not all(torch.equal(kept[k], state[f"model/{k}"]) for k in kept)


class StopError(Exception):
    pass


@pytest.mark.parametrize("stop", [13, 25])
def test_resume_is_bit_equal_with_all_of_them(build, world, quick_config, tmp_path, stop):
    config = with_train(quick_config, brain_grad=1.0)
    schedule = Schedule(30, 1e-2, 1.0, 99, 10, 0, average=0.9, balance=True, save_every_s=0.0)

    def breaks(name, step, total):
        if step == stop:
            raise StopError

    rows, broken = [], []
    whole = decoder_task(build, world, config)
    fit(whole, schedule, tmp_path / "whole.pt", rows.append, quiet)
    for progress in (breaks, quiet):
        again = decoder_task(build, world, config)
        try:
            fit(again, schedule, tmp_path / "broken.pt", broken.append, progress)
        except StopError:
            torch.manual_seed(12345)
    a, b = (checkpoint.load(checkpoint.newest(tmp_path / name))[0] for name in ("whole.pt", "broken.pt"))
    assert all(torch.equal(a[k], b[k]) for k in a)
    alike = ("step", "train", "validation", "gradients", "scales")
    assert [[r[k] for k in alike] for r in broken] == [[r[k] for k in alike] for r in rows]


def test_all_that_a_stage_trains_is_in_training_mode_from_its_first_step_on(build, world, quick_config, tmp_path):
    """Predicting scans before it, and judging within it, leave networks in the mode that drops nothing."""
    task, modes = decoder_task(build, world, quick_config), []
    task.model.eval()
    loss = task.loss
    task.loss = lambda batch: modes.append(all(m.training for m in task.module.modules())) or loss(batch)
    fit(task, Schedule(12, 1e-2, 1.0, 99, 5, 0), tmp_path, quiet, quiet)
    assert modes == [True] * 12


def test_gradient_norms_are_those_of_the_losses():
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    losses = Losses({"a": x.sum(), "b": (x * x).sum(), "none": torch.zeros(())}, [x], {"a": 2.0})
    lengths = {name: float(gradient.norm()) for name, gradient in losses.gradients().items()}
    assert lengths == pytest.approx({"a": 2**0.5, "b": 10.0, "none": 0.0})
    assert losses.total({"b": 0.1}).item() == pytest.approx(2 * 7 + 2.5)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6))
def test_scales_make_gradients_equal_and_average_one(norms):
    scales = equalised({str(i): g for i, g in enumerate(norms)})
    lengths = [scales[str(i)] * g for i, g in enumerate(norms)]
    assert lengths == pytest.approx([lengths[0]] * len(norms))
    assert np.mean(list(scales.values())) == pytest.approx(1.0)


def test_a_loss_without_gradient_keeps_its_scale():
    assert equalised({"a": 0.0, "b": 2.0}) == {"b": 1.0}
    assert equalised({"a": 0.0}) == {}


def test_gradients_and_parts_are_logged_at_each_validation(build, world, quick_config, tmp_path):
    rows = []
    task = decoder_task(build, world, with_train(quick_config, brain_grad=1.0))
    fit(task, Schedule(20, 1e-3, 1.0, 99, 10, 0, balance=True), tmp_path / "d.pt", rows.append, quiet)
    assert [r["step"] for r in rows] == [10, 20]
    for row in rows:
        assert row["gradients"]["text"] > 0
        assert row["validation"] == pytest.approx(np.mean(list(row["parts"].values())))
        assert set(row["scales"]) == {"text"}, "BOLD's loss does not reach the inverse path"


@pytest.mark.parametrize(("share", "reached"), [(0.0, False), (1.0, True)])
def test_the_reconstruction_gradient_reaches_the_trunk_only_if_asked(build, world, quick_config, share, reached):
    task = decoder_task(build, world, with_train(quick_config, brain_grad=share))
    task.loss(task.read(0)).parts["text"].backward()
    trunk = [*task.model.adapters.parameters(), *task.model.heads.parameters()]
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in trunk) == reached
    trained = {id(p) for g in task.parameter_groups() for p in g["params"]}
    assert all((id(p) in trained) == reached for p in trunk)


def test_every_parameter_stands_in_one_group(build, world, quick_config):
    groups = decoder_task(build, world, with_train(quick_config, brain_grad=1.0)).parameter_groups()
    every = [id(p) for g in groups for p in g["params"]]
    assert len(every) == len(set(every))


def test_weights_multiply_their_own_loss(build, world, quick_config):
    plain, heavy = (decoder_task(build, world, with_train(quick_config, weights=w)) for w in ({}, {"text": 3.0}))
    torch.manual_seed(0)
    one = plain.loss(plain.read(0)).total({})
    torch.manual_seed(0)
    assert heavy.loss(heavy.read(0)).total({}).item() == pytest.approx(3 * one.item())


def test_a_weight_of_nothing_in_the_run_is_refused():
    with pytest.raises(ConfigError, match="vide"):
        build_config({"video": "video_s3d"}, {"train": {"weights": {"vide": 2}}}, seed=0, plumbing=False)
    with pytest.raises(ConfigError, match="weights"):
        build_config({"video": "video_s3d"}, {"train": {"weights": {"video": -1}}}, seed=0, plumbing=False)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.integers(1, 30))
def test_what_is_shrunk_is_never_worse_than_the_constant(seed, truth, n):
    rng = np.random.default_rng(seed)
    target = torch.from_numpy(rng.standard_normal((n, 4)))
    guess = truth * target + torch.from_numpy(5 * rng.standard_normal((n, 4)))
    c = best_multiple(guess, target)
    assert c >= 0
    assert calibrated_loss(guess, target) <= 1 + 1e-9
    for other in (0.0, 0.5 * c, 1.1 * c, 1.0):
        assert (c * guess - target).square().sum() <= (other * guess - target).square().sum() + 1e-9


def test_calibration_trusts_each_way_as_validation_says_and_leaves_training_alone(build, world, quick_config):
    task = decoder_task(build, world, quick_config)
    task.model.eval()
    score = task.validate()["text"]
    task.calibrate(task.predicted)
    z = read_block(task.model, world.scans["a"][:50], np.ones(50, bool), "a")
    learned, closed = task.model.both_ways(z)
    factor = task.model.shrinkage.get_buffer("of_text")
    torch.testing.assert_close(task.model.rebuild(z)["text"], learned["text"] * factor + closed["text"])
    assert task.validate()["text"] == pytest.approx(score)
    assert score <= 1.0
    found = task._read_back()["text"]
    assert calibrated_loss(found.learned, found.target) == pytest.approx(score)


def test_calibration_hears_of_no_tr_that_was_not_measured(build, world, quick_config):
    """Half of a's validation and all of b's were censored: 15 of 60 codes are left to judge by."""
    trs = np.arange(260)
    there = {"a": world.scanned["a"] & ~((trs >= 150) & (trs < 165)), "b": world.scanned["b"] & (trs < 150)}
    partly = replace(world, scanned=there)
    found = decoder_task(build, partly, quick_config)._read_back()["text"]
    assert found.target.shape == (15, 6)
    assert len(found.learned) == len(found.closed) == 15


def test_calibration_reads_nothing_of_the_test_blocks(build, world, quick_config):
    noisy = {s: y.copy() for s, y in world.scans.items()}
    for y in noisy.values():
        y[180:] = 7.0
    a, b = (decoder_task(build, w, quick_config) for w in (world, replace(world, scans=noisy)))
    for task in (a, b):
        task.calibrate(task.predicted)
    assert a.model.inversion.get_buffer("weights_text").any()
    for name, tensor in a.model.state_dict().items():
        assert torch.equal(tensor, b.model.state_dict()[name]), name


SPECS = {
    "sound": (FeatureSpec((20,), 7), torch.randn(16, 7, 20)),
    "picture": (FeatureSpec((8, 10, 3), 5, "uint8"), torch.randint(256, (16, 5, 8, 10, 3), dtype=torch.uint8)),
    "codes": (FeatureSpec((4,), 9, "int16", num_classes=12), torch.randint(12, (16, 9, 4), dtype=torch.int16)),
    "vector": (FeatureSpec((2,), 1), torch.randn(16, 1, 2)),
}


@pytest.mark.parametrize("kind", SPECS)
def test_augmentation_keeps_kind_shape_and_at_least_one_frame(kind):
    spec, x = SPECS[kind]
    mask = torch.ones(x.shape[:2], dtype=torch.bool)
    mask[3, 1:] = False
    torch.manual_seed(0)
    y, kept = augmented(x, mask, spec, 0.3)
    assert y.dtype == x.dtype
    assert not torch.equal(y, x)
    assert kept.any(1).all()
    assert not (kept & ~mask).any()
    if spec.num_classes:
        assert 0 <= int(y.min()) <= int(y.max()) < spec.num_classes
        assert 0.1 < (y != x).float().mean() < 0.4
    torch.manual_seed(0)
    again, same = augmented(x, mask, spec, 0.3)
    assert torch.equal(y, again), "a function of the seed"
    assert torch.equal(kept, same)
    assert augmented(x, mask, spec, 0.0)[0] is x


def test_augmentation_touches_neither_validation_nor_targets(build, world, quick_config, monkeypatch):
    nets = build(world, quick_config)[2]
    spec = nets[0].spec
    loss = RelativeLoss(nets[0].loss, spec, constant_prediction(training_parts([world], "text"), spec))
    task = FrontEndTask(nets[0], loss, [world], with_train(quick_config, augment=0.5))
    assert task.validate() == 0.0, "an identity gives the untouched features back"
    seen = []
    monkeypatch.setattr(task, "relative", lambda made, x, mask, frames: seen.append((made, x, mask)) or made.sum())
    torch.manual_seed(0)
    task.loss(task.read(0))
    made, x, mask = seen[0]
    assert not torch.equal(made, x)
    rows = world.aligned["text"].features.values
    assert all((rows == frame.numpy()).all(1).any() for frame in x[:, 0])
    assert mask.all()


def test_scans_are_read_back_to_code_and_summary_and_only_the_code_is_decoded(world, quick_config, build):
    nets = [replace(build(world, quick_config)[2][0], plain=True)]
    summary = np.random.default_rng(0).standard_normal((len(world.scans["a"]), 3))
    plain = SimpleNamespace(summary=lambda _: summary, summary_groups=lambda columns: [columns])
    codes = compute_codes([world], nets, {"text": plain}, quick_config.model, quiet)
    target, projection = codes.targets[0]["text"], codes.projections["text"]
    assert [target[:, c].shape[1] for c in projection.parts] == [6, 3]
    assert np.square(target[world.trs("train"), 6:]).mean() == pytest.approx(1.0, abs=1e-5)
    made = decode_code(nets[0], codes, torch.from_numpy(target))
    np.testing.assert_allclose(made[:, 0], world.aligned["text"].features.values, atol=1e-5)
