"""Film by a convolutional net on each frame, pooled over the frames of a TR."""

from giblet_video_2dcnn.modality import Video2DCNN, register_modalities

__all__ = ["Video2DCNN", "register_modalities"]
