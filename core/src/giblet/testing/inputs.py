"""The check that no stage writes into what it is given: features are memory-mapped files that others read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from giblet.testing.case import Case
from giblet.testing.verdict import require
from giblet.types import Array, Features


def check_inputs_are_left_alone(case: Case) -> None:
    """`align`, `summary`, the nets, `loss` and `reconstruct` leave their input as it was."""
    _arrays_are_left_alone(case)
    _tensors_are_left_alone(case)


def _arrays_are_left_alone(case: Case) -> None:
    features = case.features
    _watch("align", lambda: case.fitted.align(features, case.grid), _parts(features))
    aligned = case.aligned
    parts = [*_parts(aligned.features), aligned.first, aligned.count]
    _watch("spec", lambda: case.fitted.spec(aligned), parts)
    if case.fitted.role == "stimulus":
        _watch("summary", lambda: case.fitted.summary(aligned), parts)
    if case.fitted.can_reconstruct():
        with TemporaryDirectory() as tmp:
            made = Path(tmp) / "made"
            _watch("reconstruct", lambda: case.fitted.reconstruct(features, made), _parts(features))


def _tensors_are_left_alone(case: Case) -> None:
    import torch

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    with torch.no_grad():
        h = _watch("the encoder", lambda: encoder(x, mask), [x.numpy(), mask.numpy()]).clone()
        y = _watch("the decoder", lambda: decoder(h), [h.numpy()])
        y = y + 0.0  # a prediction in memory of its own
        if case.fitted.role == "stimulus":
            _watch("loss", lambda: case.fitted.loss(y, x), [y.numpy(), x.numpy()])


def _parts(features: Features) -> list[Array]:
    return [features.values, features.ticks, *([] if features.durations is None else [features.durations])]


def _watch(stage: str, call: Callable[[], Any], arrays: list[Array]) -> Any:
    """What a call gives; fails if it wrote into the arrays."""
    before = [array.copy() for array in arrays]
    made = call()
    same = all(np.array_equal(a, b) for a, b in zip(before, arrays, strict=True))
    require(same, f"{stage} writes into its input; work on a copy")
    return made
