"""Any set of modalities, joined through brain space. What the decoders know of the film has passed through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.encoding import Encoding
from giblet.model.hemodynamics import Delays, Hemodynamics
from giblet.model.inversion import Inversion
from giblet.model.losses import NativeLoss
from giblet.model.placing import device_of
from giblet.model.presets import PRESETS, Inputs, Middle, Picture, Preset, Voxels
from giblet.model.presets.back import Back
from giblet.model.presets.compact import Apart, Sum
from giblet.model.presets.layers import Mirror, SideBySide
from giblet.model.shrinkage import Shrinkage
from giblet.nn.dropout import Dropout
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
    plain: bool = False
    """Whether the code is the TR's own features, which a preset reads in place of a trained code."""

    @property
    def frozen(self) -> bool:
        """Whether there is nothing to train in front of the trunk."""
        return not any(p.requires_grad for m in (self.encoder, self.decoder) for p in m.parameters())


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


class Applied(nn.Module):
    """Modalities that carry an HRF already: fused, and straight to what the heads read, [B, T, D * K]."""

    def __init__(self, fusion: nn.Module, latent: int, outputs: int) -> None:
        super().__init__()
        self.fusion, self.linear = fusion, nn.Linear(latent, outputs)

    def forward(self, h: Mapping[str, Tensor], present: Mapping[str, Tensor], valid: Tensor) -> Tensor:
        """[B, T, D * K]."""
        return self.linear(self.fusion(h, present)) * valid.unsqueeze(-1)


