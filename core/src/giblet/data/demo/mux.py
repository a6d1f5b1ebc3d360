"""Writing a demo film: H.264 with its sound inside."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from giblet.data.demo.film import HEIGHT, WIDTH, Bytes, frames
from giblet.data.demo.schedule import FPS_HZ
from giblet.data.demo.sound import RATE_HZ, sound
from giblet.data.demo.world import World

if TYPE_CHECKING:
    import av

X264 = {"crf": "20", "preset": "veryfast", "threads": "1", "g": "125", "x264-params": "mbtree=0"}
"""One thread, and no macroblock tree: with the tree, x264 writes other frames from one call to the next."""
BIT_RATE = 96_000


def write_film(path: Path, world: World, run: int) -> None:
    """Render a run's picture and sound to an mp4; the same seed gives the same frames."""
    import av

    rate = Fraction(FPS_HZ)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options=X264)
        video.width, video.height, video.pix_fmt, video.time_base = WIDTH, HEIGHT, "yuv420p", 1 / rate
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono", options={"aac_coder": "fast"})
        audio.bit_rate = BIT_RATE
        wave, shown, heard = sound(world, run), 0, 0
        for shot in frames(world, run):
            for picture in shot:
                container.mux(video.encode(_video_frame(picture, shown, rate)))
                shown += 1
            upto = round(shown * RATE_HZ / FPS_HZ)
            container.mux(audio.encode(_audio_frame(wave[heard:upto], heard)))
            heard = upto
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _video_frame(picture: Bytes, index: int, rate: Fraction) -> av.VideoFrame:
    import av

    frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
    frame.pts, frame.time_base = index, 1 / rate
    return frame


def _audio_frame(wave: NDArray[np.float32], first: int) -> av.AudioFrame:
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None]), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, first, Fraction(1, RATE_HZ)
    return frame
