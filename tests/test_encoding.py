"""Scans predicted in closed form: against scikit-learn's kernels and ridges, and the textbook's evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.config import ModelConfig
from giblet.model import predict_scans
from giblet.model.encoding import DELAYS_S, FEATURES, Encoding, Likeness
from giblet.training.closed_form import Choice, choose, fit_encoding
from giblet.training.encoding import EncodingFit
from giblet.training.evidence import (
    SCALES,
    TEMPER,
    Candidate,
    Design,
    Prior,
    Rows,
    autocorrelation,
    log_evidence,
    shares,
    turn,
)
from giblet.training.likeness import fit_likeness
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.decomposition import KernelPCA
from sklearn.linear_model import Ridge

BOTH = ("train", "validation")
TEST = np.arange(210, 260)


@pytest.fixture
def model(build, world, quick_config):
    made, codes, _ = build(world, quick_config)
    made.eval()
    made.encode([20, 20], codes.plain_sizes)
    return made, codes


def correlations(guess, y, rows=TEST):
    return np.array([np.corrcoef(guess[rows, v], y[rows, v])[0, 1] for v in range(y.shape[1])])


def test_features_are_scikit_learns_kernel_components(model, world):
    made, codes = model
    fit_likeness(made.encoding.likeness, codes, [world], ("train",))
    like, parts = made.encoding.likeness["text"], [table[0]["text"] for table in (codes.inputs, codes.summaries)]
    raw = np.concatenate(parts, 1)
    x = np.concatenate([p / np.sqrt(p[:120].var(0).sum()) for p in parts], 1)
    known = KernelPCA(FEATURES, kernel="rbf", gamma=1 / float(like.get_buffer("width"))).fit(x[:120].astype(float))
    want = known.transform(x.astype(float))
    got = like(torch.from_numpy(raw)).numpy()[:, : want.shape[1]]
    size = np.sqrt(np.square(want[:120]).sum(1).mean())
    want *= np.sign((want * got).sum(0)) / size
    strong = known.eigenvalues_ > 1e-3 * known.eigenvalues_[0]
    np.testing.assert_allclose(got[:, strong], want[:, strong], atol=2e-3)
    assert np.square(got[:120]).sum(1).mean() == pytest.approx(1, rel=1e-3)


def test_a_design_holds_features_under_the_response_at_each_delay_and_applied_ones_as_they_are():
    encoding = Encoding(ModelConfig(kernel_s=24), 1.5, 0.5, {"table": 2, "text": 3}, ["table"], [4, 4])
    features = torch.randn(1, 70, encoding.width)
    encoding.put("late_s", torch.tensor([0.0, 0.75]))
    rows = encoding.late(features, 1)[0].reshape(70, len(DELAYS_S), -1).numpy()
    for r, delay in enumerate(DELAYS_S):
        taps = canonical_hrf(1.5, 24, stretch=(5 + delay + 0.75) / 5)[:17]
        want = convolve_hrf(features[0, :, :FEATURES].numpy(), taps)
        np.testing.assert_allclose(rows[:, r, :FEATURES], want, atol=1e-5)
        np.testing.assert_array_equal(rows[:, r, FEATURES:], features[0, :, FEATURES:].numpy())


def test_what_is_not_there_is_the_mean():
    encoding = Encoding(ModelConfig(), 1.5, 0.5, {"text": 3}, [], [4])
    torch.nn.init.normal_(encoding.likeness["text"].get_buffer("offset"))
    there = torch.tensor([[True, False, True]])
    found = encoding.features({"text": torch.randn(1, 3, 1)}, {"text": torch.randn(1, 3, 2)}, {"text": there})
    assert found.any(-1).tolist() == there.tolist()


@pytest.fixture
def rows():
    """Rows of the mean of one or two people, some not measured, with features of two modalities at three delays."""
    rng = np.random.default_rng(0)
    count = rng.integers(0, 3, 60).astype(float)
    x = rng.standard_normal((60, 3, 8)).astype(np.float32)
    y = (x[:, 1] @ rng.standard_normal((8, 5)) + rng.standard_normal((60, 5))).astype(np.float32)
    return Rows(x, lambda voxels: y[:, voxels], count)


EVERY = np.arange(5)


def whitened(rows, correlation):
    """Each row of a stretch less `correlation` times the one before it, weighed by its people."""
    out = []
    for t in np.flatnonzero(rows.people):
        first = t == 0 or rows.people[t - 1] == 0
        mine = [np.sqrt(rows.people[t]) * z[t].astype(float) for z in (rows.x, rows.y(EVERY))]
        before = [0.0, 0.0] if first else [np.sqrt(rows.people[t - 1]) * z[t - 1] for z in (rows.x, rows.y(EVERY))]
        size = np.sqrt(1 - correlation**2)
        out.append([size * m if first else m - correlation * b for m, b in zip(mine, before, strict=True)])
    return [np.stack(part) for part in zip(*out, strict=True)]


def test_weights_are_scikit_learns_ridge_of_white_rows(rows):
    rows_design = Design.of([rows], 0.4, 24)
    sums = rows_design.sums(EVERY)
    x, y = whitened(rows, 0.4)
    assert sums.n == len(x)
    weight = np.repeat([0.25, 0.75], 4)
    candidate = Candidate(1, weight)
    share = np.zeros((1, len(SCALES), 5), np.float32)
    share[0, 6] = 1
    design = x[:, 1] * np.sqrt(weight)
    size = np.square(design).sum() / len(x)
    known = Ridge(alpha=size / SCALES[6], fit_intercept=False).fit(design, y).coef_.T * np.sqrt(weight)[:, None]
    prior = Prior([candidate], np.zeros((1, len(SCALES))))
    found = prior.weights(prior.turned(rows_design), share, sums).reshape(3, 8, 5)
    np.testing.assert_allclose(found[1], known, atol=1e-4)
    assert not found[[0, 2]].any()


def test_evidence_is_the_normal_density_of_white_rows(rows):
    """Up to what no prior changes: with noise s2 at its best, log N(y; 0, s2 (I + scale X X'))."""
    all_rows = Design.of([rows], 0.4, 24)
    x, y = whitened(rows, 0.4)
    weight = np.repeat([0.5, 0.5], 4)
    candidate = Candidate(2, weight)
    found = log_evidence(turn(candidate, all_rows), candidate.columns, all_rows.sums(EVERY)) * TEMPER
    design = x[:, 2] * np.sqrt(weight)
    design /= np.sqrt(np.square(design).sum() / len(x))
    want = np.empty((len(SCALES), 5))
    for k, scale in enumerate(SCALES):
        spread = np.eye(len(x)) + scale * design @ design.T
        for v in range(5):
            s2 = y[:, v] @ np.linalg.solve(spread, y[:, v]) / len(x)
            want[k, v] = multivariate_normal(np.zeros(len(x)), s2 * spread).logpdf(y[:, v])
    np.testing.assert_allclose(found - found[0], want - want[0], atol=1e-2)


def test_priors_that_voxels_need_are_found_and_others_left_out(rows):
    design = Design.of([rows._replace(people=np.ones(60))], 0.0, 24)
    sums = design.sums(EVERY)
    prior = Prior.of([Candidate(r, np.repeat(s, 4)) for r in range(3) for s in shares(2)], design, sums)
    assert {c.delay for c in prior.candidates} == {1}
    np.testing.assert_allclose(prior.share(prior.turned(design), sums).sum((0, 1)), 1, atol=1e-5)


@given(st.integers(1, 7))
def test_shares_are_all_the_ways_to_divide(modalities):
    found = np.array(list(shares(modalities)))
    assert found.shape[1] == modalities
    np.testing.assert_allclose(found.sum(1), 1)
    assert len(np.unique(found, axis=0)) == len(found)
    assert (found == 1).any(0).all()


@given(st.floats(0.0, 0.55), st.integers(0, 100))
def test_autocorrelation_is_that_of_the_noise(correlation, seed):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((400, 20)).astype(np.float32)
    for t in range(1, 400):
        y[t] = correlation * y[t - 1] + np.sqrt(1 - correlation**2) * y[t]
    there = np.arange(400) % 50 > 0
    y[~there] = 99.0
    assert autocorrelation([(y, there)]) == pytest.approx(correlation, abs=0.05)


def test_scans_of_a_film_that_was_not_seen_are_predicted(model, world):
    made, codes = model
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 0.0, 1.0))
    (predicted,) = predict_scans(made, codes, [world])
    for s, y in world.scans.items():
        assert correlations(predicted[s], y).mean() > 0.75


