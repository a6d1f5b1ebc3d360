"""Which features brains respond to is learned from all voxels, where there are many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.model import predict_scans
from giblet.model.encoding import FEATURES, Likeness
from giblet.training import relevance
from giblet.training.closed_form import Choice, fit_encoding
from giblet.training.encoding import EncodingFit
from giblet.training.likeness import fit_likeness
from hypothesis import given
from hypothesis import strategies as st

BOTH = ("train", "validation")
TEST = np.arange(210, 260)


def narrow_world(world, voxels, noise=1.5):
    """The same film, to which all voxels of both people respond in one way, beside much noise."""
    rng = np.random.default_rng(3)
    heard = convolve_hrf(
        world.aligned["text"].features.values @ np.array([[1.0], [-1], [0], [0], [0], [0]]), canonical_hrf(1.5)
    )[:, 0]
    scans = {}
    for s, inside in world.scanned.items():
        y = heard[:, None] / heard[:120].std() + noise * rng.standard_normal((len(heard), voxels))
        scans[s] = (y / y[:120].std(0) * inside[:, None]).astype(np.float32)
    return replace(world, scans=scans), heard


def fitted(build, world, config, voxels):
    """A model of people who share voxels, with its codes, and the world that it was fitted on."""
    narrow, heard = narrow_world(world, voxels)
    made, codes, _ = build(narrow, config)
    made.heads.shared = made.heads.own[0]
    made.eval()
    made.encode([voxels] * 2, codes.plain_sizes)
    fit_encoding(made, codes, [narrow], BOTH, Choice(0.0, 0.0, 1.0))
    return made, codes, narrow, heard


@given(st.integers(1, 100_000))
def test_more_voxels_than_features_tell_more_the_more_they_are(voxels):
    learned = relevance.told(voxels)
    assert learned == 0 if voxels < FEATURES else 0.5 <= learned < relevance.told(voxels + 1) < 1


@given(st.integers(0, 100), st.floats(0, 1))
def test_a_root_is_of_what_was_found_and_of_an_even_rest(seed, learned):
    weights = np.random.default_rng(seed).standard_normal((3, 2, 5, 7)).astype(np.float32)
    found = relevance.alike(weights)[1]
    np.testing.assert_allclose(found, sum(w[1] @ w[1].T for w in weights.astype(float)), rtol=1e-4, atol=1e-4)
    root = relevance.square_root(found, learned)
    want = (1 - learned) * np.eye(5) + learned * 5 * found / np.trace(found)
    np.testing.assert_allclose(root @ root, want, atol=1e-6)
    np.testing.assert_array_equal(relevance.square_root(np.zeros((5, 5)), learned), np.eye(5))


def test_features_that_are_turned_are_as_large_in_all():
    torch.manual_seed(0)
    like = Likeness(3)
    for name in ("anchors", "basis", "offset"):
        torch.nn.init.normal_(like.get_buffer(name))
    before = like(x := torch.randn(40, 3))
    root = relevance.square_root(relevance.alike(np.random.default_rng(0).random((1, 1, FEATURES, 9)))[0], 0.5)
    relevance.turn_to(like, root, before[:30])
    after, want = like(x), before @ torch.from_numpy(root).float()
    torch.testing.assert_close(after[:30].square().sum(), before[:30].square().sum(), rtol=1e-3, atol=0)
    torch.testing.assert_close(after / after.norm(), want / want.norm(), rtol=1e-2, atol=1e-4)


def test_what_many_voxels_respond_to_is_found(build, world, quick_config, monkeypatch):
    """Without it, each voxel learns by itself which of the features matter, and noise says most of that."""
    found = {}
    for learned in (relevance.told, lambda voxels: 0.0):
        monkeypatch.setattr(relevance, "told", learned)
        made, codes, narrow, heard = fitted(build, world, quick_config, 150)
        (predicted,) = predict_scans(made, codes, [narrow])
        found[learned] = np.mean([np.corrcoef(v, heard[TEST])[0, 1] for p in predicted.values() for v in p[TEST].T])
    with_it, without = found.values()
    assert 1 - with_it < 0.7 * (1 - without)


def test_few_voxels_leave_features_as_they_are(build, world, quick_config):
    made, codes, narrow, _ = fitted(build, world, quick_config, FEATURES - 1)
    before = {k: v.clone() for k, v in made.encoding.likeness.state_dict().items()}
    fit_likeness(made.encoding.likeness, codes, [narrow], BOTH)
    assert all(torch.equal(before[k], v) for k, v in made.encoding.likeness.state_dict().items())


@pytest.mark.parametrize("there", [True, False])
def test_of_voxels_that_tell_nothing_nothing_is_learned(build, world, quick_config, there):
    made, codes, narrow, _ = fitted(build, world, quick_config, 150)
    silent = replace(narrow, scans={s: 0 * y for s, y in narrow.scans.items()})
    codes.present[0]["text"][:] = there
    fit = EncodingFit(made, codes, [silent], BOTH)
    assert all(torch.isfinite(f).all() for f in fit.designs.features)
    assert bool(fit.designs.features[0].any()) == there
