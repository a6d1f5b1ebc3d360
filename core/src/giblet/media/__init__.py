"""Reading and writing films, sounds, annotation tables and tables of numbers."""

from giblet.media.annotations import Annotations
from giblet.media.audio import audio_streams, read_sound
from giblet.media.captions import caption_streams
from giblet.media.containers import StreamInfo
from giblet.media.images import off_grid, open_image, read_on_grid, volume_slabs
from giblet.media.label_tables import label_groups, read_label_table
from giblet.media.nuisance import read_nuisance
from giblet.media.rhythm import FASTEST_HZ, SLOWEST_HZ, rhythm
from giblet.media.scan_tables import is_scan_table, read_scan_table
from giblet.media.series import read_series
from giblet.media.spoken import spread_words, word_rate
from giblet.media.tables import read_annotations, read_table
from giblet.media.video import read_frames, video_streams
from giblet.media.writing import mux_sound, replacing, write_film, write_sound

__all__ = [
    "FASTEST_HZ",
    "SLOWEST_HZ",
    "Annotations",
    "StreamInfo",
    "audio_streams",
    "caption_streams",
    "is_scan_table",
    "label_groups",
    "mux_sound",
    "off_grid",
    "open_image",
    "read_annotations",
    "read_frames",
    "read_label_table",
    "read_nuisance",
    "read_on_grid",
    "read_scan_table",
    "read_series",
    "read_sound",
    "read_table",
    "replacing",
    "rhythm",
    "spread_words",
    "video_streams",
    "volume_slabs",
    "word_rate",
    "write_film",
    "write_sound",
]
