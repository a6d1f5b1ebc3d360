"""Stage (c): brain space to codes to features. Decoders see measured scans and noisy predictions, never clean ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
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
    placed,
    predict_scans,
    run_drive,
)
from giblet.training.balance import Losses
from giblet.training.batch import CodeWindows, DecoderBatch, DrawnScan, MadeTRs
from giblet.training.calibration import ReadBack, calibrated_losses, read_back, trust
from giblet.training.drawing import Drawn, draw_scans, frames_of, read_trs
from giblet.training.inversion import fit_inversion
from giblet.training.recompute import through
from giblet.training.share import WHOLE, Rows, Share, own_draws
from giblet.training.trunk import BOLD_CONSTANT, TrunkTask

BOLD = "fmri"


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

    def read(self, step: int, share: Share = WHOLE) -> DecoderBatch:
        """Windows of scans, measured or predicted with residuals, and what should be read from a share of them."""
        t = self.config.train
        rng = np.random.default_rng([self.config.seed, step, 2])
        windows = draw_windows(self.timelines, rng, t.windows, t.window_trs, 0, self.context)
        drawn = draw_scans(self.timelines, windows, rng)
        picks = rng.permutation(np.argwhere(np.stack([w.supervised for w in windows])))[: t.decoded_trs].tolist()
        rows = share.rows(len(windows))
        made = [n for n in self.nets if self.tune and not n.frozen]
        return DecoderBatch(
            rows,
            sorted({d.subject for d in drawn}),
            [self._scan(drawn[i]) for i in rows.mine],
            {n.name: self._codes(n, windows, rows) for n in self.nets},
            {n.name: self._made(n, windows, picks, rows) for n in made},
            self.trunk.read(step, share) if self.trunk else None,
        )

    def _scan(self, drawn: Drawn) -> DrawnScan:
        """What a window reads."""
        w, subject, predicted = drawn.window, drawn.subject, None
        line = self.timelines[w.timeline]
        if drawn.residual is None:
            y = line.scans[subject][w.rows]
        else:
            y = add_residuals(self.timelines, self.predicted, w.timeline, subject, drawn.residual, w.rows)
            predicted = self.predicted[w.timeline][subject][w.rows] if self.config.train.brain_grad else None
        return DrawnScan(subject, w.timeline, w.rows, y, w.inside & line.scanned[subject][w.rows], predicted)

    def _codes(self, n: ModalityNets, windows: Sequence[Window], rows: Rows) -> CodeWindows:
        """Codes of one modality, [B, L, W'], and where they are there."""
        present = np.stack([self.codes.present[w.timeline][n.name][w.rows] & w.supervised for w in windows])
        target = np.stack([self.codes.targets[windows[i].timeline][n.name][windows[i].rows] for i in rows.mine])
        return CodeWindows(target, present[rows.mine], max(1, int(present.sum())))

    def _made(self, n: ModalityNets, windows: Sequence[Window], picks: Sequence[Sequence[int]], rows: Rows) -> MadeTRs:
        """The TRs of a share that are made in full; a share that has none makes the first one of all for nothing."""
        lines = [self.timelines[windows[b].timeline] for b, _ in picks]
        trs = [(t.aligned[n.name], int(windows[b].rows[i])) for t, (b, i) in zip(lines, picks, strict=True)]
        place = {b: k for k, b in enumerate(rows.mine)}
        own = [k for k, (b, _) in enumerate(picks) if b in place]
        made = Rows(own, len(picks), 1.0) if own else Rows([0], len(picks), 0.0)
        read = read_trs([trs[k] for k in made.mine], n.spec.frames, frames_of(trs, n.spec.frames))
        return MadeTRs([place.get(picks[k][0], 0) for k in made.mine], [picks[k][1] for k in made.mine], read, made)

    def loss(self, batch: DecoderBatch) -> Losses:
        """Relative loss of codes over whole windows, and of features for a few TRs a step, by modality."""
        rows = batch.rows
        z = torch.cat([self._latent(place, scan) for place, scan in zip(rows.mine, batch.scans, strict=True)])
        with rows.passing():
            guess = self.model.outputs(z)
        parts = {n.name: rows.weight * self._modality_loss(n, guess[n.name], batch) for n in self.nets}
        if self.trunk or not rows.all:
            parts[self.nets[0].name] = parts[self.nets[0].name] + self._touched(batch.people)
        if self.trunk and batch.trunk:
            parts[BOLD] = self.trunk.loss(batch.trunk)
        return Losses(parts, list(self.inverse.parameters()), self.config.train.weights)

    def _latent(self, place: int, scan: DrawnScan) -> Tensor:
        """The latent of window `place` of the batch, [1, L, D]; its draws are its own, whoever computes it."""
        valid = placed(scan.valid, self.inverse)
        with own_draws(place, valid.device):
            return self.model.latent(self._live(scan)[None], valid[None], self.model.subjects.index(scan.subject))

    def _live(self, scan: DrawnScan) -> Tensor:
        """A scan that is read back, [L, V], through whose prediction a share of the gradient passes."""
        y = placed(scan.y, self.inverse)
        if scan.predicted is None:
            return y
        share, noise = self.config.train.brain_grad, y - placed(scan.predicted, self.inverse)
        live = self._predict(scan.timeline, scan.subject)[placed(scan.trs, self.inverse)]
        return share * live + (1 - share) * live.detach() + noise

    def _predict(self, timeline: int, subject: str) -> Tensor:
        """A run's predicted scan as the trunk is now, [T, V], with its gradient."""
        k = self.model.subjects.index(subject)
        drive = person_drive(self.model, run_drive(self.model, self.codes, timeline), self.timelines[timeline], k)
        return self.model.brain(drive.unsqueeze(0), k)[0]

    def _touched(self, people: Sequence[str]) -> Tensor:
        """Nothing, from the heads of everybody in the batch: sharded weights need a gradient on all ranks or none."""
        heads = [self.model.inverse_heads, *([self.model.heads] if self.trunk else [])]
        own = [h.own[self.model.subjects.index(s)] for h in heads for s in people]
        return torch.stack([0.0 * p.sum() for head in own for p in head.parameters()]).sum()

    def _modality_loss(self, n: ModalityNets, guess: Tensor, batch: DecoderBatch) -> Tensor:
        """Of one modality, whose codes [B, L, W'] are read from the batch's own windows."""
        codes = batch.codes[n.name]
        target, mask = placed(codes.target, self.inverse), placed(codes.mask, self.inverse).unsqueeze(-1)
        error = ((guess - target).square() * mask).sum((0, 1)) / codes.count
        code = torch.stack([error[c].mean() for c in self.codes.projections[n.name].parts]).sum()
        made = batch.features.get(n.name)
        return code if made is None else code + self._feature_loss(n, guess, made)

    def _feature_loss(self, n: ModalityNets, guess: Tensor, made: MadeTRs) -> Tensor:
        """Of the TRs that are made in full."""
        x, there = placed(made.trs.x, self.inverse), placed(made.trs.mask, self.inverse)
        h = guess[made.windows, made.places]
        with made.rows.passing():
            features = through(partial(decode_code, n, self.codes), h, again=self.config.train.recompute)
        return made.rows.weight * self.relative[n.name](features, x, there, made.trs.frames)

    def validate(self, share: Share = WHOLE) -> dict[str, float]:
        """Relative loss of each modality's code read from measured scans of the validation blocks.

        As nets alone read it, each at its best multiple: what a scan does not hold scores 1, however long it trains,
        and so has no say in when the rest stops.
        """
        scores = calibrated_losses(self._read_back(), self.codes)
        if self.trunk is not None and not self.config.train.refit:  # a refitted trunk has seen these blocks
            scores[BOLD] = self.trunk.validate() / BOLD_CONSTANT
        return {name: score / share.count for name, score in scores.items()}

    def calibrate(self, judged: Scans) -> None:
        """Read scans in closed form, too, and trust each way as far as it is right on the validation blocks.

        `judged` are scans as a trunk predicts them that was not fitted to those blocks; when it has been judged, the
        one that was refitted on them is turned round.
        """
        self.model.eval()
        model, codes, lines = self.model, self.codes, self.timelines
        inversion = model.invert([judged[0][s].shape[1] for s in model.subjects])
        fit_inversion(model, inversion, codes, lines, judged).put(inversion)
        factors = trust(model, self._read_back(), codes)
        predicted = predict_scans(model, codes, lines) if self.trunk else self.predicted
        fit_inversion(model, inversion, codes, lines, predicted, ("train", "validation")).put(inversion, factors)

    def _read_back(self) -> dict[str, ReadBack]:
        return read_back(self.model, self.codes, self.timelines, [n.name for n in self.nets])
