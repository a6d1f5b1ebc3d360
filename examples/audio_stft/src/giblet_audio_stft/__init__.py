"""Complex spectra for giblet: magnitude and phase are kept, and the sound comes back exactly."""

from giblet_audio_stft.modality import AudioStft, register_modalities

__all__ = ["AudioStft", "register_modalities"]
