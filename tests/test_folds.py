"""Folds: every TR tested once, nothing near a test block, and a clear word where they do not fit."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.bootstrap import bootstrap, draw_counts, interval, measured_pieces, pieces, resampled_r
from giblet.cli import main
from giblet.config import RunConfig
from giblet.data.folds import fold_splits
from giblet.data.split import LABELS, MIN_TRS
from giblet.errors import ConfigError, DataError
from giblet.pipeline.pooled import pool
from giblet.pipeline.splits import draw_split, gap_notes, gap_trs
from giblet.pipeline.verdict import FEWEST_PIECES, RIDGES
from hypothesis import example, given, settings
from hypothesis import strategies as st


def lengths_of(runs):
    return {f"run-{i}": n for i, n in enumerate(runs)}


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=5), st.integers(0, 60), st.integers(2, 8), st.floats(0.05, 0.4)
)
@example([380], 25, 3, 0.1)
@example([320, 320], 40, 5, 0.1)
@example([60, 60, 60, 60], 40, 4, 0.1)
@example([19, 200, 200], 10, 2, 0.1)
def test_any_folds_keep_their_laws_or_are_refused(runs, gap, folds, validation):
    lengths = lengths_of(runs)
    try:
        splits = fold_splits(lengths, gap, folds, validation)
    except DataError:
        return
    assert len(splits) == folds
    tested = {run: np.zeros(n, int) for run, n in lengths.items()}
    for split in splits:
        assert list(split) == list(lengths)
        for run, blocks in split.items():
            assert all(0 <= b.start < b.stop <= lengths[run] and b.stop - b.start >= MIN_TRS for b in blocks)
            for a, b in combinations(blocks, 2):
                assert b.start - a.stop >= (gap if a.label != b.label else 0)
            for b in blocks:
                tested[run][b.trs] += b.label == "test"
        for label in LABELS:
            assert sum(b.stop - b.start for blocks in split.values() for b in blocks if b.label == label) >= MIN_TRS
    assert all((n == (1 if len(n) >= MIN_TRS else 0)).all() for n in tested.values())


def test_training_lies_on_both_sides_and_validation_behind_the_test():
    middle = fold_splits({"a": 600}, 40, 3, 0.1)[1]["a"]
    assert [(b.label, b.start, b.stop) for b in middle] == [
        ("train", 0, 160),
        ("test", 200, 400),
        ("validation", 440, 492),
        ("train", 532, 600),
    ]


def test_whole_runs_are_held_out_where_the_folds_allow_it():
    for run, split in zip("abcd", fold_splits(dict.fromkeys("abcd", 100), 40, 4, 0.25), strict=True):
        assert [(b.label, b.start, b.stop) for b in split[run]] == [("test", 0, 100)]
        assert sum(b.label == "train" for blocks in split.values() for b in blocks) == 2


def test_too_many_folds_name_those_that_would_do():
    with pytest.raises(
        DataError, match=r"12 folds are not possible: 200 TRs .* 2, 3, 4, 5, 6, 7 or more \(at most 10\)"
    ):
        fold_splits({"a": 200}, 5, 12, 0.1)
    with pytest.raises(DataError, match="no number of folds would do"):
        fold_splits({"a": 60}, 40, 2, 0.1)


@given(st.floats(0, 60), st.floats(1, 40), st.floats(0, 20))
def test_a_gap_may_be_chosen_down_to_what_reaches_across_it(gap_s, kernel_s, context_s):
    config = RunConfig(model={"kernel_s": kernel_s}, split={"gap_s": gap_s})
    study, modalities = SimpleNamespace(tr_s=Fraction(4, 5)), {"text": SimpleNamespace(context_s=context_s)}
    if gap_s < 2 * kernel_s + context_s:
        with pytest.raises(ConfigError, match=r"split\.gap_s .* smaller model\.kernel_s"):
            gap_trs(study, modalities, config)
    else:
        assert 0 <= gap_trs(study, modalities, config) * 0.8 - gap_s < 0.8 + 1e-9
        assert bool(gap_notes(config)) == (gap_s < 60)
    usual = RunConfig(model={"kernel_s": kernel_s})
    assert gap_trs(study, modalities, usual) * 0.8 >= max(60, 2 * kernel_s + context_s)
    assert not gap_notes(usual)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": {"folds": 3, "fold": 4}}, "none of the 3 folds"),
        ({"split": {"folds": 3}}, r"each of 3 folds is a training of its own; say which with -o split\.fold=K"),
        ({"split": {"folds": 3, "fold": 1, "train": 0.5}}, r"split\.train has no effect"),
        ({"split": {"folds": 3, "fold": 1}, "plumbing": True}, "--plumbing"),
        ({"split": {"fold": 1}}, r"split\.folds"),
    ],
)
def test_settings_that_contradict_folds_are_refused(changed, said):
    study, grids = SimpleNamespace(split={}, name="s"), {"a": SimpleNamespace(n_trs=600)}
    with pytest.raises(ConfigError, match=said):
        draw_split(study, RunConfig(**changed), grids, 40)


def test_a_study_that_states_its_split_has_no_folds():
    own, grids = SimpleNamespace(split={"a": []}, name="s"), {"a": SimpleNamespace(n_trs=600)}
    config = RunConfig(split={"folds": 3, "fold": 1})
    with pytest.raises(ConfigError, match="states its own"):
        draw_split(own, config, grids, 40)


def test_a_resampled_r_is_numpys_on_the_same_trs():
    rng = np.random.default_rng(0)
    guess, y = rng.standard_normal((2, 120, 3))
    y += guess
    y[:, 2] = 1.0
    valid = rng.random(120) < 0.9
    cut = pieces([slice(10, 60), slice(70, 120)], tr_s=1.5)
    assert [c.stop - c.start for c in cut] == [25, 25, 25, 25]
    counts = draw_counts(len(cut), 20, seed=0)
    got = resampled_r(guess, y, valid, cut, counts)
    for count, value in zip(counts.astype(int), got, strict=True):
        trs = np.concatenate([np.arange(c.start, c.stop) for c, n in zip(cut, count, strict=True) for _ in range(n)])
        trs = trs[valid[trs]]
        expected = [np.corrcoef(guess[trs, v], y[trs, v])[0, 1] for v in (0, 1)]
        assert value == pytest.approx(sum(expected) / 3)


def test_an_interval_covers_people_and_is_paired():
    rng = np.random.default_rng(1)
    person, draw = 0.1 * rng.standard_normal((40, 1)), 0.01 * rng.standard_normal(1000)
    low, high = interval(0.3 + person + draw, 0)
    spread = 1.645 * np.sqrt(person.var() / 40 + 0.01**2)
    assert (low, high) == pytest.approx((0.3 + person.mean() - spread, 0.3 + person.mean() + spread), abs=0.005)
    model, ridge = 0.3 + person + draw, 0.28 + person + draw
    assert interval(model - ridge, 0) == pytest.approx((0.02, 0.02))


def partly(there, people=1):
    """Scans of 160 TRs, predictions of them, and who was measured where: all but the last person everywhere."""
    rng = np.random.default_rng(2)
    y = {f"s{k}": rng.standard_normal((160, 30)) for k in range(people)}
    guess = {s: x + rng.standard_normal(x.shape) for s, x in y.items()}
    valid = {s: np.ones(160, bool) for s in y}
    valid[f"s{people - 1}"] = there
    return guess, y, valid


def test_a_draw_without_anything_of_somebody_is_no_draw_of_theirs():
    """One piece of eight, and three TRs of another, are what the last person was measured in."""
    there = np.arange(160) < 20
    there[[50, 51, 52]] = True
    guess, y, valid = partly(there, people=2)
    drawn = bootstrap({"r": guess, "ridge": y}, y, valid, list(y), pieces([slice(0, 160)], 1.5), 0)
    counts = draw_counts(8, len(drawn["r"][1]), 0)
    np.testing.assert_array_equal(np.isnan(drawn["r"][1]), counts[:, 0] == 0)
    assert not np.isnan(drawn["r"][0]).any()
    low, high = interval(drawn["r"], 0)
    assert 0.6 < low < high < 0.8, "both people are predicted at about 0.7"
    assert max(interval(drawn["r"] - drawn["ridge"], 0)) < -0.2


def test_pieces_that_nobody_was_measured_in_are_not_drawn():
    guess, y, valid = partly(np.arange(160) < 120)
    there = measured_pieces([slice(0, 160)], 1.5, list(valid.values()))
    assert there == pieces([slice(0, 120)], 1.5)
    assert not np.isnan(bootstrap({"r": guess}, y, valid, list(y), there, 0)["r"]).any()


def test_folds_that_somebody_missed_are_means_of_those_who_were_there():
    """The pooled r is the mean over folds of the mean over people; so are its resamples."""
    ridges = (0.1, 0.0, 0.0, 0.0)
    both, one = drawn(0.3, ridges), drawn(0.0, ridges)
    one |= {m: one[m][:1] for m in ("r", *RIDGES[:4])} | {"people": np.array(["a"])}
    folds = pool([fold(1, 0.3, ridges), fold(2, 0.0, ridges)], [both, one], seed=0)["folds"]
    assert (folds["mean_r"], folds["gain"]) == pytest.approx((0.15, 0.05))
    assert folds["interval"] == pytest.approx([0.15, 0.15], abs=0.03)
    assert folds["gain_interval"] == pytest.approx([0.05, 0.05], abs=0.05)
    assert np.mean(folds["interval"]) == pytest.approx(0.15, abs=0.005)
    assert np.mean(folds["gain_interval"]) == pytest.approx(0.05, abs=0.005)


def fold(k, r, ridges, p=0.001, pieces=4):
    fmri = {"r": r, "p": p, "null_kind": "circular shift", "subjects": {"a": {"r": r}, f"only-{k}": {"r": 1.0}}}
    fmri |= {"interval_pieces": pieces, "lag_s": 10.0 * k, "lag_flag": False}
    fmri |= dict(zip(RIDGES[:4], ridges, strict=True))
    found = {"two_way": r, "n_clips": 10, "p": p, "interval": [0, 1], "people": {"n": 2}}
    return {
        "fmri": fmri,
        "warnings": ["careful"],
        "text": {"modality": "text_x", "loss": {"measured": r}, "identification": found},
        "variance": {"note": "only one modality varies"},
    }


def drawn(r, ridges, null=0.0):
    rng = np.random.default_rng(0)
    methods = {"r": r, **dict(zip(RIDGES[:4], ridges, strict=True))}
    tables = {m: value + 0.01 * rng.standard_normal((2, 1000)) for m, value in methods.items()}
    return {"people": np.array(["a", "b"]), "null": null + 0.01 * rng.standard_normal(61), **tables}


def test_folds_are_pooled():
    r, ridges = (0.3, 0.5), ((0.1, 0.25, 0.2, 0.1), (0.1, 0.2, 0.44, 0.1))
    every = [fold(k, a, b) for k, (a, b) in enumerate(zip(r, ridges, strict=True))]
    pooled = pool(every, [drawn(a, b) for a, b in zip(r, ridges, strict=True)], seed=0)
    folds = pooled["folds"]
    assert folds["best_ridge"] == ["banded_r", "summary_ridge_r"]
    assert folds["gains"] == pytest.approx([0.05, 0.06])
    assert (folds["mean_r"], folds["gain"]) == pytest.approx((0.4, 0.055))
    assert folds["sd_r"] == pytest.approx(np.std(r, ddof=1))
    assert folds["p"] == pytest.approx(1 / 1001)
    assert pooled["summary"].startswith("The model predicts held-out scans with r = 0.400 over 2 folds")
    assert "better than the best ridge: the difference is +0.055" in pooled["summary"]
    assert pooled["fmri"]["subjects"] == {"a": {"r": 0.4}, "only-0": {"r": 1.0}, "only-1": {"r": 1.0}}
    assert pooled["text"]["identification"] == {
        "two_way": 0.4, "n_clips": 20, "p": None, "interval": None, "top1_interval": None,
    }  # fmt: skip
    assert pooled["warnings"] == ["fold 1: careful", "fold 2: careful"]
    assert not {"lag_s", "lag_flag"} & pooled["fmri"].keys(), "the mean of two best shifts is no shift"


def test_the_null_of_folds_is_of_their_mean():
    ridges = (0.1, 0.1, 0.1, 0.1)
    every = [fold(k, r, ridges) for k, r in enumerate((0.1, 0.5))]
    for nulls in ((0.5, 0.1), (0.1, 0.5)):
        draws = [drawn(0.3, ridges, null) for null in nulls]
        folds = pool(every, draws, seed=0)["folds"]
        known = np.add.outer(draws[0]["null"], draws[1]["null"]) / 2
        assert folds["null_p95"] == pytest.approx(np.quantile(known, 0.95), abs=0.005)
        assert folds["p"] == pytest.approx(np.mean(known >= folds["mean_r"]), abs=0.05)


def test_folds_without_relation_or_gain_say_so():
    every = [fold(k, 0.3, (0.31, 0.1, 0.1, 0.1)) for k in range(2)]
    assert (
        "no different, as far as can be told, from the best ridge"
        in pool(every, [drawn(0.3, (0.3, 0.1, 0.1, 0.1))] * 2, 0)["summary"]
    )
    assert pool(every, [drawn(0.3, (0.3, 0.1, 0.1, 0.1), null=0.3)] * 2, 0)["summary"].startswith("No relation")


def test_of_a_model_alone_that_finds_nothing_the_ridge_is_named():
    ridges = (0.5, 0.1, 0.1, 0.1)
    every = [fold(k, 0.01, ridges) for k in range(2)]
    said = pool(every, [drawn(0.01, ridges, null=0.05)] * 2, 0)["summary"]
    assert said.startswith("The model does not predict held-out scans, r = 0.010 over 2 folds")
    assert "The best ridge does, r = 0.500 (the difference is -0.490 (-0.511 to -0.471))" in said
    above_chance = pool(every, [drawn(0.01, ridges, null=0.5)] * 2, 0)["summary"]
    assert above_chance.startswith("No relation")


def test_a_fold_of_few_minutes_tells_no_ridge_from_the_model():
    ridges = (0.1, 0.2, 0.1, 0.1)
    every = [fold(1, 0.3, ridges), fold(2, 0.3, ridges, pieces=FEWEST_PIECES - 1)]
    pooled = pool(every, [drawn(0.3, ridges)] * 2, seed=0)
    assert (pooled["folds"]["interval"], pooled["folds"]["gain_interval"]) == (None, None)
    assert (pooled["fmri"]["interval"], pooled["fmri"]["gain_interval"]) == (None, None)
    assert pooled["folds"]["pieces"] == [4, 3]
    assert pooled["fmri"]["interval_pieces"] == 7
    assert "too few minutes of test to tell them apart" in pooled["summary"]
    assert not any(word in pooled["summary"] for word in ("better", "worse", "no different", "interval"))
    silent = pool(every, [drawn(0.3, ridges, null=0.3)] * 2, seed=0)["summary"]
    assert silent.startswith("No relation")
    assert "interval" not in silent


SMALL = ["-o", "train.trunk_steps=30", "-o", "train.decoder_steps=10", "-o", "train.validate_every=10"]
SMALL += ["-o", "model.latent=16", "-o", "evaluate.null_shifts=50", "-o", "evaluate.banded_candidates=4"]
SMALL += ["-o", "model.kernel_s=15", "-o", "split.gap_s=30"]


@pytest.fixture
def study(tmp_path):
    """Two tables of features and three people's tables of six parcels, which follow both."""
    rng, hrf = np.random.default_rng(0), canonical_hrf(1.5)
    tables = rng.standard_normal((2, 300, 3))
    lines = ['[study]\nname = "tables"\ntr_s = 1.5\n\n[[stimulus]]\nname = "run-1"']
    for name, x in zip("ab", tables, strict=True):
        np.savetxt(tmp_path / f"{name}.tsv", x, delimiter="\t")
        lines.append(f'features.{name} = {{path = "{name}.tsv", tr_s = 1.5}}')
    for s in range(3):
        y = np.hstack([convolve_hrf(x, hrf) @ rng.standard_normal((3, 3)) for x in tables])
        np.savetxt(tmp_path / f"sub-{s}.tsv", y + 0.1 * rng.standard_normal(y.shape), delimiter="\t")
        lines.append(f'\n[[scan]]\nsubject = "sub-{s}"\nrun = "run-1"\nstimulus = "run-1"\nbold = "sub-{s}.tsv"')
    (tmp_path / "study.toml").write_text("\n".join(lines))
    return tmp_path / "study.toml"


