"""A run opened again: the same model without its data, unseen films, measured scans, and what is refused."""

import csv
import json
import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from giblet.analysis.decode import decoding_losses
from giblet.cli import main
from giblet.data.assemble import make_stimulus
from giblet.data.study import study_from_flags
from giblet.data.study_file import StimulusEntry
from giblet.errors import ConfigError, DataError, PluginError
from giblet.media import read_frames, read_sound, write_film
from giblet.pipeline.decoding import latent_of
from giblet.pipeline.film import read_film
from giblet.pipeline.new_scan import clock_notes, read_scan
from giblet.pipeline.predict import predicted_scans
from giblet.pipeline.reconstruct import cut, decoded
from giblet.pipeline.reopen import reopen, study_of, with_data
from giblet.pipeline.study_record import known_notes
from giblet.plugins import Registry
from giblet.training import checkpoint
from safetensors import SafetensorError

pytestmark = pytest.mark.slow

TR_S, TRS, FPS, PEOPLE = 1.5, 300, 4, ("anna", "bö")
STEPS = ["-o", "train.front_end_steps=4", "-o", "train.trunk_steps=20", "-o", "train.decoder_steps=6"]
SMALL = [*STEPS, "-o", "model.latent=16", "-o", "evaluate.null_shifts=50", "-o", "train.validate_every=2"]
SMALL += ["-o", "evaluate.banded_candidates=2", "-o", "evaluate.reconstruct_s=12", "-o", "video.net_frames=4"]
SMALL += ["-o", "video.width_px=32", "-o", "video.height_px=18"]
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


def quiet(*_):
    """No progress."""


def reopen_with_data(run, registry, progress, study=None):
    """A finished run with its study read again."""
    return with_data(reopen(run, registry), study_of(run, study), progress)


