"""Reconstructed films as they are watched: sound, lengths, side by side."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet.config import EvaluateConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.data.study import Stimulus, Study
from giblet.errors import DataError
from giblet.media import audio_streams, read_frames, read_sound, video_streams, write_film, write_sound
from giblet.media.panels import side_by_side
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.reconstruct import WRITTEN
from giblet.pipeline.screening import SOUND_HZ, finish_films, original_sound, read_all
from giblet.plugins import Registry
from giblet.types import Features, TRGrid
from giblet.video import film_pictures

TR_S, TRS, RATE_HZ = Fraction(1), 4, Fraction(25, 2)
N = int(TR_S * TRS * RATE_HZ)
T = np.arange(8 * SOUND_HZ) / SOUND_HZ
CHIRP = (0.3 * np.sin(2 * np.pi * (200 + 60 * T) * T)).astype(np.float32)


def pictures(n: int = N, shape: tuple[int, int] = (36, 64), level: int = 90) -> list[np.ndarray]:
    return [np.full((*shape, 3), (level + 2 * k) % 256, np.uint8) for k in range(n)]


def tone(hz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(16_000 * TRS) / 16_000)).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A film of 8 s with sound and one without; the versions of its last half, and the sound that was read back."""
    folder = tmp_path_factory.mktemp("größe 1")
    write_film(folder / "film.mp4", pictures(2 * N), RATE_HZ, CHIRP, SOUND_HZ)
    write_film(folder / "mute.mp4", pictures(2 * N), RATE_HZ)
    for k, v in enumerate(("original", *WRITTEN)):
        write_film(folder / "video" / f"{v}.mp4", pictures(level=20 * k), RATE_HZ)
        write_sound(folder / "audio" / f"{v}.wav", tone(300 + 100 * k), 16_000)
    return folder


def inputs(start_s: int = 0) -> Inputs:
    grid = TRGrid(TR_S, 2 * TRS, Fraction(start_s))
    blocks, scan = (Block("train", 0, TRS), Block("test", TRS, 2 * TRS)), np.zeros((2 * TRS, 1), np.float32)
    timeline = Timeline("film", grid, blocks, {}, {"a": scan}, {"a": np.ones(2 * TRS, bool)})
    return Inputs(Registry.discover(), {}, None, [timeline] * 5, 0, 0.5, {})  # 20 test TRs: enough to be scored


def study(path: Path, **files: Path) -> Study:
    return Study("study", path.parent, (Stimulus("film", files or {"video": path, "audio": path}),), ())


def finished(made: Path, tmp_path: Path, film: str, sound: str, audio: bool = True) -> tuple[dict[str, str], Path]:
    for kind in ("video", "audio") if audio else ("video",):
        shutil.copytree(made / kind, tmp_path / kind)
    config = EvaluateConfig(film_sound=sound, reconstruct_s=60)
    return finish_films(study(made / film), inputs(), config, tmp_path), tmp_path


def heard(path: Path, rate_hz: int = 16_000) -> np.ndarray:
    return Features.concat(read_sound(path, rate_hz)).values[:, 0]


def pitch_hz(path: Path) -> float:
    x = heard(path)[4_000:20_000]
    return float(np.abs(np.fft.rfft(x * np.hanning(len(x)))).argmax()) * 16_000 / len(x)


def require_equal_lengths(path: Path) -> None:
    """Picture and sound end together to within one frame, by their headers and as they are decoded."""
    picture_s = sum(len(c.values) for c in read_frames(path, 16, 9)) / RATE_HZ
    sound_s = len(heard(path)) / 16_000
    said = [streams[0].duration_s for streams in (video_streams(path), audio_streams(path))]
    for length_s in (*said, picture_s, sound_s):
        assert abs(float(length_s) - TRS) <= 1 / RATE_HZ


def test_films_have_the_sound_that_was_read_back(made, tmp_path):
    sound, folder = finished(made, tmp_path, "film.mp4", "reconstructed")
    assert sound == {"original": "original", **dict.fromkeys(WRITTEN, "reconstructed"), "side_by_side": "original"}
    for k, v in enumerate(WRITTEN, 1):
        assert pitch_hz(folder / "video" / f"{v}.mp4") == pytest.approx(300 + 100 * k, abs=2)
    for path in (folder / "video/original.mp4", folder / "video/measured.mp4", folder / "side_by_side.mp4"):
        require_equal_lengths(path)


def test_the_original_sound_is_that_of_the_stretch(made, tmp_path):
    _, folder = finished(made, tmp_path, "film.mp4", "original")
    for path in (folder / "video/measured.mp4", folder / "side_by_side.mp4"):
        x = heard(path, SOUND_HZ)[SOUND_HZ : 2 * SOUND_HZ]
        assert np.corrcoef(x, CHIRP[5 * SOUND_HZ : 6 * SOUND_HZ])[0, 1] > 0.99


def test_without_a_plugin_of_sound_films_have_the_original(made, tmp_path):
    sound, folder = finished(made, tmp_path, "film.mp4", "reconstructed", audio=False)
    assert set(sound.values()) == {"original"}
    require_equal_lengths(folder / "video/predicted.mp4")


@pytest.mark.parametrize(("film", "setting"), [("mute.mp4", "reconstructed"), ("film.mp4", "none")])
def test_films_may_be_silent(made, tmp_path, film, setting):
    sound, folder = finished(made, tmp_path, film, setting, audio=False)
    why = sound.pop("note", "")
    assert set(sound.values()) == {"none"}
    assert ("has no sound stream" in why) == (setting != "none")
    assert not audio_streams(folder / "video/measured.mp4")
    assert not audio_streams(folder / "side_by_side.mp4")


