"""How like the original a reconstructed film is: pictures, motion, cuts, and which clip it was."""

from giblet.analysis.video.cuts import find_cuts
from giblet.analysis.video.motion import motion_coherence
from giblet.analysis.video.pixels import are_pictures, as_pictures, frame_correlation, psnr, ssim
from giblet.analysis.video.quality import compare, compare_films
from giblet.analysis.video.retrieval import MOMENTS, Library, retrieve, sketch

__all__ = [
    "MOMENTS",
    "Library",
    "are_pictures",
    "as_pictures",
    "compare",
    "compare_films",
    "find_cuts",
    "frame_correlation",
    "motion_coherence",
    "psnr",
    "retrieve",
    "sketch",
    "ssim",
]
