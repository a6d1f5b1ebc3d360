"""Reading and writing films, sounds, annotation tables and tables of numbers."""

from giblet.media.annotations import Annotations
from giblet.media.audio import audio_streams, read_sound
from giblet.media.captions import caption_streams
from giblet.media.containers import StreamInfo
from giblet.media.series import read_series
from giblet.media.tables import read_table
from giblet.media.video import read_frames, video_streams
from giblet.media.writing import mux_sound, replacing, write_film, write_sound

__all__ = [
    "Annotations",
    "StreamInfo",
    "audio_streams",
    "caption_streams",
    "mux_sound",
    "read_frames",
    "read_series",
    "read_sound",
    "read_table",
    "replacing",
    "video_streams",
    "write_film",
    "write_sound",
]
