"""Dropout that draws the same for a batch, whether one process holds it or several hold a share each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a batch of `whole` are computed here."""

    mine: Sequence[int]
    whole: int


_rows: ContextVar[Rows | None] = ContextVar("rows", default=None)


@contextmanager
def rows_of_batch(mine: Sequence[int], whole: int) -> Iterator[None]:
    """Within this block, what passes through `Dropout` are the rows `mine` of a batch of `whole`."""
    token = _rows.set(Rows(mine, whole))
    try:
        yield
    finally:
        _rows.reset(token)


class Dropout(nn.Dropout):
    """As torch's; of a share of a batch, it draws for the whole batch and keeps what falls to the share.

    So the loss of a step does not depend on how many processes computed it. Plugins that want the same of their own
    networks use it in the place of `torch.nn.Dropout`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[n, *] -> [n, *]; n is a multiple of the rows, for example windows times TRs."""
        rows = _rows.get()
        if rows is None or not (self.training and self.p):
            return super().forward(x)
        each = len(x) // len(rows.mine)
        whole = nn.functional.dropout(x.new_ones(rows.whole, each, *x.shape[1:]), self.p)
        return x * whole[torch.as_tensor(rows.mine, device=x.device)].flatten(0, 1)
