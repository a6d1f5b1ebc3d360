"""Film by separable 3-D convolutions (S3D), motion kept."""

from giblet_video_s3d.modality import VideoS3D, register_modalities

__all__ = ["VideoS3D", "register_modalities"]
