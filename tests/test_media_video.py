from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet.errors import DataError
from giblet.media import audio_streams, mux_sound, read_frames, read_sound, video_streams, write_film
from giblet.types import Features


def picture(i: int, size: tuple[int, int] = (36, 64)) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([(3 * x + 2 * i) % 200, np.full_like(x, 2 * i), 5 * y], axis=-1).astype(np.uint8)


def make_film(path: Path, ticks: list[list[int]], rotation: int = 0) -> Path:
    """An mkv or mp4 with one video stream a list of times, in milliseconds."""
    import av

    with av.open(str(path), "w") as out:
        streams = []
        for _ in ticks:
            s = out.add_stream("libx264", rate=25, options={"crf": "10", "bf": "0"})
            s.width, s.height, s.pix_fmt = 64, 36, "yuv420p"
            s.codec_context.time_base = Fraction(1, 1000)
            if rotation:
                s.set_display_rotation(rotation)
            streams.append(s)
        for s, times in zip(streams, ticks, strict=True):
            for i, t in enumerate(times):
                frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, 1000)
                out.mux(s.encode(frame))
            out.mux(s.encode(None))
    return path


def whole(path: Path, *args, **kwargs) -> Features:
    return Features.concat(read_frames(path, *args, **kwargs))


def times_ms(f: Features) -> list[int]:
    return [round(1000 * t * f.timebase) for t in f.ticks.tolist()]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_variable_frame_rate_keeps_its_times(tmp_path, suffix):
    times = [0, 40, 80, 200, 210, 500, 540, 900]
    assert times_ms(whole(make_film(tmp_path / f"f{suffix}", [times]), 64, 36)) == times


def test_a_stream_that_starts_late_says_so(tmp_path):
    times = [80 + 40 * i for i in range(10)]
    assert times_ms(whole(make_film(tmp_path / "f.mkv", [times]), 64, 36)) == times


def test_streams_are_listed_and_chosen_by_number(tmp_path):
    film = make_film(tmp_path / "f.mkv", [[0, 40, 80], [0, 20, 40, 60]])
    assert [s.index for s in video_streams(film)] == [0, 1]
    assert sum(s.default for s in video_streams(film)) == 1
    assert [len(whole(film, 8, 8, stream=s).values) for s in ("0", "1")] == [3, 4]
    with pytest.raises(DataError, match=r"no video stream '2'; choose one of: 0, 1$"):
        whole(film, 8, 8, stream="2")


def test_spaces_and_letters_of_any_kind_in_a_path(tmp_path):
    folder = tmp_path / "ein Film — فيلم"
    folder.mkdir()
    assert len(whole(make_film(folder / "é f.mkv", [[0, 40]]), 8, 8).values) == 2


@pytest.mark.parametrize("content", [b"", b"this is no film\n" * 50])
def test_what_is_no_film_is_named_in_one_line(tmp_path, content):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"notes\.mp4 cannot be read") as err:
        whole(path, 8, 8)
    assert "\n" not in str(err.value)


def test_a_missing_film_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gone\.mp4"):
        whole(tmp_path / "gone.mp4", 8, 8)


def test_a_truncated_film_is_read_as_far_as_it_goes_and_says_so(tmp_path):
    film = make_film(tmp_path / "f.mkv", [[40 * i for i in range(100)]])
    assert whole(film, 8, 8).attrs["truncated"] is False
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    cut = whole(tmp_path / "cut.mkv", 8, 8)
    assert 0 < len(cut.values) < 90
    assert cut.attrs["truncated"] is True


def test_a_truncated_mp4_whose_index_came_first_is_read_and_says_so(tmp_path):
    film = write_film(tmp_path / "f.mp4", (picture(i) for i in range(100)), Fraction(25))
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    cut = whole(tmp_path / "cut.mp4", 8, 8)
    assert 0 < len(cut.values) < 95
    assert cut.attrs["truncated"] is True


def test_damage_in_the_middle_does_not_shift_what_follows(tmp_path):
    film = make_film(tmp_path / "f.mkv", [[40 * i for i in range(100)]])
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    (tmp_path / "hole.mkv").write_bytes(content)
    whole_times, times = times_ms(whole(film, 8, 8)), times_ms(whole(tmp_path / "hole.mkv", 8, 8))
    assert set(times) <= set(whole_times)
    assert times[0] == 0


