"""The loop's laws, and what is refused when an inverter is opened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from giblet import ConfigError, WeightsError
from giblet_text_bge.inversion import Found, checkpoint, load_inverter, record
from giblet_text_bge.inversion.search import generate
from giblet_text_bge.inversion.trial import check_embedder, check_texts
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def vectors(toy, toy_embed):
    return toy_embed(toy.texts(7))


def test_importing_the_package_imports_no_torch():
    code = "import sys, giblet_text_bge.inversion; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_cosines_are_those_of_the_texts_that_are_returned(published, toy_embed, vectors):
    found = published.inverter.find(vectors, 4, 2)
    again = toy_embed(found.texts)
    cosines = (again * vectors).sum(1) / np.linalg.norm(again, axis=1) / np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(found.cosines, cosines, atol=1e-5)
    assert published.inverter.invert(vectors, 4, 2) == found.texts


def test_more_steps_never_end_farther_away(published, vectors):
    course = published.inverter.course(vectors, 5)
    assert (np.diff([c.cosines for c in course], axis=0) >= 0).all()
    assert all((c.steps <= i).all() for i, c in enumerate(course))
    for i in (0, 2):
        assert published.inverter.find(vectors, i).texts == course[i].texts


def test_a_text_does_not_depend_on_what_is_inverted_with_it(published, vectors, monkeypatch):
    together = published.inverter.find(vectors, 3, 2)
    monkeypatch.setattr("giblet_text_bge.inversion.inverter.ROWS_AT_ONCE", 3)
    assert published.inverter.find(vectors, 3, 2).texts == together.texts


def test_guesses_that_stay_are_not_corrected_again_and_nothing_else_changes(published, vectors, monkeypatch):
    """The loop as it is written in the paper, without the short cut, holds the same at each step."""
    inverter, target, asked = published.inverter, torch.from_numpy(vectors), []
    t5 = inverter.corrector.encoder_decoder
    with torch.inference_mode():
        ids = generate(inverter.inversion.encoder_decoder, inverter.inversion.encoder_input(target), 1, 16)
        plain = [ids]
        for _ in range(12):
            seen = inverter.corrector.encoder_input(target, ids, inverter._embed_ids(ids))
            plain.append(ids := generate(t5, seen, 1, 16))
    monkeypatch.setattr(type(t5), "generate", counting(type(t5).generate, asked))
    for ours, theirs in zip(inverter.beams(vectors, 12, 1), plain, strict=True):
        assert inverter._text(ours.ids[:, 0]) == inverter._text(theirs)
    assert len(asked) == 13
    assert asked[-1] < asked[0]


def counting(method, asked):
    def count(self, **options):
        asked.append(len(options["inputs_embeds"]))
        return method(self, **options)

    return count


def test_a_beam_holds_different_texts_best_first(published, vectors):
    for held in published.inverter.beams(vectors, 3, 3)[1:]:
        assert (held.cosines.diff(dim=1) <= 0).all()
        for ids in held.ids:
            assert len({tuple(row) for row in ids.tolist()}) == 3


def test_nothing_in_nothing_out(published, toy):
    assert published.inverter.find(np.zeros((0, toy.WIDTH), np.float32)).texts == []


@pytest.mark.parametrize(("steps", "beam"), [(-1, 1), (51, 1), (3, 0)])
def test_steps_and_beams_that_cannot_be_are_refused(published, vectors, steps, beam):
    with pytest.raises(ConfigError, match="steps are 0 to 50, a beam is 1 or more"):
        published.inverter.find(vectors, steps, beam)


def test_embeddings_of_another_width_are_refused(published):
    with pytest.raises(ConfigError, match=r"\[N, 768\], not \[2, 5\]"):
        published.inverter.find(np.ones((2, 5), np.float32))


# Opening


def copied(published, tmp_path):
    shutil.copytree(published.folder, tmp_path / "copy")
    return tmp_path / "copy"


def write_record(folder, toy_embed, **other):
    texts = ("ba den", "kas bota")
    probe = tuple(map(float, toy_embed(texts[:1])[0]))
    about = {"embedder": "toy", "width": 768, "max_tokens": 16, "probe": probe}
    record.write(folder, record.Record(**{**about, "trial": record.Trial(texts=texts, floor=0.0), **other}))


def test_two_published_checkpoints_open_and_are_tried_on_plain_sentences(published, toy_embed, toy):
    about = checkpoint.read_record(published.folder)
    assert (about.embedder, about.width, about.max_tokens) == ("toy", toy.WIDTH, toy.MAX_TOKENS)
    with pytest.raises(WeightsError, match=r"fails its own check: .* not 0\.50"):  # random weights find nothing again
        load_inverter(published.folder, toy_embed, "toy")


def old_names(stage, weights):
    """As vec2text wrote them at first."""
    if stage == "inversion":
        return {n.replace("embedding_transform.3.", "embedding_transform.2."): w for n, w in weights.items()}
    shared = {n.replace("_1.", "."): w for n, w in weights.items() if n.startswith("embedding_transform_1")}
    return {n: w for n, w in weights.items() if not n.startswith("embedding_transform")} | shared


def test_checkpoints_with_the_names_of_old_open(publish, toy_embed, published, vectors, tmp_path):
    folder = publish(tmp_path, old_names)
    write_record(folder, toy_embed)
    inverter = load_inverter(folder, toy_embed, "toy")
    assert inverter.find(vectors, 0).texts == published.inverter.find(vectors, 0).texts
    ours = inverter.corrector.state_dict()
    first = published.inverter.corrector.embedding_transform_1.state_dict()
    for i in (1, 2, 3):
        assert all(torch.equal(ours[f"embedding_transform_{i}.{name}"], w) for name, w in first.items())


def test_weights_from_pickles_in_pieces_open(published, toy_embed, vectors, tmp_path):
    folder = copied(published, tmp_path)
    write_record(folder, toy_embed)
    weights = load_file(folder / "corrector" / "model.safetensors")
    (folder / "corrector" / "model.safetensors").unlink()
    names = sorted(weights)
    for i, part in enumerate((names[:9], names[9:])):
        torch.save({n: weights[n] for n in part}, folder / "corrector" / f"pytorch_model-0000{i}-of-00002.bin")
    assert load_inverter(folder, toy_embed, "toy").invert(vectors, 2) == published.inverter.invert(vectors, 2)


def without(name):
    def spoil(folder):
        path = folder / "corrector" / "model.safetensors"
        save_file({n: w for n, w in load_file(path).items() if not n.startswith(name)}, path)

    return spoil


def overwrite(*parts, text="no"):
    return lambda folder: folder.joinpath(*parts).write_text(text, encoding="utf-8")


def other_width(folder):
    path = folder / "corrector" / "model.safetensors"
    weights = load_file(path)
    for i in (1, 2, 3):
        weights[f"embedding_transform_{i}.0.weight"] = torch.zeros(768, 384)
    save_file(weights, path)


def other_embedder(folder):
    path = folder / "corrector" / "config.json"
    path.write_text(path.read_text("utf-8").replace('"toy"', '"gtr_base"'), encoding="utf-8")


def other_t5(folder):
    path = folder / "t5" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"d_ff": 7}), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder / "corrector"), "is no inverter: it lacks inversion/config.json and"),
        (lambda folder: (folder / "corrector" / "model.safetensors").unlink(), "has no model.safetensors"),
        (overwrite("corrector", "model.safetensors"), "does not open"),
        (overwrite("inversion", "config.json"), "is damaged"),
        (overwrite("inverter.json", text='{"embedder": 3}'), "is damaged at embedder"),
        (lambda folder: shutil.rmtree(folder / "t5"), "has no config of a T5"),
        (without("layernorm"), "lacks the weights layernorm.bias"),
        (without("embedding_transform_1"), "so they are no inverter's"),
        (other_width, "width 768 and 384"),
        (other_embedder, "joins networks of two embedders, inversion for toy and corrector for gtr_base"),
        (other_t5, "weights and the T5's config do not fit"),
    ],
)
def test_what_is_no_inverter_is_refused_in_a_line(published, toy_embed, tmp_path, spoil, said):
    folder = copied(published, tmp_path)
    write_record(folder, toy_embed)
    spoil(folder)
    with pytest.raises(WeightsError) as error:
        load_inverter(folder, toy_embed, "toy")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_inverter_for_another_embedder_is_refused(published, toy_embed, tmp_path):
    about = record.published({"embedder_model_name": "gtr_base"}, 768)
    with pytest.raises(WeightsError, match=r"gtr_base \(width 768\), and minilm \(width 384\) is in use"):
        check_embedder(tmp_path, about, lambda texts: np.ones((len(texts), 384), np.float32), "minilm")
    with pytest.raises(WeightsError, match=r"gtr_base .* and BAAI/bge-base-en-v1.5"):
        check_embedder(tmp_path, about, toy_embed, "BAAI/bge-base-en-v1.5")
    same = record.published({"embedder_model_name": "gtr_base_st"}, 768)
    check_embedder(tmp_path, same, toy_embed, "sentence-transformers/gtr-t5-base")


def test_an_embedder_is_told_by_what_it_gives_and_not_by_its_name(published, toy_embed, tmp_path):
    folder = copied(published, tmp_path)
    write_record(folder, toy_embed)
    load_inverter(folder, toy_embed, "models/toy-on-disk")
    with pytest.raises(WeightsError, match=r"has cosine 0.* to ours"):
        load_inverter(folder, lambda texts: toy_embed([f"den {text}" for text in texts]), "toy")


def test_an_inverter_that_fails_its_own_check_is_refused(published, toy_embed, tmp_path):
    folder = copied(published, tmp_path)
    write_record(folder, toy_embed, trial=record.Trial(texts=("ba den", "kas bota"), floor=0.9))
    with pytest.raises(WeightsError, match=r"fails its own check: .* token F1 of 0.\d\d, not 0.90"):
        load_inverter(folder, toy_embed, "toy")


def test_the_check_passes_where_texts_are_found_again(toy_embed, tmp_path):
    class Perfect:
        embed = staticmethod(toy_embed)

        def invert(self, vectors, steps):
            return ["ba den", "kas bota"]

    about = record.Record(
        embedder="toy", width=768, max_tokens=16, trial=record.Trial(texts=("ba den", "kas bota"), floor=1)
    )
    check_texts(tmp_path, about, Perfect())


def test_found_keeps_its_parts_together(published, vectors):
    found = published.inverter.find(vectors, 2)
    assert isinstance(found, Found)
    assert len(found.texts) == len(found.cosines) == len(found.steps) == len(vectors)
