"""Stage (c): brain space to codes to features. Decoders see measured scans and noisy predictions, never clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.dataset import Timeline, draw_windows
from giblet.model import (
    Autoencoder,
    Codes,
    ModalityNets,
    RelativeLoss,
    Scans,
    add_residuals,
    decode_code,
    person_drive,
    placed,
    run_drive,
)
from giblet.training.balance import Losses
from giblet.training.batch import Batch, Drawn, draw_scans
from giblet.training.calibration import Pairs, calibrated_losses, read_back, shrink
from giblet.training.front_ends import frames_of
from giblet.training.recompute import through
from giblet.training.share import WHOLE, Share, own_draws
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

    @property
    def networks(self) -> list[nn.Module]:
        """All that a step passes through: of the modalities, the decoders."""
        return [self.model, *(n.decoder for n in self.nets)]

    @property
    def units(self) -> list[nn.Module]:
        """The modalities' decoders that train on; whose inverse head a process passes through is drawn."""
        return list(self.module["decoders"].children())

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

    def _scan(self, drawn: Drawn) -> Tensor:
        """What a window reads, [L, V]."""
        w, subject = drawn.window, drawn.subject
        if drawn.residual is None:
            return placed(self.timelines[w.timeline].scans[subject][w.rows], self.inverse)
        y = add_residuals(self.timelines, self.predicted, w.timeline, subject, drawn.residual, w.rows)
        share = self.config.train.brain_grad
        if not share:
            return placed(y, self.inverse)
        noise = placed(y - self.predicted[w.timeline][subject][w.rows], self.inverse)
        live = self._predict(w.timeline, subject)[w.rows]
        return share * live + (1 - share) * live.detach() + noise

    def _predict(self, timeline: int, subject: str) -> Tensor:
        """A run's predicted scan as the trunk is now, [T, V], with its gradient."""
        k = self.model.subjects.index(subject)
        drive = person_drive(self.model, run_drive(self.model, self.codes, timeline), self.timelines[timeline], k)
        return self.model.brain(drive.unsqueeze(0), k)[0]

    def _read(self, place: int, drawn: Drawn) -> Tensor:
        """The latent of window `place` of the batch, [1, L, D]; its draws are its own, whoever computes it."""
        w = drawn.window
        valid = placed(w.inside & self.timelines[w.timeline].scanned[drawn.subject][w.rows], self.inverse)
        with own_draws(place, valid.device):
            return self.model.read(self._scan(drawn)[None], valid[None], self.model.subjects.index(drawn.subject))

    def _touched(self, drawn: Sequence[Drawn]) -> Tensor:
        """Nothing, from the heads of everybody in the batch: sharded weights need a gradient on all ranks or none."""
        people = sorted({self.model.subjects.index(d.subject) for d in drawn})
        heads = [self.model.inverse_heads, *([self.model.heads] if self.trunk else [])]
        return torch.stack([0.0 * p.sum() for h in heads for k in people for p in h.own[k].parameters()]).sum()

    def loss(self, step: int, share: Share = WHOLE) -> Losses:
        """Relative loss of codes over whole windows, and of features for a few TRs a step, by modality."""
        t = self.config.train
        rng = np.random.default_rng([self.config.seed, step, 2])
        windows = draw_windows(self.timelines, rng, t.windows, t.window_trs, 0, self.context)
        drawn = draw_scans(self.timelines, windows, rng)
        picks = rng.permutation(np.argwhere(np.stack([w.supervised for w in windows])))[: t.decoded_trs]
        mine, weight = share.rows(len(windows))
        z = torch.cat([self._read(int(i), drawn[i]) for i in mine])
        with share.holding(mine, len(windows)):
            guess = self.model.outputs(z)
        batch = Batch(windows, mine, picks, share)
        parts = {n.name: weight * self._modality_loss(n, guess[n.name], batch) for n in self.nets}
        if share.count > 1 or self.trunk:
            parts[self.nets[0].name] = parts[self.nets[0].name] + self._touched(drawn)
        if self.trunk:
            parts[BOLD] = self.trunk.loss(step, share)
        return Losses(parts, list(self.inverse.parameters()), t.weights)

    def _modality_loss(self, n: ModalityNets, guess: Tensor, batch: Batch) -> Tensor:
        """Of one modality, whose codes [B, L, W'] are read from the batch's own windows."""
        present = np.stack([self.codes.present[w.timeline][n.name][w.rows] & w.supervised for w in batch.windows])
        target = np.stack([self.codes.targets[w.timeline][n.name][w.rows] for w in batch.own])
        mask = placed(present[batch.mine], self.inverse).unsqueeze(-1)
        error = ((guess - placed(target, self.inverse)).square() * mask).sum((0, 1)) / max(1, int(present.sum()))
        code = torch.stack([error[c].mean() for c in self.codes.projections[n.name].parts]).sum()
        if n.frozen or not self.tune:
            return code
        return code + self._feature_loss(n, guess, batch)

    def _feature_loss(self, n: ModalityNets, guess: Tensor, batch: Batch) -> Tensor:
        """Of the TRs that are made in full; a share that has none makes its first one for nothing."""
        made = batch.made if len(batch.made) else np.arange(1)
        windows = [batch.windows[b] for b in batch.picks[:, 0]]
        trs = [
            (self.timelines[w.timeline].aligned[n.name], int(w.rows[t]))
            for w, t in zip(windows, batch.picks[:, 1], strict=True)
        ]
        rows = [aligned.rows(np.array([tr]), n.spec.frames) for aligned, tr in (trs[k] for k in made)]
        x, there = (placed(np.concatenate(parts), self.inverse) for parts in zip(*rows, strict=True))
        place = {int(b): k for k, b in enumerate(batch.mine)}
        h = guess[[place.get(b, 0) for b in batch.picks[made, 0].tolist()], batch.picks[made, 1].tolist()]
        with batch.share.holding(made, len(trs)):
            features = through(partial(decode_code, n, self.codes), h, again=self.config.train.recompute)
        loss = self.relative[n.name](features, x, there, frames_of(trs, n.spec.frames))
        return float(len(batch.made) > 0) * loss

    def validate(self, share: Share = WHOLE) -> dict[str, float]:
        """Relative loss of each modality's code read from measured scans of the validation blocks.

        Each is scored at its best multiple, which `calibrate` then applies: what a scan does not hold scores 1, however
        long it trains, and so has no say in when the rest stops.
        """
        scores = calibrated_losses(self._read_back(), self.codes)
        if self.trunk is not None and not self.config.train.refit:  # a refitted trunk has seen these blocks
            scores[BOLD] = self.trunk.validate() / BOLD_CONSTANT
        return {name: score / share.count for name, score in scores.items()}

    def calibrate(self) -> None:
        """Shrink each part of what is read from scans to its best multiple on the validation blocks."""
        self.model.eval()
        shrink(self.model, self._read_back(), self.codes)

    def _read_back(self) -> Pairs:
        return read_back(self.model, self.codes, self.timelines, [n.name for n in self.nets])
