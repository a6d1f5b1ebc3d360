"""Times of films as they come: irregular, late, negative, missing, doubled, going back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from giblet.errors import DataError

ALONE = {"g": "1", "bf": "0", "crf": "5"}


def ms(features):
    return [round(1000 * t * features.timebase) for t in features.ticks.tolist()]


def remux(path, out, times):
    """Copy packets, the n-th shown at times[n] ms; decoding times rise, as writers want them to."""
    import av

    with av.open(str(path)) as given, av.open(str(out), "w", options={"avoid_negative_ts": "disabled"}) as made:
        stream = given.streams.video[0]
        copy = made.add_stream_from_template(stream)
        packets = [p for p in given.demux(stream) if p.size]
        for i, (packet, time) in enumerate(zip(packets, times, strict=True)):
            packet.stream = copy
            packet.pts = round(time / (1000 * packet.time_base))
            packet.dts = packet.pts if sorted(set(times)) == times else i - 10_000
            made.mux(packet)
    return out


@pytest.fixture(scope="module")
def steady(tmp_path_factory, films):
    """Fifty frames at 25 Hz, each decodable by itself."""
    return films.encode(tmp_path_factory.mktemp("steady") / "f.mkv", films.pictures(50), options=ALONE)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
def test_irregular_times_are_kept(films, tmp_path, suffix):
    times = [0, 40, 80, 200, 210, 500, 540, 900]
    film = films.encode(tmp_path / f"f.{suffix}", films.pictures(8), times_ms=times)
    got = films.whole(film)
    assert ms(got) == times
    assert films.shown(got) == list(range(8))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts", "webm"])
def test_a_late_beginning_is_kept(films, tmp_path, suffix):
    codec = "libvpx" if suffix == "webm" else "libx264"
    sure = {"crf": "4", "b": "2000000"} if suffix == "webm" else {}  # at its own rate VP8 shows the first frame twice
    times = [2000 + 40 * i for i in range(8)]
    film = films.encode(tmp_path / f"f.{suffix}", films.pictures(8), codec, times_ms=times, options=sure)
    got = films.whole(film)
    assert np.diff(ms(got)).tolist() == [40] * 7
    assert ms(got)[0] == 2000
    assert films.shown(got) == list(range(8))


def test_a_beginning_before_zero_is_kept(films, steady, tmp_path):
    times = [40 * i - 200 for i in range(50)]
    film = remux(steady, tmp_path / "f.ts", times)
    got = films.whole(film)
    assert ms(got) == times
    assert ms(films.whole(film, start_s=Fraction(0))) == times[5:]


def test_an_edit_list_leaves_out_what_it_cuts_off(films, steady, tmp_path):
    """An mp4 whose first packets lie before zero is shown from zero on."""
    times = [40 * i - 200 for i in range(50)]
    got = films.whole(remux(steady, tmp_path / "f.mp4", times))
    assert films.shown(got) == list(range(5, 50))
    assert ms(got) == times[5:]


def test_frames_out_of_coding_order_come_in_order(films, tmp_path):
    film = films.encode(tmp_path / "f.mp4", films.pictures(30), options={"bf": "3", "b_strategy": "0"})
    got = films.whole(film)
    assert films.shown(got) == list(range(30))
    assert ms(got) == [40 * i for i in range(30)]


def test_doubled_times_lose_no_frame(films, steady, tmp_path):
    times = [40 * (i // 2 * 2) for i in range(50)]
    got = films.whole(remux(steady, tmp_path / "f.mkv", times))
    assert films.shown(got) == list(range(50))
    assert got.attrs["nudged"] == 25
    assert "25 frames were not later than the one before them" in got.attrs["notes"]
    assert (np.diff(got.ticks) > 0).all()


def test_a_small_step_back_is_put_right_and_a_large_one_is_refused(films, steady, tmp_path):
    back = [40 * i - (100 if i >= 25 else 0) for i in range(50)]
    got = films.whole(remux(steady, tmp_path / "a.mkv", back))
    assert len(got.values) == 50
    assert got.attrs["nudged"] == 2
    assert ms(got)[-1] == back[-1]
    again = [40 * (i % 40) for i in range(50)]
    with pytest.raises(DataError, match=r"b\.mkv: frame times go back after 1\.560 s; remux the film into one run$"):
        films.whole(remux(steady, tmp_path / "b.mkv", again))


@pytest.mark.parametrize(("suffix", "codec"), [("h264", "libx264"), ("m2v", "mpeg2video"), ("hevc", "libx265")])
def test_a_bare_stream_has_frames_at_its_mean_rate(films, tmp_path, suffix, codec):
    """No index, no duration, no count of frames, and no times but the rate in the stream."""
    options = {"x265-params": "log-level=none:bframes=2"} if codec == "libx265" else {"bf": "2"}
    got = films.whole(films.encode(tmp_path / f"f.{suffix}", films.pictures(40), codec, options=options))
    assert np.abs(np.array(films.shown(got)) - np.arange(40)).max() <= 1  # MPEG-2 rounds levels coarsely
    assert np.diff(ms(got)).tolist() == [40] * 39
    assert got.attrs["truncated"] is False


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("h264", "libx264"), ("ts", "libx264"), ("mpg", "mpeg1video"), ("avi", "mpeg4"), ("mkv", "ffv1")],
)
@pytest.mark.parametrize("at", [Fraction("3.02"), Fraction("7.5")])
def test_a_cut_is_that_part_of_the_whole_in_every_container(films, tmp_path, suffix, codec, at):
    options = {} if codec == "ffv1" else {"bf": "2", "g": "500"}
    film = films.encode(tmp_path / f"f.{suffix}", films.pictures(100) + films.pictures(100), codec, options=options)
    full, cut = films.whole(film, 16, 8), films.whole(film, 16, 8, start_s=at, stop_s=at + Fraction(1, 3))
    inside = [at <= t * full.timebase < at + Fraction(1, 3) for t in full.ticks.tolist()]
    np.testing.assert_array_equal(cut.ticks, full.ticks[inside])
    np.testing.assert_array_equal(cut.values, full.values[inside])


def test_interlaced_frames_are_read_as_they_are_stored(films, tmp_path):
    """Two fields in a frame, woven: neither is dropped, and no frame is made up."""
    woven = films.pictures(12)
    for i, frame in enumerate(woven):
        frame[1::2] = films.picture(i + 20)[1::2]

    def by_fields(stream):
        stream.codec_context.flags |= 1 << 18 | 1 << 29

    got = films.whole(films.encode(tmp_path / "f.mpg", woven, "mpeg2video", set_up=by_fields, options={"q": "1"}))
    assert len(got.values) == 12
    assert np.diff(ms(got)).tolist() == [40] * 11
    assert np.abs(np.array(films.shown(got)) - np.arange(10, 22)).max() <= 1


def test_one_frame_is_a_film(films, tmp_path):
    got = films.whole(films.encode(tmp_path / "f.mp4", films.pictures(1)))
    assert got.values.shape == (1, 36, 64, 3)
    assert ms(got) == [0]