def write_stimulus(folder, name, seed, trs, sound=True):
    """A film whose brightness, loudness and words change with every TR."""
    rng = np.random.default_rng(seed)
    light, loud = rng.uniform(0, 1, (2, trs))
    per_tr, rate = int(TR_S * FPS), 8000
    frames = (np.full((48, 64, 3), 255 * light[i // per_tr], np.uint8) for i in range(trs * per_tr))
    t = np.arange(int(trs * TR_S * rate)) / rate
    wave = 0.5 * np.repeat(loud, int(TR_S * rate)) * np.sin(2 * np.pi * 300 * t)
    heard = (wave[:, None].astype(np.float32), rate) if sound else ()
    write_film(folder / f"{name}.mp4", frames, Fraction(FPS), *heard)
    words = ["a dog runs", "the sea is calm", "two men argue", "a train leaves"]
    rows = [f"{i * 6}\t6\t{words[i % 4]} {i}" for i in range(int(trs * TR_S / 6))]
    (folder / f"{name}.tsv").write_text("onset\tduration\ttext\n" + "\n".join(rows), "utf-8")
    return light, loud


def write_scan(path, y, affine=AFFINE, tr_s=TR_S):
    """BOLD [T, V] in a brain of 3 x 3 x 3 cells, of which 8 are voxels."""
    volume = np.zeros((3, 3, 3, len(y)), np.float32)
    volume[:2, :2, :2] = 100 + y.T.reshape(2, 2, 2, -1)
    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((3, 3, 3, tr_s))
    nibabel.save(image, path)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A film, two people's scans of eight voxels, and a mask."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    folder = tmp_path_factory.mktemp("noch ein Film") / "Bär"
    folder.mkdir()
    drives = np.stack(write_stimulus(folder, "film", 0, TRS), 1) - 0.5
    drive = convolve_hrf(drives, canonical_hrf(TR_S))
    rng = np.random.default_rng(1)
    tuning = rng.standard_normal((2, 8))
    for person in PEOPLE:
        write_scan(folder / f"sub-{person}_task-film_bold.nii", drive @ tuning + 0.1 * rng.standard_normal((TRS, 8)))
    mask = np.zeros((3, 3, 3), np.uint8)
    mask[:2, :2, :2] = 1
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / "mask.nii")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _shared_cache(_own_cache, cache, monkeypatch):
    """The tests of this file share the features of one film."""
    monkeypatch.setenv("GIBLET_CACHE", str(cache))


def arguments(study, out, *more):
    files = ["--film", str(study / "film.mp4"), "--annotations", str(study / "film.tsv")]
    scans = ["--bold", str(study / "sub-*.nii"), "-o", f"fmri.mask={study / 'mask.nii'}", "-o", "text.weights=minilm"]
    return ["run", *files, *scans, *SMALL, "--out", str(out), *more]


def finish(arguments, cache):
    """A run to its end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIBLET_CACHE", str(cache))
        with pytest.raises(SystemExit) as stop:
            main(arguments)
    assert not stop.value.code


@pytest.fixture(scope="module")
def run(study, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("läufe") / "run"
    finish(arguments(study, out), cache)
    return out


@pytest.fixture
def again(run):
    return reopen(run, Registry.discover())


def call(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    said = capsys.readouterr()
    return stop.value.code or 0, said.out, said.err


def voxels(path):
    return nibabel.load(path).get_fdata()[:2, :2, :2].reshape(8, -1).T


# The same model


def test_reopened_weights_are_those_of_the_last_checkpoints(run, again):
    tensors, _ = checkpoint.load(checkpoint.newest(run / "checkpoints" / "decoders"))
    best = {name.removeprefix("best/"): t for name, t in tensors.items() if name.startswith("best/")}
    found = {f"decoders.{n.name}.{k}": v for n in again.nets for k, v in n.decoder.state_dict().items()}
    found |= again.model.state_dict() | again.model.inverse_hemodynamics.state_dict(prefix="inverse.")
    assert best
    for name, tensor in best.items():
        assert torch.equal(found[name], tensor), name


def test_weights_are_safetensors_that_other_programs_open(run, again):
    from safetensors.numpy import load_file

    weights = load_file(run / "model" / "weights.safetensors")
    assert {n.split(".")[0] for n in weights} == {"model", "nets"}
    for name, tensor in again.model.state_dict().items():
        np.testing.assert_array_equal(weights[f"model.{name}"], tensor.numpy())
    for n in again.nets:
        for name, tensor in n.encoder.state_dict().items():
            np.testing.assert_array_equal(weights[f"nets.{n.name}.encoder.{name}"], tensor.numpy())
    config = json.loads((run / "model" / "model.json").read_text("utf-8"))["config"]
    assert config == again.config.model_dump(mode="json")


def test_with_its_data_a_run_scores_as_it_did(run):
    study, inputs, trained, reader = reopen_with_data(run, Registry.discover(), quiet)
    said = json.loads((run / "metrics.json").read_text("utf-8"))
    for kind, losses in decoding_losses(reader).items():
        assert losses == pytest.approx(said[kind]["loss"], rel=1e-6)
    assert list(study.subjects) == trained.model.subjects
    assert inputs.brain.state["mask"].sum() == 8
    for subject, y in reader.predicted[0].items():
        written = voxels(next((run / "predictions").glob(f"{subject}_*.nii.gz")))
        np.testing.assert_allclose(written, y, atol=1e-5)


def test_the_model_needs_none_of_the_studys_files(run, tmp_path, again):
    shutil.copytree(run / "model", tmp_path / "läuft" / "model")
    shutil.copy(run / "run.json", tmp_path / "läuft")
    alone = reopen(tmp_path / "läuft", Registry.discover())
    weights = again.model.state_dict()
    assert all(torch.equal(weights[name], w) for name, w in alone.model.state_dict().items())
    assert alone.brain == again.brain
    assert alone.modalities == again.modalities
    with pytest.raises(ConfigError, match=r"has no study\.json"):
        reopen_with_data(tmp_path / "läuft", Registry.discover(), quiet)


def test_the_model_is_not_written_twice(run, study, capsys):
    before = (run / "model").stat().st_mtime_ns
    assert call(capsys, *arguments(study, run))[0] == 0
    assert (run / "model").stat().st_mtime_ns == before


def test_a_disk_that_fills_while_the_model_is_written_is_one_line(run, study, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise SafetensorError("No space left on device")

    out = tmp_path / "run"
    shutil.copytree(run, out)
    shutil.rmtree(out / "model")
    monkeypatch.setattr("giblet.pipeline.saving.save_file", full)
    code, _, told = call(capsys, *arguments(study, out))
    assert code
    assert told.strip().splitlines()[-1].startswith(f"giblet: cannot write {out / 'model'}: No space left on device")
    assert not [p for p in out.iterdir() if "model" in p.name]


def test_others_may_read_the_weights_as_they_may_the_rest(run):
    modes = {p.stat().st_mode for p in (run / "model").iterdir()}
    assert len(modes) == 1


# Unseen films


def test_the_training_film_is_predicted_as_the_run_predicted_it(run, again, study, tmp_path):
    """But for cleaning: the run's blocks are cleaned one by one, an unseen film as a whole."""
    entry = StimulusEntry(name="film", film=study / "film.mp4", annotations=str(study / "film.tsv"))
    film = read_film(again, make_stimulus(entry, tmp_path), Fraction(0), TRS, quiet)
    _, inputs, _, _ = reopen_with_data(run, again.registry, quiet)
    blocks = replace(film, timeline=replace(film.timeline, cleaning=inputs.timelines[0].cleaning))
    scans = predicted_scans(again, blocks, quiet)
    for subject in again.subjects:
        written = voxels(next((run / "predictions").glob(f"{subject}_*.nii.gz")))
        np.testing.assert_allclose(scans[subject], written, atol=1e-5)
    plain = predicted_scans(again, replace(film, timeline=replace(film.timeline, cleaning={})), quiet)["average"]
    whole = again.brain.clean(plain, [slice(0, TRS)], TR_S)
    np.testing.assert_allclose(
        predicted_scans(again, film, quiet)["average"], whole, atol=0.01
    )  # the heads' constants stay


def test_a_prediction_is_a_scan_for_each_and_their_mean(run, study, tmp_path, capsys):
    out = tmp_path / "Vorhersage"
    film = ["predict", run, study / "film.mp4", "--annotations", study / "film.tsv", "--trs", 100, "--out", out]
    code, said, err = call(capsys, *film, "--json")
    assert (code, err) == (0, "")
    told = json.loads(said)
    assert told == json.loads((out / "prediction.json").read_text("utf-8"))
    assert (told["n_trs"], told["missing"], told["cleaned"]) == (100, {}, True)
    mean = np.mean([voxels(out / name) for who, name in told["files"].items() if who != "average"], 0)
    np.testing.assert_allclose(voxels(out / told["files"]["average"]), mean, atol=1e-5)
    assert nibabel.load(out / told["files"]["average"]).header.get_zooms()[3] == pytest.approx(TR_S)


def test_another_film_from_an_offset_and_what_it_lacks(run, tmp_path, capsys):
    write_stimulus(tmp_path, "stumm ü", 5, 40, sound=False)
    film = tmp_path / "stumm ü.mp4"
    code, said, err = call(capsys, "predict", run, film, "--offset", "6", "--trs", "20", "--out", tmp_path / "out")
    assert code == 0
    assert said.startswith("20 TRs of 1.5 s from video")
    assert err == "note: stumm ü.mp4 has no audio; it was left out\nnote: no text was given; it was left out\n"
    assert json.loads((tmp_path / "out" / "prediction.json").read_text("utf-8"))["notes"] == []
    assert np.std(voxels(tmp_path / "out" / "average_predicted.nii.gz")) > 0
    code, _, err = call(capsys, "predict", run, film, "--trs", "41", "--out", tmp_path / "out")
    assert code == 2
    assert "there are 40 TRs of 1.5 s, and --trs 41 cannot be predicted" in err


def test_a_film_that_ends_a_little_late_has_no_empty_last_tr(again, tmp_path):
    """As long as a scan of 40 TRs, but for what its last frame lasts; a last TR that a frame lies in is kept."""
    frames = [np.full((48, 64, 3), 5 * (i % 40), np.uint8) for i in range(242)]
    for n in (240, 242):
        write_film(tmp_path / f"{n}.mp4", frames[:n], Fraction(4000, 1001))
    films = [make_stimulus(StimulusEntry(name="film", film=tmp_path / f"{n}.mp4"), tmp_path) for n in (240, 242)]
    late, later = (read_film(again, film, Fraction(0), None, quiet) for film in films)
    assert (late.timeline.grid.n_trs, late.notes) == (40, [])
    assert (later.timeline.grid.n_trs, later.notes) == (41, [])
    with pytest.raises(ConfigError, match=r"there are 40 TRs of 1.5 s, and --trs 41 cannot be predicted"):
        read_film(again, films[0], Fraction(0), 41, quiet)
    with pytest.raises(ConfigError, match=r"there are 0 TRs of 1.5 s, and none can be predicted"):
        read_film(again, films[0], Fraction(60), None, quiet)


def test_what_a_signal_does_not_cover_is_said(run, tmp_path, capsys):
    write_stimulus(tmp_path, "film", 5, 20)
    (tmp_path / "late.tsv").write_text("onset\tduration\ttext\n900\t3\tTo be or not to be.\n")
    late = ["--annotations", tmp_path / "late.tsv", "--trs", "12", "--out", tmp_path / "out"]
    code, said, err = call(capsys, "predict", run, tmp_path / "film.mp4", *late)
    assert code == 0
    assert said.startswith(("12 TRs of 1.5 s from video, audio\n", "12 TRs of 1.5 s from audio, video\n"))
    assert "note: text covers none of the 12 TRs, and says nothing; check its times and --offset\n" in err
    assert "note: nothing was cleaned: of fewer than 20 TRs drifts would take all\n" in err


def test_what_cannot_be_used_is_refused(run, study, tmp_path, capsys):
    out = ["--out", tmp_path / "out"]
    np.save(tmp_path / "neu.npy", np.zeros((50, 4)))
    code, _, err = call(
        capsys, "predict", run, study / "film.mp4", "--features", f"motion={tmp_path / 'neu.npy'}", *out
    )
    assert code == 2
    assert "the run has no features 'motion'" in err
    scan = next(study.glob("sub-a*.nii"))
    for setting in (["--transposed"], ["--variable", "x"]):
        code, _, err = call(capsys, "decode", run, scan, *setting, *out)
        assert code == 2
        assert "transposed, variable and right are for tables" in err
    assert not (tmp_path / "out").exists()


def test_a_shifted_film_is_predicted_shifted(again, tmp_path):
    """Where the film begins at another volume, the prediction is the same, as many TRs later."""
    write_stimulus(tmp_path, "film", 7, 60)
    stimulus = make_stimulus(StimulusEntry(name="film", film=tmp_path / "film.mp4"), tmp_path)
    films = [read_film(again, stimulus, Fraction(k) * Fraction(3, 2), None, quiet) for k in (0, 10)]
    films = [replace(film, timeline=replace(film.timeline, cleaning={})) for film in films]
    a, b = (predicted_scans(again, film, quiet)["average"] for film in films)
    taps = again.model.hemodynamics.taps
    # Other TRs share its batch, so sums are rounded otherwise; a film one TR off differs a hundred times as much.
    np.testing.assert_allclose(a[10 + taps :], b[taps:], atol=1e-4)
    assert np.abs(a[11 + taps :] - b[taps:-1]).max() > 1e-2


def test_a_film_at_twice_the_rate_is_read_over_its_whole_tr(again, tmp_path):
    """Frames of 8 a second are thinned to the 4 a second that the model knows, not cut off in the middle of a TR."""
    rng = np.random.default_rng(0)
    light = rng.uniform(0, 255, 80).repeat(3)  # changes in the middle of each TR too
    films = {}
    for fps, times in ((4, 1), (8, 2)):
        frames = (np.full((48, 64, 3), v, np.uint8) for v in light.repeat(times))
        write_film(tmp_path / f"{fps}.mp4", frames, Fraction(fps))
        stimulus = make_stimulus(StimulusEntry(name="film", film=tmp_path / f"{fps}.mp4"), tmp_path)
        films[fps] = predicted_scans(again, read_film(again, stimulus, Fraction(0), None, quiet), quiet)["average"]
    assert np.corrcoef(films[4].ravel(), films[8].ravel())[0, 1] > 0.99


# Measured scans


def cut_scan(source, path, part):
    image = nibabel.load(source)
    nibabel.save(image.slicer[..., part], path)
    return path


def test_a_test_scan_is_decoded_as_the_run_decodes_it(run, study, tmp_path, capsys):
    _, _, _, reader = reopen_with_data(run, Registry.discover(), quiet)
    (timeline, block), subject = reader.places()[0], reader.model.subjects[1]
    scan = cut_scan(next(study.glob("sub-b*.nii")), tmp_path / "prüfung.nii", block.trs)
    z = reader.latent("measured", timeline, block, subject)
    assert known_notes(run, scan) == [], "a part of a scan is another file"
    again = reopen(run, Registry.discover())
    y, valid = read_scan(again, scan, subject, None)
    assert valid.all()
    np.testing.assert_allclose(y, reader.scan("measured", timeline, block, subject), atol=1e-4)
    np.testing.assert_allclose(latent_of(again, y, valid, subject), z, atol=1e-3)

    code, said, _ = call(capsys, "decode", run, scan, "--subject", subject, "--out", tmp_path / "out", "--json")
    assert code == 0
    told = json.loads(said)
    assert set(told["files"]) == {"video", "audio", "text"}
    for n in reader.nets:
        aligned = reader.timelines[timeline].aligned[n.name]
        own = decoded(n, reader, reader.model.rebuild(z)[n.name], aligned, block)
        again.modalities[n.name].reconstruct(cut(aligned, block, own), tmp_path / n.name)
    texts = [column(path / "text.tsv", "recovered") for path in (tmp_path, tmp_path / "out")]
    assert texts[0] == texts[1]
    films = [
        np.concatenate([c.values for c in read_frames(p / "video.mp4", 64, 48)]) for p in (tmp_path, tmp_path / "out")
    ]
    np.testing.assert_allclose(*(f.mean((1, 2, 3)) for f in films), atol=1)
    sounds = [
        np.concatenate([c.values for c in read_sound(p / "audio.wav", 22_050)]) for p in (tmp_path, tmp_path / "out")
    ]
    assert [len(s) for s in sounds] == [round((block.stop - block.start) * TR_S * 22_050)] * 2
    assert np.corrcoef(*(np.square(s[:, 0]).reshape(-1, 105).mean(1) for s in sounds))[0, 1] > 0.99


def column(path, name):
    with path.open(encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file, delimiter="\t")]


def test_somebody_new_is_read_by_everybodys_heads(run, again, study, tmp_path, capsys):
    scan = next(study.glob("sub-a*.nii"))
    code, said, err = call(capsys, "decode", run, scan, "--seconds", "12", "--out", tmp_path / "out")
    assert code == 0
    assert said.startswith(f"8 of {TRS} TRs of 1.5 s, read by the mean of everybody's heads")
    assert f"note: {scan.name} is the scan of sub-anna run-1 of the run's own study" in err
    y, valid = read_scan(again, scan, None, None)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-3)
    alone = replace(again, blueprint=replace(again.blueprint, voxels={"sub-x": 8}))
    with pytest.raises(ConfigError, match="cannot read somebody new"):
        latent_of(alone, y, valid, None)


