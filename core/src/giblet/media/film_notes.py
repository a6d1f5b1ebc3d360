"""What a person should know of how a film was read."""

from __future__ import annotations

from fractions import Fraction

from giblet.media.containers import AvObject, duration_s, streams_of
from giblet.media.decoding import Decoder
from giblet.media.frame_clock import FrameClock

SHAPE_TOLERANCE = 0.02
HOLE_S = 1
"""More than this without a new picture is worth a line, where nothing is known to be damaged."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of ITU-R BT.2100 by their number in ITU-T H.273."""


def pixel_aspect(stream: AvObject) -> Fraction:
    """Width over height of a pixel as it is shown; square where the file does not say."""
    return Fraction(stream.sample_aspect_ratio or 1)


def stream_notes(container: AvObject, number: int, stream: AvObject, *, chosen: bool) -> list[str]:
    """Which of several video streams is read, when it was not chosen by name."""
    found = streams_of(container, "video")
    if chosen or len(found) == 1:
        return []
    others = ", ".join(f"{i} ({_told(s)})" for i, s in enumerate(found) if i != number)
    return [
        f"video stream {number} ({_told(stream)}) is read, not {others}; `video_stream` in a study file chooses another"
    ]


def _told(stream: AvObject) -> str:
    codec = stream.codec_context
    return f"{codec.width}x{codec.height} {codec.name}" if codec else "not decodable"


def picture_notes(stream: AvObject, frame: AvObject, *, sideways: bool, width: int, height: int) -> list[str]:
    """What a film's first frame says of shape and brightness."""
    shape = Fraction(frame.width, frame.height) * pixel_aspect(stream)
    shape = 1 / shape if sideways else shape
    notes = []
    if abs(float(shape) * height / width - 1) > SHAPE_TOLERANCE:
        kept = max(1, round(shape * height))
        notes.append(
            f"the picture, {float(shape):.2f} times as wide as high, is scaled to {width}x{height}; "
            f"{kept}x{height} would keep its shape"
        )
    if int(frame.color_trc) in HDR:
        notes.append(f"the brightness is {HDR[int(frame.color_trc)]} (HDR) and read as coded, without tone mapping")
    return notes


def reading_notes(decoder: Decoder, clock: FrameClock) -> list[str]:
    """What was wrong with the file."""
    notes = []
    if decoder.truncated:
        end, said = (float(t) for t in (decoder.end_s or 0, duration_s(decoder.stream) or 0))
        whole = f" of {said:.2f} s" if said else ""
        notes.append(f"the film breaks off at {end:.2f} s{whole}; what is there was read")
    holes_s = float(clock.holes_s)
    if decoder.damaged:
        packets = _several(decoder.damaged, "damaged packet was", "damaged packets were")
        lost = f"{holes_s:.2f} s have no picture, and " if holes_s else ""
        notes.append(f"{packets} passed over; {lost}frames after that keep their times")
    elif holes_s > HOLE_S:
        notes.append(f"{holes_s:.2f} s have no new picture: frames are missing, or the film stands still there")
    if clock.nudged:
        frames = _several(clock.nudged, "frame was", "frames were")
        notes.append(f"{frames} not later than the one before them; each was put one tick after it")
    if clock.untimed:
        frames = _several(clock.untimed, "frame has no time; it follows", "frames have no time; they follow")
        notes.append(f"{frames} at {float(clock.rate_hz):.3f} Hz")
    return notes


def _several(n: int, one: str, more: str) -> str:
    return f"{n} {one if n == 1 else more}"