def test_a_film_without_sound_says_what_it_has(tmp_path):
    with pytest.raises(DataError, match="no sound stream; its streams: 1 video"):
        next(read_sound(make_film(tmp_path / "f.mkv", [[0, 40]]), 16000))


def test_chunks_stay_small_and_join_to_the_whole(tmp_path):
    film = make_film(tmp_path / "f.mkv", [[40 * i for i in range(60)]])
    limit = 8 * 64 * 36 * 3
    chunks = list(read_frames(film, 64, 36, chunk_bytes=limit))
    assert max(c.values.nbytes for c in chunks) <= limit
    assert len(chunks) == 8
    np.testing.assert_array_equal(Features.concat(chunks).values, whole(film, 64, 36).values)


@pytest.mark.parametrize(
    ("start", "stop"), [(None, Fraction(1)), (Fraction(4), None), (Fraction("3.02"), Fraction("5.16"))]
)
def test_a_cut_is_that_part_of_the_whole(tmp_path, start, stop):
    film = write_film(tmp_path / "f.mp4", (picture(i % 100) for i in range(200)), Fraction(25))
    full, cut = whole(film, 32, 18), whole(film, 32, 18, start_s=start, stop_s=stop)
    t = full.ticks * full.timebase
    inside = (t >= (start or 0)) & (t < (stop or 99))
    np.testing.assert_array_equal(cut.ticks, full.ticks[inside])
    np.testing.assert_array_equal(cut.values, full.values[inside])


def test_a_cut_beyond_the_end_is_refused(tmp_path):
    with pytest.raises(DataError, match="no frame between 9 and its end"):
        whole(make_film(tmp_path / "f.mkv", [[0, 40]]), 8, 8, start_s=9)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_flags_turn_the_picture(tmp_path, degrees, turns):
    plain = whole(make_film(tmp_path / "a.mp4", [[0, 40]]), 64, 36).values[0]
    size = (64, 36) if turns == 2 else (36, 64)
    turned = whole(make_film(tmp_path / "b.mp4", [[0, 40]], degrees), *size).values[0]
    np.testing.assert_allclose(turned.astype(int), np.rot90(plain, turns).astype(int), atol=6)


def test_colours_agree_with_a_conversion_in_floating_point(tmp_path):
    """BT.601, limited range, chroma doubled: on a picture whose colours do not change, to within two levels."""
    import av

    rgb = np.empty((32, 32, 3), np.uint8)
    rgb[:] = (200, 60, 120)
    film = write_film(tmp_path / "f.mp4", [rgb] * 3, Fraction(25))
    with av.open(str(film)) as c:
        yuv = next(c.decode(video=0)).to_ndarray().astype(float)
    u, v = yuv[32:40].mean() - 128, yuv[40:48].mean() - 128
    luma = (yuv[8, 8] - 16) * 255 / 219
    expected = [luma + 1.596 * v, luma - 0.392 * u - 0.813 * v, luma + 2.017 * u]
    got = whole(film, 16, 8).values[1].astype(float)
    assert np.abs(got - expected).max() <= 2
    assert np.abs(got - rgb[0, 0]).max() <= 5


def test_a_smooth_picture_scales_like_pillow(tmp_path):
    from PIL import Image

    y, x = np.mgrid[:144, :256]
    rgb = np.stack([100 + 80 * np.sin(x / 40), 100 + 80 * np.cos(y / 30), 120 + 0 * x], -1).astype(np.uint8)
    film = write_film(tmp_path / "f.mp4", [rgb] * 3, Fraction(25))
    native = whole(film, 256, 144).values[0]
    small = whole(film, 64, 36).values[0]
    reference = np.asarray(Image.fromarray(native).resize((64, 36), Image.Resampling.BICUBIC))
    difference = np.abs(small.astype(int) - reference.astype(int))
    assert difference.mean() < 1
    assert difference.max() <= 4


def test_an_odd_rate_and_odd_size_survive_writing(tmp_path):
    rate = Fraction(30000, 1001)
    film = write_film(tmp_path / "f.mp4", (picture(i, (35, 63)) for i in range(31)), rate)
    back = whole(film, 64, 36)
    assert [t * back.timebase for t in back.ticks.tolist()] == [i / rate for i in range(31)]
    assert (back.attrs["width"], back.attrs["height"]) == (64, 36)
    assert np.abs(back.values[9, :35, :63].astype(int) - picture(9, (35, 63))).mean() < 8


