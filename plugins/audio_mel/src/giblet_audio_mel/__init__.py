"""Mel spectrograms for giblet: the sound of a film as 80 or 128 bands in dB, and back as a wav."""

from giblet_audio_mel.modality import AudioMel, register_modalities

__all__ = ["AudioMel", "register_modalities"]
