"""Checks of `loss` and `summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from giblet.testing.case import Case
from giblet.testing.drawing import for_all
from giblet.testing.verdict import require

if TYPE_CHECKING:
    from torch import Tensor

CONFIDENT = 20.0
"""Logit of the right class, where the others have 0, that stands for a perfect prediction of classes."""


def check_loss_contract(case: Case) -> None:
    """The loss is unreduced `[n, F]`, finite and not negative."""
    import torch

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    with torch.no_grad():
        loss = case.fitted.loss(decoder(encoder(x, mask)), x)
    require(
        tuple(loss.shape) == tuple(mask.shape), f"loss must be [n, F] = {tuple(mask.shape)}, not {tuple(loss.shape)}"
    )
    require(torch.isfinite(loss).all(), "the loss is not finite")
    require((loss >= 0).all(), "a loss is never negative")


def check_loss_is_of_its_frame(case: Case) -> None:
    """Loss [t, f] is that of frame f of TR t alone, so that the core can mask frames that are not there."""
    x, _ = case.batch()
    right = _perfect(case, x)
    wrong = right.clone()
    wrong[0, 0] = _worse(case, right, 1.0, 0)[0, 0]
    change = (case.fitted.loss(wrong, x) - case.fitted.loss(right, x)).abs()
    require(change[0, 0] > 0, "the loss does not notice that a frame is wrong")
    change[0, 0] = 0
    require(change.max() < 1e-6, "a wrong frame changes the loss of others; reduce over the elements of a frame only")


def check_loss_is_least_at_the_target(case: Case) -> None:
    """No prediction has a smaller loss than the target itself (of classes: confident logits)."""
    from hypothesis import strategies as st

    x, _ = case.batch()
    right = _perfect(case, x)
    least = case.fitted.loss(right, x)

    def law(size: float, seed: int) -> None:
        loss = case.fitted.loss(_worse(case, right, size, seed), x)
        require((loss >= least - 1e-6).all(), "a prediction that is further from the target has a smaller loss")

    for_all(law, 8, size=st.sampled_from([0.01, 0.1, 1.0, 3.0]), seed=st.integers(0, 99))


def _perfect(case: Case, x: Tensor) -> Tensor:
    """The prediction that is right: the target, or confident logits of its classes."""
    import torch

    classes = case.spec.num_classes
    return x.float() if classes is None else CONFIDENT * torch.nn.functional.one_hot(x.long(), classes).float()


def _worse(case: Case, right: Tensor, size: float, seed: int) -> Tensor:
    """A prediction away from the right one: noise of `size` SDs, or less confidence in the right class."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    if case.spec.num_classes is not None:
        return right * (1 - min(size, 1.0) * torch.rand(right.shape[:-1], generator=rng)[..., None])
    scale = size * float(right.std()) or size
    return right + scale * torch.randn(right.shape, generator=rng)


def check_summary_contract(case: Case) -> None:
    """The plain summary for the linear baselines is finite, `[T, P]`."""
    s = case.fitted.summary(case.aligned)
    require(s.ndim == 2, f"summary must be [T, P], not {s.shape}")
    require(len(s) == case.grid.n_trs, f"summary has {len(s)} rows for {case.grid.n_trs} TRs")
    require(np.isfinite(s).all(), "summary must be finite; a TR without frames may have zeros")
    groups = list(case.fitted.summary_groups(s.shape[1]))
    whole = sum(groups) == s.shape[1] and min(groups, default=0) > 0
    require(whole, f"summary_groups says {groups}, which do not add up to the {s.shape[1]} columns of summary")