def late_world(world, seconds):
    """The same world, but person b hears everything later."""
    rng = np.random.default_rng(5)
    inside = world.scanned["a"]
    taps = canonical_hrf(1.5, stretch=(5 + seconds) / 5)
    weights = rng.standard_normal((6, 20))
    scans = {}
    for s, kernel in (("a", canonical_hrf(1.5)), ("b", taps)):
        y = convolve_hrf(world.aligned["text"].features.values, kernel) @ weights
        y = y / y[:120].std(0) + 0.5 * rng.standard_normal(y.shape)
        scans[s] = (y * inside[:, None]).astype(np.float32)
    return replace(world, scans=scans)


def pooled(build, world, quick_config):
    """A model whose people share voxels, as real ones in a common space do."""
    made, codes, _ = build(world, quick_config)
    made.heads.shared = made.heads.own[0]
    made.eval()
    made.encode([20, 20], codes.plain_sizes)
    return made, codes


def test_what_people_share_helps_whom_little_was_measured_of(build, world, quick_config):
    world = late_world(world, 0.5)
    inside = world.scanned["a"]
    little = inside & (np.arange(260) >= 90)
    world = replace(world, scanned={"a": inside, "b": little})
    found = {}
    for name, (made, codes) in (
        ("group", pooled(build, world, quick_config)),
        ("alone", build(world, quick_config)[:2]),
    ):
        made.eval()
        made.encode([20, 20], codes.plain_sizes)
        fit_encoding(made, codes, [world], ("train",), Choice(0.1, 0.0, 1.0))
        (predicted,) = predict_scans(made, codes, [world])
        found[name] = correlations(predicted["b"], world.scans["b"]).mean()
    assert found["group"] > found["alone"] + 0.05


