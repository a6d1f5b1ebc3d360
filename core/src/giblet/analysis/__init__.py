"""What a score means: scores with their ceilings and nulls, linear baselines, identification, and metrics by kind.

Cheap to import: numpy only; scipy and himalaya are imported by the functions that need them.
`giblet.analysis.video`, `.audio` and `.text` each offer `compare(versions, files, counts)`: every version of a block of
their kind against the original.
"""

from giblet.analysis.baselines import RidgeResult, banded_ridge, blocked_folds, delay, fir_ridge
from giblet.analysis.ceilings import Ceiling, ceiling_ratio, group_ceiling, loo_isc, repeat_ceiling, spearman_brown
from giblet.analysis.identification import Identification, bootstrap_interval, clip_slices, identify
from giblet.analysis.lag import Lag, scan_lag
from giblet.analysis.nulls import Null, fdr, shift_null
from giblet.analysis.scores import is_constant, pearson, zscore_train

__all__ = [
    "Ceiling",
    "Identification",
    "Lag",
    "Null",
    "RidgeResult",
    "banded_ridge",
    "blocked_folds",
    "bootstrap_interval",
    "ceiling_ratio",
    "clip_slices",
    "delay",
    "fdr",
    "fir_ridge",
    "group_ceiling",
    "identify",
    "is_constant",
    "loo_isc",
    "pearson",
    "repeat_ceiling",
    "scan_lag",
    "shift_null",
    "spearman_brown",
    "zscore_train",
]