def test_a_scan_of_somebody_else_is_said_to_be_theirs(run, again, study, tmp_path, capsys):
    scan, (other, mine) = next(study.glob("sub-b*.nii")), again.subjects
    foreign = f"{scan.name} is {mine}'s scan, read by the head of {other}: what is read is not to be trusted"
    for who in (mine, other):
        out = ["--seconds", "12", "--out", tmp_path / who]
        code, said, err = call(capsys, "decode", run, scan, "--subject", who, *out)
        assert code == 0
        assert f"read by the head of {who}\n" in said
        assert (f"note: {foreign}; give --subject {mine}\n" in err) == (who == other)
        assert f"{scan.name} is the scan of {mine} run-1 of the run's own study" in err
        told = json.loads((tmp_path / who / "decoded.json").read_text("utf-8"))
        assert told["read_by"] == f"the head of {who}"
        assert any(foreign in note for note in told["notes"]) == (who == other)


def test_what_was_read_is_named_with_its_full_path(run, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(study)
    here, folder = os.path.relpath(run), tmp_path / "out"
    assert call(capsys, "predict", here, "film.mp4", "--annotations", "film.tsv", "--out", folder)[0] == 0
    told = json.loads((folder / "prediction.json").read_text("utf-8"))
    assert told["film"] == "film.mp4"
    files = {name: Path(found["file"]) for name, found in told["modalities"].items()}
    assert files == {"video": study / "film.mp4", "audio": study / "film.mp4", "text": study / "film.tsv"}
    scan = next(Path().glob("sub-a*.nii"))
    assert call(capsys, "decode", here, scan, "--seconds", "3", "--out", tmp_path / "decoded")[0] == 0
    decoded = json.loads((tmp_path / "decoded" / "decoded.json").read_text("utf-8"))
    assert Path(decoded["scan"]) == study / scan
    for found in (told["run"], decoded["run"]):
        assert Path(found).is_absolute()
        assert Path(found).resolve() == run.resolve()
    code, _, err = call(capsys, "predict", here, "film.mp4", "--offset", "900", "--out", folder)
    assert code == 2
    assert "film.mp4 ends at 450.0 s: from --offset 900 on there are 0 TRs" in err


def test_decoders_read_the_scan_and_nothing_else(again, study):
    y, valid = read_scan(again, next(study.glob("sub-a*.nii")), None, None)
    silent = latent_of(again, 0 * y, valid, None)[50:200].std(0)
    assert torch.equal(silent, torch.zeros_like(silent))


# Tables in place of films and images


@pytest.fixture(scope="module")
def tables(tmp_path_factory, cache):
    """A run of two members on ready-made features and tables of parcels alone."""
    folder = tmp_path_factory.mktemp("tafeln")
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 3))
    np.save(folder / "rating.npy", x)
    for person in PEOPLE:
        np.savetxt(folder / f"sub-{person}.tsv", x @ rng.standard_normal((3, 5)), delimiter="\t")
    files = ["--features", f"rating={folder / 'rating.npy'}", "--bold", str(folder / "sub-*.tsv"), "--tr", "1.5"]
    finish(["run", *files, *SMALL, "-o", "train.ensemble=2", "--out", str(folder / "run")], cache)
    return folder


