"""What training would hold in memory and compute, stage by stage, before any of it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.model import Autoencoder, Codes, Learned, ModalityNets, Model, RelativeLoss, Scans, members_of
from giblet.pipeline.blueprint import Blueprint, blueprint_of
from giblet.pipeline.networks import build_model, build_nets
from giblet.pipeline.prepare import Inputs
from giblet.training import CompressorTask, DecoderTask, FrontEndTask, Task, TrunkTask, most_steps
from giblet.training.codes import fit_projection, groups_of
from giblet.training.footprint import bytes_of, bytes_read, footprint
from giblet.types import Aligned

ROWS = 512
"""Rows of noise that stand for the codes of a modality, of which only the sizes matter."""
LOOKED_AT = 4
"""TRs whose summary says how wide one is."""


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage: at most so many `steps`, `parameters` trained, floating-point operations a step, and bytes.

    `weights` are those of all networks, `copies` what is kept of them (the best so far, and where the trunk began),
    `passing` activations, batches that are read ahead, and all else that comes and goes in a step or while it is
    judged. `step_s` are seconds of a step, where one was taken. All is counted in float32, without what several
    processes or FSDP change.
    """

    stage: str
    steps: int
    parameters: int
    weights: int
    copies: int
    gradients: int
    optimizer: int
    passing: int
    flops: int
    step_s: float | None = None

    @property
    def peak(self) -> int:
        """All that the stage holds at its peak."""
        return self.weights + self.copies + self.gradients + self.optimizer + self.passing


@dataclass(frozen=True, slots=True)
class Costs:
    """All stages; `tables` are the codes, `process` is what Python, the libraries and their buffers hold beside them.

    The latter is what this process holds after a step of every front end: what that took, the allocator has kept, as it
    does in training. It is None where the system does not say.
    `mapped` are cleaned scans and features, which stay on the disk; `flops_s` is what a product of two matrices reaches
    here.
    """

    stages: list[StageCost]
    process: int | None
    tables: int
    mapped: int
    flops_s: float

    @property
    def peak(self) -> int:
        """What the process holds of its own at its peak."""
        return (self.process or 0) + self.tables + max(s.peak for s in self.stages)

    def seconds(self, stage: StageCost) -> float:
        """Seconds that a stage takes at least: at the speed of the step that was taken, or of a product of matrices."""
        return stage.steps * (stage.flops / self.flops_s if stage.step_s is None else stage.step_s)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"peak": self.peak, "stages": [asdict(s) | {"peak": s.peak} for s in self.stages]}


def training_costs(inputs: Inputs, config: RunConfig) -> Costs:
    """Costs of training on these inputs. Front ends take a step; the model is never filled, however large."""
    blueprint = blueprint_of(inputs)
    nets = build_nets(blueprint, config)
    codes = noise_codes(nets, inputs, config)
    model = _hollow(blueprint, nets, codes, config)
    everything = [model, *(m for n in nets for m in (n.encoder, n.decoder))]
    tasks = _tasks(inputs, nets, model, codes, config)
    stages = [_cost(task, steps, bytes_of(everything), model, config) for task, steps in tasks]
    tables = 4 * sum(
        t.size for kind in (codes.inputs, codes.targets, codes.summaries) for x in kind for t in x.values()
    )
    scans = sum(y.nbytes for t in inputs.timelines for y in t.scans.values())
    features = sum(a.features.values.nbytes for t in inputs.timelines for a in t.aligned.values())
    speed = flops_per_second()
    return Costs(stages, private_bytes(), tables, scans + features, speed)


def flops_per_second(n: int = 1024) -> float:
    """Floating-point operations a second in the product of two matrices of n x n, the better of two."""
    a, seconds = torch.ones(n, n), []
    for _ in range(2):
        started = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - started)
    return 2 * n**3 / min(seconds)


def private_bytes() -> int | None:
    """What this process holds of its own (RssAnon), which Linux tells."""
    status = Path("/proc/self/status")
    rows = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((1024 * int(row.split()[1]) for row in rows if row.startswith("RssAnon")), None)


