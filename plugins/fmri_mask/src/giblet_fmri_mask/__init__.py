"""Scans in a brain space (voxels, parcels, components, a shared response), or tables of parcels, and NIfTI back."""

from giblet_fmri_mask.learned import basis_of, mean_response, shared_response
from giblet_fmri_mask.modality import FmriMask, register_modalities

__all__ = ["FmriMask", "basis_of", "mean_response", "register_modalities", "shared_response"]
