"""The demo study: what it promises of its time, its causes, its media and its scans."""

from __future__ import annotations

import hashlib
import json
import tomllib
from functools import cache
from pathlib import Path

import av
import nibabel
import numpy as np
import pandas as pd
import pytest
from giblet.data.demo import make_demo
from giblet.data.demo.atlas import make_atlas
from giblet.data.demo.brain import hrf, make_people
from giblet.data.demo.cleaning import clean_blocks
from giblet.data.demo.film import frames
from giblet.data.demo.lesions import reader_losses
from giblet.data.demo.schedule import CAUSES, FPS_HZ, Plan
from giblet.data.demo.sound import sound as sound_of
from giblet.data.demo.story import CLAUSES, sentences
from giblet.data.demo.world import make_world, worst_r
from giblet.errors import ConfigError
from sklearn.linear_model import Ridge

RUNS = ("run-1", "run-2")
drawn = cache(make_world)


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("demo") / "study").parent


@pytest.fixture(scope="session")
def truth(demo):
    return json.loads((demo / "truth.json").read_text())


@pytest.fixture(scope="module")
def world():
    return drawn(0)


def picture(folder: Path, run: str) -> np.ndarray:
    with av.open(str(folder / f"{run}.mp4")) as film:
        return np.stack([frame.to_ndarray() for frame in film.decode(video=0)])


def sound(folder: Path, run: str) -> np.ndarray:
    with av.open(str(folder / f"{run}.mp4")) as film:
        return np.concatenate([frame.to_ndarray().ravel() for frame in film.decode(audio=0)])


def bold(folder: Path, subject: int, run: str) -> np.ndarray:
    image = nibabel.load(folder / f"sub-{subject:02d}_{run}_bold.nii")
    return np.asarray(image.dataobj)[make_atlas().mask].T.astype(float)


@pytest.fixture(scope="session")
def pictures(demo):
    return {run: picture(demo, run) for run in RUNS}


@pytest.fixture(scope="session")
def sounds(demo):
    return {run: sound(demo, run) for run in RUNS}


@pytest.mark.slow
def test_study_file_names_files_that_exist(demo):
    study = tomllib.loads((demo / "study.toml").read_text())
    named = [study["study"][k] for k in ("atlas", "labels", "truth")]
    named += [s[k] for s in study["stimulus"] for k in ("film", "annotations")] + [s["bold"] for s in study["scan"]]
    assert all((demo / name).is_file() for name in named)
    assert len(study["scan"]) == 12
    assert len({s["subject"] for s in study["scan"]}) == 6
    assert study["split"] == {run: [list(b) for b in blocks] for run, blocks in Plan().split.items()}


@pytest.mark.slow
def test_films_last_exactly_as_long_as_the_scans(demo, pictures, sounds):
    for run in RUNS:
        assert pictures[run].shape == (6000, 135, 160)
        assert len(sounds[run]) == 480 * 24_000
        with av.open(str(demo / f"{run}.mp4")) as film:
            assert film.streams.video[0].average_rate == FPS_HZ
            assert [f.pts * f.time_base * 25 for f in film.decode(video=0)] == list(range(0, 12_000, 2))


@pytest.mark.slow
def test_annotations_cover_the_film_without_a_gap(demo):
    for run in RUNS:
        table = pd.read_csv(demo / f"{run}_annotations.tsv", sep="\t")
        assert list(table.columns) == ["onset", "duration", "text"]
        ends = table.onset + table.duration
        assert table.onset[0] == 0
        assert ends.iloc[-1] == pytest.approx(480)
        assert np.allclose(ends[:-1], table.onset[1:])


@pytest.mark.slow
def test_scans_have_their_clock_and_a_head(demo):
    image = nibabel.load(demo / "sub-01_run-1_bold.nii")
    assert image.shape == (14, 14, 10, 320)
    assert image.header.get_zooms()[3] == 1.5
    assert image.header.get_xyzt_units() == ("mm", "sec")
    sidecar = json.loads((demo / "sub-01_run-1_bold.json").read_text())
    assert (sidecar["RepetitionTime"], sidecar["slice_time_ref"]) == (1.5, 0.5)
    mean = np.asarray(image.dataobj).mean(-1)
    assert mean[make_atlas().mask].min() > 20 * mean[~make_atlas().mask].max()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:nilearn")
