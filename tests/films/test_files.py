"""Files as people have them: many streams, other codecs, broken, empty, or no films at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from giblet.errors import DataError
from giblet.media import read_frames, video_streams, write_film, write_sound

CODECS = {
    "hevc": ("libx265", "mp4", {"x265-params": "log-level=none"}),
    "vp8": ("libvpx", "webm", {}),
    "vp9": ("libvpx-vp9", "webm", {}),
    "mpeg1": ("mpeg1video", "mpg", {}),
    "mpeg2": ("mpeg2video", "ts", {}),
    "mpeg4": ("mpeg4", "avi", {}),
    "av1": ("libsvtav1", "mkv", {"preset": "12", "svtav1-params": "lp=1"}),
    "mjpeg": ("mjpeg", "avi", {}),
    "ffv1": ("ffv1", "mkv", {}),
    "gif": ("gif", "gif", {}),
}


@pytest.mark.parametrize("codec", CODECS)
def test_codecs(films, tmp_path, codec):
    encoder, suffix, options = CODECS[codec]
    pix_fmt = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    size = (64, 64) if codec == "av1" else (36, 64)
    film = films.encode(tmp_path / f"f.{suffix}", films.pictures(12, size), encoder, pix_fmt, options=options)
    got = films.whole(film, 64, size[0])
    assert np.abs(np.array(films.shown(got)) - np.arange(12)).max() <= (4 if codec == "gif" else 1)
    np.testing.assert_allclose(np.diff(got.onset_s), 0.04, atol=1e-9)


def several(films, path, sizes, default=None):
    """An mkv with a stream a size, of one brightness each."""
    import av
    from av.stream import Disposition

    with av.open(str(path), "w") as out:
        streams = []
        for i, (height, width) in enumerate(sizes):
            stream = out.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            stream.disposition = Disposition.default if i == default else Disposition(0)
            streams.append(stream)
        for i, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 50 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            out.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize(("default", "expected"), [(None, 1), (0, 0), (2, 2)])
def test_of_several_streams_the_default_is_read_else_the_largest(films, tmp_path, default, expected):
    film = several(films, tmp_path / "f.mkv", [(18, 32), (36, 64), (9, 16)], default)
    assert [s.default for s in video_streams(film)] == [i == expected for i in range(3)]
    got = films.whole(film)
    assert got.attrs["stream"] == str(expected)
    assert got.values[0, 0, 0, 0] == 50 * expected
    (note,) = got.attrs["notes"].splitlines()
    assert note.startswith(f"video stream {expected} (")
    assert "is read, not" in note
    assert note.endswith("`video_stream` in a study file chooses another")
    assert films.whole(film, stream=str(expected)).attrs["notes"] == ""


def test_a_cover_picture_is_no_film(films, tmp_path):
    import av
    from av.stream import Disposition

    song = write_sound(tmp_path / "s.wav", np.zeros((8000, 1), np.float32), 8000)
    with av.open(str(song)) as given, av.open(str(tmp_path / "song.mp4"), "w") as out:
        sound, cover = out.add_stream("aac", rate=8000), out.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 36, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(films.picture(3), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        out.mux([*cover.encode(frame), *cover.encode(None)])
        for block in given.decode(audio=0):
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    assert video_streams(tmp_path / "song.mp4") == []
    with pytest.raises(DataError, match=r"song\.mp4 has no video stream; its streams: 1 sound, 1 cover picture$"):
        films.whole(tmp_path / "song.mp4")


def test_sound_alone_is_no_film(films, tmp_path):
    with pytest.raises(DataError, match=r"s\.wav has no video stream; its streams: 1 sound$"):
        films.whole(write_sound(tmp_path / "s.wav", np.zeros((800, 1), np.float32), 8000))


@pytest.mark.parametrize("name", ["f.png", "f.jpg", "f.webp", "f.bmp", "f.tiff", "f.ico", "picture.mp4"])
def test_a_picture_is_no_film(films, tmp_path, name):
    from PIL import Image

    Image.fromarray(films.picture(1)).save(tmp_path / name, "PNG" if name == "picture.mp4" else None)
    with pytest.raises(DataError, match=r" is a picture, not a film or sound; give for example an \.mp4, \.mkv or"):
        films.whole(tmp_path / name)


@pytest.mark.parametrize("name", ["notes.mp4", "notes.mkv", "notes.txt", "notes.nfo", "notes"])
@pytest.mark.parametrize("content", ["", "no film at all\n" * 40, "\0" * 4096])
def test_what_is_no_film_is_said_in_one_line(films, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=r"notes\S* (cannot be read as a film|is text, not a film)") as error:
        films.whole(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["take2:1.mp4", "file:x.mp4", "100%d.mp4", "a 'b' \"c\".mp4", "-v.mp4"])
def test_names_that_look_like_something_else(films, tmp_path, monkeypatch, name):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    films.encode(tmp_path / "plain.mp4", films.pictures(2)).rename(tmp_path / name)
    assert len(films.whole(Path(name)).values) == 2


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx")])
def test_a_film_cut_in_the_middle_is_read_as_far_as_it_goes_and_says_so(films, tmp_path, suffix, codec):
    alike = {"g": "1"}  # key frames only: half of the bytes are then about half of the frames, whatever the machine
    film = films.encode(tmp_path / f"f.{suffix}", films.pictures(100), codec, options=alike)
    assert films.whole(film).attrs["notes"] == ""
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    got = films.whole(cut)
    assert 5 < len(got.values) < 80
    assert got.attrs["truncated"] is True
    (broken,) = [note for note in got.attrs["notes"].splitlines() if note.startswith("the film breaks off at ")]
    assert broken.endswith(" s; what is there was read")
    np.testing.assert_array_equal(got.ticks, films.whole(film).ticks[: len(got.ticks)])


def test_an_mp4_cut_before_its_index_is_refused_in_one_line(films, tmp_path):
    film = films.encode(tmp_path / "f.mp4", films.pictures(50))
    (tmp_path / "cut.mp4").write_bytes(film.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"cut\.mp4 cannot be read as a film or sound: .*; is it whole\?$"):
        films.whole(tmp_path / "cut.mp4")


def test_holes_move_nothing(films, tmp_path):
    film = films.encode(tmp_path / "f.mkv", films.pictures(50), "ffv1", "bgr0")
    content = bytearray(film.read_bytes())
    for where in (len(content) // 3, len(content) // 2):
        content[where : where + 900] = bytes(900)
    (tmp_path / "hole.mkv").write_bytes(content)
    plain, got = films.whole(film), films.whole(tmp_path / "hole.mkv")
    times = dict(zip(plain.ticks.tolist(), plain.values, strict=True))
    same = [np.array_equal(times[t], v) for t, v in zip(got.ticks.tolist(), got.values, strict=True)]
    assert sum(same) >= 25
    assert set(got.ticks.tolist()) <= set(times)


def test_a_stream_that_nothing_decodes_is_listed_and_refused(films, tmp_path):
    film = films.encode(tmp_path / "f.mkv", films.pictures(4), "ffv1", "bgr0")
    content = film.read_bytes()
    assert content.count(b"V_FFV1") == 1
    (tmp_path / "unknown.mkv").write_bytes(content.replace(b"V_FFV1", b"V_XXXX"))
    (found,) = video_streams(tmp_path / "unknown.mkv")
    assert (found.codec, found.width, found.default) == ("unknown", None, True)
    with pytest.raises(DataError, match="no decoder for video stream 0"):
        films.whole(tmp_path / "unknown.mkv")


def test_a_film_of_packets_that_do_not_decode_is_refused(films, tmp_path):
    film = films.encode(tmp_path / "f.avi", films.pictures(4), "ffv1", "bgr0")
    content = bytearray(film.read_bytes())
    at = content.index(b"movi") + 4
    for k in range(at + 8, content.index(b"idx1") - 8):
        content[k] = content[k] if content[k - 8 : k].find(b"00dc") >= 0 or b"00dc" in content[k : k + 8] else 0
    (tmp_path / "bad.avi").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.avi cannot be decoded: no frame of its video is whole$"):
        films.whole(tmp_path / "bad.avi")


def test_memory_does_not_grow_with_the_film(films, tmp_path):
    """At most two chunks are there at a time: the one in the caller's hands and the one that is filled."""
    film = write_film(tmp_path / "f.mp4", films.pictures(200), Fraction(25))
    sizes = [c.values.base.nbytes for c in read_frames(film, 160, 90, chunk_bytes=1 << 20)]
    assert max(sizes) <= 1 << 20
    assert len(sizes) == 9
