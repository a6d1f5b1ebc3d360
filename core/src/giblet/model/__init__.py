"""The autoencoder through brain space. It names no modality: it is handed modules and specifications."""

from giblet.model.autoencoder import Autoencoder, ModalityNets
from giblet.model.compressor import Components, Compressor, Learned, build_compressor
from giblet.model.ensemble import Ensemble, Model, members_of
from giblet.model.hemodynamics import Delays, Hemodynamics
from giblet.model.losses import Counted, RelativeLoss, bold_loss, constant_prediction, to_features
from giblet.model.placing import Host, device_of, pinned, placed
from giblet.model.presets import PRESETS, Grid, Middle, Picture, Voxels
from giblet.model.projection import Projection
from giblet.model.reading import (
    Codes,
    Scans,
    add_residuals,
    cleaned,
    decode_code,
    person_drive,
    predict_block,
    predict_scans,
    read_block,
    residual_places,
    run_drive,
)

__all__ = [
    "PRESETS",
    "Autoencoder",
    "Codes",
    "Components",
    "Compressor",
    "Counted",
    "Delays",
    "Ensemble",
    "Grid",
    "Hemodynamics",
    "Host",
    "Learned",
    "Middle",
    "ModalityNets",
    "Model",
    "Picture",
    "Projection",
    "RelativeLoss",
    "Scans",
    "Voxels",
    "add_residuals",
    "bold_loss",
    "build_compressor",
    "cleaned",
    "constant_prediction",
    "decode_code",
    "device_of",
    "members_of",
    "person_drive",
    "pinned",
    "placed",
    "predict_block",
    "predict_scans",
    "read_block",
    "residual_places",
    "run_drive",
    "to_features",
]
