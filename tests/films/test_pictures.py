"""Colour, shape and the right way up: what is read is what a player shows."""

from __future__ import annotations

import numpy as np
import pytest

BT601, BT709, BT2020 = 5, 1, 9
WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}
LIMITED, FULL = 1, 2


def to_rgb(yuv: np.ndarray, matrix: int, span: int, bits: int) -> np.ndarray:
    """ITU-R BT.601, BT.709 and BT.2020 in floating point: `yuv` [3, H, W] in codes, RGB [H, W, 3] in 0..255."""
    unit = 2.0 ** (bits - 8)
    black, luma, chroma = (16 * unit, 219 * unit, 224 * unit) if span == LIMITED else (0, 2**bits - 1, 2**bits - 1)
    y, (cb, cr) = (yuv[0] - black) / luma, (yuv[1:] - 128 * unit) / chroma
    kr, kb = WEIGHTS[matrix]
    r, b = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return 255 * np.stack([r, (y - kr * r - kb * b) / (1 - kr - kb), b], axis=-1)


def codes(bits: int, span: int) -> np.ndarray:
    """Ramps of luma and chroma [3, 36, 64] whose colours lie within RGB."""
    y, x = np.mgrid[:36, :64]
    eight = np.stack([60 + 2 * x, 118 + y * 0.5, 138 - y * 0.5])
    return np.rint(eight * 2 ** (bits - 8)).astype(np.uint16 if bits > 8 else np.uint8)