def test_nilearn_finds_the_same_head(demo):
    from nilearn.masking import compute_epi_mask

    found = compute_epi_mask(str(demo / "sub-02_run-2_bold.nii"), opening=0, connected=False).get_fdata() > 0
    assert (found == make_atlas().mask).mean() > 0.95


@pytest.mark.slow
def test_atlas_has_names_and_half_of_it_is_quiet(demo):
    labels = pd.read_csv(demo / "atlas.tsv", sep="\t")
    volume = np.asarray(nibabel.load(demo / "atlas.nii").dataobj)
    assert sorted(np.unique(volume[volume > 0])) == list(labels["index"])
    assert (labels.network == "quiet").mean() >= 0.5
    assert set(labels.network) == {"visual", "auditory", "language", "association", "quiet"}


WORLDS = pytest.mark.parametrize(("seed", "films"), [(0, 2), (1, 2), (2, 2), (0, 5)])


@WORLDS
def test_processes_are_independent(seed, films):
    names, latents = drawn(seed, films).latents()
    assert latents.shape[:2] == (films, 320)
    assert worst_r(names, latents.reshape(-1, len(names))) < 0.1


def test_every_film_is_rendered():
    """The last of five is as long as the others, and its own."""
    world = drawn(0, 5)
    shots = [sum(1 for shot in frames(world, run) for _ in shot) for run in (1, 4)]
    waves = [sound_of(world, run) for run in (1, 4)]
    assert shots == [6000, 6000]
    assert [len(wave) for wave in waves] == [480 * 24_000] * 2
    assert abs(np.corrcoef(*waves)[0, 1]) < 0.1


@WORLDS
def test_every_level_recurs_in_every_block(seed, films):
    world = drawn(seed, films)
    for cause in CAUSES:
        for block in range(len(world.plan.blocks)):
            levels = world.level[cause.name][world.units.block == block]
            assert set(levels) == set(range(len(cause.levels))), (cause.name, block)


@pytest.mark.parametrize("films", [2, 3, 8])
def test_one_film_is_tested_and_every_tr_is_in_one_block(films):
    plan = Plan(films)
    tested = {run: [label for label, _, _ in blocks if label != "train"] for run, blocks in plan.split.items()}
    assert list(tested) == [f"run-{r + 1}" for r in range(films)]
    assert {run for run, others in tested.items() if others} == {"run-2"}
    assert tested["run-2"] == ["validation", "test"]
    trs = sorted((run, tr) for run, first, last in plan.blocks for tr in range(first, last))
    assert trs == [(run, tr) for run in range(films) for tr in range(320)]
    assert plan.blocks[-1] == (1, 220, 320)