@pytest.mark.slow
def test_folds_are_trained_pooled_and_not_repeated(study, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["run", str(study), "--folds", "2", *SMALL, "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main(["--debug", *command])
    said = capsys.readouterr()
    assert not stop.value.code, said.err
    assert "over 2 folds" in said.out
    assert "the gap between blocks is 30 s by split.gap_s" in said.err
    tested = []
    for k in (1, 2):
        inputs = json.loads((out / f"fold-{k}" / "inputs.json").read_text())
        tested += [(a, b) for label, a, b in inputs["split"]["run-1"] if label == "test"]
        assert (out / f"fold-{k}" / "report.html").exists()
    assert tested == [(0, 150), (150, 300)]
    pooled = json.loads((out / "metrics.json").read_text())
    single = [json.loads((out / f"fold-{k}" / "metrics.json").read_text()) for k in (1, 2)]
    assert pooled["fmri"]["r"] == pytest.approx(np.mean([m["fmri"]["r"] for m in single]))
    low, high = pooled["folds"]["interval"]
    assert low < pooled["folds"]["mean_r"] < high
    assert pooled["variance"]["least_p"] == 1 / 8
    assert "fold-2/report.html" in (out / "report.html").read_text()
    before = (out / "fold-1" / "log.jsonl").read_text()
    with pytest.raises(SystemExit):
        main(command)
    assert (out / "fold-1" / "log.jsonl").read_text() == before
    assert json.loads((out / "metrics.json").read_text()) == pooled
