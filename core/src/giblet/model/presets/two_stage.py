"""`two-stage`: first a compressor of the scans, then dense layers against its components."""

from giblet.model.presets.definition import Preset

TWO_STAGE = Preset(
    "two-stage",
    "brain space in components that are found first: they can be lesioned one by one and mapped back to voxels",
    widths=(10_000, 5_000),
    middle="components",
)
