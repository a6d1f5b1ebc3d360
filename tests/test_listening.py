"""Blind listening: trials that give nothing away, clips that are equally loud, and the exact chance of an answer."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from giblet.analysis.audio import binomial_p, draw_trials, least_right
from giblet.api.run import Run
from giblet.cli import main
from giblet.errors import ConfigError
from giblet.media import write_sound
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

HZ, SECONDS = 8000, 24


@given(st.integers(1, 40), st.data())
def test_the_chance_is_that_of_the_exact_binomial_test(n, data):
    right = data.draw(st.integers(0, n))
    assert binomial_p(right, n) == pytest.approx(binomtest(right, n, 0.5, "greater").pvalue)


def test_the_least_number_that_is_no_guess():
    assert [least_right(n) for n in (4, 5, 10, 16)] == [None, 5, 9, 12]


@given(st.sampled_from(["abx", "match"]), st.integers(2, 12), st.integers(1, 60), st.integers(0, 99))
def test_x_is_what_the_answer_says_and_no_moment_comes_twice_before_all_came(task, clips, n, seed):
    trials = draw_trials(task, "made", "original", clips, n, seed)
    assert len(trials) == n
    assert trials == draw_trials(task, "made", "original", clips, n, seed)
    for t in trials:
        right = t.a if t.answer == "A" else t.b
        if task == "abx":
            assert t.x == right
            assert {t.a[0], t.b[0]} == {"made", "original"}
            assert t.a[1] == t.b[1]
        else:
            assert t.x == ("made", right[1])
            assert t.a[0] == t.b[0] == "original"
            assert t.a[1] != t.b[1]
    for at in range(0, n, clips):
        moments = [t.x[1] for t in trials[at : at + clips]]
        assert len(set(moments)) == len(moments)


@pytest.mark.parametrize("task", ["abx", "match"])
def test_neither_place_nor_version_tells_the_answer(task):
    trials = [t for seed in range(100) for t in draw_trials(task, "made", "original", 8, 16, seed)]
    assert np.mean([t.answer == "A" for t in trials]) == pytest.approx(0.5, abs=0.05)
    if task == "abx":
        assert np.mean([t.x[0] == "made" for t in trials]) == pytest.approx(0.5, abs=0.05)
        assert np.mean([t.a[0] == "made" for t in trials]) == pytest.approx(0.5, abs=0.05)


def test_too_few_moments_and_a_version_against_itself_are_refused():
    with pytest.raises(ConfigError, match=r"0 clips are too few.*--clip"):
        draw_trials("abx", "made", "original", 0, 4, 0)
    with pytest.raises(ConfigError, match="1 clips are too few"):
        draw_trials("match", "made", "original", 1, 4, 0)
    with pytest.raises(ConfigError, match=r"with itself.*--against"):
        draw_trials("abx", "made", "made", 4, 4, 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a loud original and a quiet reconstruction, silent from 12 to 16 s."""
    rng, folder = np.random.default_rng(0), tmp_path / "run"
    silent = np.repeat([1, 1, 1, 0, 1, 1], 4 * HZ)
    for name, level in {"original": 0.3, "roundtrip": 0.01, "measured": 0.02}.items():
        sound = (level * silent * rng.standard_normal(SECONDS * HZ)).astype(np.float32)
        write_sound(folder / "reconstructions/audio" / f"{name}.wav", sound, HZ)
    told = {"summary": "", "warnings": [], "fmri": {}, "study": "a <b> & </script> study"}
    (folder / "metrics.json").write_text(json.dumps(told))
    return folder


def test_of(page: Path) -> dict:
    return json.loads(
        re.findall(r'<script type="application/json" id="test">(.*?)</script>', page.read_text("utf-8"))[0]
    )


test_of.__test__ = False


def sounds_of(test: dict) -> dict[str, np.ndarray]:
    contents = {k: base64.b64decode(v.removeprefix("data:audio/flac;base64,")) for k, v in test["sounds"].items()}
    return {k: soundfile.read(io.BytesIO(c))[0] for k, c in contents.items()}


