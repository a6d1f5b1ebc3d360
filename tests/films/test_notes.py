"""What `giblet run --extract-only` says of a film that is not as usual."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from giblet.cli import main
from giblet.media import write_film


@pytest.fixture
def extract(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(film, *more, all_kinds=False):
        kinds = [] if all_kinds else ["--video", "s3d", "--audio", "none", "--text", "none"]
        words = ["run", "--film", str(film), "--tr", "1.5", *kinds]
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


def holed(films, path, codec, pix_fmt, share):
    """250 frames at 25 Hz, of which a share in the middle of the file is zeros."""
    film = films.encode(path, films.pictures(250), codec, pix_fmt, options={"g": "25"} if codec == "libx264" else {})
    content = bytearray(film.read_bytes())
    at, length = len(content) // 3, int(len(content) * share)
    content[at : at + length] = bytes(length)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv420p"), ("ffv1", "bgr0")])
def test_how_long_there_is_no_picture_is_said_and_the_rate_stays(extract, films, tmp_path, codec, pix_fmt):
    film = holed(films, tmp_path / "f.mkv", codec, pix_fmt, 0.2)
    lost_s = (250 - len(films.whole(film).values)) / 25
    code, out, err = extract(film, "--json")
    assert code == 0
    assert lost_s > 1
    (note,) = [line for line in err if "picture" in line]
    assert f"{lost_s:.2f} s have no " in note
    assert "1 damaged packets" not in note
    (row,) = json.loads(out)["streams"]
    assert row["rate_hz"] == pytest.approx(25, abs=0.01)


def test_a_film_with_uneven_times_has_no_holes(films, tmp_path):
    times = [round(1000 * i / 23.976) for i in range(60)]
    film = films.encode(tmp_path / "f.mkv", films.pictures(60), times_ms=times)
    assert films.whole(film).attrs["notes"] == ""


# What a film lacks


def with_sound(films, path):
    """A film with a tone."""
    sound = np.sin(np.arange(16_000) / 10).astype(np.float32)[:, None] / 4
    return write_film(path, films.pictures(50), Fraction(25), sound, 8000)


def run(extract, *args):
    """Without a word about sound."""
    return extract(*args, all_kinds=True)


def test_a_film_without_sound_is_read_without_it_and_that_is_said(extract, films, tmp_path):
    film = write_film(tmp_path / "silent.mp4", films.pictures(50), Fraction(25))
    code, out, err = run(extract, film, "--json")
    assert code == 0
    assert err == ["note: silent.mp4: no sound; audio is left out"]
    told = json.loads(out)
    assert [s["modality"] for s in told["streams"]] == ["video_s3d"]
    assert "silent.mp4: no sound; audio is left out" in told["notes"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["modalities"]["audio"] == "none"


def test_sound_that_was_asked_for_is_refused_where_there_is_none(extract, films, tmp_path):
    film = write_film(tmp_path / "silent.mp4", films.pictures(50), Fraction(25))
    code, _, err = run(extract, film, "--audio", "mel")
    said = "silent.mp4: no sound; give a film that has sound, or leave the kind out (--audio none)"
    assert (code, err) == (2, [f"giblet: {said}"])
    code, _, err = run(extract, film, "--video", "none")
    assert (code, err) == (2, [f"giblet: {said}"])


def test_a_film_without_sound_beside_one_with_it_is_refused(extract, films, tmp_path):
    write_film(tmp_path / "a.mp4", films.pictures(50), Fraction(25))
    with_sound(films, tmp_path / "b.mp4")
    code, _, err = run(extract, tmp_path / "*.mp4")
    assert code == 2
    assert err == [
        "giblet: a.mp4: no sound, but in other films of the study; every film must have what the model reads: give "
        "films with sound, or leave the kind out (--audio none)"
    ]


def test_advice_is_given_once_and_only_where_it_can_be_followed(extract, films, tmp_path):
    whole = write_film(tmp_path / "g.mp4", films.pictures(9), Fraction(25)).read_bytes()
    says = {whole[:60]: "; is it whole?", whole[:900]: " is whole; mend the file, or leave the kind out (--video none)"}
    for content, said in says.items():
        (tmp_path / "f.mp4").write_bytes(content)
        code, _, err = extract(tmp_path / "f.mp4")
        assert code == 2
        assert err[0].endswith(said)
    (tmp_path / "x.tsv").write_text("1\t2\n3\n")
    code, _, err = extract(write_film(tmp_path / "h.mp4", films.pictures(9), Fraction(25)), "--features", "x=x.tsv")
    assert code == 2
    assert err[-1].endswith("line 2 has 1 values where the first row has 2")


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