def test_an_ensemble_is_opened_again_whole(tables):
    _, _, trained, reader = reopen_with_data(tables / "run", Registry.discover(), quiet)
    assert len(trained.model.members) == 2
    for subject, y in reader.predicted[0].items():
        written = np.loadtxt(next((tables / "run" / "predictions").glob(f"{subject}_*.tsv")), skiprows=1)
        np.testing.assert_allclose(written, y, atol=1e-5)


def test_features_alone_are_predicted_as_tables(tables, tmp_path, capsys):
    np.save(tmp_path / "neu.npy", np.random.default_rng(3).standard_normal((50, 3)))
    new = ["--features", f"rating={tmp_path / 'neu.npy'}", "--out", tmp_path / "out"]
    code, said, _ = call(capsys, "predict", tables / "run", *new)
    assert code == 0
    assert said.startswith("50 TRs of 1.5 s from rating")
    assert np.loadtxt(tmp_path / "out" / "average_predicted.tsv", skiprows=1).shape == (50, 5)
    np.save(tmp_path / "neu.npy", np.zeros((50, 4)))
    code, _, err = call(capsys, "predict", tables / "run", *new)
    assert code == 2
    assert "rating has 4 values a sample, the model was trained on 3" in err


def test_a_film_without_anything_that_the_model_reads_is_refused(tables, study, tmp_path, capsys):
    code, _, err = call(capsys, "predict", tables / "run", study / "film.mp4", "--out", tmp_path / "out")
    assert code == 2
    assert "film.mp4 has nothing that the model reads: no rating was given" in err


