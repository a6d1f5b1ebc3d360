"""`grid`: the brain as a volume, its last layers convolutions in space."""

from giblet.model.presets.definition import Preset

GRID = Preset(
    "grid",
    "neighbouring voxels share weights: brain space is the scanner's grid, smoothed by 3-D convolutions",
    widths=(4_000, 2_000),
    channels=(32, 64, 128),
    picture=8_000,
    vector=256,
    middle="grid",
)
