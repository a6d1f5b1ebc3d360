"""From fitted modalities to modules: each stage's networks, the losses' scales, and the autoencoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from giblet import stages
from giblet.config import RunConfig
from giblet.model import Autoencoder, Codes, ModalityNets, RelativeLoss, constant_prediction
from giblet.pipeline.prepare import Inputs
from giblet.training.front_ends import training_parts
from giblet.types import FeatureSpec


def build_nets(inputs: Inputs, seed: int) -> list[ModalityNets]:
    """Encoder and decoder of every stimulus modality, through the stages, so that wrappers see them."""
    built = []
    for key, modality in inputs.modalities.items():
        torch.manual_seed(seed)
        specs = [modality.spec(t.aligned[key]) for t in inputs.timelines]
        spec = max(specs, key=lambda s: s.frames)
        width = modality.width(spec)
        encoder = stages.encode(inputs.registry, modality, spec, width)
        decoder = stages.decode(inputs.registry, modality, spec, width)
        built.append(ModalityNets(key, modality.kind, encoder, decoder, modality.loss, spec, width))
    return built


def build_losses(nets: list[ModalityNets], inputs: Inputs) -> dict[str, RelativeLoss]:
    """Each modality's loss, divided by that of the best constant predictor on the training TRs."""
    losses = {}
    for n in nets:
        parts = training_parts(inputs.timelines, n.name)
        losses[n.name] = RelativeLoss(n.loss, n.spec, constant_prediction(parts, n.spec)).calibrate(parts)
    return losses


def build_model(inputs: Inputs, nets: list[ModalityNets], codes: Codes, config: RunConfig) -> Autoencoder:
    """The autoencoder, with the brain modality's heads for everybody."""
    torch.manual_seed(config.seed)
    brain = inputs.brain
    assert brain is not None
    voxels = {s: t.scans[s].shape[1] for t in inputs.timelines for s in t.scans}

    def head(build: Callable[..., nn.Module]) -> Callable[[str, int], nn.Module]:
        return lambda subject, width: build(inputs.registry, brain, FeatureSpec((voxels[subject],), 1), width)

    return Autoencoder(
        config.model,
        float(inputs.timelines[0].grid.tr_s),
        {n.name: codes.inputs[0][n.name].shape[1] for n in nets},
        {n.name: n.width for n in nets},
        inputs.subjects,
        head(stages.decode),
        head(stages.encode),
        inputs.slice_time_ref,
        applied(nets),
        pooled=len(voxels) > 1 and len(set(voxels.values())) == 1,
    )


def applied(nets: list[ModalityNets]) -> list[str]:
    """Modalities whose features already carry an HRF."""
    return [n.name for n in nets if n.spec.hemodynamics == "applied"]
