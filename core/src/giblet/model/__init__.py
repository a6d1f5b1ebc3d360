"""The autoencoder through brain space. It names no modality: it is handed modules and specifications."""

from giblet.model.autoencoder import Autoencoder, ModalityNets
from giblet.model.hemodynamics import Hemodynamics
from giblet.model.losses import RelativeLoss, bold_loss, constant_prediction, to_features
from giblet.model.reading import Codes, Scans, add_residuals, decode_code, drives, predict_scans, read_block

__all__ = [
    "Autoencoder",
    "Codes",
    "Hemodynamics",
    "ModalityNets",
    "RelativeLoss",
    "Scans",
    "add_residuals",
    "bold_loss",
    "constant_prediction",
    "decode_code",
    "drives",
    "predict_scans",
    "read_block",
    "to_features",
]
