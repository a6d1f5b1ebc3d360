from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from giblet.errors import ConfigError, DataError
from giblet.media import audio_streams, read_sound, write_sound
from giblet.media.audio import downmix
from giblet.types import Features


def noise(n: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, channels)).astype(np.float32)


def make_sound(path: Path, samples: np.ndarray, rate: int, layout: str, pieces: list[tuple[int, int, int]]) -> Path:
    """Uncompressed float sound in Matroska: each piece is (time in ms, first sample, last sample)."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_f32le", rate=rate, layout=layout)
        for at, a, b in pieces:
            for start in range(a, b, 1000):
                block = np.ascontiguousarray(samples[start : min(b, start + 1000)]).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = at * rate // 1000 + start - a
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def whole(path: Path, *args, **kwargs) -> Features:
    return Features.concat(read_sound(path, *args, **kwargs))


@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize("name", ["f.wav", "f.mkv"])
def test_streaming_equals_soxr_over_the_whole(tmp_path, rate, name):
    x = noise(100_001)
    if name == "f.wav":
        soundfile.write(tmp_path / name, x, 44100, subtype="FLOAT")
    else:
        make_sound(tmp_path / name, x, 44100, "mono", [(0, 0, len(x))])
    f = whole(tmp_path / name, rate, chunk_s=0.37)
    expected = soxr.resample(x, 44100, rate)
    assert len(f.values) == int(len(x) * rate / 44100 + 0.5)
    np.testing.assert_allclose(f.values, expected, atol=1e-6)
    np.testing.assert_array_equal(f.ticks, np.arange(len(f.values)))
    assert (f.attrs["native_rate_hz"], f.attrs["native_channels"]) == (44100, 1)


def test_chunks_have_the_length_asked_for(tmp_path):
    soundfile.write(tmp_path / "f.wav", noise(50_000), 16000)
    chunks = [len(c.values) for c in read_sound(tmp_path / "f.wav", 8000, chunk_s=1.0)]
    assert chunks == [8000, 8000, 8000, 1000]


def test_a_late_start_is_kept(tmp_path):
    x = noise(16000)
    f = whole(make_sound(tmp_path / "f.mkv", x, 16000, "mono", [(80, 0, 16000)]), 8000)
    assert f.ticks[0] == round(0.08 * 8000)
    np.testing.assert_allclose(f.values, soxr.resample(x, 16000, 8000), atol=1e-6)


def test_a_gap_is_filled_with_silence_and_said(tmp_path):
    x = noise(16000)
    f = whole(make_sound(tmp_path / "f.mkv", x, 16000, "mono", [(0, 0, 8000), (1500, 8000, 16000)]), 16000)
    expected = np.concatenate([x[:8000], np.zeros((16000, 1), np.float32), x[8000:]])
    assert f.attrs["resynced"] == 1
    np.testing.assert_allclose(f.values, expected, atol=1e-6)


@pytest.mark.parametrize(("start", "stop"), [(None, 1), (Fraction("0.5"), Fraction("1.25")), (1.9, None)])
@pytest.mark.parametrize("rate", [44100, 16000])
def test_a_cut_is_that_part_of_the_whole(tmp_path, start, stop, rate):
    soundfile.write(tmp_path / "f.wav", noise(100_000), 44100)
    full = whole(tmp_path / "f.wav", rate)
    cut = whole(tmp_path / "f.wav", rate, start_s=start, stop_s=stop)
    t = full.ticks / rate
    inside = (t >= float(start or 0)) & (t < float(stop or 99))
    np.testing.assert_array_equal(cut.ticks, full.ticks[inside])
    np.testing.assert_array_equal(cut.values, full.values[inside])


def test_six_channels_follow_the_itu_table():
    matrix = downmix(("FL", "FR", "FC", "LFE", "BL", "BR"), 1)[:, 0]
    root = 0.5**0.5
    np.testing.assert_allclose(matrix, np.array([root, root, 1, 0, 0.5, 0.5]) / (2 * root + 2), rtol=1e-6)
    left, right = downmix(("FL", "FR", "FC", "LFE", "BL", "BR"), 2).T
    assert left[1] == left[5] == right[0] == right[4] == 0
    assert left.sum() == pytest.approx(1)
    np.testing.assert_array_equal(downmix(("FL", "FR"), 1)[:, 0], [0.5, 0.5])
    np.testing.assert_array_equal(downmix(("FC",), 2), [[1, 1]])
    with pytest.raises(ConfigError, match="ask for 1, 2 or 6"):
        downmix(("FL", "FR", "FC", "LFE", "BL", "BR"), 3)


def test_a_film_with_six_channels_is_mixed_by_its_layout(tmp_path):
    x = noise(8000, 6)
    f = whole(make_sound(tmp_path / "f.mkv", x, 16000, "5.1", [(0, 0, 8000)]), 16000)
    matrix = downmix(("FL", "FR", "FC", "LFE", "BL", "BR"), 1)
    np.testing.assert_allclose(f.values, x @ matrix, atol=1e-6)
    assert whole(tmp_path / "f.mkv", 16000, channels=6).values.shape == (8000, 6)


@pytest.mark.parametrize("content", [b"", b"no sound\n" * 90])
def test_what_is_no_sound_is_named_in_one_line(tmp_path, content):
    (tmp_path / "f.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"f\.wav cannot be read") as err:
        whole(tmp_path / "f.wav", 16000)
    assert "\n" not in str(err.value)


def test_what_cannot_be_meant_is_refused(tmp_path):
    soundfile.write(tmp_path / "f.wav", noise(1000), 16000)
    with pytest.raises(DataError, match="no sound between 5"):
        whole(tmp_path / "f.wav", 16000, start_s=5)
    with pytest.raises(ConfigError, match="not positive"):
        whole(tmp_path / "f.wav", 0)
    with pytest.raises(DataError, match="choose one of: 0"):
        whole(tmp_path / "f.wav", 16000, stream="1")


def test_a_written_sound_keeps_its_level_and_clips_its_peaks(tmp_path):
    x = np.array([0, 0.25, -0.25, 1.5, -2.0], np.float32)
    back, rate = soundfile.read(write_sound(tmp_path / "f.wav", x, 8000), dtype="float32")
    assert rate == 8000
    np.testing.assert_allclose(back, [0, 0.25, -0.25, 1, -1], atol=1e-4)
    assert soundfile.info(tmp_path / "f.wav").subtype == "PCM_16"
    with pytest.raises(DataError, match="not numbers"):
        write_sound(tmp_path / "g.wav", np.array([np.nan]), 8000)
    assert [p.name for p in tmp_path.iterdir()] == ["f.wav"]


def test_pieces_of_sound_are_written_one_after_the_other(tmp_path):
    x = np.linspace(-1, 1, 1000, dtype=np.float32)[:, None]
    whole, pieces = (write_sound(tmp_path / n, s, 8000) for n, s in (("w.wav", x), ("p.wav", iter(np.split(x, 4)))))
    assert whole.read_bytes() == pieces.read_bytes()
    with pytest.raises(DataError, match="no sound"):
        write_sound(tmp_path / "n.wav", iter([]), 8000)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "native_hz", "channels", "seconds"),
    [
        ("film/nasa_webb_13s.mp4", 16000, 2, 13.056),
        ("film/big_buck_bunny_30s.mp4", 48000, 6, 30.016),
        ("film/speech_12fps_9s.mp4", 24000, 1, 8.747),
        ("speech/jfk.flac", 44100, 2, 11.0),
        ("speech/librispeech_198-209-0000.ogg", None, 1, 13.9),
        ("speech/acoustic_corpus.wav", 16000, 1, 26.72),
        ("music/vibe_ace.ogg", 22050, 1, 61.46),
    ],
)
def test_real_sound_has_its_length(test_data, name, native_hz, channels, seconds):
    f = whole(test_data / name, 16000)
    assert f.values.dtype == np.float32
    assert len(f.values) / 16000 == pytest.approx(seconds, abs=0.05)
    assert native_hz in (None, f.attrs["native_rate_hz"])
    assert f.attrs["native_channels"] == channels
    assert 0.05 < np.abs(f.values).max() <= 1
    assert f.attrs["truncated"] is False


@pytest.mark.real_data
def test_a_flac_reads_the_same_through_ffmpeg(test_data):
    path = test_data / "speech" / "jfk.flac"
    import av

    with av.open(str(path)) as c:
        planes = [f.to_ndarray().reshape(-1, 2) for f in c.decode(audio=0)]
    native = np.concatenate(planes).astype(np.float64)
    scale = 2.0 ** (8 * planes[0].dtype.itemsize - 1)
    np.testing.assert_allclose(whole(path, 44100).values[:, 0], native.mean(1) / scale, atol=1e-6)


@pytest.mark.real_data
def test_real_streams_are_described(test_data):
    first, second = audio_streams(test_data / "film" / "nasa_webb_13s.mp4")
    assert (first.sample_rate_hz, second.sample_rate_hz, second.default) == (8000, 16000, True)
    assert audio_streams(test_data / "film" / "big_buck_bunny_5s.mp4")[0].channels == 6
    assert audio_streams(test_data / "film" / "popeye_1.mkv") == []
