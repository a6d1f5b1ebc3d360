"""All that training knows, in one file: written whole or not at all, read back to go on as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import EncodecConfig, EncodecModel

AVERAGE = 0.998
CONFIG = {
    "num_filters": 16,
    "hidden_size": 64,
    "num_lstm_layers": 1,
    "upsampling_ratios": [2, 4, 5, 8],
    "pad_mode": "constant",
    "target_bandwidths": [1.5, 3.0, 6.0],
    "sampling_rate": 24_000,
}
"""EnCodec's SEANet at half its width with one LSTM layer; the long stride is next to the waveform, which costs a third
of the arithmetic, and the past of the first samples is silence instead of a reflection."""


class State:
    """Model, optimiser, running average of the weights, step and random numbers."""

    def __init__(self, seed: int, config: dict[str, Any] = CONFIG) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.model = EncodecModel(EncodecConfig(**config))
        self.average = {name: value.clone() for name, value in self._weights().items()}
        self.adam = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.8, 0.99), weight_decay=0.0)
        self.rng = torch.Generator().manual_seed(seed)
        self.step, self.seconds = 0, 0.0

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.model.state_dict().items() if value.is_floating_point()}

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the weights; in the first steps it is their plain mean."""
        share = max(1 - AVERAGE, 1 / (self.step + 1))
        for name, value in self._weights().items():
            self.average[name].lerp_(value, share)

    def averaged(self) -> EncodecModel:
        """A model of the averaged weights."""
        model = EncodecModel(EncodecConfig(**self.config))
        model.load_state_dict(self.average, strict=False)
        return model.eval()

    def save(self, path: Path) -> None:
        """Write everything."""
        half_done = path.with_suffix(".half")
        torch.save(
            {
                "config": self.config,
                "model": self.model.state_dict(),
                "average": self.average,
                "adam": self.adam.state_dict(),
                "rng": self.rng.get_state(),
                "step": self.step,
                "seconds": self.seconds,
            },
            half_done,
        )
        half_done.rename(path)

    @classmethod
    def load(cls, path: Path) -> State:
        """Read everything."""
        saved = torch.load(path, weights_only=True)
        state = cls(0, saved["config"])
        state.model.load_state_dict(saved["model"])
        state.average = saved["average"]
        state.adam.load_state_dict(saved["adam"])
        state.rng.set_state(saved["rng"])
        state.step, state.seconds = saved["step"], saved["seconds"]
        return state