def test_a_table_of_unknown_tr_is_taken_at_the_runs_and_said(tables):
    again, scan = reopen(tables / "run", Registry.discover()), next(tables.glob("sub-a*.tsv"))
    assert clock_notes(again, scan, None) == ["TR not stated, taken as 1.5 s"]
    assert clock_notes(again, scan, Fraction(3, 2)) == []


def test_a_model_of_features_alone_has_nothing_to_play(tables, tmp_path, capsys):
    scan = next(tables.glob("sub-a*.tsv"))
    code, _, err = call(capsys, "decode", tables / "run", scan, "--out", tmp_path / "out")
    assert code == 2
    assert "can be played: rating" in err


# What is refused


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: write_scan(p, np.zeros((50, 8)), tr_s=2.0), "has a TR of 2 s, the run's scans have 1.5 s"),
        (lambda p: write_scan(p, np.zeros((50, 8)), affine=2 * AFFINE), "of the mask: its affine differs"),
        (lambda p: nibabel.save(nibabel.Nifti1Image(np.zeros((4, 3, 3, 50), np.float32), AFFINE), p), "4 x 3 x 3"),
        (lambda p: write_scan(p, np.zeros((10, 8))), "has 10 volumes; at least 20"),
    ],
)
def test_a_scan_of_another_space_or_clock_is_refused(run, tmp_path, capsys, make, why):
    make(tmp_path / "scan.nii")
    tr_s = ["--tr", "1.5"] if "4 x 3 x 3" in why else []
    code, _, err = call(capsys, "decode", run, tmp_path / "scan.nii", "--out", tmp_path / "out", *tr_s)
    assert code == 2
    assert why in err


