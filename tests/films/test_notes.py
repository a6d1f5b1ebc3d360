"""What `giblet run --extract-only` says of a film that is not as usual."""

from __future__ import annotations

from fractions import Fraction

import pytest
from giblet.cli import main
from giblet.media import write_film


@pytest.fixture
def extract(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(film, *more):
        words = ["run", "--film", str(film), "--tr", "1.5", "--video", "s3d", "--audio", "none", "--text", "none"]
        with pytest.raises(SystemExit) as done:
            main([*words, "--extract-only", "--quiet", "--out", "out", *more])
        said = capsys.readouterr()
        return done.value.code or 0, said.out, said.err.splitlines()

    return call


def two_streams(path):
    import av

    with av.open(str(path), "w") as out:
        for size in ((18, 32), (36, 64)):
            stream = out.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, "bgr0"
        for stream in out.streams.video:
            for i in range(50):
                frame = av.VideoFrame(stream.width, stream.height, "bgr0")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return path


def test_which_stream_was_read_is_said_also_when_it_was_read_before(extract, tmp_path):
    film = two_streams(tmp_path / "two films.mkv")
    for _ in range(2):
        code, out, err = extract(film)
        assert code == 0
        assert "video_s3d" in out
        (note,) = [line for line in err if "stream" in line]
        assert note.startswith("note: two films: video: video stream 1 (64x36 ffv1) is read, not 0 (32x18 ffv1)")


def test_a_film_that_breaks_off_is_said(extract, films, tmp_path):
    film = films.encode(tmp_path / "whole.mkv", films.pictures(100))
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    code, _, err = extract(tmp_path / "cut.mkv")
    assert code == 0
    assert any("cut: video: the film breaks off at" in line for line in err)


@pytest.mark.parametrize("frames", [1, 20])
def test_a_clip_shorter_than_a_tr_is_one_tr(extract, films, tmp_path, frames):
    code, out, err = extract(write_film(tmp_path / "f.mp4", films.pictures(frames), Fraction(25)))
    assert (code, err) == (0, [])
    assert out.splitlines()[-1].split()[-2:] == ["1", "1"]


@pytest.mark.parametrize("content", [b"", b"this is a text\n"], ids=["empty", "text"])
def test_what_is_no_film_is_refused_in_one_line(extract, tmp_path, content):
    (tmp_path / "f.mp4").write_bytes(content)
    code, _, err = extract(tmp_path / "f.mp4")
    assert code != 0
    assert len(err) == 1
    assert "f.mp4" in err[0]