def test_sound_and_picture_are_equally_long_and_in_step(tmp_path):
    sound = np.zeros((16000 * 9, 1), np.float32)
    for k in range(1, 7):
        sound[k * 16000 : k * 16000 + 200, 0] = 0.8
    film = write_film(tmp_path / "f.mp4", (picture(i) for i in range(100)), Fraction(25, 2), sound, 16000)
    heard = Features.concat(read_sound(film, 16000))
    assert abs(audio_streams(film)[0].duration_s - 8) <= Fraction(2, 25)
    assert abs(len(heard.values) / 16000 - 8) <= 2 / 25
    for k in range(1, 7):
        at = np.argmax(heard.values[k * 16000 - 4000 :, 0] > 0.4) - 4000
        assert abs(at) < 32


def test_a_short_sound_is_filled_with_silence(tmp_path):
    film = write_film(
        tmp_path / "f.mp4", (picture(i) for i in range(50)), Fraction(25), np.ones(4000, np.float32), 44100
    )
    assert abs(len(Features.concat(read_sound(film, 8000)).values) - 16000) <= 640


def test_new_sound_leaves_the_picture_untouched(tmp_path):
    film = write_film(tmp_path / "f.mp4", (picture(i) for i in range(50)), Fraction(25))
    tone = np.sin(np.arange(5 * 16000) / 8).astype(np.float32)
    both = mux_sound(film, tone, 16000, tmp_path / "g.mp4")
    a, b = whole(film, 64, 36), whole(both, 64, 36)
    np.testing.assert_array_equal(a.values, b.values)
    assert times_ms(a) == times_ms(b)
    assert abs(audio_streams(both)[0].duration_s - 2) <= Fraction(1, 25)
    assert 32000 <= len(Features.concat(read_sound(both, 16000)).values) < 32000 + 1024  # whole AAC frames


def test_a_film_that_fails_leaves_nothing_behind(tmp_path):
    def broken():
        yield picture(0)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_film(tmp_path / "f.mp4", broken(), Fraction(25))
    with pytest.raises(DataError, match="no frame to write"):
        write_film(tmp_path / "f.mp4", [], Fraction(25))
    with pytest.raises(DataError, match=r"must end in \.mp4"):
        write_film(tmp_path / "f.avi", [picture(0)], Fraction(25))
    assert list(tmp_path.iterdir()) == []


def test_importing_media_imports_nothing_heavy():
    heavy = "{'av', 'torch', 'pandas', 'soxr', 'soundfile', 'pysubs2', 'praatio', 'openpyxl', 'scipy'}"
    code = f"import sys, giblet.media; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "stream", "frames", "last_s", "rate"),
    [
        ("nasa_webb_13s.mp4", None, 390, Fraction(389 * 1001, 30000), 29.97),
        ("nasa_webb_13s.mp4", "0", 325, Fraction(324, 25), 25),
        ("big_buck_bunny_30s.mp4", None, 720, Fraction(719, 24), 24),
        ("big_buck_bunny_5s.mp4", None, 132, Fraction(131, 25), 25),
        ("speech_12fps_9s.mp4", None, 105, Fraction(26, 3), 11.936),
        ("popeye_1.mkv", None, 1440, Fraction(59958, 1000), 24),
    ],
)
def test_real_films_give_every_frame_at_its_time(test_data, name, stream, frames, last_s, rate):
    f = whole(test_data / "film" / name, 32, 18, stream=stream)
    assert len(f.values) == frames
    assert f.ticks[0] == 0
    assert int(f.ticks[-1]) * f.timebase == last_s
    assert f.attrs["rate_hz"] == pytest.approx(rate, abs=1e-3)
    assert [f.attrs[k] for k in ("truncated", "damaged", "nudged")] == [False, 0, 0]


@pytest.mark.real_data
def test_real_streams_are_described(test_data):
    first, second = video_streams(test_data / "film" / "nasa_webb_13s.mp4")
    assert (first.width, first.height, first.rate_hz, first.default) == (320, 180, 25, False)
    assert (second.width, second.height, second.rate_hz, second.default) == (480, 270, Fraction(30000, 1001), True)
    assert second.duration_s == Fraction(13013, 1000)
