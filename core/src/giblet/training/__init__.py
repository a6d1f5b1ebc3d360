"""The loop, and the three things that it trains: front ends, trunk, decoders."""

from giblet.training.codes import apply_codes, compute_codes, keep_projections, kept_projections
from giblet.training.compressor import CompressorTask, training_volumes
from giblet.training.decoders import DecoderTask
from giblet.training.front_ends import FrontEndTask
from giblet.training.task import Schedule, Task
from giblet.training.trainer import fit
from giblet.training.trunk import TrunkTask, most_steps

__all__ = [
    "CompressorTask",
    "DecoderTask",
    "FrontEndTask",
    "Schedule",
    "Task",
    "TrunkTask",
    "apply_codes",
    "compute_codes",
    "fit",
    "keep_projections",
    "kept_projections",
    "most_steps",
    "training_volumes",
]
