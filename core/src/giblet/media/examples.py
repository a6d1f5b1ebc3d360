"""Small recordings of the usual kinds, to try a plugin on: 8 s, all made from formulas."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SECONDS = 8
FRAME_RATE_HZ = Fraction(25, 2)
SOUND_RATE_HZ = 24_000
LINES = ("A dog barks.", "Two people talk in a kitchen.", "A car drives off.", "It rains on the sea.")
VOLUMES_TR_S = 1.5
SHAPE_XYZ = (12, 14, 11)


def write_example_film(folder: Path) -> Path:
    """A film with sound, 8 s of 160x90 pixels at 12.5 frames a second: a drifting disc, and notes that come and go."""
    from giblet.media.writing import write_film

    return write_film(folder / "film.mp4", _discs(), FRAME_RATE_HZ, _notes(), SOUND_RATE_HZ)


def write_example_captions(folder: Path) -> Path:
    """Four annotations of 2 s each, end to end."""
    rows = [f"{2 * i}\t2\t{line}" for i, line in enumerate(LINES)]
    path = folder / "captions.tsv"
    path.write_text("\n".join(["onset\tduration\ttext", *rows, ""]), encoding="utf-8")
    return path


def write_example_table(folder: Path) -> Path:
    """Random numbers, [40, 5]."""
    path = folder / "table.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 5)))
    return path


def write_example_scan(folder: Path) -> Path:
    """Eight volumes of 12 x 14 x 11 voxels, one every 1.5 s: a bright ball that fluctuates, in weak noise."""
    import nibabel

    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE_XYZ], indexing="ij")
    ball = np.square(axes).sum(0) < 0.7
    volumes = rng.gamma(2, 10, (*SHAPE_XYZ, 8))
    volumes[ball] += 900 + 100 * rng.random((int(ball.sum()), 1))
    image = nibabel.Nifti1Image(volumes.astype(np.float32), np.diag([3.0, 3.0, 3.5, 1.0]))
    image.header.set_zooms((3.0, 3.0, 3.5, VOLUMES_TR_S))
    image.header.set_xyzt_units("mm", "sec")
    path = folder / "scan.nii.gz"
    nibabel.save(image, path)
    return path


def _discs(height: int = 90, width: int = 160) -> NDArray[np.uint8]:
    """A coloured disc that circles over a grey whose brightness changes, [N, H, W, 3]."""
    y, x = np.mgrid[:height, :width] / height
    t = np.arange(int(SECONDS * FRAME_RATE_HZ))[:, None, None] / float(FRAME_RATE_HZ)
    far = np.hypot(y - 0.5 - 0.3 * np.sin(t), x - 0.9 - 0.5 * np.cos(0.7 * t))
    grey = 90 + 40 * np.sin(1.3 * t)
    disc = np.clip((0.25 - far) * 20, 0, 1)
    channels = [grey + disc * (colour - grey) for colour in (220, 60, 120)]
    return np.stack(channels, -1).astype(np.uint8)


def _notes() -> NDArray[np.float32]:
    """A third of a second a note, with an overtone, and a little noise, [n] at 24 kHz."""
    rng = np.random.default_rng(0)
    t = np.arange(SECONDS * SOUND_RATE_HZ) / SOUND_RATE_HZ
    note = (3 * t).astype(int)
    pitch_hz = rng.choice([110, 220, 440, 880], note[-1] + 1)[note]
    level = rng.choice([0.05, 0.3], note[-1] + 1)[note] * np.sin(np.pi * (3 * t % 1))
    tone = np.sin(2 * np.pi * pitch_hz * t) + 0.5 * np.sin(4 * np.pi * pitch_hz * t + 1)
    return (level * tone + 1e-3 * rng.standard_normal(len(t))).astype(np.float32)


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "video": write_example_film,
    "audio": write_example_film,
    "text": write_example_captions,
    "fmri": write_example_scan,
    "features": write_example_table,
}
"""What writes an example into a folder, by kind."""
TIMED = ("video", "audio", "text")
"""The kinds whose example fills `SECONDS`; of a scan and a table the clock may be a setting."""