def test_validation_says_what_net_and_closed_form_count(model, world):
    made, codes = model
    rng = np.random.default_rng(2)
    right = {
        s: np.where(np.arange(260)[:, None] < 120, rng.standard_normal(y.shape), y).astype(np.float32)
        for s, y in world.scans.items()
    }
    choice = choose(made, codes, [world], [right])  # a net that knows the validation blocks
    assert choice.net == pytest.approx(1, abs=0.01)
    assert choice.closed < 0.02
    wrong = {s: rng.standard_normal(y.shape).astype(np.float32) for s, y in world.scans.items()}
    choice = choose(made, codes, [world], [wrong])
    assert choice.net < 0.1
    assert 0.8 < choice.closed < 1.2
    assert made.encoding.get_buffer("counts").tolist() == pytest.approx([choice.net, choice.closed])


def test_where_neither_knows_anything_the_net_is_kept_as_it_is(model, world):
    made, codes = model
    nothing = replace(world, scans={s: 0 * y for s, y in world.scans.items()})
    choice = choose(made, codes, [nothing], [{s: 0 * y for s, y in world.scans.items()}])
    assert (choice.net, choice.closed) == (1.0, 0.0)
    assert made.encoding.get_buffer("counts").tolist() == [1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_of_noise_little_is_predicted_in_closed_form(model, world, seed):
    made, codes = model
    rng = np.random.default_rng(seed)
    inside = world.scanned["a"][:, None]
    noise = {s: (rng.standard_normal(y.shape) * inside).astype(np.float32) for s, y in world.scans.items()}
    noisy = replace(world, scans=noise)
    choose(made, codes, [noisy], predict_scans(made, codes, [noisy]))
    made.encoding.put("counts", made.encoding.get_buffer("counts") * torch.tensor([0, 1]))
    (predicted,) = predict_scans(made, codes, [noisy])
    assert max(np.square(p[TEST]).mean() for p in predicted.values()) < 0.01


@pytest.mark.parametrize(("labels", "unseen"), [(("train",), 150), (BOTH, 210)])
def test_nothing_of_other_blocks_is_used(model, world, labels, unseen):
    made, codes = model
    fit_encoding(made, codes, [world], labels, Choice(0.2, 0.5, 0.5))
    before = {k: v.clone() for k, v in made.encoding.state_dict().items()}
    noisy = {s: y.copy() for s, y in world.scans.items()}
    for y in (*noisy.values(), codes.inputs[0]["text"], codes.summaries[0]["text"]):
        y[unseen:] = np.nan
    fit_encoding(made, codes, [replace(world, scans=noisy)], labels, Choice(0.2, 0.5, 0.5))
    assert all(torch.equal(before[k], v) for k, v in made.encoding.state_dict().items())


def test_no_test_block_says_what_both_count(build, world, quick_config):
    """Nothing behind the training block and outside the validation block is looked at."""
    found = []
    for poison in (False, True):
        made, codes = pooled(build, world, quick_config)
        noisy, predicted = ({s: y.copy() for s, y in world.scans.items()} for _ in range(2))
        if poison:
            for y in (*noisy.values(), *predicted.values()):
                y[120:150] = y[180:] = np.nan
        found.append(choose(made, codes, [replace(world, scans=noisy)], [predicted]))
    assert found[0] == found[1]


def test_net_and_closed_form_add_up(model, world):
    made, codes = model
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 1.0, 0.0))
    net = predict_scans(made, codes, [world])[0]["a"].copy()
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 0.0, 1.0))
    closed = predict_scans(made, codes, [world])[0]["a"].copy()
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 0.25, 0.5))
    np.testing.assert_allclose(predict_scans(made, codes, [world])[0]["a"], 0.25 * net + 0.5 * closed, atol=1e-4)


