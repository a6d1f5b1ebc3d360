"""`conv`: convolutions on pictures, a dense layer on vectors, joined."""

from giblet.model.presets.definition import Preset

CONV = Preset(
    "conv",
    "pictures by convolution: a ninth of the weights of dense, most of them in the brain heads",
    widths=(512,),
    channels=(32, 64, 128, 256),
    picture=1_024,
    vector=256,
)