def test_one_film_is_too_few(tmp_path):
    with pytest.raises(ConfigError, match="a demo needs at least 2 films, not 1"):
        make_demo(tmp_path / "study", films=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("films", [2, 5])
def test_shots_and_sentences_fill_the_films(films):
    units = drawn(0, films).units
    for run in range(films):
        mine = units.run == run
        assert units.start[mine][0] == 0
        assert units.stop[mine][-1] == 6000
        assert np.array_equal(units.start[mine][1:], units.stop[mine][:-1])
    shots_s = np.bincount(units.shot, units.weight)
    assert shots_s.min() > 3.5
    assert shots_s.max() < 12


def test_sentences_say_what_happens_and_differ(world):
    texts = sentences(world)
    assert len(set(texts)) == len(texts)
    for unit, text in enumerate(texts):
        for cause, clauses in CLAUSES.items():
            said = [any(words.lower() in text.lower() for words in level.split("|")) for level in clauses]
            assert said[world.level[cause][unit]], (cause, text)


@pytest.mark.slow
def test_picture_latents_are_in_the_pixels(world, pictures):
    """Frame differences follow motion energy, luminance its contrast, and chrominance its hue."""
    for r, run in enumerate(RUNS):
        luma = pictures[run][:, :90].astype(np.float32)
        change = np.r_[0, np.abs(np.diff(luma, axis=0)).mean((1, 2))]
        change[world.units.start[world.units.run == r]] = np.nan
        at = world.at(r, (np.arange(6000) + 0.5) / FPS_HZ)
        motion = (world.value("motion") * world.value("contrast"))[at]
        kept = ~np.isnan(change)
        assert np.corrcoef(change[kept], motion[kept])[0, 1] > 0.8
        assert np.corrcoef(luma.std((1, 2)), world.value("contrast")[at])[0, 1] > 0.8
        chroma = pictures[run][:, 90:].reshape(6000, 2, -1).mean(2) - 128
        hue = np.exp(1j * np.deg2rad(world.value("colour")[at]))
        seen = chroma[:, 0] + 1j * chroma[:, 1]
        assert np.abs(np.angle(seen / hue)).max() < np.deg2rad(30)


@pytest.mark.slow
def test_sound_latents_are_in_the_waveform(world, sounds):
    """In each shot the loudest modulation is the rhythm, and the comb of harmonics is the pitch."""
    units = world.units
    rhythms, pitches = [], []
    for shot in np.unique(units.shot[units.run == 1]):
        first, last = np.flatnonzero(units.shot == shot)[[0, -1]]
        wave = sounds["run-2"][round(units.start[first] * 1920) : round(units.stop[last] * 1920)]
        rhythms.append((peak_hz(envelope(wave), 100, 1.0, 12.0), world.value("rhythm")[first]))
        pitches.append((autocorrelation_hz(wave), world.value("pitch")[first]))
    for measured, true in (np.log2(rhythms).T, np.log2(pitches).T):
        assert np.corrcoef(measured, true)[0, 1] > 0.95
        assert np.median(np.abs(measured - true)) < 0.1


def envelope(wave: np.ndarray) -> np.ndarray:
    return np.abs(wave[: len(wave) // 240 * 240]).reshape(-1, 240).mean(1)


def peak_hz(x: np.ndarray, rate_hz: float, low: float, high: float) -> float:
    spectrum = np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)), 16 * len(x)))
    frequency = np.fft.rfftfreq(16 * len(x), 1 / rate_hz)
    within = (frequency > low) & (frequency < high)
    return float(frequency[within][np.argmax(spectrum[within])])


def autocorrelation_hz(wave: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(wave, 2 * len(wave))) ** 2
    lags = np.fft.irfft(power)[: 24_000 // 90]
    shortest = 24_000 // 450
    peaks = lags[shortest:] >= 0.97 * lags[shortest:].max()
    return 24_000 / (shortest + int(np.flatnonzero(peaks)[0]))


def test_response_peaks_when_it_is_told_to():
    for peak_s in (4.0, 5.5, 7.0):
        assert np.argmax(hrf(peak_s)) / 10 == pytest.approx(peak_s, abs=0.1)


def test_glover_shape_is_nilearns():
    """Stretched to nilearn's peak, our response is its Glover response."""
    from nilearn.glm.first_level import glover_hrf

    theirs = glover_hrf(t_r=0.1, oversampling=1, time_length=36.0)
    ours = hrf(float(np.argmax(theirs)) / 10)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.98


def test_cleaning_is_nilearns():
    from nilearn.signal import clean

    x = np.random.default_rng(0).standard_normal((2, 320, 5)).cumsum(1)
    ours = clean_blocks(x)
    for run, first, last in Plan().blocks:
        slow = {"filter": "cosine", "high_pass": 1 / 128} if (last - first) * 1.5 >= 64 else {"filter": False}
        theirs = clean(x[run, first:last], t_r=1.5, standardize=None, **slow)
        assert np.allclose(ours[run, first:last], theirs, atol=1e-8)


@pytest.mark.slow
def test_ceilings_are_in_range_and_bound_the_rest(truth):
    heard = np.array([not name.startswith("quiet") for name in truth["voxel_parcel"]])
    assert len(heard) == make_atlas().mask.sum()
    for person in truth["subjects"].values():
        ceiling = np.array(person["ceiling"])
        assert ceiling[heard].min() >= 0.299
        assert ceiling[heard].max() <= 0.701
        assert not ceiling[~heard].any()
        mean = person["mean"]
        assert mean["oracle_r"] == pytest.approx(mean["ceiling"], abs=0.02)
        assert 0 < mean["fir_r"] < mean["ceiling"]
        assert mean["canonical_r"] < mean["informed_r"] < mean["ceiling"]
    assert truth["group"]["mean"]["ceiling"] > max(p["mean"]["ceiling"] for p in truth["subjects"].values())


@pytest.mark.slow
def test_oracle_is_what_the_written_scans_give(demo, world, truth):
    """The oracle computed again from the NIfTI files on disk."""
    person = make_people(world)[2]
    y = clean_blocks(np.stack([bold(demo, 3, run) for run in RUNS]))[1, 220:320]
    signal = clean_blocks(person.signal)[1, 220:320]
    heard = np.array(truth["subjects"]["sub-03"]["ceiling"]) > 0
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(y.T[heard], signal.T[heard], strict=True)]
    assert np.allclose(r, np.array(truth["subjects"]["sub-03"]["oracle_r"])[heard], atol=1e-3)


