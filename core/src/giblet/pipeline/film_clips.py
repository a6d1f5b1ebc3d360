"""Which clip of the training and test films is it? Asked of all test blocks, of pictures read from scans."""

from __future__ import annotations

from typing import Any

import numpy as np

from giblet.analysis.decode import Reader
from giblet.analysis.identification import CLIP_S, clip_slices
from giblet.analysis.scores import Real
from giblet.analysis.video import MOMENTS, Library, retrieve, sketch
from giblet.data.split import Block
from giblet.model import ModalityNets
from giblet.pipeline.reconstruct import FROM_SCANS, constant_frame, decoded, read_code, roundtrip
from giblet.types import Aligned, Int

AT_ONCE = 32
"""TRs that are decoded before they are made small, so that memory does not grow with the test."""


def retrieval(n: ModalityNets, reader: Reader) -> dict[str, Any]:
    """The `retrieval` of a film in metrics.json: clips of 9 s, as in identification, but told by the pictures made.

    Sought are the clips of all test blocks, among those of all training and test blocks.
    """
    mean, library = _library(n, reader)
    if library is None:
        return {"note": f"no test block is as long as one clip of {CLIP_S:g} s"}
    made = _versions(n, reader, mean, library.width)
    return {"clip_s": library.width * library.tr_s} | retrieve(library, made, reader.config.seed)


def _library(n: ModalityNets, reader: Reader) -> tuple[Real, Library | None]:
    """The mean sketch of the training TRs, and all clips of the originals; None without a clip to seek."""
    tr_s = float(reader.timelines[0].grid.tr_s)
    every = [t.aligned[n.name] for t in reader.timelines]
    looks = [_sketch(aligned) for aligned in every]
    train = [t.trs("train")[a.valid[t.trs("train")]] for t, a in zip(reader.timelines, every, strict=True)]
    mean = np.concatenate([x[trs] for x, trs in zip(looks, train, strict=True)]).mean(0)
    looks = [_centred(x, mean, a.count) for x, a in zip(looks, every, strict=True)]
    clips = [
        (i, clip, b.label)
        for i, t in enumerate(reader.timelines)
        for b in t.of("train", "test")
        if b.label == "train" or (i, b) in reader.places()
        for clip in clip_slices([b.trs], CLIP_S, tr_s)
    ]
    sought = np.array([k for k, (*_, label) in enumerate(clips) if label == "test"], np.int64)
    if not len(sought):
        return mean, None
    rows = np.stack([looks[i][clip].ravel() for i, clip, _ in clips])
    run, start, stop = (np.array(x) for x in zip(*((i, c.start, c.stop) for i, c, _ in clips), strict=True))
    return mean, Library(rows, run, start, sought, int(stop[0] - start[0]), tr_s)


def _centred(looks: Real, mean: Real, count: Int) -> Real:
    """Sketches [T, P] minus the mean; 0 where a TR has no frame, so that what is missing is like nothing."""
    return np.where(count[:, None] > 0, looks - mean, 0.0)


def _sketch(aligned: Aligned) -> Real:
    """The sketch of every TR of a run, [T, P]."""
    parts = []
    for at in range(0, aligned.grid.n_trs, AT_ONCE):
        values, mask = aligned.rows(slice(at, at + AT_ONCE), MOMENTS)
        parts.append(sketch(values.reshape(-1, *values.shape[2:]), np.arange(len(mask)) * MOMENTS, mask.sum(1)))
    return np.concatenate(parts)


def _versions(n: ModalityNets, reader: Reader, mean: Real, width: int) -> dict[str, Real]:
    """What is seen of every test clip in each version, minus the mean, [q, width * P].

    A TR is decoded from its own code, so that `permuted` may be shifted when all is decoded.
    """
    looks = {v: [_looks(n, reader, v, mean, i, b) for i, b in reader.places()] for v in ("roundtrip", *FROM_SCANS)}
    looks["permuted"] = [np.roll(x, len(x) // 2, axis=0) for x in looks["measured"]]
    one = np.ones(1, np.int64)
    constant = _centred(sketch(constant_frame(n, reader), one - 1, one), mean, one)
    looks["training_mean"] = [np.repeat(constant, len(x), axis=0) for x in looks["measured"]]
    return {v: np.stack([clip for x in each for clip in _clips_of(x, width)]) for v, each in looks.items()}


def _clips_of(looks: Real, width: int) -> list[Real]:
    return [looks[at : at + width].ravel() for at in range(0, len(looks) - width + 1, width)]


def _looks(n: ModalityNets, reader: Reader, version: str, mean: Real, i: int, block: Block) -> Real:
    """The sketch of every TR of a test block in a version, minus the mean, [T, P]; 0 where no scan was measured."""
    aligned, measured = reader.timelines[i].aligned[n.name], reader.somebody(i, block)
    code = read_code(n, reader, version, i, block) if version in FROM_SCANS else None
    parts = []
    for at in range(block.start, block.stop, AT_ONCE):
        part = Block("test", at, min(block.stop, at + AT_ONCE))
        made = (
            roundtrip(n, aligned, part) if code is None else decoded(n, reader, code[at - block.start :], aligned, part)
        )
        count = aligned.count[part.trs]
        seen = count if code is None else count * measured[at - block.start : part.stop - block.start]
        parts.append(_centred(sketch(made, np.cumsum(count) - count, count), mean, seen))
    return np.concatenate(parts)
