"""How like the original a reconstructed video is; frames are uint8 [n, H, W, 3]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from giblet.analysis.scores import Real, pearson
from giblet.errors import DataError
from giblet.types import Array, Features

Frames = NDArray[np.uint8]

MAX_PSNR_DB = 100.0
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def metrics(original: Frames, reconstruction: Frames) -> dict[str, float]:
    """Frame correlation, PSNR (dB), SSIM and correlation of the temporal difference of two videos [n, H, W, 3]."""
    return {
        "frame_r": frame_correlation(original, reconstruction),
        "psnr_db": psnr(original, reconstruction),
        "ssim": ssim(original, reconstruction),
        "temporal_difference_r": temporal_difference_correlation(original, reconstruction),
    }


def compare(original: Features, made: Features, original_file: Path, made_file: Path) -> dict[str, float]:
    """`metrics` of two videos given as features; the files are not needed."""
    return metrics(np.asarray(original.values), np.asarray(made.values))


def _same_shape(a: Array, b: Array) -> None:
    if a.shape != b.shape or a.ndim != 4 or a.shape[-1] != 3 or not len(a):
        raise DataError(f"cannot compare videos of shapes {a.shape} and {b.shape}; both must be the same [n, H, W, 3]")


def luma(frames: Frames) -> Real:
    """Brightness, [..., 3] -> [...], 0 to 255."""
    return np.asarray(frames @ np.array(LUMA))


def frame_correlation(a: Frames, b: Frames) -> float:
    """Mean over frames of the correlation over pixels and colours; a uniform frame counts as 0."""
    _same_shape(a, b)
    r = [pearson(x.ravel(), y.ravel()) for x, y in zip(a, b, strict=True)]
    return float(np.mean(r))


def psnr(a: Frames, b: Frames) -> float:
    """Peak signal-to-noise ratio in dB over the whole video, at most 100 (identical videos)."""
    _same_shape(a, b)
    error = np.mean([np.mean((x.astype(np.float64) - y) ** 2) for x, y in zip(a, b, strict=True)])
    return float(min(10 * np.log10(255**2 / error), MAX_PSNR_DB)) if error else MAX_PSNR_DB


def ssim(a: Frames, b: Frames) -> float:
    """Mean structural similarity of luma (Wang 2004, doi:10.1109/TIP.2003.819861): Gaussian 11 x 11, sigma 1.5.

    Raises
    ------
    DataError
        If the shapes differ or a frame is smaller than the window.
    """
    _same_shape(a, b)
    if min(a.shape[1:3]) < 11:
        raise DataError(f"SSIM needs frames of at least 11x11 pixels, not {a.shape[1]}x{a.shape[2]}")
    return float(np.mean([_ssim_frame(luma(x), luma(y)) for x, y in zip(a, b, strict=True)]))


def _ssim_frame(x: Real, y: Real) -> float:
    """SSIM of one frame [H, W] where the window lies wholly inside."""
    from scipy.ndimage import gaussian_filter

    def blur(image: Real) -> Real:
        return np.asarray(gaussian_filter(image, 1.5, radius=5)[5:-5, 5:-5])

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return float(np.mean((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))))


def temporal_difference_correlation(a: Frames, b: Frames) -> float:
    """Correlate how much the picture changes from frame to frame (mean squared difference of luma); 0 if either never.

    It sees when things move or cut, not where to: it is no measure of optical flow.
    """
    _same_shape(a, b)
    return float(pearson(_change(a), _change(b))) if len(a) > 1 else 0.0


def _change(frames: Frames) -> Real:
    previous = luma(frames[0])
    out = np.empty(len(frames) - 1)
    for i, frame in enumerate(frames[1:]):
        current = luma(frame)
        out[i] = np.mean((current - previous) ** 2)
        previous = current
    return out
