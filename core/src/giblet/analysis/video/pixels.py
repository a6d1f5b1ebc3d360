"""How like the original the frames of a reconstruction are, as stills; frames are uint8 [F, H, W, 3]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import Array, Features

Frames = NDArray[np.uint8]

MAX_PSNR_DB = 100.0
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5
SSIM_FLOORS = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""Window, its width and what is added to numerator and denominator, as published (Wang 2004)."""


def are_pictures(shape: tuple[int, ...]) -> bool:
    """Whether the frames of a film's features are colour pictures [H, W, 3], and not a net's features of them."""
    return len(shape) == 3 and shape[-1] == 3


def as_pictures(features: Features) -> Frames:
    """Frames of a film as they are shown, uint8 [N, H, W, 3]; floats are taken for 0 to 1."""
    values = np.asarray(features.values)
    return values if values.dtype == np.uint8 else np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def require_alike(a: Array, b: Array) -> None:
    """Refuse what cannot be compared frame by frame.

    Raises
    ------
    DataError
        If the shapes differ, or are not those of at least one colour frame.
    """
    if a.shape != b.shape or a.ndim != 4 or a.shape[-1] != 3 or not a.size:
        raise DataError(f"cannot compare videos of shapes {a.shape} and {b.shape}; both must be the same [n, H, W, 3]")


def frame_correlation(a: Frames, b: Frames) -> float:
    """Mean over frames of the correlation over pixels and colours; a uniform frame counts as 0."""
    require_alike(a, b)
    x, y = (_centred(frames) for frames in (a, b))
    xx, yy, xy = (np.einsum("fp,fp->f", p, q) for p, q in ((x, x), (y, y), (x, y)))
    scale = np.sqrt(xx * yy)
    return float(np.mean(np.where(scale > 0, xy / np.where(scale > 0, scale, 1), 0)))


def _centred(frames: Frames) -> NDArray[np.float32]:
    """Frames as rows, each minus its mean: exactly 0 where a frame is uniform."""
    rows = frames.reshape(len(frames), -1).astype(np.float32)
    return rows - rows.mean(1, keepdims=True, dtype=np.float64).astype(np.float32)


def psnr(a: Frames, b: Frames) -> float:
    """Peak signal-to-noise ratio in dB of all frames together, at most 100 (identical videos)."""
    import cv2

    require_alike(a, b)
    x, y = (np.ascontiguousarray(frames).reshape(-1) for frames in (a, b))
    return min(float(cv2.PSNR(x, y)), MAX_PSNR_DB)


def ssim(a: Frames, b: Frames) -> float | None:
    """Mean structural similarity of luma (Wang 2004, doi:10.1109/TIP.2003.819861): Gaussian 11 x 11, sigma 1.5.

    None where a frame is smaller than the window: there is no structure of that size to compare.
    """
    require_alike(a, b)
    if min(a.shape[1:3]) < SSIM_WINDOW_PX:
        return None
    return float(np.mean([_ssim(x, y) for x, y in zip(_luma(a), _luma(b), strict=True)]))


def _ssim(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """`ssim` of two pictures, over all windows that lie inside; all five local means in one pass of OpenCV's filter."""
    import cv2

    products = np.stack([x, y, x * x, y * y, x * y], -1).astype(np.float64)
    window, edge = (SSIM_WINDOW_PX, SSIM_WINDOW_PX), SSIM_WINDOW_PX // 2
    local = cv2.GaussianBlur(products, window, SSIM_SIGMA_PX)[edge:-edge, edge:-edge]
    mx, my, xx, yy, xy = np.moveaxis(np.asarray(local), -1, 0)
    c1, c2 = SSIM_FLOORS
    means, spread = mx * my, mx**2 + my**2
    return float(np.mean((2 * means + c1) * (2 * (xy - means) + c2) / ((spread + c1) * (xx + yy - spread + c2))))


def _luma(frames: Frames) -> NDArray[np.float32]:
    """Brightness, [..., 3] -> [...], 0 to 255."""
    return np.asarray(frames @ np.array(LUMA, np.float32))
