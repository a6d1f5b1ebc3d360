"""Scans from codes in closed form: what TRs of a film are like, under the canonical response, weighed by each voxel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from giblet.config import ModelConfig
from giblet.model.hemodynamics import response

FEATURES = 96
"""Features of each modality: the leading components of how like TRs are to each other."""
ANCHORS = 512
"""Most TRs, evenly spaced, that others are compared with."""
RANK = 32
"""Most patterns that all predicted scans are made of: what there is in them beside the main ones is noise."""
DELAYS_S = (-1.0, 0.0, 1.0)
"""A voxel's response may be this much earlier or later than its person's: regions differ by one to two seconds
(Handwerker et al. 2004, doi:10.1016/j.neuroimage.2003.11.029)."""


class Likeness(nn.Module):
    """What is known of a modality [.., P] -> features [.., F]: how like a TR is to those that the model was fitted on.

    Columns are multiplied by `scale` [P] before TRs are compared. Features are the leading components of a Gaussian
    kernel, by Nyström's method (Williams & Seeger 2000, NIPS 13). A linear model of them is a smooth function of what
    is known, which brains are, where a linear model of that is not. All 0 before it is fitted.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(inputs))
        self.register_buffer("anchors", torch.zeros(ANCHORS, inputs))
        self.register_buffer("width", torch.ones(()))
        self.register_buffer("basis", torch.zeros(ANCHORS, FEATURES))
        self.register_buffer("offset", torch.zeros(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """[.., P] -> [.., F]; in float32, for small differences of large numbers do not bear fewer digits."""
        with torch.autocast("cpu" if x.is_meta else x.device.type, enabled=False):
            x, anchors = x.float() * self.get_buffer("scale"), self.get_buffer("anchors")
            apart = x.square().sum(-1, keepdim=True) + anchors.square().sum(-1) - 2 * (x @ anchors.T)
            near = torch.exp(-apart.clamp_min(0) / self.get_buffer("width"))
            return near @ self.get_buffer("basis") + self.get_buffer("offset")


class Likenesses(nn.ModuleDict):
    """What the TRs of a film are like, modality by modality, from what nets read and plain features, {name: [.., P]}.

    `sizes` are how many of both a modality has. Features [.., F] are 0, which is the mean, where it is not there.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        super().__init__({name: Likeness(size) for name, size in sizes.items()})

    def forward(
        self, h: Mapping[str, Tensor], plain: Mapping[str, Tensor], present: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """{name: [.., F]}."""
        return {n: like(torch.cat([h[n], plain[n]], -1)) * present[n].unsqueeze(-1) for n, like in self.items()}


class Encoding(nn.Module):
    """Modalities {name: [B, T, P]} -> features [B, T, Q] -> a person's design [B, T, R Q] -> scan [B, T, V].

    Of a modality it reads what the net does and, behind that, its plain features, P in all. Q features are those of all
    modalities side by side; a design holds them under the canonical response at R delays from the person's own,
    `late_s` [people]; modalities in `applied` are under a response already. Scans are made of M patterns, `basis`
    [R Q, M], of which each person has voxels [M, V]. `counts` [2] is how much the net's scan and this one count. Before
    `giblet.training.closed_form` has fitted it, scans are 0 and both count 1.
    """

    def __init__(
        self,
        config: ModelConfig,
        tr_s: float,
        slice_time_ref: float,
        sizes: Mapping[str, int],
        applied: Collection[str],
        voxels: Sequence[int],
    ) -> None:
        super().__init__()
        self.config, self.tr_s, self.slice_time_ref = config, tr_s, slice_time_ref
        names = sorted(sizes, key=lambda name: name in applied)
        self.delayed = FEATURES * sum(name not in applied for name in names)
        self.likeness = Likenesses({name: sizes[name] for name in names})
        self.register_buffer("late_s", torch.zeros(len(voxels)))
        self.register_buffer("counts", torch.ones(2))
        self.register_buffer("basis", torch.zeros(len(DELAYS_S) * self.width, RANK))
        for person, n in enumerate(voxels):
            self.register_buffer(f"voxels_{person}", torch.zeros(RANK, n))

    @property
    def width(self) -> int:
        """Q, how many features there are."""
        return FEATURES * len(self.likeness)

    def voxels(self, person: int) -> int:
        """How many voxels a person has."""
        return int(self.get_buffer(f"voxels_{person}").shape[1])

    def features(self, h: Mapping[str, Tensor], plain: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        """What TRs are like in all modalities, [B, T, Q]."""
        return torch.cat(list(self.likeness(h, plain, present).values()), -1)

    def late(self, features: Tensor, person: int) -> Tensor:
        """Features of whole runs [B, T, Q] as a person's voxels respond to them, [B, T, R Q], delay by delay."""
        late = self.get_buffer("late_s")[person]
        return self.delay(features, 0.0 if late.is_meta else float(late))  # on the meta device there are no values

    def responses(self, late_s: float) -> Tensor:
        """The canonical response at each delay, so much later than that, [R, L]."""
        return torch.stack([response(self.config, self.tr_s, self.slice_time_ref, late_s + d) for d in DELAYS_S])

    def delay(self, features: Tensor, late_s: float) -> Tensor:
        """Features of whole runs as one whose response is so much later than the canonical one has them."""
        taps = self.responses(late_s).flip(-1).to(features)[:, None]
        ours, done = features[..., : self.delayed], features[..., self.delayed :]
        batch, trs, width = ours.shape
        series = F.pad(ours.transpose(1, 2).reshape(batch * width, 1, trs), (taps.shape[-1] - 1, 0))
        blurred = F.conv1d(series, taps).reshape(batch, width, len(DELAYS_S), trs).permute(2, 0, 3, 1)
        return torch.cat([torch.cat([part, done], -1) for part in blurred], -1)

    def forward(self, design: Tensor, person: int) -> Tensor:
        """A person's scan [B, T, V] from their design [B, T, R Q]."""
        return design @ self.get_buffer("basis") @ self.get_buffer(f"voxels_{person}")

    def joined(self, net: Tensor, closed: Tensor) -> Tensor:
        """Both predictions of a scan [B, T, V], each as much as it counts."""
        counts = self.get_buffer("counts")
        return counts[0] * net + counts[1] * closed

    def put(self, name: str, value: Tensor) -> None:
        """Set a buffer."""
        self.get_buffer(name).copy_(value)
