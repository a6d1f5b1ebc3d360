"""The loop: exact resume, and test data that nothing in training has touched."""

import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet.data.dataset import draw_windows
from giblet.errors import DataError, GibletError
from giblet.model import RelativeLoss, bold_loss, constant_prediction, predict_scans
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.train import find_codes
from giblet.training import DecoderTask, Schedule, TrunkTask, checkpoint, compute_codes, fit
from giblet.training.front_ends import training_parts
from giblet.training.stopping import Stopped
from giblet.types import FeatureSpec


def quiet(*_):
    """No log, no progress."""


def schedule(config, steps):
    t = config.train
    return Schedule(steps, 1e-2, t.clip, 99, t.validate_every, config.seed, save_every_s=0.0)


def trained(build, world, config, path):
    model, codes, nets = build(world, config)
    fit(
        TrunkTask(model, codes, [world], config),
        schedule(config, 40),
        path / "t.pt",
        quiet,
        quiet,
    )
    losses = {
        "text": RelativeLoss(
            nets[0].loss, nets[0].spec, constant_prediction(training_parts([world], "text"), nets[0].spec)
        )
    }
    losses["text"].calibrate(training_parts([world], "text"))
    predicted = predict_scans(model, codes, [world])
    task = DecoderTask(model, nets, losses, codes, [world], predicted, config)
    fit(task, schedule(config, 20), path / "d.pt", quiet, quiet)
    return model


def test_it_learns_the_linear_world(build, world, quick_config, tmp_path):
    config = quick_config.model_copy(update={"train": quick_config.train.model_copy(update={"trunk_steps": 200})})
    model, codes, _ = build(world, config)
    fit(
        TrunkTask(model, codes, [world], config),
        schedule(config, 200),
        tmp_path / "t.pt",
        lambda r: None,
        quiet,
    )
    guess = predict_scans(model, codes, [world])[0]
    r = [np.corrcoef(guess["a"][210:, v], world.scans["a"][210:, v])[0, 1] for v in range(20)]
    assert np.mean(r) > 0.5


def test_replacing_test_scans_leaves_the_weights_bit_identical(build, world, quick_config, tmp_path):
    """Also what lies in the gap and in validation's gap: only training and validation blocks may matter."""
    noisy = {}
    for s, y in world.scans.items():
        noisy[s] = y.copy()
        noisy[s][180:] = np.random.default_rng(9).standard_normal(y[180:].shape)
        noisy[s][120:150] = 7.0
    a = trained(build, world, quick_config, tmp_path / "a").state_dict()
    b = trained(build, replace(world, scans=noisy), quick_config, tmp_path / "b").state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_replacing_training_scans_changes_the_weights(build, world, quick_config, tmp_path):
    other = {s: y[::-1].copy() for s, y in world.scans.items()}
    a = trained(build, world, quick_config, tmp_path / "a").state_dict()
    b = trained(build, replace(world, scans=other), quick_config, tmp_path / "b").state_dict()
    assert not all(torch.equal(a[k], b[k]) for k in a)


class StopError(Exception):
    pass


def test_resume_is_bit_equal_to_an_unbroken_run(build, world, quick_config, tmp_path):
    rows, broken = [], []

    def stop_at_25(name, step, total):
        if step == 25:
            raise StopError

    model, codes, _ = build(world, quick_config)
    whole = TrunkTask(model, codes, [world], quick_config)
    fit(whole, schedule(quick_config, 40), tmp_path / "whole.pt", rows.append, quiet)
    for progress in (stop_at_25, quiet):
        again, codes, _ = build(world, quick_config)
        task = TrunkTask(again, codes, [world], quick_config)
        try:
            fit(task, schedule(quick_config, 40), tmp_path / "broken.pt", broken.append, progress)
        except StopError:
            torch.manual_seed(12345)
    assert all(torch.equal(model.state_dict()[k], again.state_dict()[k]) for k in model.state_dict())
    assert [(r["step"], r["train"], r["validation"]) for r in rows] == [
        (r["step"], r["train"], r["validation"]) for r in broken
    ]