def test_what_is_no_sound_leaves_the_original(made, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio/measured.tsv").write_text("no sound")
    shutil.copytree(made / "video", tmp_path / "video")
    sound = finish_films(study(made / "film.mp4"), inputs(), EvaluateConfig(), tmp_path)
    assert set(sound.values()) == {"original"}


def test_films_that_are_not_there_are_not_finished(tmp_path):
    assert finish_films(study(tmp_path / "film.mp4"), inputs(), EvaluateConfig(), tmp_path) == {}


def test_sound_that_begins_late_is_preceded_by_silence_and_none_after_its_end(made):
    late, _ = original_sound(study(made / "film.mp4"), inputs(start_s=-6), 60)
    assert len(late) == TRS * SOUND_HZ
    assert not late[: 2 * SOUND_HZ].any()
    assert np.corrcoef(late[2 * SOUND_HZ :, 0], CHIRP[: 2 * SOUND_HZ])[0, 1] > 0.99
    none, why = original_sound(study(made / "film.mp4"), inputs(start_s=100), 60)
    assert none is None
    assert "has no sound between 104 and 108 s" in why


def test_a_damaged_soundtrack_is_none_and_it_is_said_why(made, tmp_path):
    (tmp_path / "film.wav").write_bytes(b"RIFF")
    shutil.copytree(made / "video", tmp_path / "video")
    films = study(tmp_path / "film.wav", video=made / "film.mp4", audio=tmp_path / "film.wav")
    sound = finish_films(films, inputs(), EvaluateConfig(), tmp_path)
    assert "film.wav cannot be read as a film or sound" in sound.pop("note")
    assert set(sound.values()) == {"none"}


def two_streams(path: Path) -> Path:
    """Sound in mono, and then, marked default, the same in stereo with one side silent."""
    import av
    from av.stream import Disposition

    with av.open(str(path), "w") as out:
        tracks = [out.add_stream("pcm_s16le", rate=SOUND_HZ, layout=layout) for layout in ("mono", "stereo")]
        tracks[0].disposition, tracks[1].disposition = Disposition(0), Disposition.default
        for track, channels in zip(tracks, (1, 2), strict=True):
            block = np.zeros((1, SOUND_HZ * channels), np.int16)
            block[0, ::channels] = CHIRP[:SOUND_HZ] * 32_767
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout=track.layout.name)
            frame.sample_rate = SOUND_HZ
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def test_sound_has_the_channels_of_the_stream_that_is_read(tmp_path):
    path = two_streams(tmp_path / "two.mkv")
    assert [s.channels for s in audio_streams(path)] == [1, 2]
    assert [s.default for s in audio_streams(path)] == [False, True]
    sound, why = read_all(path)
    assert (sound.shape[1], why) == (2, "")
    assert np.abs(sound[:, 0]).max() > 0.2
    assert not sound[:, 1].any()
    assert read_all(path, "0")[0].shape[1] == 1


def test_side_by_side_shows_every_film_under_its_name(made, tmp_path):
    films = {"original": made / "video/original.mp4", "other": made / "video/measured.mp4"}
    path = side_by_side(films, tmp_path / "Ö b.mp4")
    info = video_streams(path)[0]
    assert (info.width, info.height, info.rate_hz) == (2 * 192 + 4, 108 + 20, RATE_HZ)  # 36 rows, three times
    frames = Features.concat(read_frames(path, info.width, info.height)).values
    assert len(frames) == N
    for k in (0, 20):
        for at, level in ((96, 0), (292, 60)):
            assert abs(int(frames[k, 70, at].mean()) - level - 2 * k) < 6
    titles = frames[0, :20]
    assert titles[:, :192].min() < 100
    assert not np.array_equal(titles[:, :192], titles[:, 196:])


def test_side_by_side_takes_odd_sizes_and_refuses_none(tmp_path):
    write_film(tmp_path / "a.mp4", pictures(3, (91, 161)), RATE_HZ)
    assert (
        len(Features.concat(read_frames(side_by_side({"a": tmp_path / "a.mp4"}, tmp_path / "b.mp4"), 8, 8)).values) == 3
    )
    with pytest.raises(DataError, match="no film"):
        side_by_side({}, tmp_path / "c.mp4")
    assert not (tmp_path / "c.mp4").exists()


def shown(ticks: np.ndarray, timebase: Fraction) -> tuple[list[int], Fraction]:
    values = np.arange(len(ticks), dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    frames, rate_hz = film_pictures(Features(values, ticks, timebase))
    return [int(f[0, 0, 0]) for f in frames], rate_hz


def test_every_frame_is_shown_once_at_a_constant_rate_kept_in_milliseconds():
    ticks = np.rint(np.arange(200) * 1001 / 24).astype(np.int64)
    assert shown(ticks, Fraction(1, 1000))[0] == list(range(200))
    assert shown(np.array([7]), Fraction(1, 25)) == ([0], 25)


def test_a_film_of_variable_rate_keeps_its_time():
    ticks = np.cumsum(np.repeat([1, 4, 1], 30))
    frames, rate_hz = shown(ticks, Fraction(1, 50))
    assert len(frames) == len(ticks)
    for k, frame in enumerate(frames):
        meant = float((ticks[0] + k / rate_hz * 50) / 50)
        assert abs(ticks[frame] / 50 - meant) <= np.abs(ticks / 50 - meant).min() + 1e-9
