"""Any set of modalities, joined through brain space. What the decoders know of the film has passed through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.hemodynamics import Hemodynamics
from giblet.model.losses import NativeLoss
from giblet.types import FeatureSpec


@dataclass(frozen=True, slots=True)
class ModalityNets:
    """A modality as the model sees it: modules that map one TR, its loss, and what its features look like."""

    name: str
    kind: str
    encoder: nn.Module
    decoder: nn.Module
    loss: NativeLoss
    spec: FeatureSpec
    width: int

    @property
    def frozen(self) -> bool:
        """Whether there is nothing to train in front of the trunk."""
        return not any(p.requires_grad for m in (self.encoder, self.decoder) for p in m.parameters())


class Adapter(nn.Module):
    """A modality's code into the latent: a linear path and a small nonlinear one beside it, [.., P] -> [.., D]."""

    def __init__(self, inputs: int, config: ModelConfig) -> None:
        super().__init__()
        self.drop = nn.Dropout(config.dropout)
        self.linear = nn.Linear(inputs, config.latent)
        self.bend = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.latent),
        )

    def forward(self, h: Tensor) -> Tensor:
        """[.., P] -> [.., D]."""
        h = self.drop(h)
        return self.linear(h) + self.bend(h)


class Heads(nn.Module):
    """One linear head a person and, where voxel v is the same place in everybody, one that all share beside it.

    With little data the shared head carries what people have in common, and each person's own head the difference.
    """

    def __init__(
        self, build: Callable[[str, int], nn.Module], subjects: Sequence[str], width: int, *, pooled: bool
    ) -> None:
        super().__init__()
        self.own = nn.ModuleList([build(s, width) for s in subjects])
        self.shared = build(subjects[0], width) if pooled else None

    def forward(self, subject: int, *inputs: Tensor) -> Tensor:
        """What the person's head gives."""
        out = self.own[subject](*inputs)
        return out if self.shared is None else out + self.shared(*inputs)


class Autoencoder(nn.Module):
    """Codes of each modality -> latent z -> BOLD ŷ of each person, and BOLD -> latent ẑ -> codes of each modality.

    `inputs` are the sizes of what the trunk reads, `outputs` the widths of the codes it gives back; the heads are a
    person's forward [n, D'] -> [n, 1, V] and inverse [n, 1, V] -> [n, D] modules. Modalities in `applied` already carry
    an HRF and join behind the kernel.
    """

    def __init__(
        self,
        config: ModelConfig,
        tr_s: float,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        subjects: Sequence[str],
        forward_head: Callable[[str, int], nn.Module],
        inverse_head: Callable[[str, int], nn.Module],
        slice_time_ref: float = 0.5,
        applied: Sequence[str] = (),
        *,
        pooled: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.subjects, self.names = config, list(subjects), list(inputs)
        self.applied = [n for n in inputs if n in applied]
        self.adapters = nn.ModuleDict({n: Adapter(p, config) for n, p in inputs.items()})
        self.hemodynamics = Hemodynamics(config, tr_s, slice_time_ref)
        self.direct = nn.Linear(config.latent, self.hemodynamics.outputs) if self.applied else None
        self.inverse_hemodynamics = Hemodynamics(config, tr_s, slice_time_ref, reverse=True)
        self.drop = nn.Dropout(config.latent_dropout)
        self.heads = Heads(forward_head, subjects, self.hemodynamics.outputs, pooled=pooled)
        self.inverse_heads = Heads(inverse_head, subjects, config.latent, pooled=pooled)
        self.mix = nn.Sequential(
            nn.Linear(self.inverse_hemodynamics.outputs, config.latent), nn.LayerNorm(config.latent)
        )
        self.outputs = nn.ModuleDict({n: _output(w, config) for n, w in outputs.items()})

    def fuse(
        self, h: Mapping[str, Tensor], present: Mapping[str, Tensor], names: Sequence[str]
    ) -> tuple[Tensor, Tensor]:
        """The sum over the modalities that are there, [B, T, D], and where there is any, [B, T].

        A sum, not a mean over those that are left: what one modality says must not grow when another is missing.
        """
        parts = torch.stack([self.adapters[n](h[n]) for n in names])
        weight = torch.stack([present[n] for n in names]).to(parts.dtype).unsqueeze(-1)
        return (parts * weight).sum(0) / len(names), weight.sum(0)[..., 0] > 0

    def drive(self, h: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """Codes [B, T, P] of each modality to what the heads read, [B, T, D * K]: latent, then hemodynamics."""
        delayed = [n for n in self.names if n not in self.applied]
        total: Tensor | None = None
        if delayed:
            z, valid = self.fuse(h, present, delayed)
            total = self.hemodynamics(z, valid)
        if self.direct is not None:
            z, valid = self.fuse(h, present, self.applied)
            extra = self.direct(z) * valid.unsqueeze(-1)
            total = extra if total is None else total + extra
        assert total is not None
        return total

    def brain(self, drive: Tensor, subject: int) -> Tensor:
        """What one person's scan would be, [B, T, V]."""
        rows = self.drop(drive.flatten(0, 1))
        return self.heads(subject, rows).squeeze(1).unflatten(0, drive.shape[:2])

    def read(self, y: Tensor, valid: Tensor, subject: int) -> Tensor:
        """A person's scan [B, T, V], measured or predicted, back to the latent ẑ [B, T, D]."""
        mask = valid.flatten().unsqueeze(1)
        z = self.inverse_heads(subject, y.flatten(0, 1).unsqueeze(1), mask).unflatten(0, y.shape[:2])
        return self.mix(self.inverse_hemodynamics(z, valid))

    def rebuild(self, z: Tensor) -> dict[str, Tensor]:
        """The code of each modality from the latent, [.., D] -> [.., width]."""
        return {n: net(z) for n, net in self.outputs.items()}

    def trunk_parameters(self) -> int:
        """Parameters of all but front ends and brain heads."""
        heads = sum(p.numel() for m in (self.heads, self.inverse_heads) for p in m.parameters())
        return sum(p.numel() for p in self.parameters()) - heads


def _output(width: int, config: ModelConfig) -> nn.Module:
    return nn.Sequential(
        nn.Dropout(config.dropout / 2),
        nn.Linear(config.latent, config.hidden),
        nn.GELU(),
        nn.Linear(config.hidden, width),
    )