def test_a_table_for_images_and_an_unknown_subject_are_refused(run, study, tmp_path, capsys):
    np.savetxt(tmp_path / "scan.tsv", np.zeros((50, 8)), delimiter="\t")
    code, _, err = call(capsys, "decode", run, tmp_path / "scan.tsv", "--out", tmp_path / "out")
    assert code == 2
    assert "is a table, the run's scans are images" in err
    scan = next(study.glob("sub-a*.nii"))
    code, _, err = call(capsys, "decode", run, scan, "--subject", "sub-ann", "--out", tmp_path / "out")
    assert code == 2
    assert "did you mean" in err


def test_what_is_no_run_or_not_finished_is_refused(run, tmp_path, capsys):
    code, _, err = call(capsys, "predict", tmp_path, tmp_path / "film.mp4")
    assert code == 2
    assert "is not the folder of a run" in err
    (tmp_path / "run.json").write_text("{}")
    code, _, err = call(capsys, "decode", tmp_path, tmp_path / "scan.nii")
    assert code == 2
    assert "is not trained to its end" in err
    (tmp_path / "fold-1").mkdir()
    (tmp_path / "fold-1" / "run.json").write_text("{}")
    code, _, err = call(capsys, "decode", tmp_path, tmp_path / "scan.nii")
    assert code == 2
    assert f"holds folds, each a run of its own; give one, for example {tmp_path / 'fold-1'}" in err
    shutil.copytree(run / "model", tmp_path / "model")
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"torn")
    code, _, err = call(capsys, "decode", tmp_path, tmp_path / "scan.nii")
    assert code == 2, err
    assert "is damaged" in err