def test_some_voxels_stand_for_all_where_they_are_many(build, world, quick_config, monkeypatch):
    world = late_world(world, 0.5)
    made, codes = pooled(build, world, quick_config)
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 0.0, 1.0))
    all_of_them = predict_scans(made, codes, [world])[0]["b"].copy()
    monkeypatch.setattr("giblet.training.encoding.MOST_VOXELS", 12)
    made.encode([20, 20], codes.plain_sizes)
    fit_encoding(made, codes, [world], BOTH, Choice(0.2, 0.0, 1.0))
    some = predict_scans(made, codes, [world])[0]["b"]
    assert np.corrcoef(some[TEST].ravel(), all_of_them[TEST].ravel())[0, 1] > 0.99
    assert some[TEST].std() == pytest.approx(all_of_them[TEST].std(), rel=0.05)


def test_of_whom_nothing_was_measured_what_others_share_is_predicted(build, world, quick_config):
    made, codes = pooled(build, world, quick_config)
    nobody = np.zeros(260, bool)
    unseen = replace(world, scanned=dict(world.scanned) | {"b": nobody})
    fit_encoding(made, codes, [unseen], BOTH, Choice(0.2, 0.0, 1.0))
    (predicted,) = predict_scans(made, codes, [unseen])
    assert correlations(predicted["b"], world.scans["a"]).mean() > 0.7
    made.heads.shared = None
    fit_encoding(made, codes, [unseen], BOTH, Choice(0.2, 0.0, 1.0))
    (predicted,) = predict_scans(made, codes, [unseen])
    assert not predicted["b"].any()
    assert correlations(predicted["a"], world.scans["a"]).mean() > 0.7


