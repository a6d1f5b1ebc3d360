"""`giblet run` on a small study of its own: what it leaves, what it does twice, and how it says no."""

import json
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet.cli import main
from giblet.media import read_sound, write_film
from giblet.pipeline.reconstruct import VERSIONS, WRITTEN

pytestmark = pytest.mark.slow

TR_S, TRS, FPS, PEOPLE = 1.5, 300, 4, 6
STEPS = ["-o", "train.front_end_steps=4", "-o", "train.trunk_steps=30", "-o", "train.decoder_steps=10"]
SMALL = [*STEPS, "-o", "model.latent=16", "-o", "evaluate.null_shifts=50", "-o", "train.validate_every=10"]
SMALL += ["-o", "evaluate.banded_candidates=4", "-o", "evaluate.reconstruct_s=12", "-o", "video.net_frames=4"]
SMALL += ["-o", "video.width_px=32", "-o", "video.height_px=18"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A film whose brightness, loudness and words change with the scene, and six people's tables of eight parcels."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    folder = tmp_path_factory.mktemp("ein kleiner Film") / "Bär"
    folder.mkdir()
    rng = np.random.default_rng(0)
    light, loud = rng.uniform(0, 1, (2, TRS))
    frames_per_tr = int(TR_S * FPS)
    frames = (np.full((48, 64, 3), 255 * light[i // frames_per_tr], np.uint8) for i in range(TRS * frames_per_tr))
    rate = 8000
    t = np.arange(int(TRS * TR_S * rate)) / rate
    sound = 0.5 * np.repeat(loud, int(TR_S * rate)) * np.sin(2 * np.pi * 300 * t)
    write_film(folder / "film.mp4", frames, Fraction(FPS), sound[:, None].astype(np.float32), rate)
    words = ["a dog runs", "the sea is calm", "two men argue", "a train leaves"]
    rows = [f"{i * 6}\t6\t{words[i % 4]} {i}" for i in range(75)]
    (folder / "words.tsv").write_text("onset\tduration\ttext\n" + "\n".join(rows))
    drive = convolve_hrf(np.stack([light, loud], 1) - 0.5, canonical_hrf(TR_S))
    tuning = rng.standard_normal((2, 8))
    for person in range(PEOPLE):
        y = drive @ tuning + 0.1 * rng.standard_normal((TRS, 8))
        np.savetxt(folder / f"sub-{person}.tsv", y, delimiter="\t")
    return folder


def arguments(study, out, *more):
    files = ["--film", str(study / "film.mp4"), "--annotations", str(study / "words.tsv")]
    scans = ["--bold", str(study / "sub-*.tsv"), "--tr", str(TR_S), "-o", "text.weights=minilm"]
    return ["run", *files, *scans, *SMALL, "--out", str(out), *more]


def call(capsys, args):
    try:
        main(args)
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.raises(SystemExit) as stop:
        main(arguments(study, out))
    assert not stop.value.code
    return out


def test_a_run_leaves_what_it_promises(run):
    metrics = json.loads((run / "metrics.json").read_text())
    for key in ("r", "ridge_r", "banded_r", "ceiling", "null_p95", "p", "lag_flag", "subjects", "group"):
        assert key in metrics["fmri"], key
    assert set(metrics["fmri"]["subjects"]) == {f"sub-{i}" for i in range(PEOPLE)}
    assert metrics["fmri"]["group"]["r"] > 0.2
    for kind, suffix in (("video", "mp4"), ("audio", "wav"), ("text", "tsv")):
        assert set(metrics[kind]["loss"]) == {"predicted", "faint", "noisy", "measured", "permuted"}
        for condition in ("original", "roundtrip", "predicted", "measured"):
            assert (run / "reconstructions" / kind / f"{condition}.{suffix}").stat().st_size > 0
    assert metrics["seed"] == 0
    assert metrics["versions"]["torch"]
    page = (run / "report.html").read_text("utf-8")
    sections = {"key", "inputs", "training", "fmri", "variance", "decoding", "video", "audio", "text"}
    assert set(re.findall(r'<section id="(\w+)"', page)) == sections | {"smuggling", "settings", "cite"}
    assert 'aria-label="Alignment. ' in page
    assert len(list((run / "predictions").iterdir())) == PEOPLE


def keys(value):
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)


def undocumented(metrics):
    """The keys that the page on metrics.json does not name, but for names of people, networks and packages."""
    text = (Path(__file__).parents[1] / "docs/reference/metrics-json.md").read_text("utf-8")
    names = {*metrics["fmri"]["subjects"], *metrics["fmri"]["hrf_peak_s"], *metrics["versions"]}
    return [k for k in sorted({*keys(metrics)} - names) if not re.search(rf"[`.]{re.escape(k)}[`\[]", text)]


def test_every_key_of_metrics_is_documented(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert undocumented(metrics) == []
    assert undocumented(metrics | {"folds": [{"never_said": 1}]}) == ["never_said"]


def test_reconstructed_sound_is_as_long_as_its_stretch(run):
    n = sum(len(c.values) for c in read_sound(run / "reconstructions/audio/measured.wav", 22_050))
    assert n == 12 * 22_050


def test_films_are_scored_sought_and_heard(run):
    film = json.loads((run / "metrics.json").read_text())["video"]
    assert set(film["sound"]) == {"original", *WRITTEN, "side_by_side"}
    assert film["sound"]["measured"] == "reconstructed"
    assert film["measured"]["n_trs"] + film["measured"]["n_trs_at_cuts"] == 12 / TR_S
    found = film["retrieval"]
    assert all(0 <= found[v][k] <= 1 for v in VERSIONS for k in ("top1", "top5"))
    assert found["n_clips"] < found["set_size"]
    for path in (run / "reconstructions/video/measured.mp4", run / "reconstructions/side_by_side.mp4"):
        n = sum(len(c.values) for c in read_sound(path, 48_000))
        assert abs(n / 48_000 - 12) <= 1 / FPS


def test_the_same_command_again_does_nothing_twice(run, study, capsys):
    before = {p: p.stat().st_mtime_ns for p in (run / "checkpoints").iterdir()} | {
        run / "metrics.json": (run / "metrics.json").stat().st_mtime_ns
    }
    code, out, _ = call(capsys, arguments(study, run))
    assert code == 0
    assert str(run / "report.html") in out
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_another_run_in_the_same_folder_is_refused(run, study, capsys):
    code, _, err = call(capsys, arguments(study, run, "--seed", "7"))
    assert code == 2
    assert "holds another run" in err
    assert json.loads((run / "metrics.json").read_text())["seed"] == 0


def test_a_run_that_was_stopped_goes_on_to_the_same_figures(run, study, tmp_path, capsys, monkeypatch):
    from giblet.pipeline import run as pipeline

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "evaluate", stop)
        code, _, err = call(capsys, arguments(study, tmp_path / "again"))
    assert code == 130
    assert "goes on from here" in err
    assert not (tmp_path / "again" / "metrics.json").exists()
    assert call(capsys, arguments(study, tmp_path / "again"))[0] == 0
    first, second = (json.loads((p / "metrics.json").read_text()) for p in (run, tmp_path / "again"))
    assert first["fmri"] == second["fmri"]
    assert first["video"]["loss"] == second["video"]["loss"]


def test_too_short_to_split_is_refused_and_plumbing_is_labelled(study, tmp_path, capsys):
    short = tmp_path / "sub-1.tsv"
    short.write_text("\n".join((study / "sub-1.tsv").read_text().splitlines()[:40]))
    files = ["run", "--film", str(study / "film.mp4"), "--bold", str(short), "--tr", "1.5", "--text", "none", *SMALL]
    code, _, err = call(capsys, [*files, "--out", str(tmp_path / "a")])
    assert code == 2
    assert "too short to hold out a test block" in err
    assert "--plumbing" in err
    code, out, _ = call(capsys, [*files, "--out", str(tmp_path / "b"), "--plumbing"])
    assert code == 0
    assert out.startswith("Plumbing only")


def test_extract_only_needs_no_scans(study, tmp_path, capsys):
    args = ["run", "--film", str(study / "film.mp4"), "--text", "none", "--tr", "1.5", "--extract-only"]
    code, out, _ = call(capsys, [*args, "--out", str(tmp_path / "x")])
    assert code == 0
    assert "video_s3d" in out
    streams = json.loads((tmp_path / "x" / "inputs.json").read_text())["streams"]
    assert {s["modality"]: s["samples"] for s in streams}["video_s3d"] == TRS * TR_S * FPS


def test_scans_of_noise_are_said_to_have_no_relation(study, tmp_path, capsys):
    rng = np.random.default_rng(1)
    for person in range(2):
        np.savetxt(tmp_path / f"noise-{person}.tsv", rng.standard_normal((TRS, 8)), delimiter="\t")
    files = ["run", "--film", str(study / "film.mp4"), "--text", "none", "--video", "none"]
    scans = ["--bold", str(tmp_path / "noise-*.tsv"), "--tr", str(TR_S)]
    code, out, _ = call(capsys, [*files, *scans, *SMALL, "--out", str(tmp_path / "noise")])
    assert code == 0
    assert out.startswith("No relation between stimulus and scans was found")
    found = json.loads((tmp_path / "noise" / "metrics.json").read_text())["audio"]["identification"]
    assert found["p"] > 0.05


def test_a_table_of_features_joins_as_a_modality_of_its_own(study, tmp_path, capsys):
    table = tmp_path / "ratings.tsv"
    np.savetxt(table, np.random.default_rng(0).standard_normal((150, 3)), delimiter="\t")
    files = ["run", "--film", str(study / "film.mp4"), "--text", "none", "--video", "none", "--audio", "none"]
    more = ["--features", f"rating={table}", "-o", "features.tr_s=3", "--tr", str(TR_S), "--extract-only"]
    code, out, _ = call(capsys, [*files, *more, "--out", str(tmp_path / "x")])
    assert code == 0
    assert "features_table" in out
    streams = json.loads((tmp_path / "x" / "inputs.json").read_text())["streams"]
    assert streams[0]["samples"] == 150
    assert streams[0]["rate_hz"] == pytest.approx(1 / 3)