def noise_codes(nets: Sequence[ModalityNets], inputs: Inputs, config: RunConfig) -> Codes:
    """Codes of the sizes that training would have, with nothing in them."""
    codes, rng = Codes.empty(len(inputs.timelines)), np.random.default_rng(0)
    rows = min(ROWS, sum(len(t.trs("train")) for t in inputs.timelines))
    for n in nets:
        code = rng.standard_normal((rows, n.width)).astype(np.float32)
        width = None if n.frozen and not n.plain else _summary_width(inputs, n.name)
        summary = None if width is None else rng.standard_normal((rows, width)).astype(np.float32)
        groups = groups_of(summary, inputs.modalities, n.name)
        codes.projections[n.name] = p = fit_projection([(code, summary)], [np.arange(rows)], config.model, groups)
        for i, t in enumerate(inputs.timelines):
            for table, columns in zip(
                (codes.inputs, codes.targets, codes.summaries), (p.outputs, p.back, p.plain_outputs), strict=True
            ):
                table[i][n.name] = _zeros(t.grid.n_trs, columns)
            codes.present[i][n.name] = t.aligned[n.name].valid
    return codes


def _summary_width(inputs: Inputs, name: str) -> int:
    aligned = inputs.timelines[0].aligned[name]
    few = replace(aligned.grid, n_trs=min(LOOKED_AT, aligned.grid.n_trs))
    some = Aligned(aligned.features, few, aligned.first[:LOOKED_AT], aligned.count[:LOOKED_AT], aligned.kept)
    return int(inputs.modalities[name].summary(some).shape[1])


def _zeros(rows: int, columns: int) -> NDArray[np.float32]:
    """Zeros that take no memory."""
    return np.broadcast_to(np.float32(0), (rows, columns))


def _hollow(blueprint: Blueprint, nets: list[ModalityNets], codes: Codes, config: RunConfig) -> Model:
    """The model with sizes and no values, on the meta device."""
    with torch.device("meta"):
        return build_model(blueprint, nets, codes, config)


def _tasks(
    inputs: Inputs, nets: list[ModalityNets], model: Model, codes: Codes, config: RunConfig
) -> Iterator[tuple[Task, int]]:
    """Every stage of the first member, as it would be trained, with its most steps and those of the others."""
    t, member, lines = config.train, members_of(model)[0], inputs.timelines
    trunks = t.ensemble * (2 if t.refit else 1)
    losses = {n.name: RelativeLoss(n.loss, n.spec, torch.zeros(())) for n in nets}
    for n in nets:
        if not n.frozen:
            yield FrontEndTask(n, losses[n.name], lines, config), t.front_end_steps
    if isinstance(member.middle, Learned):
        task = CompressorTask(member.middle, lines, config)
        yield task, t.compressor_steps
        member.middle.requires_grad_(requires_grad=False)
    yield TrunkTask(member, codes, lines, config), most_steps(lines, config) * trunks
    for n in nets:
        n.encoder.to("meta")
        n.decoder.to("meta")
    with torch.device("meta"):
        for m in members_of(model):
            voxels = [s.shape[1] for s in _no_scans(m, lines)[0].values()]
            m.encode(voxels, codes.plain_sizes)
    yield (
        DecoderTask(member, nets, losses, codes, lines, _no_scans(member, lines), config),
        t.decoder_steps * t.ensemble,
    )


def _no_scans(model: Autoencoder, timelines: Sequence[Timeline]) -> Scans:
    """Predictions of the right sizes, with nothing in them."""
    voxels: Mapping[str, int] = {s: y.shape[1] for t in timelines for s, y in t.scans.items()}
    return [{s: _zeros(t.grid.n_trs, voxels[s]) for s in model.subjects} for t in timelines]


def _cost(task: Task, steps: int, weights: int, model: Model, config: RunConfig) -> StageCost:
    found = footprint(task, config.train.accumulate)
    best = bytes_of([task.module])
    copies = best * (2 if config.train.average else 1) + (bytes_of([model]) if isinstance(task, TrunkTask) else 0)
    passing = max(found.passing, best)  # while a score is judged, two copies of the best weights are there
    passing += config.train.readers * bytes_read(task, config.train.accumulate)
    step_s = _seconds(task, config) if isinstance(task, FrontEndTask) else None
    held = (found.parameters, weights, copies, found.gradients, found.optimizer, passing, found.flops)
    return StageCost(task.name, steps, *held, step_s)


def _seconds(task: FrontEndTask, config: RunConfig) -> float:
    """Seconds of a second step."""
    started = time.perf_counter()
    footprint(task, config.train.accumulate)
    return time.perf_counter() - started