def test_the_page_holds_equally_loud_clips_and_no_silence(run):
    test = test_of(Run(run).write_listening(clip_s=4, trials=10))
    clips = sounds_of(test)
    assert {len(x) for x in clips.values()} == {4 * HZ}
    assert {round(float(np.sqrt(np.mean(x**2))), 3) for x in clips.values()} == {0.05}
    assert all(abs(x[0]) < 0.01 and abs(x[-1]) < 0.01 for x in clips.values())
    begins = {t[c]["begin_s"] for t in test["trials"] for c in "abx"}
    assert begins == {0, 4, 8, 16, 20}
    assert (test["study"], test["version"], test["against"]) == ("a <b> & </script> study", "roundtrip", "original")


@pytest.mark.parametrize("task", ["abx", "match"])
def test_the_clips_of_a_trial_are_equally_loud_though_one_of_them_is_a_click(run, task):
    click = np.where(np.arange(SECONDS * HZ) % (4 * HZ) == 2 * HZ, 0.5, 0).astype(np.float32)
    click[: 8 * HZ] = soundfile.read(run / "reconstructions/audio/measured.wav", dtype="float32")[0][: 8 * HZ]
    write_sound(run / "reconstructions/audio/measured.wav", click, HZ)
    test = test_of(Run(run).write_listening(task=task, sound="measured", clip_s=4, trials=12))
    clips = sounds_of(test)
    loud = [[float(np.sqrt(np.mean(clips[t[c]["sound"]] ** 2))) for c in "abx"] for t in test["trials"]]
    for levels in loud:
        assert levels == pytest.approx([levels[0]] * 3, rel=0.01)
    assert {round(levels[0], 3) for levels in loud} == {0.05, 0.006}
    assert max(abs(x).max() for x in clips.values()) == pytest.approx(0.99, abs=1e-3)


def test_clips_are_those_of_their_version_and_moment(run):
    test = test_of(Run(run).write_listening(task="match", clip_s=2, trials=6, seed=3))
    clips = sounds_of(test)
    for trial in test["trials"]:
        for place in "abx":
            told = trial[place]
            assert told["version"] == ("measured" if place == "x" else "original")
            whole = soundfile.read(run / "reconstructions/audio" / f"{told['version']}.wav")[0]
            at = round(told["begin_s"] * HZ)
            assert np.corrcoef(clips[told["sound"]], whole[at : at + 2 * HZ])[0, 1] > 0.99


def test_the_same_seed_gives_the_same_page_and_another_seed_another_test(run, tmp_path):
    pages = [Run(run).write_listening(tmp_path / f"{k}.html", seed=s).read_bytes() for k, s in enumerate((1, 1, 2))]
    assert pages[0] == pages[1] != pages[2]


def test_the_command_writes_the_page_into_the_run_and_refuses_in_one_line(run, capsys):
    for args, code, said in [
        (("--task", "match"), 0, "listen.html"),
        (("--sound", "mesured"), 2, "did you mean 'measured'?"),
        (("--clip", "0"), 1, "is not positive"),
        (("--clip", "0.00001"), 2, "--clip 1e-05 is too short"),
        (("--clip", "0.02"), 2, "--clip 0.02 is too short"),
        (("--clip", "99"), 2, "too few"),
    ]:
        with pytest.raises(SystemExit) as done:
            main(["listen", str(run), *args])
        streams = capsys.readouterr()
        assert said in (streams.err if code else streams.out)
        assert bool(done.value.code) == bool(code)
        assert len(streams.err.splitlines()) == bool(code)
    assert (run / "listen.html").is_file()


def test_a_run_without_sound_says_so(run):
    for path in (run / "reconstructions/audio").iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match=r"has no roundtrip\.wav; give a run with sound that plays"):
        Run(run).write_listening()
