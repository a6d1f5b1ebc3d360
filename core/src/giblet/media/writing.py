"""Films and sounds that a person can play."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.media.containers import AvObject, choose_stream, duration_s, open_container

AAC_RATES_HZ = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
AAC_BIT_RATE = 64_000
"""Bits a second and channel."""
AAC = {"aac_coder": "fast"}
H264 = {"crf": "18", "preset": "veryfast"}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, moved there when the block ends well and removed when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{uuid4().hex}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_film(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    rate_hz: Fraction,
    sound: NDArray[np.float32] | None = None,
    sound_rate_hz: int | None = None,
) -> Path:
    """Write frames `[H, W, 3]` RGB and sound `[n, C]` or `[n]` as an mp4 (H.264 yuv420p, AAC).

    H and W are padded up to even by repeating the last row or column, as yuv420p needs. Sound is cut or filled with
    silence to the length of the picture; at a rate that AAC does not know it is resampled to 48 kHz. The file appears
    whole or not at all.

    Raises
    ------
    DataError
        If there is no frame, or the name does not end in .mp4.
    """
    from av.video.reformatter import VideoReformatter

    _mp4(path)
    audio = None if sound is None else _playable(sound, sound_rate_hz)
    with replacing(path) as part, _output(part) as out:
        picture, converter = iter(frames), VideoReformatter()
        head = next(picture, None)
        if head is None:
            raise DataError(f"there is no frame to write to {path}")
        video = _video_stream(out, head.shape, Fraction(rate_hz))
        track = None if audio is None else _SoundTrack(out, *audio)
        for i, frame in enumerate(_chain(head, picture)):
            out.mux(video.encode(_video_frame(frame, i, Fraction(rate_hz), converter)))
            if track:
                track.write_until((i + 1) / Fraction(rate_hz))
        out.mux(video.encode(None))
        if track:
            track.finish()
    return Path(path)


def mux_sound(film: Path, sound: NDArray[np.float32], rate_hz: int, out: Path) -> Path:
    """Copy a film's picture, unchanged, beside new sound `[n, C]` or `[n]`, cut or filled with silence to its length.

    Raises
    ------
    DataError
        If the film has no picture, or the name does not end in .mp4.
    """
    _mp4(out)
    samples, rate = _playable(sound, rate_hz)
    with open_container(film) as source, replacing(out) as part, _output(part) as target:
        _, video = choose_stream(source, "video", film)
        copy = target.add_stream_from_template(video)
        track = _SoundTrack(target, samples, rate)
        end = duration_s(video) or Fraction(len(samples), rate)
        for packet in source.demux(video):
            if packet.dts is None:
                continue
            at = packet.dts * Fraction(video.time_base)
            packet.stream = copy
            target.mux(packet)
            track.write_until(min(at, end))
        track.write_until(end)
        track.finish()
    return Path(out)


def write_sound(path: Path, sound: NDArray[np.float32] | Iterable[NDArray[np.float32]], rate_hz: int) -> Path:
    """Write sound `[n, C]` or `[n]` as 16-bit wav; the level is kept and what goes beyond ±1 is clipped.

    Pieces of sound are written one after the other, so that memory does not grow with its length.

    Raises
    ------
    DataError
        If the sound is empty or not finite.
    """
    import soundfile

    pieces = map(_finite, [sound] if isinstance(sound, np.ndarray) else sound)
    head = next(pieces, None)
    if head is None:
        raise DataError(f"there is no sound to write to {path}")
    with (
        replacing(Path(path)) as part,
        soundfile.SoundFile(str(part), "w", rate_hz, head.shape[1], "PCM_16", format="WAV") as file,
    ):
        file.write(head)
        for piece in pieces:
            file.write(piece)
    return Path(path)


def _chain(head: NDArray[np.uint8], rest: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    yield head
    yield from rest


def _mp4(path: Path) -> None:
    if Path(path).suffix.lower() != ".mp4":
        raise DataError(f"films are written as mp4: {Path(path).name} must end in .mp4")


def _output(path: Path) -> AvObject:
    import av

    return av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})


def _video_stream(out: AvObject, shape: tuple[int, ...], rate_hz: Fraction) -> AvObject:
    """An H.264 stream, marked with the colour matrix (BT.601) that the conversion from RGB uses."""
    stream = out.add_stream("libx264", rate=rate_hz, options=H264)
    stream.height, stream.width = (n + n % 2 for n in shape[:2])
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / rate_hz
    stream.codec_context.colorspace = 6
    stream.codec_context.color_range = 1
    return stream


def _video_frame(frame: NDArray[np.uint8], index: int, rate_hz: Fraction, converter: AvObject) -> AvObject:
    """A frame as H.264 takes it; one `converter` for all, since to set one up takes longer than to convert."""
    import av

    height, width = frame.shape[:2]
    even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
    out = converter.reformat(rgb, format="yuv420p", dst_colorspace="SMPTE170M")
    out.pts, out.time_base = index, 1 / rate_hz
    return out


def _finite(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sound as `[n, C]` in [-1, 1]."""
    samples = np.asarray(sound, np.float32)
    samples = samples[:, None] if samples.ndim == 1 else samples
    if samples.ndim != 2 or not samples.size:
        raise DataError(f"a sound of shape {np.shape(sound)} cannot be written; give [samples] or [samples, channels]")
    if not np.isfinite(samples).all():
        raise DataError("the sound has samples that are not numbers (NaN or infinite); it cannot be written")
    return samples.clip(-1, 1)


def _playable(sound: NDArray[np.float32], rate_hz: int | None) -> tuple[NDArray[np.float32], int]:
    if rate_hz is None:
        raise DataError("a sound without a sampling rate cannot be written; give sound_rate_hz")
    samples = _finite(sound)
    if rate_hz in AAC_RATES_HZ:
        return samples, rate_hz
    import soxr

    return soxr.resample(samples, rate_hz, 48000).clip(-1, 1), 48000


class _SoundTrack:
    """An AAC stream that is fed beside the picture, so that neither waits in memory for the other."""

    def __init__(self, out: AvObject, samples: NDArray[np.float32], rate_hz: int) -> None:
        layouts = {1: "mono", 2: "stereo"}
        if samples.shape[1] not in layouts:
            raise DataError(
                f"a film is written with 1 or 2 channels of sound, not {samples.shape[1]}; mix it down first"
            )
        self.out, self.samples, self.rate_hz, self.done = out, samples, rate_hz, 0
        self.layout = layouts[samples.shape[1]]
        self.stream = out.add_stream("aac", rate=rate_hz, layout=self.layout, options=AAC)
        self.stream.bit_rate = AAC_BIT_RATE * samples.shape[1]

    def write_until(self, stop_s: Fraction) -> None:
        """Encode what is due before a time."""
        import av

        stop = round(stop_s * self.rate_hz)
        if stop <= self.done:
            return
        block = np.zeros((stop - self.done, self.samples.shape[1]), np.float32)
        there = self.samples[self.done : stop]
        block[: len(there)] = there
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block.T), format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate_hz, self.done, Fraction(1, self.rate_hz)
        self.out.mux(self.stream.encode(frame))
        self.done = stop

    def finish(self) -> None:
        """Encode what the encoder still holds."""
        self.out.mux(self.stream.encode(None))