def test_other_folders_are_not_written_over(run, study, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    for command, file in (("predict", "film.mp4"), ("decode", "mask.nii")):
        code, _, err = call(capsys, command, run, study / file, "--out", tmp_path)
        assert code == 2
        assert "is not empty" in err
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["notes.txt"]


def test_plugins_that_are_gone_or_changed_are_said(run):
    registry = Registry.discover()
    registry.plugins["audio_mel"].version = "99"
    assert [n for n in reopen(run, registry).notes if "giblet-audio-mel is 99 here" in n]
    owner = registry.plugins.pop("audio_mel").distribution
    with pytest.raises(PluginError, match=rf"needs the plugin 'audio_mel', .* pip install {owner}=="):
        reopen(run, registry)


def test_files_of_the_study_that_are_gone_or_changed_are_said(run, study, tmp_path):
    moved = tmp_path / "umgezogen"
    shutil.copytree(run, moved)
    record = json.loads((moved / "study.json").read_text("utf-8"))
    record["scans"][0]["bold"] = str(tmp_path / "weg.nii")
    (moved / "study.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"weg\.nii, which is gone; put it back, or name the study's new place with"):
        reopen_with_data(moved, Registry.discover(), quiet)
    write_scan(tmp_path / "weg.nii", np.zeros((TRS, 8)))
    with pytest.raises(DataError, match="has changed since the run"):
        reopen_with_data(moved, Registry.discover(), quiet)
    again = study_from_flags([study / "film.mp4"], [str(study / "film.tsv")], [str(study / "sub-*.nii")])
    assert reopen_with_data(moved, Registry.discover(), quiet, again).study is again
