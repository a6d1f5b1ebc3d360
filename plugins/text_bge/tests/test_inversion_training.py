"""Training an inverter: what is held out, what a stop costs, what is written, and that it learns."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from giblet import ConfigError, DataError, WeightsError
from giblet.cli import main
from giblet.types import silent
from giblet.words import token_f1
from giblet_text_bge.inversion import load_inverter
from giblet_text_bge.inversion.train import Training, train_inverter
from giblet_text_bge.inversion.train.beginning import token_ids
from giblet_text_bge.inversion.train.evaluation import NEAREST, noise, score
from giblet_text_bge.inversion.train.lines import read_lines, split
from giblet_text_bge.inversion.train.shards import in_shards
from giblet_text_bge.inversion.train.stages import IGNORED, Material
from hypothesis import given
from hypothesis import strategies as st

SMALL = {
    "vocabulary": 300, "d_model": 16, "d_ff": 32, "layers": 1, "heads": 2, "repeats": 2, "bottleneck": 8,
    "batch_size": 16, "max_tokens": 8, "epochs_inversion": 5, "epochs_corrector": 5, "check_steps": 1,
}  # fmt: skip
BEFORE = signal.getsignal(signal.SIGINT)
WORDS = ("dog", "cat", "man", "boy", "runs", "eats", "sits", "sees")


def texts(n=150):
    rng = np.random.default_rng(0)
    return list(dict.fromkeys(" ".join(rng.choice(WORDS, rng.integers(1, 5))) for _ in range(n)))


def embed(lines):
    """A bag of words in which order counts a little."""
    table = np.random.default_rng(1).standard_normal((256, 24)).astype(np.float32)
    rows = [[sum(map(ord, word)) % 256 for word in line.split()] or [0] for line in lines]
    vectors = np.stack([(table[r] * (1 + 0.2 * np.arange(len(r)))[:, None]).sum(0) for r in rows])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def lines_file(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(texts()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "lines.txt").write_text("\n".join(texts()), encoding="utf-8")
    seen = []
    result = train_inverter(folder / "lines.txt", folder / "out", Training(**SMALL), lambda *p: seen.append(p), embed)
    return folder, result, seen


def weights_of(folder):
    return torch.load(folder / "corrector.ckpt", weights_only=True)["best_weights"]


# What is read and held out


def test_lines_are_read_once_each_and_without_their_white_space(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(["", "  A  dog. ", "A dog.", *(f"text {i}" for i in range(40))]), encoding="utf-8")
    assert read_lines(path) == ["A dog.", *(f"text {i}" for i in range(40))]


@pytest.mark.parametrize(("content", "said"), [(b"one\ntwo\none\n", "has 2 different lines"), (b"\xff\xfe", "UTF-8")])
def test_files_of_no_use_are_refused(tmp_path, content, said):
    (tmp_path / "lines.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_lines(tmp_path / "lines.txt")


@given(n=st.integers(40, 500), held_out=st.integers(2, 100), seed=st.integers(0, 9))
def test_every_line_is_in_one_part_and_the_parts_do_not_meet(n, held_out, seed):
    parts = split([str(i) for i in range(n)], held_out, seed)
    assert sorted(np.concatenate([parts.train, parts.validation, parts.test])) == list(range(n))
    assert len(parts.validation) == len(parts.test) == min(held_out, n // 10)


def test_tokens_end_and_pad_and_are_cut_with_a_note(trained, caplog):
    folder, _, _ = trained
    inverter = load_inverter(folder / "out", embed, "minilm")
    ids = token_ids(inverter.tokenizer, ["dog runs", " ".join(["dog"] * 20)], 8)
    assert inverter.tokenizer.decode([i for i in ids[0] if i > 1]) == "dog runs"
    assert 1 in ids[0]
    assert list(ids[1][5:]) == [ids[1][4], 1, -1]
    assert "1 of 2 lines have more than 6 tokens and are cut" in caplog.text
    labels = Material(torch.zeros(2, 3), torch.from_numpy(ids), 0.0).labels(np.array([0]))
    assert IGNORED not in labels


def test_the_new_tokenizer_writes_any_text(trained):
    folder, _, _ = trained
    tokenizer = load_inverter(folder / "out", embed, "minilm").tokenizer
    for text in ("dog eats cat", "Größe, 東京 & 3.14!"):
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


# What a stop costs


def test_pieces_that_are_there_are_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr("giblet_text_bge.inversion.train.shards.ROWS", 4)
    made = []

    def make(part):
        made.append(part)
        return np.arange(part.start, part.stop)

    np.testing.assert_array_equal(in_shards(tmp_path, "x", 10, make, silent), np.arange(10))
    (tmp_path / "000000004.npy").unlink()
    np.testing.assert_array_equal(in_shards(tmp_path, "x", 10, make, silent), np.arange(10))
    assert [part.start for part in made] == [0, 4, 8, 4]
    assert not list(tmp_path.glob(".*"))


def stop_at(stage, step, how):
    def progress(name, done, total):
        if (name, done) == (stage, step):
            how()

    return progress


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("stage", "step"), [("learn to guess", 7), ("learn to correct", 3)])
def test_a_stopped_training_goes_on_to_the_same_weights(lines_file, trained, stage, step):
    out, settings = lines_file.parent / "out", Training(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        train_inverter(lines_file, out, settings, stop_at(stage, step, interrupt), embed)
    assert not (out / "evaluation.json").exists()
    result = train_inverter(lines_file, out, settings, silent, embed)
    folder, whole, _ = trained
    assert result.scores == whole.scores
    ours, theirs = weights_of(out), weights_of(folder / "out")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_signals_are_as_before_afterwards(trained):
    assert signal.getsignal(signal.SIGINT) is BEFORE


def test_another_training_is_not_gone_on_with(trained, lines_file):
    folder, _, _ = trained
    for path, settings in ((folder / "lines.txt", Training(**SMALL, seed=1)), (lines_file, Training(**SMALL))):
        if path == lines_file:
            path.write_text("\n".join(texts(90)), encoding="utf-8")
        with pytest.raises(ConfigError, match="holds a training with other settings or texts"):
            train_inverter(path, folder / "out", settings, silent, embed)


def test_a_training_that_went_to_infinity_says_so(lines_file):
    with pytest.raises(ConfigError, match=r"the loss was never a number; give a lower -o lr than 1e\+30"):
        train_inverter(lines_file, lines_file.parent / "out", Training(**SMALL, lr=1e30), silent, embed)


# What is written


def test_every_stage_tells_its_progress_to_the_end(trained):
    _, _, seen = trained
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["embed", "learn to guess", "guess", "embed guesses", "learn to correct", "evaluate"]
    for stage in stages:
        done = [d for s, d, _ in seen if s == stage]
        assert done == sorted(done)
        assert done[-1] == next(t for s, _, t in seen if s == stage)


def test_what_is_written_opens_and_is_what_was_measured(trained):
    folder, result, _ = trained
    inverter = load_inverter(folder / "out", embed, "minilm")
    lines = split(read_lines(folder / "lines.txt"), 1000, 0)
    wanted = lines.of(lines.test)
    for steps in (0, 5):
        (row,) = (s for s in result.scores if s.method == f"inversion, {steps} steps" and not s.noise)
        assert row.token_f1 == pytest.approx(token_f1(inverter.invert(embed(wanted), steps), wanted), abs=1e-4)
    assert json.loads((folder / "out" / "evaluation.json").read_text("utf-8"))["n_train"] == len(lines.train)


@pytest.mark.slow
def test_it_learns(trained, lines_file):
    """Trained longer, the words of unseen lines are found far better than by training for a moment."""
    _, moment, _ = trained
    longer = Training(**SMALL | {"epochs_inversion": 60, "epochs_corrector": 20, "lr": 5e-3})
    result = train_inverter(lines_file, lines_file.parent / "out", longer, silent, embed)
    f1 = {s.method: s.token_f1 for s in result.scores if not s.noise}
    before = {s.method: s.token_f1 for s in moment.scores if not s.noise}
    assert f1["inversion, 5 steps"] > before["inversion, 5 steps"] + 0.2
    assert f1["inversion, 5 steps"] > 0.5


def test_a_t5_from_a_folder_begins_with_its_weights(trained, lines_file):
    from transformers import T5Config, T5ForConditionalGeneration

    folder, _, _ = trained
    own, given_t5 = folder / "out" / "inverter" / "t5", lines_file.parent / "t5"
    net = T5ForConditionalGeneration(T5Config.from_pretrained(own))
    net.save_pretrained(given_t5)
    load_inverter(folder / "out", embed, "minilm").tokenizer.save_pretrained(given_t5)
    settings = Training(**SMALL | {"t5": str(given_t5), "lr": 1e-12, "epochs_inversion": 0.1, "epochs_corrector": 0.1})
    train_inverter(lines_file, lines_file.parent / "out", settings, silent, embed)
    weights = torch.load(lines_file.parent / "out" / "inversion.ckpt", weights_only=True)["best_weights"]
    torch.testing.assert_close(weights["encoder_decoder.shared.weight"], net.state_dict()["shared.weight"])
    with pytest.raises(WeightsError, match="leave --t5 out"):
        train_inverter(lines_file, lines_file.parent / "other", Training(**SMALL, t5=str(own / "no")), silent, embed)


# How it is measured


def test_scores_are_those_counted_by_hand():
    row = score("x", 0.0, ["a dog runs", "no"], ["a dog sits", "a cat"], 0)
    assert row.token_f1 == pytest.approx((2 / 3 + 0) / 2, abs=1e-4)
    assert row.exact == 0
    assert row.token_f1_interval == (0.0, 0.6667)
    assert score("x", 0.0, ["a dog"], ["a dog"], 0).exact == 1


def test_noise_has_the_length_that_was_asked_for():
    assert np.linalg.norm(noise((400, 100), 0.5, 0), axis=1).mean() == pytest.approx(0.5, abs=0.01)
    assert not noise((400, 100), 0.0, 0).any()


def test_the_nearest_line_is_sought_among_training_lines_only(trained):
    _, result, _ = trained
    (clean,) = (s for s in result.scores if s.method == NEAREST and not s.noise)
    assert clean.exact < 1  # a test line is no training line; only one with the same words in another case could be it


# The command


@pytest.fixture
def giblet(capsys, monkeypatch):
    monkeypatch.setattr("giblet_text_bge.inversion.train.run._embedder", lambda settings: embed)

    def call(*args):
        with pytest.raises(SystemExit) as done:
            main([str(a) for a in args])
        streams = capsys.readouterr()
        return done.value.code or 0, streams.out, streams.err

    return call


OPTIONS = [word for key, value in SMALL.items() for word in ("-o", f"{key}={value}")]


def test_the_command_prints_a_table_and_nothing_else_in_a_pipe(giblet, lines_file):
    code, out, err = giblet("train-inverter", lines_file, "--out", lines_file.parent / "out", *OPTIONS)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["noise", "n", "BLEU", "token", "F1", "exact"]
    assert [line for line in out.splitlines() if line.startswith(NEAREST)]
    again = giblet("train-inverter", lines_file, "--out", lines_file.parent / "out", *OPTIONS, "--json")
    assert json.loads(again[1]) == json.loads((lines_file.parent / "out" / "evaluation.json").read_text("utf-8"))


def test_ctrl_c_says_that_all_is_saved(giblet, lines_file, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("giblet_text_bge.inversion.train.run.train_inverter", stopped)
    code, _, err = giblet("train-inverter", lines_file, "--out", "here")
    assert code == 130
    assert "note: all is saved in here; the same command goes on from here" in err


def test_every_setting_is_in_the_guide_with_its_default():
    guide = Path(__file__).parents[3] / "docs" / "how-to" / "train-an-inverter.md"
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", guide.read_text("utf-8"), re.M))
    assert rows == {name: str(field.default) or "empty" for name, field in Training.model_fields.items()}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("lrr=1", "did you mean 'lr'?"),
        ("lr", "not KEY=VALUE"),
        ("lr=fast", "-o lr='fast' is not possible"),
        ("d_model=0", "-o d_model=0 is not possible"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_line(giblet, lines_file, option, said):
    code, _, err = giblet("train-inverter", lines_file, "-o", option)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
