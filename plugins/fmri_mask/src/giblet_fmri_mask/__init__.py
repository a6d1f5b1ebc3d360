"""Scans inside one shared mask, or tables of parcels, and NIfTI back."""

from giblet_fmri_mask.modality import FmriMask, register_modalities

__all__ = ["FmriMask", "register_modalities"]
