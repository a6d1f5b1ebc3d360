"""What the names in the tables mean, said once and used by every section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from giblet.report.markup import number

R = "Pearson correlation between predicted and measured signal over the test TRs, averaged over voxels; 1 is perfect."
RIDGE = "The same for ridge regression with lags (FIR) on the very features that the model's trunk reads."
HRF_RIDGE = (
    "Banded ridge of the same features under the canonical response at three delays, which is what the model starts "
    "from; and the same fitted to the mean over people, which predicts everybody."
)
BANDED = "Ridge with a penalty of its own for each kind of feature."
SUMMARY_RIDGE = "Ridge on simple summaries of film, sound and words."
MEAN = "Predicting each voxel's mean over the training TRs, always; its r is 0."
RATIO = (
    "mean r over mean ceiling of those voxels only whose ceiling is at least 0.1; r and ceiling above are means over "
    "all voxels, so that their ratio is another."
)
RELATIVE_LOSS = (
    "Relative loss: 1 is the best constant predictor, which knows nothing; 0 is perfect; above 1 is worse than "
    "nothing. Measured: from the measured scan; permuted: from the measured scan at the wrong time, a control."
)
PREDICTED = "from the predicted scan, which the model makes of the stimulus"
MEASURED = "from the measured scan of the test block"
FAINT = "from the predicted scan with a twentieth of the power of a measured scan's noise"
NOISY = "from the predicted scan with as much noise as a measured scan has"
PERMUTED = (
    "from the measured scan, shifted in time by half of the block, its end put before its beginning: a control that "
    "must know nothing"
)
ROUND_TRIP = (
    "what the modality's own trained encoder and decoder give back of the features, without a brain; no bound: what is "
    "read from scans may score higher"
)
TRAINING_MEAN = "always the mean of the training film: a control"
VERSIONS = {
    "original": "original",
    "features": "features alone",
    "roundtrip": "round trip",
    "predicted": "from the predicted scan",
    "measured": "from the measured scan",
    "training_mean": "training mean",
    "permuted": "permuted",
}
"""What a reader calls what is made or played."""
CLIPS = (
    "Clips of 9 s are told from clips of the same test block at least 30 s away; those of the same scene, with the "
    "same words or the same features are left out. Intervals of all scans together are over clips, those of one scan "
    "over clips and people."
)
CEILINGS = {
    "loo_isc": "each person's correlation with the mean of the others: agreement between people, not a bound",
    "group_split_half": "how well the mean scan of half the people predicts the other half's, for all of them",
    "repeats": "how well a scan predicts the same person's scan of the same film",
}
CEILING_NAMES = {
    "loo_isc": "agreement between people, not a bound",
    "group_split_half": "split halves",
    "repeats": "repeats",
}


def ceiling(scores: Mapping[str, Any], names: Mapping[str, str] = CEILING_NAMES) -> str:
    """A ceiling's estimator in words, or why there is no ceiling, of a row of metrics with `ceiling` and its kind."""
    said = scores.get("ceiling_kind") or ""
    if scores.get("ceiling") is None:
        why = said.partition("no ceiling: ")[2]
        return f"none ({why})" if why else "none"
    return names.get(said.partition(":")[0], said) or "kind not stated"


def people(n: int) -> str:
    """How many people a mean is over."""
    return "one person" if n == 1 else f"n = {n} people"


def stretch(joint: str, scores: Mapping[str, Any]) -> str:
    """What of the films was made and scored, behind a `joint`; nothing where nothing was."""
    if not scores.get("reconstructed_s"):
        return ""
    begins = scores["reconstructed_from"]
    return f"{joint}{scores['reconstructed_s']:g} s of a test block, from {begins['start_s']:g} s of {begins['run']} on"


def span(pair: Sequence[float] | None) -> str | None:
    """An interval in words."""
    return None if not pair else f"{number(pair[0])} to {number(pair[1])}"
