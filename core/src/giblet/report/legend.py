"""What the names in the tables mean, said once and used by every section."""

from __future__ import annotations

R = "Pearson correlation between predicted and measured signal over the test TRs, averaged over voxels; 1 is perfect."
RIDGE = "The same for ridge regression with lags (FIR) on the very features that the model's trunk reads."
HRF_RIDGE = (
    "Banded ridge of the same features under the canonical response at three delays, which is what the model starts "
    "from; and the same fitted to the mean over people, which predicts everybody."
)
BANDED = "Ridge with a penalty of its own for each kind of feature."
SUMMARY_RIDGE = "Ridge on simple summaries of film, sound and words."
MEAN = "Predicting each voxel's mean over the training TRs, always; its r is 0."
RELATIVE_LOSS = (
    "Relative loss: 1 is the best constant predictor, which knows nothing; 0 is perfect; above 1 is worse than "
    "nothing. The trunk's has two terms, of squared error and of 1 - r: there a constant has 2. The training loss of "
    "the decoders is the sum over what they make; what is trained again on all but the test has no validation loss."
)
PREDICTED = "decoded from the brain activity that the model predicts"
MEASURED = "decoded from the real scans of the test block"
FAINT = "decoded from predicted activity with a twentieth of the power of a scan's noise"
NOISY = "decoded from predicted activity with noise as in real scans"
PERMUTED = "decoded from scans in the wrong order of time: a control that must know nothing"
ROUND_TRIP = "features turned back at once, without a brain: the best that any decoder could reach"
TRAINING_MEAN = "always the mean of the training film: a control"