class Autoencoder(nn.Module):
    """Codes of each modality -> latent z -> BOLD ŷ of each person, and BOLD -> latent ẑ -> codes of each modality.

    `inputs` are the sizes of what the trunk reads, `outputs` the widths of the codes it gives back, `pictures` the
    shapes of inputs that are pictures. The layers are those of `config.preset`. The heads are a person's forward
    [n, D'] -> [n, 1, U] and inverse [n, 1, U] -> [n, D] modules; `middle` is what lies between them and the voxels
    (U = V where it is nothing). Modalities in `applied` already carry an HRF and join behind the kernel. What the
    inversion reads comes to what nets read once it is there (`invert`).
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
        pictures: Mapping[str, Picture] | None = None,
        middle: Middle | None = None,
    ) -> None:
        super().__init__()
        preset = PRESETS[config.preset]
        config = preset.configured(config)
        self.config, self.subjects, self.names = config, list(subjects), list(inputs)
        self.applied = [n for n in inputs if n in applied]
        self.delayed = [n for n in inputs if n not in applied]
        sizes = Inputs(inputs, pictures or {})
        self.adapters = fusion(preset, sizes.only(self.delayed), config) if self.delayed else nn.Identity()
        self.hemodynamics = Hemodynamics(config, tr_s, slice_time_ref)
        self.delays = Delays(len(subjects)) if config.hemodynamics in ("learned", "fir") else None
        fused = fusion(preset, sizes.only(self.applied), config) if self.applied else None
        self.direct = Applied(fused, config.latent, self.hemodynamics.outputs) if fused else None
        self.middle = middle or Voxels()
        self.inverse_hemodynamics = Hemodynamics(config, tr_s, slice_time_ref, reverse=True)
        self.drop = Dropout(config.latent_dropout)
        self.heads = Heads(forward_head, subjects, self.hemodynamics.outputs, pooled=pooled)
        self.inverse_heads = Heads(inverse_head, subjects, config.latent, pooled=pooled)
        join = [] if preset.widths else [nn.Linear(self.inverse_hemodynamics.outputs, config.latent)]
        self.mix = nn.Sequential(*join, nn.LayerNorm(config.latent))
        self.outputs = mirror(preset, Inputs(outputs, pictures or {}), config)
        self.shrinkage = Shrinkage(outputs)
        self.slice_time_ref, self.sizes = slice_time_ref, dict(inputs)
        self.encoding: Encoding | None = None
        self.inversion: Inversion | None = None
        self.widths = {n: w for n, w in outputs.items() if n in self.outputs}

    def encode(self, voxels: Sequence[int], plain: Mapping[str, int]) -> Encoding | None:
        """Have scans of so many voxels a person predicted in closed form, too: as 0, until it is fitted or loaded.

        It reads so many `plain` features of each modality beside what the trunk does. None where it is not asked for,
        or with a preset or a hemodynamic response that a closed form does not have.
        """
        c = self.config
        possible = PRESETS[c.preset].reads == "components" and c.hemodynamics in ("learned", "canonical")
        if possible and c.closed_form:
            sizes = {n: size + plain[n] for n, size in self.sizes.items()}
            made = Encoding(c, self.hemodynamics.tr_s, self.slice_time_ref, sizes, self.applied, voxels)
            self.encoding = made.to(device_of(self))
        return self.encoding

    def drive(self, h: Mapping[str, Tensor], plain: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """What is known of each modality to all that scans are predicted from, [B, T, D * K + Q].

        That is `h` [B, T, P], of which the heads' drive is made, latent and hemodynamics; and behind it the features of
        the closed form, if there is one, made of `h` and the `plain` features [B, T, P'].
        """
        net = self._drive(h, present)
        return net if self.encoding is None else torch.cat([net, self.encoding.features(h, plain, present)], -1)

    def _drive(self, h: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        total: Tensor | None = None
        if self.delayed:
            total = self.hemodynamics(self.adapters(h, present), _any(present, self.delayed))
        if self.direct is not None:
            extra = self.direct(h, present, _any(present, self.applied))
            total = extra if total is None else total + extra
        assert total is not None
        return total

    def late(self, drive: Tensor, subject: int) -> Tensor:
        """The drive of a whole run [B, T, D * K + Q] as one person's scan is made from it: as late as they respond."""
        net, features = self._ways(drive)
        late = net if self.delays is None else self.delays(net, subject)
        return late if self.encoding is None else torch.cat([late, self.encoding.late(features, subject)], -1)

    def brain(self, drive: Tensor, subject: int) -> Tensor:
        """What one person's scan would be, [B, T, V], from what `late` makes."""
        scan = self.net(drive, subject)
        if self.encoding is None:
            return scan
        return self.encoding.joined(scan, self.encoding(self._ways(drive)[1], subject))

    def net(self, drive: Tensor, subject: int) -> Tensor:
        """What the heads alone make of it, [B, T, V]."""
        read = self._ways(drive)[0]
        rows = self.heads(subject, self.drop(read.flatten(0, 1))).squeeze(1)
        return self.middle.outward(rows).unflatten(0, read.shape[:2])

    def _ways(self, drive: Tensor) -> tuple[Tensor, Tensor]:
        """What heads read, and what the closed form does."""
        width = self.hemodynamics.outputs
        return drive[..., :width], drive[..., width:]

    def latent(self, y: Tensor, valid: Tensor, subject: int) -> Tensor:
        """A person's scan [B, T, V], measured or predicted, back to the latent ẑ [B, T, D], as it was learned."""
        rows, mask = self.middle.inward(y.flatten(0, 1)).unsqueeze(1), valid.flatten().unsqueeze(1)
        z = self.inverse_heads(subject, rows, mask).unflatten(0, y.shape[:2])
        return self.mix(self.inverse_hemodynamics(z, valid))

    def read(self, y: Tensor, valid: Tensor, subject: int) -> Tensor:
        """All that is read of blocks of a scan [B, T, V]: ẑ and, behind it, scores in closed form, [B, T, D + M]."""
        z = self.latent(y, valid, subject)
        return z if self.inversion is None else torch.cat([z, self.inversion(y, valid, subject)], -1)

    def invert(self, voxels: Sequence[int]) -> Inversion:
        """Have scans read in closed form, too, of so many voxels a person; until it is fitted, or loaded, that is 0."""
        self.inversion = Inversion(voxels, self.widths, self.hemodynamics.tr_s).to(device_of(self))
        return self.inversion

    def rebuild(self, z: Tensor) -> dict[str, Tensor]:
        """The code of each modality from what was read of whole blocks, [.., T, D + M] -> [.., T, width].

        Each way counts as far as it is trusted.
        """
        learned, closed = self.both_ways(z)
        trusted = self.shrinkage(learned)
        return trusted if closed is None else {n: code + closed[n] for n, code in trusted.items()}

    def both_ways(self, z: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        """Codes as nets read them, not yet shrunk, and in closed form."""
        width = self.config.latent
        closed = None if self.inversion is None else self.inversion.codes(z[..., width:])
        return self.outputs(z[..., :width]), closed

    def trunk_parameters(self) -> int:
        """Parameters of all but front ends and brain heads."""
        heads = sum(p.numel() for m in (self.heads, self.inverse_heads) for p in m.parameters())
        return sum(p.numel() for p in self.parameters()) - heads


def fusion(preset: Preset, inputs: Inputs, config: ModelConfig) -> nn.Module:
    """The layers from what the trunk reads of each modality to the latent."""
    return Sum(inputs.sizes, config) if preset.reads == "components" else SideBySide(preset, inputs, config)


def mirror(preset: Preset, outputs: Inputs, config: ModelConfig) -> Back:
    """The layers from the latent to the code of each modality."""
    return Apart(outputs.sizes, config) if preset.reads == "components" else Mirror(preset, outputs, config)


def _any(present: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """Where at least one of some modalities is there, [B, T]."""
    return torch.stack([present[n] for n in names]).any(0)
