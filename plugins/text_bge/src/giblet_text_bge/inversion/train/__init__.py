"""Training an inverter for any embedder on any texts."""

from giblet_text_bge.inversion.train.run import train_inverter
from giblet_text_bge.inversion.train.settings import Training

__all__ = ["Training", "train_inverter"]