@pytest.mark.slow
def test_peaks_spread_over_people_and_regions(truth):
    peaks = np.array([list(p["hrf_peak_s"].values()) for p in truth["subjects"].values()])
    people, regions = peaks.mean(1), peaks.mean(0) - peaks.mean()
    assert 2 < np.ptp(people) <= 3.5
    assert np.abs(regions).max() <= 1.3


@pytest.mark.slow
def test_regions_carry_what_they_should(truth):
    assert truth["lesions"]["first"] == {"visual": "video", "auditory": "audio", "language": "text"}
    table = truth["decoding"]["subject_mean"]
    for modality, region in (("video", "visual"), ("audio", "auditory"), ("text", "language")):
        assert table[modality][region] > 0.8
        assert table[modality]["association"] > 0.7
        assert [r for r, v in table[modality].items() if v is None] == [
            r for r in ("visual", "auditory", "language") if r != region
        ]


@pytest.mark.slow
def test_a_region_that_processes_share_holds_more_than_can_be_read_there(truth):
    """Film, sound and words meet in the association regions: what else is there is in a reader's way."""
    effect, power = truth["lesions"]["effect"], truth["lesions"]["power"]
    for modality, region in (("video", "visual"), ("audio", "auditory"), ("text", "language")):
        assert power["association"][modality] > 0.4 * power[region][modality]
        assert 0.04 < effect["association"][modality] < 0.2 * effect[region][modality]
        others = [effect[r][modality] for r in ("visual", "auditory", "language", "quiet") if r != region]
        assert max(map(abs, others)) < 0.03
        assert sum(row[modality] for row in power.values()) == pytest.approx(1, abs=1e-3)


def test_an_oracle_without_a_region_is_a_ridge_that_sees_other_moments():
    """scikit-learn's ridge from noiseless scans, shown every other moment of the region of each of two people."""
    rng = np.random.default_rng(0)
    cause, other = rng.standard_normal((2, 640, 3))
    part, rest = (x @ rng.standard_normal((3, 10)) for x in (cause, other))
    part[:, 6:], rest[:, :4] = 0, 0
    signal, sd = part + rest, 2.0
    scan = signal + sd * rng.standard_normal(signal.shape)
    test = slice(320 + 220, 640)
    for x in (part, signal, scan):
        x[test] -= x[test].mean(0)
    regions = [np.array([1, 1, 0, 0, 0], bool), np.array([0, 0, 1, 1, 0], bool), np.array([0, 0, 0, 0, 1], bool)]
    shaped = [(x / sd).reshape(2, 320, 5, 2).swapaxes(2, 3) for x in (scan, signal, part)]
    found = reader_losses(*shaped, regions)
    ridge = Ridge(alpha=640, fit_intercept=False).fit(signal / sd, part / sd)
    intact = ridge.predict(scan[test] / sd) - part[test] / sd
    for region, loss in zip(regions, found, strict=True):
        columns = [2 * np.flatnonzero(region) + person for person in range(2)]
        said = [scan[test][:, c] @ ridge.coef_[:, c].T / sd for c in columns]
        turned = [[np.roll(x, moment, 0) for moment in range(100)] for x in said]
        lesioned = [np.square(intact - sum(said) + a + b).sum() for a in turned[0] for b in turned[1]]
        expected = (np.mean(lesioned) - np.square(intact).sum()) / np.square(part[test] / sd).sum()
        assert loss == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_voxels_of_one_sense_hear_one_process(world):
    person, network = make_people(world)[0], make_atlas().of_voxel()
    for region, process in (("visual", "picture"), ("auditory", "sound"), ("language", "story")):
        for other, part in person.parts.items():
            assert part[..., network == region].any() == (other == process)
    assert all(part[..., network == "association"].any() for part in person.parts.values())
    assert not person.signal[..., network == "quiet"].any()


