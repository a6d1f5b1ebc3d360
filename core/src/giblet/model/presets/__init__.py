"""Presets of layers between features and brain space, chosen by `model.preset`."""

from giblet.model.presets.compact import COMPACT
from giblet.model.presets.conv import CONV
from giblet.model.presets.definition import Inputs, Picture, Preset
from giblet.model.presets.dense import DENSE
from giblet.model.presets.grid import GRID
from giblet.model.presets.middle import Grid, Middle, Voxels
from giblet.model.presets.two_stage import TWO_STAGE

PRESETS: dict[str, Preset] = {p.name: p for p in (COMPACT, CONV, DENSE, GRID, TWO_STAGE)}

__all__ = ["PRESETS", "Grid", "Inputs", "Middle", "Picture", "Preset", "Voxels"]
