"""The brain space of a run: built from what the study knows, and what of it is learned after the scans are clean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from giblet.brain import BrainModality
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.scratch import on_scratch, parts_of, row_slabs
from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.plugins import Registry
from giblet.types import Array

Matrix = NDArray[np.float32]
Measured = tuple[Matrix, NDArray[np.bool_]]
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


def build_brain(registry: Registry, config: RunConfig, study: Study) -> BrainModality:
    """The brain modality of a run, not fitted yet; it knows the study's atlas and brain masks.

    Raises
    ------
    ConfigError
        If the plugin that was chosen is one of a stimulus.
    """
    name = config.modalities.get("fmri", "fmri_mask")
    brain = registry.modality(name, **config.settings.get("fmri", {}))
    if not isinstance(brain, BrainModality):
        raise ConfigError(f"{name} is no brain that scans could be read by; choose another plugin of the kind fmri")
    masks = [scan.mask for scan in study.scans if scan.mask is not None]
    return brain.informed(study.atlas, study.labels, masks)


def into_space(
    brain: BrainModality, raw: Raw, timelines: Sequence[Timeline], *, learn: bool
) -> tuple[BrainModality, Raw]:
    """Cleaned and scaled scans [T, V] as units of the brain space [T, U], learned first from training TRs.

    Where the brain modality says so, the mean of those who were there takes everybody's place.
    """
    if learn:
        brain = brain.learn(TrainingScans(raw, timelines, 0), TrainingScans(raw, timelines, 1))
    made: Raw = {}
    for subject in dict.fromkeys(s for s, _ in raw):
        mine = [key for key in raw if key[0] == subject]
        units = _units(brain, subject, [raw[key][0] for key in mine])
        made |= {key: (u, raw[key][1]) for key, u in zip(mine, units, strict=True)}
    placed = {key: made[key] for key in raw}
    return brain, averaged(placed) if brain.averages else placed


def _units(brain: BrainModality, subject: str, scans: list[Matrix]) -> list[Matrix]:
    """One person's scans [T, V] in the brain space [T, U], on the disk; where that is the voxels, the very same."""
    units = [brain.to_space(y, subject) for y in scans]
    if all(u is y for u, y in zip(units, scans, strict=True)):
        return scans
    return parts_of(on_scratch(units), [len(u) for u in units])


def measured_voxels(brain: BrainModality, raw: Raw) -> Raw:
    """What is kept of the voxels [T, V] where the space is learned, to score against; else nothing."""
    if not brain.learned_space:
        return {}
    return averaged(raw) if brain.averages else raw


def averaged(raw: Raw) -> Raw:
    """One person, `average`: in each run the mean [T, U] over those who were measured at a TR."""
    runs = dict.fromkeys(run for _, run in raw)
    mine = [[m for (_, of), m in raw.items() if of == run] for run in runs]
    means = parts_of(on_scratch(rows for each in mine for rows in _means(each)), [len(each[0][0]) for each in mine])
    there = [np.any([m for _, m in each], axis=0) for each in mine]
    return {(AVERAGE, run): both for run, both in zip(runs, zip(means, there, strict=True), strict=True)}


def _means(each: Sequence[Measured]) -> Iterator[Matrix]:
    """The mean over those who were measured at a TR of one run, some rows at a time."""
    n = np.maximum(np.sum([m for _, m in each], axis=0), 1)[:, None]
    for rows in row_slabs(*each[0][0].shape):
        total: Array = np.asarray(sum(y[rows] * m[rows, None] for y, m in each))
        yield np.asarray(total / n[rows], np.float32)
