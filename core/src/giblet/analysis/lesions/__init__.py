"""Lesions: what each modality loses when a part of the brain says nothing of the moment, and how sure that is."""

from giblet.analysis.lesions.ablation import Ablation, Components, How, Units, Voxels
from giblet.analysis.lesions.bootstrap import Draws, Interaction, holm, interactions, interval, two_sided_p
from giblet.analysis.lesions.effects import Effects, measure_effects, null_effects
from giblet.analysis.lesions.matching import CEILING_TOLERANCE, RandomLesions, Space, parts_of, random_lesions
from giblet.analysis.lesions.reading import CodeLoss, Lesions, NativeLoss
from giblet.analysis.lesions.table import NOT_DECODABLE, SOURCES, Plan, lesion_table

__all__ = [
    "CEILING_TOLERANCE",
    "NOT_DECODABLE",
    "SOURCES",
    "Ablation",
    "CodeLoss",
    "Components",
    "Draws",
    "Effects",
    "How",
    "Interaction",
    "Lesions",
    "NativeLoss",
    "Plan",
    "RandomLesions",
    "Space",
    "Units",
    "Voxels",
    "holm",
    "interactions",
    "interval",
    "lesion_table",
    "measure_effects",
    "null_effects",
    "parts_of",
    "random_lesions",
    "two_sided_p",
]
