"""Many lesioned scans at once, read back to latents and to the loss of each modality's code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet.analysis.decode import Reader, counting
from giblet.analysis.lesions.ablation import Ablation, Units
from giblet.data.split import Block
from giblet.model import ModalityNets, decode_code

Real = NDArray[np.float64]
Mask = NDArray[np.bool_]
Place = tuple[int, Block]

DECODED_TRS = 16
"""TRs that are decoded at once."""
BATCH_VALUES = 4_000_000
"""Most numbers of lesioned scans that are held at once: 16 MB, which stays near the processor."""


@dataclass(frozen=True)
class Lesions:
    """A trained model under lesions: what is ablated are `units`, by `ablation`, and scans come under `condition`.

    `draws` moments of the block (and of the noise, where the scan is a noisy prediction) are averaged over.
    """

    reader: Reader
    units: Units
    ablation: Ablation
    condition: str
    draws: int

    @property
    def people(self) -> list[str]:
        """Who is scored."""
        return self.reader.people

    def latents(self, place: Place, person: str, masks: Mask, draw: int) -> Tensor:
        """What is read from one person's scan of a block under each lesion [L, U]: [L, T, D]."""
        i, block = place
        who = self.reader.model.subjects.index(person)
        y = torch.tensor(self.reader.scan(self.condition, i, block, person, draw))  # a copy: scans are read-only
        valid = torch.from_numpy(self.reader.there(self.condition, i, block, person))
        parts = []
        with torch.no_grad():
            units = self.units.read(y)
            for some in torch.from_numpy(masks).split(max(1, BATCH_VALUES // y.numel())):
                hurt = self.units.write(y, self.ablation.apply(units, valid, some, draw, who))
                parts.append(self.reader.model.read(hurt, valid.expand(len(some), -1), who))
        return torch.cat(parts)

    def mean_latents(self, place: Place, masks: Mask, draw: int) -> Tensor:
        """The mean of the latents under each lesion over those who were measured at each TR, [L, T, D]."""
        people = self.reader.everybody(self.condition, *place)
        counts = counting(people)
        return sum(c * self.latents(place, s, masks, draw) for s, c in zip(people, counts, strict=True)) / counts.sum(0)


@dataclass(frozen=True)
class CodeLoss:
    """The loss of each modality's code, relative to the best constant: what the decoders are trained to read first.

    Code and plain features count alike, as they do in training. It is a few numbers a TR, where a film is thousands:
    cheap enough for a thousand random lesions.
    """

    reader: Reader

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """What each column of what is read is multiplied by, [W']."""
        return {name: torch.from_numpy(self.reader.codes.projections[name].weights) for name in self.names}

    @cached_property
    def scale(self) -> dict[str, float]:
        """The loss of the training mean on the training TRs; codes are scaled so that their mean is 0 there."""
        codes, found = self.reader.codes, {}
        for name in self.names:
            rows = [
                codes.targets[i][name][trs[codes.present[i][name][trs]]]
                for i, trs in enumerate(t.trs("train") for t in self.reader.timelines)
            ]
            weighed = np.concatenate(rows) * self.weights[name].numpy()
            found[name] = max(float(np.mean(np.square(weighed, dtype=np.float64))), 1e-12)
        return found

    @cached_property
    def names(self) -> list[str]:
        """The modalities that are read back."""
        return [n.name for n in self.reader.nets if n.name in self.reader.model.outputs]

    def per_tr(self, z: Tensor, place: Place) -> dict[str, Real]:
        """Relative loss [.., T] of each modality from latents [.., T, D]; what a TR lacks is masked by `present`."""
        i, block = place
        with torch.no_grad():
            guess = self.reader.model.rebuild(z)
        out = {}
        for name in self.names:
            target = torch.from_numpy(self.reader.codes.targets[i][name][block.trs])
            error = (guess[name] - target) * self.weights[name]
            loss = error.square().mean(-1) / self.scale[name]
            out[name] = loss.double().numpy()
        return out

    def present(self, places: Sequence[Place]) -> dict[str, Mask]:
        """Which TRs of all places have the modality and were measured in somebody, [T]."""
        return {name: np.concatenate([self.reader.present(name, *p) for p in places]) for name in self.names}


@dataclass(frozen=True)
class NativeLoss:
    """The loss of the features themselves (frames, spectra, texts), relative to the best constant.

    Making films is slow, so that at most `most` TRs are decoded, evenly spread over the test blocks.
    """

    reader: Reader
    most: int

    def mean(self, latents: Sequence[Tensor]) -> dict[str, Real]:
        """Mean relative loss [L] of each modality, from the latents [L, T, D] of each test block; NaN without TRs."""
        return {n.name: self._mean(n, latents) for n in self.reader.nets if n.name in self.reader.model.outputs}

    def _mean(self, n: ModalityNets, latents: Sequence[Tensor]) -> Real:
        places = self.reader.places()
        there = [np.flatnonzero(self.reader.present(n.name, *p)) for p in places]
        step = max(1, -(-sum(map(len, there)) // self.most))
        parts = [
            self._per_tr(n, z, place, rows[step // 2 :: step])
            for z, place, rows in zip(latents, places, there, strict=True)
        ]
        losses = np.concatenate(parts, axis=1)
        return losses.mean(1) if losses.shape[1] else np.full(len(losses), np.nan)

    def _per_tr(self, n: ModalityNets, z: Tensor, place: Place, rows: NDArray[np.int64]) -> Real:
        """[L, T'] at these TRs of a block, from its latents [L, T, D]."""
        i, block = place
        x, mask = self.reader.timelines[i].aligned[n.name].rows(block.start + rows, n.spec.frames)
        target, there = torch.from_numpy(x), torch.from_numpy(mask)
        out = np.zeros((len(z), len(rows)))
        with torch.no_grad():
            for k, whole in enumerate(z):
                one = self.reader.model.rebuild(whole)[n.name][rows]
                for at in range(0, len(rows), DECODED_TRS):
                    some = slice(at, at + DECODED_TRS)
                    made = decode_code(n, self.reader.codes, one[some])
                    out[k, some] = self.reader.losses[n.name].per_tr(made, target[some], there[some]).numpy()
        return out