def test_a_run_that_goes_on_reads_by_the_components_that_it_began_with(
    build, world, quick_config, tmp_path, monkeypatch
):
    """Where components are of equal variance, another machine may find others in their place."""
    _, _, nets = build(world, quick_config)
    inputs = SimpleNamespace(timelines=[world], modalities={})

    def read(folder):
        return find_codes(nets, inputs, quick_config, RunFolder(tmp_path / folder), quiet).inputs[0]["text"]

    before, svd = read("run"), np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda rows, **how: (*svd(rows, **how)[:2], np.eye(rows.shape[1])))
    assert np.abs(read("another run") - before).max() > 0.1
    np.testing.assert_array_equal(read("run"), before)


def test_a_signal_saves_behind_the_step_and_stops(build, world, quick_config, tmp_path):
    model, codes, _ = build(world, quick_config)
    task, seldom = TrunkTask(model, codes, [world], quick_config), replace(schedule(quick_config, 40), save_every_s=1e6)

    def told_at_13(name, step, total):
        if step == 13:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.getsignal(signal.SIGUSR1)
    with pytest.raises(Stopped) as stop:
        fit(task, seldom, tmp_path, quiet, told_at_13)
    assert stop.value.signal == signal.SIGUSR1
    assert signal.getsignal(signal.SIGUSR1) == before
    _, position = checkpoint.load(checkpoint.newest(tmp_path))
    assert position["step"] <= 14
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("step", [10, 20])
def test_a_validation_that_is_due_waits_when_told_to_stop(build, world, quick_config, tmp_path, step):
    """A launcher kills who does not stop soon: the checkpoint comes first, the validation when the stage goes on."""
    times = replace(schedule(quick_config, 20), validate_every=10, save_every_s=1e6)

    def trained(folder, progress, rows):
        model, codes, _ = build(world, quick_config)
        fit(TrunkTask(model, codes, [world], quick_config), times, tmp_path / folder, rows.append, progress)
        return model.state_dict()

    def told(name, done, total):
        if done == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)

    whole, before, after = [], [], []
    weights = trained("whole", quiet, whole)
    with pytest.raises(Stopped):
        trained("broken", told, before)
    assert checkpoint.newest(tmp_path / "broken").name == f"step-{step:08}"
    assert [r["step"] for r in before] == [s for s in (10, 20) if s < step]

    def cut_off(name, done, total):
        if done == step + 1:
            raise StopError

    with pytest.raises(StopError) if step < 20 else nullcontext():
        again = trained("broken", cut_off, after)
    if step < 20:
        again = trained("broken", quiet, after)
    assert all(torch.equal(weights[k], again[k]) for k in weights)
    alike = ("step", "train", "validation", "gradients")
    assert [[r[k] for k in alike] for r in before + after] == [[r[k] for k in alike] for r in whole]


def test_a_signal_in_the_last_validation_is_heard(build, world, quick_config, tmp_path, monkeypatch):
    """Else the next stage would train on."""
    model, codes, _ = build(world, quick_config)
    task = TrunkTask(model, codes, [world], quick_config)
    validate = task.validate

    def told(share):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(share)

    monkeypatch.setattr(task, "validate", told)
    with pytest.raises(Stopped):
        fit(task, schedule(quick_config, 10), tmp_path, quiet, quiet)
    assert checkpoint.newest(tmp_path).name == "step-00000010"


@pytest.mark.parametrize("kept", [0, 1, 100])
@pytest.mark.parametrize("name", ["*.distcp", ".metadata", "position.json"])
def test_a_damaged_checkpoint_is_named(build, world, quick_config, tmp_path, name, kept):
    model, codes, _ = build(world, quick_config)
    task = TrunkTask(model, codes, [world], quick_config)
    fit(task, schedule(quick_config, 3), tmp_path, quiet, quiet)
    (file,) = checkpoint.newest(tmp_path).glob(name)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"the checkpoint .*step-00000003 is damaged .*; delete it and run again"):
        fit(task, schedule(quick_config, 3), tmp_path, quiet, quiet)


def test_a_full_disk_leaves_the_checkpoint_before(build, world, quick_config, tmp_path, monkeypatch):
    model, codes, _ = build(world, quick_config)
    task = TrunkTask(model, codes, [world], quick_config)
    fit(task, schedule(quick_config, 3), tmp_path, quiet, quiet)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GibletError, match=r"cannot write the checkpoint .*No space left.*; free space"):
        fit(task, schedule(quick_config, 5), tmp_path, quiet, quiet)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000003"]


