"""The trunk: whole runs, drifts, people's delays, the refit, and ensembles."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, clean, convolve_hrf
from giblet.data.dataset import Cleaning, Timeline, cover_windows
from giblet.data.split import Block
from giblet.model import Delays, Ensemble, members_of, predict_scans, run_drive
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import member_seeds
from giblet.pipeline.train import fit_trunk
from giblet.training import Schedule, TrunkTask, closed_form, fit, most_steps, trunk
from giblet.types import TRGrid
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline


def quiet(*_):
    """No log, no progress."""


def with_train(config, **settings):
    return config.model_copy(update={"train": config.train.model_copy(update=settings)})


@given(st.integers(20, 80), st.integers(0, 200), st.integers(20, 120), st.integers(0, 9))
def test_covering_windows_hold_every_training_tr_once(width, start, length, seed):
    blocks = (Block("train", start // 2, start // 2 + length), Block("train", 230, 260))
    world = Timeline("run-1", TRGrid(Fraction(3, 2), 260), blocks, {})
    windows = cover_windows([world], np.random.default_rng(seed), width)
    seen = np.sort(np.concatenate([w.rows[w.supervised] for w in windows]))
    np.testing.assert_array_equal(seen, np.sort(world.trs("train")))
    assert {len(w.rows) for w in windows} == {width}


def test_a_delay_moves_a_smooth_response_as_a_spline_does():
    t = np.arange(60.0)
    hrf = np.convolve(np.eye(1, 60, 20)[0], canonical_hrf(1.0))[:60]
    delays = Delays(2)
    with torch.no_grad():
        delays.trs += torch.tensor([0.8, -2.4])  # the mean goes: 1.6 TRs after and before it
    for person, later in ((0, 1.6), (1, -1.6)):
        moved = delays(torch.tensor(hrf)[None, :, None], person)[0, :, 0]
        np.testing.assert_allclose(moved.detach()[5:55], CubicSpline(t, hrf)(t - later)[5:55], atol=0.03 * hrf.max())


def test_peoples_delays_are_found(build, world, quick_config, tmp_path):
    late = np.roll(world.scans["a"], 1, axis=0)
    twins = replace(world, scans={"a": world.scans["a"], "b": late})
    model, codes, _ = build(twins, quick_config)
    fit(
        TrunkTask(model, codes, [twins], with_train(quick_config, trunk_lr=5e-3, weight_decay=0.1)),
        Schedule(150, 5e-3, 1.0, 99, 25, 0),
        tmp_path / "t.pt",
        quiet,
        quiet,
    )
    assert (model.delays.of(1) - model.delays.of(0)).item() == pytest.approx(1.0, abs=0.35)


def drifting(world):
    """The same world with the cleaning of its blocks."""
    sizes = {(b.start, b.stop): b.stop - b.start for b in world.blocks}
    return replace(world, cleaning={at: Cleaning.of(clean(np.eye(n), [slice(0, n)], 1.5)) for at, n in sizes.items()})


def test_predictions_have_no_drift_that_cleaning_would_take(build, world, quick_config):
    world = drifting(world)
    model, codes, _ = build(world, quick_config)
    guess = predict_scans(model, codes, [world])[0]["a"]
    for b in world.blocks:
        level = guess[b.trs] - guess[b.trs].mean(0)
        np.testing.assert_allclose(clean(guess[b.trs], [slice(0, b.stop - b.start)], 1.5), level, atol=1e-4)
    assert np.abs(guess[130:140]).max() > 0


def test_a_window_is_driven_by_the_film_before_it(build, world, quick_config):
    model, codes, _ = build(world, quick_config)
    model.eval()
    before = run_drive(model, codes, 0)
    codes.inputs[0]["text"][100] += 5.0
    after = run_drive(model, codes, 0)
    changed = np.flatnonzero((before - after).abs().sum(1).detach().numpy() > 1e-6)
    assert changed.min() >= 100
    assert changed.max() >= 103


def test_the_refit_trains_on_validation_too_and_never_on_the_test(build, world, quick_config, tmp_path):
    config = with_train(quick_config, trunk_steps=30)

    def weights(world, name):
        model, codes, _ = build(world, config)
        (tmp_path / name).mkdir()
        fit_trunk(model, codes, [world], config, RunFolder(tmp_path / name), quiet)
        return torch.cat([p.flatten() for p in model.parameters()])

    def noise(block):
        scans = {s: y.copy() for s, y in world.scans.items()}
        for y in scans.values():
            y[block] = np.random.default_rng(9).standard_normal(y[block].shape)
        return replace(world, scans=scans)

    plain = weights(world, "plain")
    assert torch.equal(plain, weights(noise(slice(205, 260)), "test"))
    assert not torch.equal(plain, weights(noise(slice(150, 180)), "validation"))


def test_what_is_judged_was_predicted_before_the_refit(build, world, quick_config, tmp_path):
    """It is the same whether a refit follows or not; what is kept is not."""

    def judged(refit):
        config = with_train(quick_config, trunk_steps=30, refit=refit)
        model, codes, _ = build(world, config)
        (tmp_path / str(refit)).mkdir()
        found = fit_trunk(model, codes, [world], config, RunFolder(tmp_path / str(refit)), quiet)
        return found[0], predict_scans(model, codes, [world])[0]

    (with_refit, kept), (without, same) = judged(refit=True), judged(refit=False)
    for s in world.scans:
        np.testing.assert_array_equal(with_refit[s], without[s])
        np.testing.assert_array_equal(without[s], same[s])
        assert not np.allclose(kept[s], without[s], atol=1e-3)


def test_the_closed_form_that_is_kept_has_seen_validation_too(build, world, quick_config, tmp_path, monkeypatch):
    """Let it count all: what it says hangs on the validation blocks, and not on the test."""
    config = with_train(quick_config, trunk_steps=10)

    def choose(*args):
        closed_form.choose(*args)
        return closed_form.Choice(1.0, 0.0, 1.0)

    def says(block):
        scans = {s: y.copy() for s, y in world.scans.items()}
        for y in scans.values():
            y[block] = np.random.default_rng(9).standard_normal(y[block].shape)
        model, codes, _ = build(world, config)
        place = tmp_path / str(block.start)
        place.mkdir()
        fit_trunk(model, codes, [replace(world, scans=scans)], config, RunFolder(place), quiet)
        return predict_scans(model, codes, [world])[0]["a"]

    monkeypatch.setattr("giblet.pipeline.train.choose", choose)
    plain = says(slice(0, 0))
    np.testing.assert_array_equal(plain, says(slice(205, 260)))
    assert np.abs(plain - says(slice(150, 180))).max() > 0.05


def test_nobody_is_validated_where_they_were_not_measured(build, world, quick_config):
    """Where nobody was, validation says what it says of a constant."""
    gone = world.scanned["b"] & (np.arange(260) < 150)
    model, codes, _ = build(world, quick_config)
    partly = replace(world, scanned=world.scanned | {"b": gone})
    alone = replace(world, scans={"a": world.scans["a"]})
    assert TrunkTask(model, codes, [partly], quick_config).validate() == pytest.approx(
        TrunkTask(model, codes, [alone], quick_config).validate()
    )
    nobody = replace(world, scanned=dict.fromkeys(world.scans, gone))
    assert TrunkTask(model, codes, [nobody], quick_config).validate() == 2.0


@pytest.mark.parametrize(("trs", "steps"), [((84,), 100), ((84, 428), 100), ((512, 256), 200), ((320,) * 8, 900)])
def test_more_data_have_more_steps(quick_config, trs, steps):
    timelines = [
        SimpleNamespace(trs=lambda *labels, n=n: range(n) if labels == ("train",) else range(9999)) for n in trs
    ]
    assert most_steps(timelines, with_train(quick_config, trunk_steps=None)) == steps
    assert most_steps(timelines, with_train(quick_config, trunk_steps=7)) == 7


def test_a_long_training_is_validated_twenty_times(build, world, quick_config, tmp_path, monkeypatch):
    monkeypatch.setattr(trunk, "FEW_STEPS", 60)
    config = with_train(quick_config, trunk_steps=None, trunk_validate_every=2, patience=50, refit=False)
    model, codes, _ = build(world, config)
    fit_trunk(model, codes, [world], config, RunFolder(tmp_path), quiet)
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(3, 61, 3))


def test_a_refit_goes_on_after_an_interruption(build, world, quick_config, tmp_path):
    config = with_train(quick_config, trunk_steps=30)

    def train(folder, progress=quiet):
        model, codes, _ = build(world, config)
        folder.mkdir(exist_ok=True)
        fit_trunk(model, codes, [world], config, RunFolder(folder), progress)
        return torch.cat([p.flatten() for p in model.parameters()])

    def stop(what, done, total):
        if (what, done) == ("trunk refit", 5):
            raise KeyboardInterrupt

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", stop)
    assert torch.equal(whole, train(tmp_path / "broken"))


def test_an_ensemble_is_the_mean_of_its_members(build, world, quick_config):
    (one, codes, _), (two, _, _) = build(world, quick_config), build(world, quick_config)
    with torch.no_grad():
        for p in two.parameters():
            p.add_(0.1 * torch.randn_like(p))
    both = Ensemble([one, two]).eval()
    guesses = [predict_scans(m, codes, [world])[0]["b"] for m in (one, two, both)]
    np.testing.assert_allclose(guesses[2], (guesses[0] + guesses[1]) / 2, atol=1e-5)
    y, valid = torch.from_numpy(world.scans["a"])[None], torch.ones(1, 260, dtype=torch.bool)
    read = [m.rebuild(m.read(y, valid, 0))["text"] for m in (one, two, both)]
    torch.testing.assert_close(read[2], (read[0] + read[1]) / 2)
    assert members_of(both) == [one, two]
    assert members_of(one) == [one]


def test_members_of_neighbouring_runs_share_no_seed(quick_config):
    config = with_train(quick_config, ensemble=3)
    seeds = [s for seed in range(5) for s in member_seeds(config.model_copy(update={"seed": seed}))]
    assert len(set(seeds)) == len(seeds)
    assert member_seeds(quick_config) == [quick_config.seed]


def test_features_under_a_canonical_response_are_found(build, world, quick_config, tmp_path):
    """The sanity of the whole: drive the world by features that lag, and the model still finds them."""
    drive = convolve_hrf(world.aligned["text"].features.values, canonical_hrf(1.5))
    tuned = drive @ np.random.default_rng(3).standard_normal((6, 20))
    scans = {s: (tuned / tuned.std(0)).astype(np.float32) for s in world.scans}
    world = replace(world, scans=scans)
    model, codes, _ = build(world, quick_config)
    fit_trunk(
        model, codes, [world], with_train(quick_config, trunk_steps=120, trunk_lr=1e-2), RunFolder(tmp_path), quiet
    )
    guess = predict_scans(model, codes, [world])[0]["a"][210:]
    assert np.mean([np.corrcoef(guess[:, v], scans["a"][210:, v])[0, 1] for v in range(20)]) > 0.7
