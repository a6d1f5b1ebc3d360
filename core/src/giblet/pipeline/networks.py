"""From fitted modalities to modules: each stage's networks, the losses' scales, and the autoencoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from giblet import stages
from giblet.config import RunConfig
from giblet.model import (
    PRESETS,
    Autoencoder,
    Codes,
    Ensemble,
    ModalityNets,
    Model,
    Picture,
    RelativeLoss,
    constant_prediction,
)
from giblet.nn import MaskedFlatten, UnflattenFrame
from giblet.pipeline.blueprint import Blueprint
from giblet.pipeline.middle import build_middle
from giblet.pipeline.prepare import Inputs
from giblet.training.front_ends import training_parts
from giblet.types import FeatureSpec

SEED_STEP = 1_000_003


def build_nets(blueprint: Blueprint, config: RunConfig) -> list[ModalityNets]:
    """Encoder and decoder of every stimulus modality, through the stages, so that wrappers see them.

    Where the preset reads the features of a TR themselves, their mean over the TR is the code, and nothing is built or
    trained; discrete features are never averaged, so they keep their own nets.
    """
    built = []
    for key, modality in blueprint.modalities.items():
        torch.manual_seed(config.seed)
        spec = blueprint.specs[key]
        if PRESETS[config.model.preset].reads == "features" and spec.num_classes is None:
            pair = (MaskedFlatten(), UnflattenFrame(spec))
            built.append(ModalityNets(key, modality.kind, *pair, modality.loss, spec, spec.size, plain=True))
            continue
        width = modality.width(spec)
        encoder = stages.encode(blueprint.registry, modality, spec, width)
        decoder = stages.decode(blueprint.registry, modality, spec, width)
        built.append(ModalityNets(key, modality.kind, encoder, decoder, modality.loss, spec, width))
    return built


def build_losses(nets: list[ModalityNets], inputs: Inputs) -> dict[str, RelativeLoss]:
    """Each modality's loss, divided by that of the best constant predictor on the training TRs."""
    losses = {}
    for n in nets:
        parts = training_parts(inputs.timelines, n.name)
        losses[n.name] = RelativeLoss(n.loss, n.spec, constant_prediction(parts, n.spec)).calibrate(parts)
    return losses


def build_model(blueprint: Blueprint, nets: list[ModalityNets], codes: Codes, config: RunConfig) -> Model:
    """The autoencoder, or as many as `train.ensemble` asks for, each from its own seed."""
    seeds = member_seeds(config)
    members = [_build_member(blueprint, nets, codes, config.model_copy(update={"seed": s})) for s in seeds]
    return Ensemble(members) if len(members) > 1 else members[0]


def member_seeds(config: RunConfig) -> list[int]:
    """The seed of each member; the first has the run's own, and runs of neighbouring seeds share none."""
    return [config.seed + SEED_STEP * k for k in range(config.train.ensemble)]


def _build_member(blueprint: Blueprint, nets: list[ModalityNets], codes: Codes, config: RunConfig) -> Autoencoder:
    """An autoencoder with the brain modality's heads for everybody."""
    torch.manual_seed(config.seed)
    middle = build_middle(blueprint, config)

    def head(build: Callable[..., nn.Module]) -> Callable[[str, int], nn.Module]:
        def one(subject: str, width: int) -> nn.Module:
            units = middle.units or blueprint.voxels[subject]
            return build(blueprint.registry, blueprint.brain, FeatureSpec((units,), 1), width)

        return one

    return Autoencoder(
        config.model,
        float(blueprint.tr_s),
        {n.name: codes.projections[n.name].outputs for n in nets},
        {n.name: codes.projections[n.name].back for n in nets},
        blueprint.subjects,
        head(stages.decode),
        head(stages.encode),
        blueprint.slice_time_ref,
        applied(nets),
        pooled=blueprint.pooled,
        pictures={n.name: _picture(n.spec) for n in nets if n.plain and len(n.spec.shape) == 3},
        middle=middle,
    )


def _picture(spec: FeatureSpec) -> Picture:
    rows, columns, channels = spec.shape
    return rows, columns, channels


def applied(nets: list[ModalityNets]) -> list[str]:
    """Modalities whose features already carry an HRF."""
    return [n.name for n in nets if n.spec.hemodynamics == "applied"]
