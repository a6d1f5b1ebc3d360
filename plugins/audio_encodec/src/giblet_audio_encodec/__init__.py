"""EnCodec codes for giblet: the sound of a film as tokens, and back as a wav."""

from giblet_audio_encodec.modality import AudioEncodec, register_modalities

__all__ = ["AudioEncodec", "register_modalities"]
