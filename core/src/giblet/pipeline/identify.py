"""Which clip of the test blocks was it: codes read from measured scans against the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from giblet.analysis.decode import Reader
from giblet.analysis.identification import CLIP_S, bootstrap_interval, clip_slices, identify, identify_each
from giblet.analysis.joined import mean_of_present
from giblet.analysis.scenes import alike_in_features, alike_in_text, segments, tr_texts
from giblet.analysis.scores import Mask, mean_known
from giblet.data.split import Block
from giblet.errors import DataError
from giblet.model import ModalityNets, person_drive, run_drive
from giblet.types import Array, Float, Int

SCORES = ("top1", "top5", "two_way")
NAMES = (*SCORES, "chance_top1", "chance_top5", "set_size", "n_clips", "p", "null_kind")


def identification(n: ModalityNets, reader: Reader) -> dict[str, Any]:
    """The `identification` of one modality in metrics.json.

    The figures are those of everybody's scans read together (the mean over people of what is read); `people` those of
    each person's scan alone, their mean with an interval over clips and people; `by_encoding` those of the mean scan
    compared with what this modality alone predicts.
    """
    blocks = _end_to_end(reader)
    weights = reader.codes.projections[n.name].weights
    target = np.concatenate([reader.codes.targets[i][n.name][b.trs] for i, b in reader.places()]) * weights
    tr_s = float(reader.timelines[0].grid.tr_s)
    try:
        exclude = indistinct(reader, target, blocks, tr_s)
        decoded, there = _decoded(n, reader)
        found = identify(decoded, target, blocks, tr_s, exclude=exclude, seed=reader.config.seed, valid=there)
    except DataError as error:  # the test block is too short for two clips far enough apart: said, not scored
        return dict.fromkeys(NAMES) | {"note": str(error)}
    return {name: getattr(found, name) for name in NAMES} | {
        "interval": list(found.two_way_interval),
        "top1_interval": list(found.top1_interval),
        "people": _people(n, reader, target, blocks, exclude),
        "by_encoding": _by_encoding(n, reader, blocks, exclude),
    }


def indistinct(reader: Reader, target: Float, blocks: list[slice], tr_s: float) -> Mask:
    """Which clips may not be told apart, [n, n]: one scene, the same words, or the same features of this modality."""
    clips = clip_slices(blocks, CLIP_S, tr_s)
    if not clips:
        return np.zeros((0, 0), bool)
    alike = alike_in_features(target, clips)
    for name in reader.timelines[0].aligned:
        texts, segment = _annotated(reader, name)
        alike |= alike_in_text(texts, segment, clips)
    return alike


def _annotated(reader: Reader, name: str) -> tuple[list[str], Int]:
    """Text and number of the annotated segment of each test TR, [T] each; no number stands in two runs."""
    written = [tr_texts(t.aligned[name]) for t in reader.timelines]
    first = np.cumsum([0, *(len(w) for w in written)])
    numbers = [np.where(s > 0, s + at, 0) for s, at in zip(map(segments, written), first, strict=False)]
    texts = [text for i, b in reader.places() for text in written[i][b.trs]]
    return texts, np.concatenate([numbers[i][b.trs] for i, b in reader.places()])


def _end_to_end(reader: Reader) -> list[slice]:
    """The test blocks laid end to end."""
    lengths = [b.stop - b.start for _, b in reader.places()]
    edges = np.cumsum([0, *lengths])
    return [slice(int(a), int(a) + n) for a, n in zip(edges, lengths, strict=False)]


def _decoded(n: ModalityNets, reader: Reader, subject: str | None = None) -> tuple[Array, Mask]:
    """Codes [T, W] of all test blocks read from one person's measured scans, or from everybody's, as they count.

    And which TRs were measured in them, or in somebody, [T]; of a block without them a code is 0.
    """
    parts, there = zip(*(_read(n, reader, i, b, subject) for i, b in reader.places()), strict=True)
    return np.concatenate(parts) * reader.codes.projections[n.name].weights, np.concatenate(there)


def _read(n: ModalityNets, reader: Reader, run: int, block: Block, subject: str | None) -> tuple[Array, Mask]:
    """`_decoded` of one block."""
    masks = reader.everybody("measured", run, block)
    if subject is not None and subject not in masks:
        nothing = np.zeros_like(reader.codes.targets[run][n.name][block.trs])
        return nothing, np.zeros(len(nothing), bool)
    place = ("measured", run, block)
    z = reader.group_latent(*place) if subject is None else reader.latent(*place, subject)
    there = np.any([m for s, m in masks.items() if subject in (None, s)], axis=0)
    return reader.model.rebuild(z)[n.name].detach().numpy(), there


def _people(n: ModalityNets, reader: Reader, target: Float, blocks: list[slice], exclude: Mask) -> dict[str, Any]:
    """Mean over people and the clips that each was measured in, and its interval over people and clips."""
    decoded, there = zip(*(_decoded(n, reader, s) for s in sorted(reader.people)), strict=True)
    tr_s = float(reader.timelines[0].grid.tr_s)
    each = identify_each(decoded, target, blocks, tr_s, exclude=exclude, valid=there)
    each = each[:, ~np.isnan(each[2]).all(1)]
    out: dict[str, Any] = {"n": each.shape[1]}
    for name, scores in zip(SCORES, each, strict=True):
        out[name] = float(mean_known(scores))
        out[f"{name}_interval"] = list(bootstrap_interval(scores, seed=reader.config.seed))
    return out


def _by_encoding(n: ModalityNets, reader: Reader, blocks: list[slice], exclude: Mask) -> dict[str, Any]:
    """Clips told apart in brain space: the mean scan against the mean prediction from this modality alone.

    The way of Kay et al. 2008, doi:10.1038/nature06713; nothing is read back. Empty where people's voxels are not the
    same places.
    """
    pairs = [_mean_scans(n, reader, i, b) for i, b in reader.places()]
    if any(pair is None for pair in pairs):
        return {}
    scans, alone, there = (np.concatenate(parts) for parts in zip(*(p for p in pairs if p is not None), strict=True))
    tr_s = float(reader.timelines[0].grid.tr_s)
    found = identify(scans, alone, blocks, tr_s, exclude=exclude, seed=reader.config.seed, valid=there)
    return {name: getattr(found, name) for name in (*SCORES, "p")} | {"interval": list(found.two_way_interval)}


def _mean_scans(n: ModalityNets, reader: Reader, run: int, block: Block) -> tuple[Array, Array, Mask] | None:
    """Of a block, what was measured and what a modality alone predicts for it, [T, V] each, and where anybody was [T].

    Both are means over those who were measured at a TR; where nobody was, what is predicted is that over all.
    """
    t, model = reader.timelines[run], reader.model
    if len({y.shape for y in t.scans.values()}) != 1:
        return None
    with torch.no_grad():
        drive = run_drive(model, reader.codes, run, [other for other in model.names if other != n.name])
        here = {s: model.subjects.index(s) for s in reader.measured(run, block)}
        drives = {s: person_drive(model, drive, t, k)[block.trs] for s, k in here.items()}
        guess = {s: model.brain(d.unsqueeze(0), here[s])[0].numpy() for s, d in drives.items()}
    y, there = {s: t.scans[s][block.trs] for s in here}, reader.everybody("measured", run, block)
    scans, anybody = mean_of_present(y, there, list(here))
    counted = {s: m | ~anybody for s, m in there.items()}
    return scans, mean_of_present(guess, counted, list(here))[0], anybody