@pytest.mark.parametrize(("alike", "least", "most"), [(1.0, 0.0, 0.2), (0.0, 0.8, 3.2)])
def test_validation_says_how_much_is_a_persons_own(build, world, quick_config, alike, least, most):
    rng = np.random.default_rng(7)
    drive = convolve_hrf(world.aligned["text"].features.values, canonical_hrf(1.5))
    shared, scans = rng.standard_normal((6, 20)), {}
    for s in world.scans:
        y = drive @ (alike * shared + (1 - alike) * rng.standard_normal((6, 20)))
        y = y / y[:120].std(0) + rng.standard_normal(y.shape)
        scans[s] = (y * world.scanned[s][:, None]).astype(np.float32)
    world = replace(world, scans=scans)
    made, codes = pooled(build, world, quick_config)
    choice = choose(made, codes, [world], [{s: 0 * y for s, y in scans.items()}])
    assert least <= choice.own <= most


def test_what_seldom_happens_has_features_too(model, world):
    made, codes = model
    parts = [table[0]["text"] for table in (codes.inputs, codes.summaries)]
    for part in parts:
        part[:] = (np.arange(260) % 9 == 0)[:, None]
    fit_likeness(made.encoding.likeness, codes, [world], ("train",))
    found = made.encoding.likeness["text"](torch.from_numpy(np.concatenate(parts, 1)))
    assert np.square(found[:120].numpy()).sum(1).mean() == pytest.approx(1, rel=1e-3)
    assert torch.linalg.matrix_rank(found[:120]) == 1


def test_many_priors_and_no_rows_leave_some():
    none = Design.of([], 0.3, 18)
    sums = none.sums(np.arange(4))
    prior = Prior.of([Candidate(0, np.repeat(s, 2)) for s in shares(9)], none, sums)
    turned = prior.turned(none)
    assert prior.candidates
    assert not prior.weights(turned, prior.share(turned, sums), sums).any()


def test_a_constant_modality_and_few_trs_do_no_harm(model, world):
    made, codes = model
    for table in (codes.inputs, codes.summaries):
        table[0]["text"][:] = 1
    few = replace(world, blocks=(replace(world.blocks[0], stop=2), *world.blocks[1:]))
    fit_encoding(made, codes, [few], ("train",), Choice(0.2, 0.0, 1.0))
    assert not predict_scans(made, codes, [few])[0]["a"].any()


def test_person_by_person_where_voxels_are_not_shared(model, world):
    made, codes = model
    fit = EncodingFit(made, codes, [world], BOTH)
    assert [group.people for group in fit.groups] == [[0], [1]]
    ((_, weights_of),) = fit.weights(fit.groups[0], np.arange(20))
    np.testing.assert_array_equal(weights_of(0.0), weights_of(0.8))
    assert not made.encoding.get_buffer("late_s").any()


@pytest.mark.parametrize("changes", [*({"hemodynamics": h} for h in ("fir", "none", "shift")), {"closed_form": False}])
def test_a_response_asked_for_by_name_has_no_closed_form_and_nobody_who_wants_none(build, world, quick_config, changes):
    config = quick_config.model_copy(update={"model": quick_config.model.model_copy(update=changes)})
    made, codes, _ = build(world, config)
    assert made.encode([20, 20], codes.plain_sizes) is None


def test_an_unfitted_one_changes_nothing(build, world, quick_config):
    made, codes, _ = build(world, quick_config)
    made.eval()
    before = predict_scans(made, codes, [world])[0]["a"].copy()
    assert isinstance(made.encode([20, 20], codes.plain_sizes).likeness["text"], Likeness)
    np.testing.assert_array_equal(predict_scans(made, codes, [world])[0]["a"], before)
