"""Test blocks turned back into files that a person can play or open, and scored as such."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from giblet import stages
from giblet.alignment import unbin
from giblet.analysis.decode import Reader
from giblet.analysis.joined import scored_blocks
from giblet.data.split import Block
from giblet.data.study import Study
from giblet.modality import Modality
from giblet.model import Codes, ModalityNets, decode_code, to_features
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.sound_files import beside_source
from giblet.types import Aligned, Array, Features, Int

Compare = Callable[[Mapping[str, Features], Mapping[str, Path], Int], Mapping[str, Any]]
FROM_SCANS = ("predicted", "measured")
WRITTEN = ("roundtrip", *FROM_SCANS, "training_mean")
VERSIONS = ("roundtrip", *FROM_SCANS, "permuted", "training_mean")
"""What is scored against the original. `permuted` is not written: it is `measured` again, at the wrong time."""


def stretch(inputs: Inputs, seconds: float) -> tuple[int, Block]:
    """The beginning of the longest test block that scans are read of, at most `seconds` long."""
    places = scored_blocks(inputs.timelines, inputs.subjects)
    i, block = max(places, key=lambda p: p[1].stop - p[1].start)
    most = max(1, int(seconds / float(inputs.timelines[i].grid.tr_s)))
    return i, Block("test", block.start, min(block.stop, block.start + most))


def moment(inputs: Inputs, timeline: int, block: Block) -> dict[str, Any]:
    """Of which run a block is, and when in its film it begins, in seconds."""
    t = inputs.timelines[timeline]
    return {"run": t.run, "start_s": float(t.grid.start_s + block.start * t.grid.tr_s)}


def cut(aligned: Aligned, block: Block, values: Array | None = None, summary: Array | None = None) -> Features:
    """The native features of a block with its clock at zero; `values` [N, *S] replace the originals.

    `summary` [T, S] is what was read from scans beside them, and becomes `attrs["summary"]`.
    """
    f, rows = aligned.features, aligned.places(block.trs)
    origin = round((aligned.grid.start_s + block.start * aligned.grid.tr_s) / f.timebase)
    attrs: dict[str, Any] = {
        k: [v[i] for i in np.arange(len(v))[rows]] if isinstance(v, list) and len(v) == len(f.values) else v
        for k, v in f.attrs.items()
    }
    if "n_samples" in attrs:
        length_s = (block.stop - block.start) * aligned.grid.tr_s
        attrs["n_samples"] = round(length_s * int(attrs["rate_hz"]))
    if summary is not None:
        attrs["summary"] = summary
    durations = None if f.durations is None else f.durations[rows]
    return Features(
        np.asarray(f.values[rows]) if values is None else values, f.ticks[rows] - origin, f.timebase, durations, attrs
    )


def decoded(n: ModalityNets, reader: Reader, h: Tensor, aligned: Aligned, block: Block) -> Array:
    """Native values [N, *S] of a block, made from scaled codes [T, W]."""
    return render(n, lambda rows: decode_code(n, reader.codes, h[rows]), aligned, block)


def roundtrip(n: ModalityNets, aligned: Aligned, block: Block) -> Array:
    """Native values [N, *S] after the trained encoder and decoder alone, without a brain; no bound."""

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


def read_code(n: ModalityNets, reader: Reader, version: str, timeline: int, block: Block) -> Tensor:
    """The scaled code [T, W] of a block, read from everybody's predicted or measured scans."""
    return reader.model.rebuild(reader.group_latent(version, timeline, block))[n.name].detach()


def read_summary(n: ModalityNets, codes: Codes, code: Tensor) -> Array | None:
    """The summary [T, S] that was read beside a scaled code [T, W]; None where none was."""
    return codes.projections[n.name].summary(code.numpy())


def permuted(code: Tensor) -> Tensor:
    """A code [T, W] that was read, shifted in a circle by half of its TRs: later by so many.

    But for a few TRs at the seam, which the response reaches over, this is what is read from scans that are shifted so.
    """
    return code.roll(len(code) // 2, 0)


def constant_frame(n: ModalityNets, reader: Reader) -> Array:
    """The best constant predictor as one native value, [1, *S]."""
    constant = reader.losses[n.name].constant
    return to_features(constant.expand(1, 1, *constant.shape), n.spec)[:, 0]


def make_versions(n: ModalityNets, reader: Reader, timeline: int, block: Block) -> dict[str, Features]:
    """The original and all `VERSIONS` of a block, as features.

    `permuted` is what is made of the code of `measured` at the wrong time; `training_mean` the best constant.
    """
    aligned = reader.timelines[timeline].aligned[n.name]
    codes = {v: read_code(n, reader, v, timeline, block) for v in FROM_SCANS}
    codes["permuted"] = permuted(codes["measured"])
    made = {v: decoded(n, reader, h, aligned, block) for v, h in codes.items()}
    made["roundtrip"] = roundtrip(n, aligned, block)
    made["training_mean"] = np.repeat(constant_frame(n, reader), len(made["measured"]), axis=0)
    plain = {v: read_summary(n, reader.codes, h) for v, h in codes.items()}
    return {"original": cut(aligned, block)} | {v: cut(aligned, block, made[v], plain.get(v)) for v in VERSIONS}


def reconstruct_modality(
    study: Study, inputs: Inputs, modality: Modality, n: ModalityNets, reader: Reader, folder: Path, seconds: float
) -> dict[str, Any]:
    """Write the original and what is `WRITTEN` of a modality into `folder/KIND/`; score each version."""
    timeline, block = stretch(inputs, seconds)
    tr_s = float(reader.timelines[timeline].grid.tr_s)
    versions = make_versions(n, reader, timeline, block)
    target = folder / modality.kind
    target.mkdir(parents=True, exist_ok=True)
    files = {v: stages.reconstruct(inputs.registry, modality, versions[v], target / v) for v in ("original", *WRITTEN)}
    if modality.kind == "audio":
        files = beside_source(study, inputs, n.name, (timeline, block), versions["original"], files)
    counts = reader.timelines[timeline].aligned[n.name].count[block.trs]
    n_trs = block.stop - block.start
    return {
        **_scores(modality.kind, versions, files, counts),
        "how": modality.how,
        "reconstructed_s": n_trs * tr_s,
        "reconstructed_from": moment(inputs, timeline, block),
        "permuted_by_s": n_trs // 2 * tr_s,
    }


def _scores(kind: str, versions: Mapping[str, Features], files: Mapping[str, Path], counts: Int) -> Mapping[str, Any]:
    """`compare` of `giblet.analysis.KIND`; nothing for a kind that has none."""
    name = f"giblet.analysis.{kind}"
    if importlib.util.find_spec(name) is None:
        return {}
    compare: Compare | None = getattr(importlib.import_module(name), "compare", None)
    return {} if compare is None else compare(versions, files, counts)
