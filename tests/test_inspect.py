"""`giblet inspect`: what headers say is what extraction finds, and what would stop a run is said before it begins."""

import json
from fractions import Fraction

import giblet
import numpy as np
import pytest
from giblet.cli.main import main
from giblet.data.study import study_from_flags
from giblet.media import write_film
from giblet.modality import Modality
from giblet.pipeline.extents import extent_of
from giblet.pipeline.presentations import Run
from giblet.types import Source

TR_S, TRS, FPS = Fraction(3, 2), 240, 4
SMALL = {"video.width_px": 32, "video.height_px": 18, "split.gap_s": 32, "model.kernel_s": 16}
PLUGINS = {"video": "s3d", "audio": "mel", "text": "none"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six minutes of film, a table of ready-made features, words, and the scans of two people, one cut short."""
    folder = tmp_path_factory.mktemp("ein Film")
    frames = (np.full((18, 32, 3), i % 256, np.uint8) for i in range(int(TRS * TR_S * FPS)))
    sound = np.sin(np.arange(int(TRS * TR_S * 8000)) / 9).astype(np.float32)[:, None]
    write_film(folder / "film.mp4", frames, Fraction(FPS), sound, 8000)
    (folder / "words.tsv").write_text("onset\tduration\ttext\n3\t2\ta dog\n10\t1.5\ta cat\n350\t20\tthe end\n")
    np.save(folder / "motion.npy", np.arange(2.0 * TRS).reshape(-1, 2))
    rng = np.random.default_rng(0)
    for person, volumes in ((1, TRS), (2, TRS - 10), (3, TRS + 7)):
        np.save(folder / f"sub-{person}.npy", rng.standard_normal((volumes, 4)))
    return folder


def files(folder, offset_s="0"):
    return [
        "--film", str(folder / "film.mp4"), "--annotations", str(folder / "words.tsv"), "--offset", offset_s,
        "--bold", str(folder / "sub-*.npy"), "--tr", "1.5", "--features", f"motion={folder / 'motion.npy'}",
    ]  # fmt: skip


def given(folder, offset_s=0):
    tables = {"motion": folder / "motion.npy"}
    return giblet.study_from_files(
        folder / "film.mp4", folder / "words.tsv", folder / "sub-*.npy", tr_s="1.5", offset_s=offset_s, features=tables
    )


@pytest.mark.parametrize("offset_s", [0, 3, "-1.5"])
def test_headers_say_what_extraction_finds(study, offset_s):
    plugins = PLUGINS | {"audio": "none"}
    seen = giblet.inspect_study(given(study, offset_s), settings=SMALL, **plugins)
    found = giblet.extract(given(study, offset_s), settings=SMALL, quiet=True, **plugins).inputs.described
    assert seen.described["clocks"] == found["clocks"]
    for mine, theirs in zip(seen.described["scans"], found["scans"], strict=True):
        assert mine == {key: theirs[key] for key in mine}
    assert [n for n in seen.notes if "cut" in n] == [n for n in found["notes"] if "cut" in n]
    streams = {s["kind"]: s for s in found["streams"]}
    assert {s["kind"] for s in seen.streams} == streams.keys()
    for s in seen.streams:
        wanted = streams[s["kind"]]
        assert s["covered"] == wanted["covered"], s["kind"]
        assert s["stop_s"] == pytest.approx(wanted["stop_s"], abs=0.05), s["kind"]


def test_the_last_window_of_a_sound_may_reach_into_one_more_tr(study):
    plugins = PLUGINS | {"video": "none"}
    seen, found = giblet.inspect_study(given(study), **plugins), giblet.extract(given(study), quiet=True, **plugins)
    there, here = (s["stop_s"] for x in (found, seen) for s in x.streams if s["kind"] == "audio")
    assert 0 < there - here < 0.2
    assert seen.described["clocks"]["run-1"]["n_trs"] == TRS


def test_the_blocks_are_those_of_the_run(study):
    from giblet.config import build_config
    from giblet.pipeline.splits import draw_split
    from giblet.types import TRGrid

    seen = giblet.inspect_study(given(study), settings=SMALL, **PLUGINS)
    assert seen.problem is None
    config = build_config({}, {"split": {"gap_s": 32}, "model": {"kernel_s": 16}}, seed=0, plumbing=False)
    (blocks,) = draw_split(given(study), config, {"run-1": TRGrid(TR_S, TRS)}, 22).values()
    assert seen.described["split"] == {"run-1": [[b.label, b.start, b.stop] for b in blocks]}
    assert seen.gap_s == 33


class Toy(Modality):
    name, kind = "text_toy", "text"

    def extract(self, source):
        raise AssertionError("nothing is extracted")


def test_an_event_covers_every_trs_it_touches(study):
    words = giblet.inspect_study(given(study), settings=SMALL, video="none", audio="none").streams
    (text,) = (s for s in words if s["kind"] == "text")
    assert text["covered"] == [[2, 4], [6, 8], [233, 240]]  # 3-5 s, 10-11.5 s, 350-370 s
    assert "3 events" in text["what"]


def test_what_only_extraction_can_tell_is_not_guessed(study):
    class Gaze(Toy):
        name, kind = "gaze_toy", "gaze"

    run = Run("run", given(study).stimuli[0], Fraction(0), (), {"gaze": Source(study / "gaze.tsv")})
    extent = extent_of(run, "gaze", Gaze(), TR_S)
    assert (extent.stop_s, extent.spans_s) == (None, ())


def call(capsys, *args):
    with pytest.raises(SystemExit) as done:
        main([*map(str, args)])
    return done.value.code or 0, capsys.readouterr()


def test_the_command_shows_streams_scans_and_blocks_and_draws(study, capsys, tmp_path):
    settings = [x for k, v in SMALL.items() for x in ("-o", f"{k}={v}")]
    code, said = call(capsys, "inspect", *files(study), *settings, "--plot", str(tmp_path / "new" / "plot.png"))
    assert code == 0, said.err
    for text in (
        "run-1: 240 TRs of 1.5 s",
        "h264 32x18 at 4 Hz",
        "230 volumes each of sub-2",
        "train 0-",
        "247 volumes",
    ):
        assert text in said.out
    assert "10.5 s of scan have no stimulus" in said.out
    assert (tmp_path / "new" / "plot.png").read_bytes()[1:4] == b"PNG"
    code, said = call(capsys, "inspect", *files(study), *settings, "--json")
    assert json.loads(said.out)["clocks"]["run-1"]["n_trs"] == TRS


def test_what_would_stop_the_run_is_said_after_what_was_found(study, capsys):
    code, said = call(capsys, "inspect", *files(study), "-o", "model.kernel_s=120")
    assert code == 2
    assert "run-1: 240 TRs" in said.out
    assert said.err.count("\n") == 1
    assert "giblet: a run would stop: " in said.err


def test_every_fold_of_a_run_is_shown(study, capsys, tmp_path):
    settings = [x for k, v in SMALL.items() for x in ("-o", f"{k}={v}")]
    code, said = call(
        capsys, "inspect", *files(study), *settings, "-o", "split.folds=2", "--plot", str(tmp_path / "p.svg")
    )
    assert code == 0, said.err
    first, second = (line for line in said.out.splitlines() if line.startswith("  fold "))
    assert first.startswith("  fold 1          test 0-120, ")
    assert second.startswith("  fold 2 ")
    assert "test 120-240" in second
    seen = giblet.inspect_study(given(study), settings=SMALL | {"split.folds": 2}, **PLUGINS)
    assert list(seen.described["split"]) == ["fold 1: run-1", "fold 2: run-1"]
    one = giblet.inspect_study(given(study), settings=SMALL | {"split.folds": 2, "split.fold": 2}, **PLUGINS)
    assert one.described["split"] == {"run-1": seen.described["split"]["fold 2: run-1"]}


def test_folds_that_are_too_many_say_how_many_would_do(study, capsys):
    settings = [x for k, v in SMALL.items() for x in ("-o", f"{k}={v}")]
    for more in ([], ["-o", "split.fold=61"]):
        code, said = call(capsys, "inspect", *files(study), *settings, "-o", "split.folds=60", *more)
        assert code == 2
        assert "a run would stop: 60 folds are not possible" in said.err
        assert "would do" in said.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "nothing to inspect"),
        (["--film", "none.mp4"], "none.mp4"),
        (["nowhere"], "there is no study file"),
    ],
)
def test_what_is_not_there(args, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, streams = call(capsys, "inspect", *args)
    assert code == 2
    assert said in streams.err
    assert streams.err.count("\n") == 1


def test_a_plot_that_cannot_be_drawn_is_one_line(study, capsys, tmp_path):
    code, said = call(capsys, "inspect", *files(study), "--plot", str(tmp_path / "plot.doc"))
    assert (code, said.err.count("\n")) == (2, 1)
    assert ".svg, .png or .pdf" in said.err


def test_nothing_shared_is_refused(study, capsys):
    code, said = call(capsys, "inspect", *files(study, offset_s="500"))
    assert code == 2
    assert "nothing overlaps" in said.err


@pytest.mark.real_data
def test_real_films_say_how_long_they_are(test_data):
    d = test_data / "film"
    for film, kinds, stop_s in (
        ("nasa_webb_13s.mp4", 2, 13.06),
        ("popeye_1.mkv", 1, 60),
        ("big_buck_bunny_30s.mp4", 2, 30),
    ):
        seen = giblet.inspect_study(giblet.study_from_files(d / film, tr_s="1.5"))
        assert len(seen.streams) == kinds
        assert max(s["stop_s"] for s in seen.streams) == pytest.approx(stop_s, abs=0.2)


@pytest.mark.real_data
def test_a_story_of_words(test_data):
    d = test_data / "fmri_alice"
    study = study_from_flags(
        annotations=[str(d / "DownTheRabbitHole.TextGrid")], bold=[str(d / "s18-timecourses.txt")],
        tr_s=Fraction(2), offset_s=[Fraction(20)],
    )  # fmt: skip
    (words,) = giblet.inspect_study(study).streams
    assert words["stop_s"] == pytest.approx(743.3, abs=1)
    assert words["n_trs"] == 362


def tables(folder, *lacking):
    """A study of two stimuli with two tables each, but for those that are lacking."""
    lines = ['[study]\nname = "tables"\ntr_s = 1.5\n']
    for run in ("run-1", "run-2"):
        names = [n for n in ("motion", "pitch") if f"{run} {n}" not in lacking]
        given = ", ".join(f'{n} = "table.npy"' for n in names)
        lines.append(f'[[stimulus]]\nname = "{run}"\nfeatures = {{{given}}}\n')
        np.save(folder / f"{run}.npy", np.random.default_rng(1).standard_normal((400, 4)))
        lines.append(f'[[scan]]\nsubject = "a"\nrun = "{run}"\nstimulus = "{run}"\nbold = "{run}.npy"\n')
    np.save(folder / "table.npy", np.random.default_rng(0).standard_normal((400, 2)))
    (folder / "study.toml").write_text("\n".join(lines))
    return folder / "study.toml"


def test_tables_are_listed_by_their_names(tmp_path, capsys):
    code, said = call(capsys, "inspect", tables(tmp_path))
    assert not code, said.err
    assert [line.split()[0] for line in said.out.splitlines() if "table.npy" in line] == ["motion", "pitch"] * 2
    code, said = call(capsys, "run", tmp_path, "--extract-only", "--quiet", "--out", tmp_path / "out")
    assert not code, said.err
    assert [line.split()[1] for line in said.out.splitlines()[1:5]] == ["motion", "pitch"] * 2
    kept = json.loads((tmp_path / "out" / "inputs.json").read_text())["streams"]
    seen = giblet.inspect_study(giblet.load_study(tmp_path)).streams
    for rows in (kept, seen):
        assert [(s["signal"], s["kind"]) for s in rows] == [("motion", "features"), ("pitch", "features")] * 2


def test_a_stimulus_without_a_table_is_refused_with_advice_that_there_is(tmp_path, capsys):
    code, said = call(capsys, "inspect", tables(tmp_path, "run-1 pitch"))
    assert code == 2
    assert "'run-1' of 'tables' has no pitch; give it, or take pitch away from the other stimuli" in said.err
    assert not call(capsys, "inspect", tables(tmp_path, "run-1 pitch", "run-2 pitch"))[0]
    assert not call(capsys, "inspect", tables(tmp_path))[0]
