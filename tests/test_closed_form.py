"""What the closed form makes of little: how sure it is of voxels, of people, and of what validation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from giblet.training import closed_form
from giblet.training.encoding import EncodingFit
from giblet.training.evidence import SCALES, Candidate, Design, Prior, Rows
from giblet.training.stacking import SPREAD, stacked
from scipy.stats import multivariate_normal

VOXELS = np.arange(20)


@pytest.fixture
def model(build, world, quick_config):
    """A model of two people whose voxels are the same places."""
    made, codes, _ = build(world, quick_config)
    made.eval()
    made.heads.shared = made.heads.own[0]
    made.encode([20, 20], codes.plain_sizes)
    return made, codes


def known(candidate, scale):
    """A prior without a doubt."""
    common = np.full((1, len(SCALES)), -1e6)
    common[0, scale] = 0
    return Prior([candidate], common)


def test_validation_speaks_in_stretches_of_six_seconds(model, world, monkeypatch):
    """Of 45 s from 225 s on there are eight: everybody's voxels at neighbouring TRs say one thing."""
    made, codes = model
    heard = []

    def listening(parts):
        heard.append(parts)
        return stacked(parts)

    monkeypatch.setattr(closed_form, "stacked", listening)
    guess = {s: 0.5 * y for s, y in world.scans.items()}
    closed_form.choose(made, codes, [world], [guess])
    (parts,) = heard
    assert parts.shape == (8, 5)
    trs = [slice(150, 152), *(slice(a, a + 4) for a in range(152, 180, 4))]
    said = [sum(float((y[t] * 0.5 * y[t]).sum()) for y in world.scans.values()) for t in trs]
    np.testing.assert_allclose(parts[:, 3], said, rtol=1e-5)


def test_what_is_a_persons_own_varies_as_a_share_of_what_people_share(model, world):
    """Ridges on what the shared weights leave, with `own` times their variance, however many people share them."""
    made, codes = model
    twins = replace(world, scans=dict.fromkeys(world.scans, world.scans["a"]))
    fit = EncodingFit(made, codes, [twins], ("train",))
    width = len(fit.groups[0].prior.candidates[0].weight)
    candidate, scale, own = Candidate(1, np.ones(width)), 8, 0.4
    prior = known(candidate, scale)
    group = replace(fit.groups[0], prior=prior, turned=prior.turned(fit.groups[0].design))
    fit.own = {k: fit._own(k, group) for k in (0, 1)}
    at = candidate.columns
    variance = SCALES[scale] / (np.trace(group.design.xx[at, at]) / group.design.n)
    for k, weights_of in fit.weights(group, VOXELS):
        shared, (design, _) = weights_of(0.0), fit.own[k]
        xx = design.xx[at, at]
        left = design.sums(VOXELS).xy[at] - xx @ shared[at]
        expected = np.linalg.solve(xx + np.eye(width) / (own * variance), left)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(weights_of(own)[at] - shared[at], expected, atol=2e-3 * np.abs(expected).max())


def test_odds_of_priors_are_the_root_of_what_white_noise_would_make_them():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 1, 4)).astype(np.float32)
    y = (0.3 * x[:, 0] @ rng.standard_normal((4, 20)) + rng.standard_normal((60, 20))).astype(np.float32)
    design = Design.of([Rows(x, lambda voxels: y[:, voxels], np.ones(60))], 0.0, 4)
    prior = Prior([Candidate(0, np.ones(4))], np.zeros((1, len(SCALES))))
    share = prior.share(prior.turned(design), design.sums(VOXELS))[0]
    features = x[:, 0] / np.sqrt(np.square(x).sum() / 60)
    densities = []
    for scale in (SCALES[6], SCALES[8]):
        spread = np.eye(60) + scale * features @ features.T
        noise = np.einsum("nv,nm,mv->v", y, np.linalg.inv(spread), y) / 60
        densities.append([multivariate_normal.logpdf(y[:, v], cov=noise[v] * spread) for v in VOXELS])
    odds = np.exp((np.array(densities[1]) - densities[0]) / 2)
    np.testing.assert_allclose(share[8] / share[6], odds, rtol=1e-3)


@pytest.mark.parametrize("n", [6, 8, 20])
def test_few_stretches_are_less_sure_than_their_covariance(n):
    """Of one guess the least squares by hand: they are (n - 4) / (n - 1) times as sure as a mean would be."""
    rng = np.random.default_rng(n)
    size = rng.uniform(50, 60, n)
    along = 0.9 * size + 25 * rng.standard_normal(n)
    nothing = np.zeros(n)
    found = 0.5
    for _ in range(3):
        error = np.var(along - found * size, ddof=1) * n * (n - 1) / (n - 4)
        sure = size.sum() ** 2 / error
        found = (sure * along.sum() / size.sum() + 0.5 / SPREAD**2) / (sure + 1 / SPREAD**2)
    assert 0.52 < found < 0.98
    assert stacked(np.stack([size, nothing, nothing, along, nothing], 1))[0] == pytest.approx(found, abs=1e-3)
