"""Our loop beside vec2text's own on the same weights: crosscheck/reference.py wrote down what the package found."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

RESULTS = [(0, 1), *product((1, 2, 3, 4, 5), (1, 2))]


@pytest.fixture(scope="module")
def beams(published, toy, toy_embed, reference):
    vectors = toy_embed(toy.texts(reference["seed"]))
    return {beam: published.inverter.beams(vectors, 5, beam) for beam in (1, 2)}


def without_padding(ids):
    return [i for i in ids if i]


@pytest.mark.parametrize(("steps", "beam"), RESULTS)
def test_every_step_of_the_loop_finds_what_vec2text_finds(beams, reference, steps, beam):
    (theirs,) = (r for r in reference["results"] if (r["steps"], r["beam"]) == (steps, beam))
    held = beams[beam][steps]
    assert [without_padding(ids) for ids in held.ids[:, 0].tolist()] == [without_padding(i) for i in theirs["ids"]]
    np.testing.assert_allclose(held.cosines[:, 0].numpy(), theirs["cosines"], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 2])
def test_what_is_kept_is_the_best_of_all_steps_where_vec2text_keeps_the_last(
    published, toy, toy_embed, reference, beam
):
    found = published.inverter.find(toy_embed(toy.texts(reference["seed"])), 5, beam)
    theirs = np.array([r["cosines"] for r in reference["results"] if r["beam"] == beam or r["steps"] == 0])
    np.testing.assert_allclose(found.cosines, theirs.max(0), atol=1e-5)
    assert (found.cosines > theirs[-1] + 0.01).any()
