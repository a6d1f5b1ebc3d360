"""Test blocks turned back into files that a person can play or open, and scored as such."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from giblet import stages
from giblet.alignment import unbin
from giblet.analysis.decode import Reader
from giblet.data.split import Block
from giblet.modality import Modality
from giblet.model import ModalityNets, decode_code, to_features
from giblet.pipeline.prepare import Inputs
from giblet.types import Aligned, Array, Features

CONDITIONS = ("original", "roundtrip", "predicted", "measured", "training_mean")


def stretch(inputs: Inputs, seconds: float) -> tuple[int, Block]:
    """The beginning of the longest test block, at most `seconds` long."""
    places = [(i, b) for i, t in enumerate(inputs.timelines) for b in t.of("test")]
    i, block = max(places, key=lambda p: p[1].stop - p[1].start)
    most = max(1, int(seconds / float(inputs.timelines[i].grid.tr_s)))
    return i, Block("test", block.start, min(block.stop, block.start + most))


def cut(aligned: Aligned, block: Block, values: Array | None = None) -> Features:
    """The native features of a block with its clock at zero; `values` [N, *S] replace the originals."""
    first = int(aligned.first[block.start])
    n = int(aligned.count[block.trs].sum())
    f = aligned.features
    origin = round((aligned.grid.start_s + block.start * aligned.grid.tr_s) / f.timebase)
    attrs: dict[str, Any] = {
        k: v[first : first + n] if isinstance(v, list) and len(v) == len(f.values) else v for k, v in f.attrs.items()
    }
    if "n_samples" in attrs:
        length_s = (block.stop - block.start) * aligned.grid.tr_s
        attrs["n_samples"] = round(length_s * int(attrs["rate_hz"]))
    rows = slice(first, first + n)
    durations = None if f.durations is None else f.durations[rows]
    return Features(
        np.asarray(f.values[rows]) if values is None else values, f.ticks[rows] - origin, f.timebase, durations, attrs
    )


def decoded(n: ModalityNets, reader: Reader, h: Tensor, aligned: Aligned, block: Block) -> Array:
    """Native values [N, *S] of a block, made from scaled codes [T, W]."""
    return render(n, lambda rows: decode_code(n, reader.codes, h[rows]), aligned, block)


def roundtrip(n: ModalityNets, aligned: Aligned, block: Block) -> Array:
    """Native values [N, *S] after encoder and decoder alone: the best that this representation can give."""

    def make(rows: slice) -> Tensor:
        x, mask = aligned.rows(slice(block.start + rows.start, min(block.stop, block.start + rows.stop)), n.spec.frames)
        return n.decoder(n.encoder(torch.from_numpy(x), torch.from_numpy(mask)))

    return render(n, make, aligned, block)


def render(n: ModalityNets, make: Callable[[slice], Tensor], aligned: Aligned, block: Block, batch: int = 32) -> Array:
    """Native values [N, *S] of a block; `make` gives [n, F, *S] for some of its TRs."""
    parts = []
    with torch.no_grad():
        for at in range(0, block.stop - block.start, batch):
            padded = to_features(make(slice(at, at + batch)), n.spec)
            parts.append(unbin(padded, aligned.count[block.start + at : min(block.stop, block.start + at + batch)]))
    return np.concatenate(parts)


def make_versions(n: ModalityNets, reader: Reader, timeline: int, block: Block) -> dict[str, Features]:
    """Original, round trip, predicted, measured and training mean of a block, as features."""
    aligned = reader.timelines[timeline].aligned[n.name]
    original = cut(aligned, block)
    guess = {c: reader.model.rebuild(reader.group_latent(c, timeline, block)) for c in ("predicted", "measured")}
    made = {c: cut(aligned, block, decoded(n, reader, g[n.name].detach(), aligned, block)) for c, g in guess.items()}
    constant = reader.losses[n.name].constant
    mean = to_features(constant.expand(len(original.values), 1, *constant.shape), n.spec)[:, 0]
    back = cut(aligned, block, roundtrip(n, aligned, block))
    return {"original": original, "roundtrip": back, **made, "training_mean": cut(aligned, block, mean)}


def reconstruct_modality(
    inputs: Inputs, modality: Modality, n: ModalityNets, reader: Reader, folder: Path, seconds: float
) -> dict[str, Any]:
    """Write every version of a modality into `folder/KIND/`, and score each against the original."""
    timeline, block = stretch(inputs, seconds)
    versions = make_versions(n, reader, timeline, block)
    target = folder / modality.kind
    target.mkdir(parents=True, exist_ok=True)
    files = {c: stages.reconstruct(inputs.registry, modality, f, target / c) for c, f in versions.items()}
    compare = kind_comparison(modality.kind)
    scores = (
        {}
        if compare is None
        else {
            c: compare(versions["original"], versions[c], files["original"], files[c])
            for c in versions
            if c != "original"
        }
    )
    return {
        **scores,
        "how": getattr(modality, "how", ""),
        "reconstructed_s": (block.stop - block.start) * float(reader.timelines[0].grid.tr_s),
    }


def kind_comparison(kind: str) -> Callable[..., dict[str, float]] | None:
    """`giblet.analysis.KIND.compare`, where that kind of signal has one."""
    if importlib.util.find_spec(f"giblet.analysis.{kind}") is None:
        return None
    compare: Callable[..., dict[str, float]] = importlib.import_module(f"giblet.analysis.{kind}").compare
    return compare
