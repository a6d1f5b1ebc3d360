"""Weights that are not those of what is installed."""

from __future__ import annotations

import pytest
import torch
from giblet.errors import PluginError
from giblet.pipeline.loading import load_weights


def test_weights_that_do_not_fit_are_named_with_the_ways_out():
    weights = {"model.weight": torch.zeros(2, 2), "model.late": torch.zeros(2)}
    with pytest.raises(PluginError, match=r'"bias".*"late".*make the run again, or pip install giblet==0\.1\.0$'):
        load_weights(torch.nn.Linear(2, 2), [], weights, {"giblet": "0.1.0", "modalities": {}})
