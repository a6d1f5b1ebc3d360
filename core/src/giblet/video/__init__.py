"""What modalities of film share: frames in, frames or numbers a TR, frames out."""

from giblet.video.modality import Channels, VideoModality
from giblet.video.pictures import film_pictures
from giblet.video.summary import film_summary

__all__ = ["Channels", "VideoModality", "film_pictures", "film_summary"]
