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
from giblet.model import Autoencoder, Codes, ModalityNets, RelativeLoss, Scans, add_residuals, decode_code, read_block


class DecoderTask:
    """Inverse heads, inverse hemodynamics and the decoders.

    The reconstruction gradient stops at the predicted scan. Half of the windows read a measured scan, half a predicted
    one plus a contiguous stretch of one person's training residuals, so that nothing can hide at amplitudes that no
    scan has.
    """

    name = "decoders"

    def __init__(
        self,
        model: Autoencoder,
        nets: Sequence[ModalityNets],
        losses: dict[str, RelativeLoss],
        codes: Codes,
        timelines: Sequence[Timeline],
        predicted: Scans,
        config: RunConfig,
    ) -> None:
        self.model, self.nets, self.relative, self.codes = (
            model,
            [n for n in nets if n.name in model.outputs],
            losses,
            codes,
        )
        self.timelines, self.predicted, self.config = list(timelines), predicted, config
        parts = {"inverse_heads": model.inverse_heads, "inverse": model.inverse_hemodynamics, "mix": model.mix}
        trained = nn.ModuleDict({n.name: n.decoder for n in self.nets})
        self.module = nn.ModuleDict({**parts, "outputs": model.outputs, "decoders": trained})
        self.context = model.inverse_hemodynamics.taps - 1

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Each person's heads decay strongly, decoders that are trained already hardly at all."""
        t = self.config.train
        own = list(self.model.inverse_heads.own.parameters())
        decoders = list(self.module["decoders"].parameters())
        known = {id(p) for p in (*own, *decoders)}
        rest = [p for p in self.module.parameters() if id(p) not in known]
        return [
            {"params": own, "weight_decay": t.head_weight_decay},
            {"params": rest, "weight_decay": t.weight_decay},
            {"params": decoders, "weight_decay": t.front_end_decay},
        ]

    def _scans(self, windows: Sequence[Window], rng: np.random.Generator) -> tuple[list[int], Tensor, Tensor]:
        people, rows, valid = [], [], []
        for w in windows:
            t = self.timelines[w.timeline]
            s = sorted(t.scans)[rng.integers(len(t.scans))]
            clean = rng.random() < 0.5
            source = t.scans[s] if clean else add_residuals(self.timelines, self.predicted, w.timeline, s, rng)
            people.append(self.model.subjects.index(s))
            rows.append(source[w.rows])
            valid.append(w.inside & t.scanned[s][w.rows])
        return people, torch.from_numpy(np.stack(rows)), torch.from_numpy(np.stack(valid))

    def loss(self, step: int) -> Tensor:
        """Relative loss of codes over whole windows, and of features for a few TRs a step."""
        t = self.config.train
        rng = np.random.default_rng([self.config.seed, step, 2])
        windows = draw_windows(self.timelines, rng, t.windows, t.window_trs, 0, self.context)
        people, y, valid = self._scans(windows, rng)
        z = torch.cat([self.model.read(y[i : i + 1], valid[i : i + 1], k) for i, k in enumerate(people)])
        guess = self.model.rebuild(z)
        picks = rng.permutation(np.argwhere(np.stack([w.supervised for w in windows])))[: t.decoded_trs]
        return sum((self._modality_loss(n, guess[n.name], windows, picks) for n in self.nets), torch.zeros(()))

    def _modality_loss(
        self, n: ModalityNets, guess: Tensor, windows: Sequence[Window], picks: NDArray[np.int64]
    ) -> Tensor:
        target = torch.from_numpy(np.stack([self.codes.targets[w.timeline][n.name][w.rows] for w in windows]))
        present = np.stack([self.codes.present[w.timeline][n.name][w.rows] & w.supervised for w in windows])
        mask = torch.from_numpy(present).unsqueeze(-1)
        code = ((guess - target).square() * mask).sum() / (mask.sum().clamp_min(1) * guess.shape[-1])
        if n.frozen:
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

    def validate(self) -> float:
        """Relative loss of decode(y) on validation blocks, codes only, averaged over people and modalities."""
        scores = []
        for i, t in enumerate(self.timelines):
            for block in t.of("validation"):
                for s, y in t.scans.items():
                    z = read_block(self.model, y[block.trs], t.scanned[s][block.trs], s)
                    for name, guess in self.model.rebuild(z).items():
                        there = self.codes.present[i][name][block.trs]
                        if there.any():
                            target = self.codes.targets[i][name][block.trs][there]
                            scores.append(float(np.mean((guess.numpy()[there] - target) ** 2)))
        return float(np.mean(scores))
