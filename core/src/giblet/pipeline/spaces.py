"""The brain space of a run: built from what the study knows, and what of it is learned after the scans are clean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.study import Study
from giblet.modality import Modality
from giblet.plugins import Registry
from giblet.types import Array

Measured = tuple[NDArray[np.float32], NDArray[np.bool_]]
Raw = dict[tuple[str, str], Measured]
"""BOLD [T, V] and which TRs were measured [T], by subject and run."""
AVERAGE = "average"


class TrainingScans(Mapping[str, Array]):
    """One part (0 BOLD, 1 measured) of everybody's training TRs, by subject, runs joined when it is asked for.

    A run that somebody lacks is 0, so that all have one clock; only one person is ever copied.
    """

    def __init__(self, raw: Raw, timelines: Sequence[Timeline], part: int) -> None:
        self.raw, self.timelines, self.part = raw, timelines, part
        self.subjects = list(dict.fromkeys(s for s, _ in raw))

    def __getitem__(self, subject: str) -> Array:
        mine = next(m[self.part] for (s, _), m in self.raw.items() if s == subject)
        pieces = []
        for t in self.timelines:
            trs = t.trs("train")
            found = self.raw.get((subject, t.run))
            pieces.append(np.zeros((len(trs), *mine.shape[1:]), mine.dtype) if found is None else found[self.part][trs])
        return np.concatenate(pieces)

    def __iter__(self) -> Iterator[str]:
        return iter(self.subjects)

    def __len__(self) -> int:
        return len(self.subjects)


def build_brain(registry: Registry, config: RunConfig, study: Study) -> Modality:
    """The brain modality of a run, not fitted yet; it knows the study's atlas and brain masks."""
    brain = registry.modality(config.modalities.get("fmri", "fmri_mask"), **config.settings.get("fmri", {}))
    masks = [scan.mask for scan in study.scans if scan.mask is not None]
    return brain.informed(study.atlas, study.labels, masks)


def into_space(brain: Modality, raw: Raw, timelines: Sequence[Timeline], *, learn: bool) -> tuple[Modality, Raw]:
    """Cleaned and scaled scans [T, V] as units of the brain space [T, U], learned first from training TRs.

    Where the brain modality says so, the mean of those who were there takes everybody's place.
    """
    if learn:
        brain = brain.learn(TrainingScans(raw, timelines, 0), TrainingScans(raw, timelines, 1))
    placed = {key: (brain.to_space(y, key[0]), there) for key, (y, there) in raw.items()}
    return brain, averaged(placed) if brain.averages else placed


def measured_voxels(brain: Modality, raw: Raw) -> Raw:
    """What is kept of the voxels [T, V] where the space is learned, to score against; else nothing."""
    if not brain.learned_space:
        return {}
    return averaged(raw) if brain.averages else raw


def averaged(raw: Raw) -> Raw:
    """One person, `average`: in each run the mean [T, U] over those who were measured at a TR."""
    out: Raw = {}
    for run in dict.fromkeys(run for _, run in raw):
        mine = [m for (_, of), m in raw.items() if of == run]
        there = np.stack([m for _, m in mine])
        total = sum(y * m[:, None] for y, m in mine)
        mean = np.asarray(total / np.maximum(there.sum(0), 1)[:, None], np.float32)
        out[AVERAGE, run] = (mean, np.asarray(there.any(0)))
    return out