def digest(folder: Path) -> dict[str, str]:
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


@pytest.mark.slow
def test_the_same_seed_makes_the_same_bytes(demo, pictures, tmp_path):
    said = []
    again = make_demo(tmp_path / "again", progress=said.append).parent
    assert said
    ours, theirs = digest(demo), digest(again)
    assert {n: h for n, h in ours.items() if not n.endswith("mp4")} == {
        n: h for n, h in theirs.items() if not n.endswith("mp4")
    }
    assert np.array_equal(pictures["run-2"], picture(again, "run-2"))
    assert not list(tmp_path.glob(".again*"))


@pytest.fixture
def no_films(monkeypatch):
    """Worlds in which the films are empty files, for tests of the scans alone."""
    from giblet.data.demo import write

    monkeypatch.setattr(write, "_render", lambda folder, world: [])


@pytest.mark.slow
def test_null_world_has_no_relation(no_films, demo, tmp_path):
    folder = make_demo(tmp_path / "null", null=True).parent
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["null"] is True
    assert truth["lesions"] is None
    for person in truth["subjects"].values():
        assert not any(person["ceiling"])
        assert person["mean"]["ceiling"] is None
        heard = np.array(person["oracle_r"]) != 0
        assert abs(np.mean(np.array(person["oracle_r"])[heard])) < 0.1
    real, null = bold(demo, 1, "run-1"), bold(folder, 1, "run-1")
    spectra = [np.abs(np.fft.rfft(x, axis=0)) for x in (real, null)]
    assert np.allclose(spectra[0], spectra[1], rtol=1e-3, atol=0.5)
    assert np.allclose(np.corrcoef(real[:, :20].T), np.corrcoef(null[:, :20].T), atol=1e-3)


@pytest.mark.slow
def test_shifted_world_lags_by_that_much(no_films, tmp_path):
    folder = make_demo(tmp_path / "late", seed=1, shifted_s=15.0).parent
    truth = json.loads((folder / "truth.json").read_text())
    scans = clean_blocks(np.mean([[bold(folder, s, run) for run in RUNS] for s in range(1, 7)], axis=0))[0]
    names = np.array(truth["voxel_parcel"])
    lags = np.arange(-8, 20)
    total = np.zeros(len(lags))
    for parcel, signal in truth["signal"].items():
        scan = scans[:, names == parcel].mean(1)
        total += [np.corrcoef(np.roll(signal[:320], lag)[20:-20], scan[20:-20])[0, 1] for lag in lags]
    assert lags[np.argmax(total)] * 1.5 == 15.0
    assert "offset_s = 0.0" in (folder / "study.toml").read_text()


@pytest.mark.slow
def test_more_films_are_more_runs_to_train_on(no_films, tmp_path):
    toml = make_demo(tmp_path / "study", seed=1, films=3)
    truth, study = json.loads((toml.parent / "truth.json").read_text()), tomllib.loads(toml.read_text())
    assert truth["films"] == 3
    assert truth["split"] == study["split"]
    assert study["split"]["run-3"] == [["train", 0, 320]]
    assert [s["name"] for s in study["stimulus"]] == ["run-1", "run-2", "run-3"]
    assert len(study["scan"]) == 18
    assert {len(series) for series in truth["signal"].values()} == {3 * 320}
    for s in range(1, 7):
        runs = [bold(toml.parent, s, f"run-{r}") for r in (1, 2, 3)]
        assert all(run.shape == (320, len(truth["voxel_parcel"])) for run in runs)
    heard = np.array(truth["subjects"]["sub-01"]["ceiling"]) > 0
    assert truth["subjects"]["sub-01"]["mean"]["oracle_r"] == pytest.approx(
        np.array(truth["subjects"]["sub-01"]["ceiling"])[heard].mean(), abs=0.02
    )


def test_refuses_a_folder_that_holds_something(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConfigError, match="already holds something"):
        make_demo(tmp_path)


def test_an_interrupted_demo_leaves_nothing(tmp_path, monkeypatch):
    from giblet.data.demo import write

    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "make_world", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "study")
    assert not list(tmp_path.iterdir())