def yuv_film(films, path, pix_fmt, matrix, span, bits, codec="ffv1", options=None):
    import av

    values = codes(bits, span)
    frame = av.VideoFrame(64, 36, pix_fmt)
    for plane, ramp in zip(frame.planes, values, strict=True):
        rows = np.zeros((36, plane.line_size // ramp.itemsize), ramp.dtype)
        rows[:, :64] = ramp
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, span

    def tag(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, span

    return films.encode(path, [frame], codec, pix_fmt, set_up=tag, options=options), values.astype(float)


@pytest.mark.parametrize("span", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT601, BT709, BT2020], ids=["601", "709", "2020"])
@pytest.mark.parametrize(("pix_fmt", "bits"), [("yuv444p", 8), ("yuv444p10le", 10)])
def test_colours_are_those_of_a_conversion_in_floating_point(films, tmp_path, pix_fmt, bits, matrix, span):
    film, values = yuv_film(films, tmp_path / "f.mkv", pix_fmt, matrix, span, bits)
    got = films.whole(film)
    assert got.values.dtype == np.uint8
    assert np.abs(got.values[0] - to_rgb(values, matrix, span, bits)).max() <= 1.6


def test_hevc_of_ten_bits(films, tmp_path):
    options = {"x265-params": "lossless=1:log-level=none"}
    film, values = yuv_film(films, tmp_path / "f.mkv", "yuv444p10le", BT709, LIMITED, 10, "libx265", options)
    assert np.abs(films.whole(film).values[0] - to_rgb(values, BT709, LIMITED, 10)).max() <= 1.6


def test_grey_films_are_grey(films, tmp_path):
    import av

    grey = np.tile(np.arange(64, dtype=np.uint8) * 3 + 20, (36, 1))
    frame = av.VideoFrame.from_ndarray(grey, format="gray")
    got = films.whole(films.encode(tmp_path / "f.mkv", [frame], "ffv1", "gray")).values[0].astype(int)
    np.testing.assert_array_equal(got, np.repeat(grey[..., None], 3, -1))


@pytest.mark.parametrize(
    ("codec", "suffix", "pix_fmt"), [("ffv1", "mkv", "bgr0"), ("libx264rgb", "mp4", "rgb24"), ("qtrle", "mov", "rgb24")]
)
def test_films_in_rgb_are_read_as_they_are(films, tmp_path, codec, suffix, pix_fmt):
    options = {"qp": "0"} if codec == "libx264rgb" else {}
    rgb = films.picture(7)
    film = films.encode(tmp_path / f"f.{suffix}", [rgb], codec, pix_fmt, options=options)
    np.testing.assert_allclose(films.whole(film).values[0].astype(int), rgb, atol=1)


def test_transparency_is_left_out_not_blended(films, tmp_path):
    import av

    rgba = np.dstack([films.picture(7), np.zeros((36, 64), np.uint8)])
    film = films.encode(tmp_path / "f.mov", [av.VideoFrame.from_ndarray(rgba, format="rgba")], "qtrle", "argb")
    np.testing.assert_allclose(films.whole(film).values[0].astype(int), rgba[..., :3], atol=1)


def test_brightness_of_hdr_is_said(films, tmp_path):
    def tag(stream):
        stream.codec_context.color_trc = 16

    assert not films.whole(films.encode(tmp_path / "a.mkv", films.pictures(2))).attrs["notes"]
    hdr = films.whole(films.encode(tmp_path / "b.mkv", films.pictures(2), set_up=tag))
    assert hdr.attrs["notes"] == "the brightness is PQ (HDR) and read as coded, without tone mapping"


@pytest.mark.parametrize("size", [(35, 63), (1, 1), (3, 2), (37, 64)])
def test_odd_sizes_fill_the_size_asked_for(films, tmp_path, size):
    rgb = np.full((*size, 3), (40, 90, 200), np.uint8)
    got = films.whole(films.encode(tmp_path / "f.mkv", [rgb], "ffv1", "bgr0"), 31, 17)
    assert got.values.shape == (1, 17, 31, 3)
    assert np.abs(got.values[0].astype(int) - rgb[0, 0]).max() <= 1
    assert (got.attrs["height"], got.attrs["width"]) == size


def test_pixels_that_are_not_square_change_no_value_and_the_shape_is_said(films, tmp_path):
    """The whole picture fills the size asked for: 64x36 with pixels of 4:3 is shown 85x36, and is read as 64x36."""
    from fractions import Fraction

    def wide(stream):
        stream.sample_aspect_ratio = Fraction(4, 3)

    plain = films.whole(films.encode(tmp_path / "a.mkv", films.pictures(3)))
    narrow = films.whole(films.encode(tmp_path / "b.mkv", films.pictures(3), set_up=wide))
    np.testing.assert_array_equal(narrow.values, plain.values)
    assert (plain.attrs["pixel_aspect"], narrow.attrs["pixel_aspect"]) == ("1", "4/3")
    assert plain.attrs["notes"] == ""
    (note,) = narrow.attrs["notes"].splitlines()
    assert note == ("the picture, 2.37 times as wide as high, is scaled to 64x36; 85x36 would keep its shape")
    assert films.whole(tmp_path / "b.mkv", 85, 36).attrs["notes"] == ""


def test_black_bars_are_kept_as_they_are(films, tmp_path):
    rgb = np.full((36, 64, 3), 200, np.uint8)
    rgb[:6] = rgb[-6:] = 0
    got = films.whole(films.encode(tmp_path / "f.mkv", [rgb], "ffv1", "bgr0"), 32, 18).values[0].astype(int)
    assert got[:2].max() <= 1
    assert got[-2:].max() <= 1
    assert np.abs(got[5:-5] - 200).max() <= 1


CASES = {
    "0": ((1, 0, 0, 1), lambda p: p),
    "90": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "180": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "270": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize("matrix_and_turn", CASES.values(), ids=list(CASES))
def test_display_matrices_set_the_picture_upright(films, tmp_path, matrix_and_turn):
    """A pixel at (x, y) is shown at (a x + c y, b x + d y), ISO 14496-12 6.2.2; the box is written over in the file."""
    (a, b, c, d), turned = matrix_and_turn
    film = films.encode(tmp_path / "f.mp4", films.pictures(2), options={"qp": "4"})
    plain = films.whole(film).values[0]
    content, unit = film.read_bytes(), np.array([1, 0, 0, 0, 1, 0, 0, 0, 16384]) * 65536
    unit[-1] = 1 << 30
    upright = unit.astype(">i4").tobytes()
    at = content.index(b"tkhd")
    where = content.index(upright, at)
    unit[[0, 1, 3, 4]] = np.array([a, b, c, d]) * 65536
    film.write_bytes(content[:where] + unit.astype(">i4").tobytes() + content[where + 36 :])
    expected = turned(plain)
    height, width = expected.shape[:2]
    got = films.whole(film, width, height)
    np.testing.assert_allclose(got.values[0].astype(int), expected.astype(int), atol=3)
    assert got.attrs["notes"] == ""


def test_a_film_that_changes_its_size_midway_is_read_on(films, tmp_path):
    parts = []
    for k, size in enumerate([(36, 64), (72, 128)]):
        parts.append(films.encode(tmp_path / f"{k}.h264", films.pictures(5, size), options={"qp": "4", "bf": "0"}))
    (tmp_path / "f.h264").write_bytes(b"".join(p.read_bytes() for p in parts))
    got = films.whole(tmp_path / "f.h264")
    assert films.shown(got) == [*range(5), *range(5)]
