"""`dense`: every pixel and number of a TR into one stack of dense layers."""

from giblet.model.presets.definition import Preset

DENSE = Preset(
    "dense",
    "the plainest: no convolution, no branch; nearly all of its weights lie on pixels",
    widths=(10_000, 5_000, 1_000, 500),
)
