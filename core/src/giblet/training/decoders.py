"""Stage (c): brain space to codes to features. Decoders see measured scans and noisy predictions, never clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, Window, draw_windows
from giblet.model import (
    Autoencoder,
    Codes,
    ModalityNets,
    RelativeLoss,
    Scans,
    add_residuals,
    decode_code,
    person_drive,
    run_drive,
)
from giblet.training.balance import Losses
from giblet.training.calibration import Pairs, calibrated_losses, read_back, shrink
from giblet.training.trunk import TrunkTask

BOLD = "fmri"
BOLD_CONSTANT = 2.0
"""What a constant scores in the loss of BOLD: 1 of squared error and 1 of 1 - r."""


class DecoderTask:
    """Inverse heads, inverse hemodynamics and the decoders.

    Half of the windows read a measured scan, half a predicted one plus a contiguous stretch of one person's training
    residuals, so that nothing can hide at amplitudes that no scan has. The reconstruction gradient stops at the
    predicted scan, but for the share `train.brain_grad` of it; where that is not 0, the trunk trains on, and BOLD's
    own loss with it. Only where `tune` do the modalities' own decoders train on: of an ensemble, in the first member.
    """

    def __init__(
        self,
        model: Autoencoder,
        nets: Sequence[ModalityNets],
        losses: dict[str, RelativeLoss],
        codes: Codes,
        timelines: Sequence[Timeline],
        predicted: Scans,
        config: RunConfig,
        *,
        tune: bool = True,
        name: str = "decoders",
    ) -> None:
        self.model, self.relative, self.codes, self.tune, self.name = model, losses, codes, tune, name
        self.nets = [n for n in nets if n.name in model.outputs]
        self.timelines, self.predicted, self.config = list(timelines), predicted, config
        self.trunk = TrunkTask(model, codes, timelines, config) if config.train.brain_grad else None
        inverse = {"inverse_heads": model.inverse_heads, "inverse": model.inverse_hemodynamics, "mix": model.mix}
        self.inverse = nn.ModuleDict({**inverse, "middle": model.middle})
        trained = nn.ModuleDict({n.name: n.decoder for n in self.nets if tune})
        parts = {**self.inverse, "outputs": model.outputs, "decoders": trained}
        self.module = nn.ModuleDict(parts | ({"model": model} if self.trunk else {}))
        self.context = model.inverse_hemodynamics.taps - 1

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each person's heads decay strongly, decoders that are trained already hardly at all."""
        t = self.config.train
        trunk = self.trunk.parameter_groups() if self.trunk else []
        own = list(self.model.inverse_heads.own.parameters())
        decoders = list(self.module["decoders"].parameters())
        known = {id(p) for p in (*own, *decoders, *(p for group in trunk for p in group["params"]))}
        rest = [p for m in (self.inverse, self.model.outputs) for p in m.parameters() if id(p) not in known]
        return [
            {"params": own, "weight_decay": t.head_weight_decay},
            {"params": rest, "weight_decay": t.weight_decay},
            {"params": decoders, "weight_decay": t.front_end_decay},
            *({"lr": min(t.trunk_lr, t.decoder_lr)} | group for group in trunk),
        ]

    def _scans(self, windows: Sequence[Window], rng: np.random.Generator) -> tuple[list[int], Tensor, Tensor]:
        people, rows, valid = [], [], []
        for w in windows:
            t = self.timelines[w.timeline]
            s = sorted(t.scans)[rng.integers(len(t.scans))]
            measured = rng.random() < 0.5
            people.append(self.model.subjects.index(s))
            rows.append(torch.from_numpy(t.scans[s][w.rows]) if measured else self._noisy(w, s, rng))
            valid.append(w.inside & t.scanned[s][w.rows])
        return people, torch.stack(rows), torch.from_numpy(np.stack(valid))

    def _noisy(self, w: Window, subject: str, rng: np.random.Generator) -> Tensor:
        """A window of a person's predicted scan plus a stretch of residuals, [L, V]."""
        y = torch.from_numpy(add_residuals(self.timelines, self.predicted, w.timeline, subject, rng)[w.rows])
        share = self.config.train.brain_grad
        if not share:
            return y
        noise = y - torch.from_numpy(self.predicted[w.timeline][subject][w.rows])
        live = self._predict(w.timeline, subject)[w.rows]
        return share * live + (1 - share) * live.detach() + noise

    def _predict(self, timeline: int, subject: str) -> Tensor:
        """A run's predicted scan as the trunk is now, [T, V], with its gradient."""
        k = self.model.subjects.index(subject)
        drive = person_drive(self.model, run_drive(self.model, self.codes, timeline), self.timelines[timeline], k)
        return self.model.brain(drive.unsqueeze(0), k)[0]

    def loss(self, step: int) -> Losses:
        """Relative loss of codes over whole windows, and of features for a few TRs a step, by modality."""
        t = self.config.train
        rng = np.random.default_rng([self.config.seed, step, 2])
        windows = draw_windows(self.timelines, rng, t.windows, t.window_trs, 0, self.context)
        people, y, valid = self._scans(windows, rng)
        z = torch.cat([self.model.read(y[i : i + 1], valid[i : i + 1], k) for i, k in enumerate(people)])
        guess = self.model.outputs(z)
        picks = rng.permutation(np.argwhere(np.stack([w.supervised for w in windows])))[: t.decoded_trs]
        parts = {n.name: self._modality_loss(n, guess[n.name], windows, picks) for n in self.nets}
        if self.trunk:
            parts[BOLD] = self.trunk.loss(step)
        return Losses(parts, list(self.inverse.parameters()), t.weights)

    def _modality_loss(
        self, n: ModalityNets, guess: Tensor, windows: Sequence[Window], picks: NDArray[np.int64]
    ) -> Tensor:
        target = torch.from_numpy(np.stack([self.codes.targets[w.timeline][n.name][w.rows] for w in windows]))
        present = np.stack([self.codes.present[w.timeline][n.name][w.rows] & w.supervised for w in windows])
        mask = torch.from_numpy(present).unsqueeze(-1)
        error = ((guess - target).square() * mask).sum((0, 1)) / mask.sum().clamp_min(1)
        code = torch.stack([error[c].mean() for c in self.codes.projections[n.name].parts]).sum()
        if n.frozen or not self.tune:
            return code
        x, there = self._features(n, windows, picks)
        h = guess[picks[:, 0], picks[:, 1]]
        return code + self.relative[n.name](decode_code(n, self.codes, h), x, there)

    def _features(self, n: ModalityNets, windows: Sequence[Window], picks: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        rows = [
            self.timelines[windows[b].timeline].aligned[n.name].rows(windows[b].rows[[t]], n.spec.frames)
            for b, t in picks
        ]
        return torch.from_numpy(np.concatenate([r[0] for r in rows])), torch.from_numpy(
            np.concatenate([r[1] for r in rows])
        )

    def validate(self) -> dict[str, float]:
        """Relative loss of each modality's code read from measured scans of the validation blocks.

        Each is scored at its best multiple, which `calibrate` then applies: what a scan does not hold scores 1, however
        long it trains, and so has no say in when the rest stops.
        """
        scores = calibrated_losses(self._read_back(), self.codes)
        if self.trunk is None or self.config.train.refit:  # a refitted trunk has seen these blocks
            return scores
        return scores | {BOLD: self.trunk.validate() / BOLD_CONSTANT}

    def calibrate(self) -> None:
        """Shrink each part of what is read from scans to its best multiple on the validation blocks."""
        self.model.eval()
        shrink(self.model, self._read_back(), self.codes)

    def _read_back(self) -> Pairs:
        return read_back(self.model, self.codes, self.timelines, [n.name for n in self.nets])