def test_windows_never_leave_their_block(world):
    rng = np.random.default_rng(0)
    for w in draw_windows([world], rng, 200, 40, 16, 16):
        assert set(w.rows[w.inside]) <= set(range(120))
        assert w.supervised.sum() == 40
        assert (w.supervised <= w.inside).all()


def test_a_block_shorter_than_a_window_is_masked(world):
    w = draw_windows([world], np.random.default_rng(0), 1, 200, 0, 0)[0]
    assert w.supervised.sum() == 120


def test_bold_loss_agrees_with_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 50, 7))
    valid = np.ones((3, 50), bool)
    valid[1, 30:] = False
    valid[2, 10:] = False  # too short for r
    r = [np.mean([np.corrcoef(a[i, valid[i], v], b[i, valid[i], v])[0, 1] for v in range(7)]) for i in (0, 1)]
    expected = np.mean((a - b)[valid] ** 2) + 1 - np.mean(r)
    got = bold_loss(*(torch.from_numpy(x) for x in (a, b, valid)))
    assert float(got) == pytest.approx(expected, abs=1e-6)


def test_constant_scores_one(build, world, quick_config):
    nets = build(world, quick_config)[2]
    parts = training_parts([world], "text")
    spec = FeatureSpec((6,), 1)
    loss = RelativeLoss(nets[0].loss, spec, constant_prediction(parts, spec)).calibrate(parts)
    x, mask = (torch.from_numpy(v) for v in parts[0][0].rows(parts[0][1]))
    assert float(loss(loss.constant.expand_as(x), x, mask)) == pytest.approx(1.0, abs=1e-5)
    assert float(loss(x, x, mask)) == 0.0


def test_training_that_diverges_says_so(build, world, quick_config, tmp_path):
    model, codes, _ = build(world, quick_config)
    with torch.no_grad():
        model.heads.own[0].weight.fill_(float("nan"))
    with pytest.raises(GibletError, match=r"trunk: the validation loss is nan .*; lower -o train\.trunk_lr"):
        fit(TrunkTask(model, codes, [world], quick_config), schedule(quick_config, 40), tmp_path / "t.pt", quiet, quiet)


@pytest.mark.parametrize(
    ("stage", "rate"),
    [
        ("front-end text", "train.lr"),
        ("compressor", "train.lr"),
        ("trunk 2", "train.trunk_lr"),
        ("decoders", "train.decoder_lr"),
        ("decoders 2", "train.decoder_lr"),
    ],
)
def test_a_stage_that_diverges_names_its_own_rate(build, world, quick_config, tmp_path, stage, rate):
    model, codes, _ = build(world, quick_config)
    task = TrunkTask(model, codes, [world], quick_config, name=stage)
    with torch.no_grad():
        model.heads.own[0].weight.fill_(float("nan"))
    with pytest.raises(GibletError, match=rf"^{stage}: .*; lower -o {rate}$"):
        fit(task, schedule(quick_config, 40), tmp_path, quiet, quiet)


@pytest.mark.parametrize("late", [1e30, float("inf"), float("nan")])
def test_delays_that_diverge_end_in_the_same_line(build, world, quick_config, tmp_path, late):
    model, codes, _ = build(world, quick_config)
    with torch.no_grad():
        model.delays.trs.copy_(torch.tensor([0.0, late]))
    with pytest.raises(GibletError, match=r"trunk: the validation loss is"):
        fit(TrunkTask(model, codes, [world], quick_config), schedule(quick_config, 40), tmp_path, quiet, quiet)


def test_people_who_saw_different_runs_train_together(build, world, quick_config, tmp_path):
    """No run has everybody, and a window may fall where nobody who was drawn was scanned."""
    runs = [
        replace(world, run=f"run-{s}", scans={s: world.scans[s]}, scanned={s: world.scanned[s]}) for s in world.scans
    ]
    config = quick_config.model_copy(
        update={"train": quick_config.train.model_copy(update={"subjects": 1, "windows": 1})}
    )
    model, codes, nets = build(world, config)
    codes = compute_codes(runs, nets, {}, config.model, quiet)
    best = fit(TrunkTask(model, codes, runs, config), schedule(config, 40), tmp_path / "t.pt", quiet, quiet)
    assert np.isfinite(best.score)
