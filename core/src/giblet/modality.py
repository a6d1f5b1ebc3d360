"""What the author of a plugin implements: a frozen settings object whose methods are the five stages."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, PrivateAttr, field_validator

from giblet.config import keep_truth_values
from giblet.errors import ConfigError
from giblet.types import Aligned, Array, Features, FeatureSpec, Source, TRGrid

if TYPE_CHECKING:
    from torch import Tensor, nn


class Modality(BaseModel, ABC):
    """One kind of signal. Fields are its settings (frozen, unknown keys refused); methods are its stages.

    Only `extract` must be written. The defaults do for continuous features of any shape; a discrete signal sets
    `num_classes` in its `spec`. Import torch and other heavy libraries inside the methods that need them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
    _switches = field_validator("*", mode="wrap")(keep_truth_values)

    name: ClassVar[str]
    """The entry point's name, `KIND_NAME`."""
    kind: ClassVar[str]
    """What is measured: "video", "audio", "text", "fmri", or a kind of the plugin's own."""
    role: ClassVar[Literal["stimulus", "brain"]] = "stimulus"
    unit: ClassVar[str] = "a.u."
    net_settings: ClassVar[frozenset[str]] = frozenset()
    """Settings that only alignment, nets and loss read: a change of them does not extract the features again."""
    net_state: ClassVar[frozenset[str]] = frozenset()
    """Names of fitted arrays that `extract` does not read, as those that `learn` finds."""
    round_trip: ClassVar[float | None] = None
    """How well `extract` must find again what `reconstruct` wrote: the largest squared error, 1.0 being a constant's.

    Of classes it is the share of wrong ones, 1.0 being that of the commonest. None: it is not meant to come back.
    """

    _state: dict[str, Array] = PrivateAttr(default_factory=dict)

    def example(self, folder: Path) -> Source:
        """Write a small recording that this modality can read, at least four TRs of 1.5 s, for the conformance checks.

        Default: a film with sound, annotations, a scan or a table of numbers, by `kind`; a new kind overrides it.

        Raises
        ------
        ConfigError
            If the kind is a new one.
        """
        from giblet.media.examples import EXAMPLES

        if self.kind not in EXAMPLES:
            raise ConfigError(
                f"giblet knows no example of the kind {self.kind!r}: give a file, or override {type(self).__name__}"
                ".example(folder), which writes a recording of at least 6 s and returns its Source"
            )
        return Source(EXAMPLES[self.kind](folder))

    @abstractmethod
    def extract(self, source: Source) -> Iterator[Features]:
        """Yield chunks of native-rate features, at most 64 MB each, with exact presentation times."""

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Learn what must be learned before extracting; `train[i]` lists the training TRs of `sources[i]` as slices.

        It lists none where no scan says which train: when features are extracted alone. Default: nothing.
        Return `self.fitted(name=array, ...)`; the state enters the cache key and the run's folder.
        """
        return self

    def fitted(self, **state: Array) -> Self:
        """A copy of this modality that carries the fitted arrays."""
        copy = self.model_copy()
        copy._state = {**self._state, **state}
        return copy

    def __eq__(self, other: object) -> bool:
        """The same class, settings and fitted arrays."""
        if not isinstance(other, Modality) or type(self) is not type(other):
            return False
        same_arrays = self.state.keys() == other.state.keys() and all(
            np.array_equal(self.state[k], other.state[k]) for k in self.state
        )
        return self.settings() == other.settings() and same_arrays

    def __hash__(self) -> int:
        """Equal modalities have equal settings; fitted arrays do not enter."""
        return hash((type(self), json.dumps(self.settings(), sort_keys=True)))

    @property
    def state(self) -> Mapping[str, Array]:
        """What `fit` learned, by name."""
        return self._state

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """Put features on the TR grid. Default: each sample in the TR that its presentation time falls in."""
        from giblet.alignment import bin_features

        return bin_features(features, grid)

    def spec(self, aligned: Aligned) -> FeatureSpec:
        """Describe one TR of this modality. Default: read off the features."""
        values = aligned.features.values
        sampling: Literal["frames", "events"] = "frames" if aligned.features.durations is None else "events"
        tr_s = float(aligned.grid.tr_s)
        return FeatureSpec(values.shape[1:], aligned.frames, str(values.dtype), self.unit, None, sampling, tr_s=tr_s)

    def width(self, spec: FeatureSpec) -> int:
        """The size of the code h that the trunk sees for one TR. Default 256."""
        return 256

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Build the encoder: `forward(x [n, F, *S], mask [n, F]) -> [n, width]`; row t depends on row t alone."""
        from giblet.nn import FrameEncoder

        return FrameEncoder(spec, width)

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """Build the decoder: `forward(h [n, width]) -> [n, F, *S]`, in the features' unit, class logits last.

        In training, it may give something smaller that only this modality's `loss` takes, such as fewer pixels.
        """
        from giblet.nn import FrameDecoder

        return FrameDecoder(spec, width)

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """How far the prediction is from the target, unreduced over TRs and frames: `[n, F]`. Default: squared error.

        The core masks the frames that are not there and divides by the loss of the best constant predictor.
        """
        return (prediction - target.to(prediction.dtype)).square().flatten(2).mean(-1)

    def summary(self, aligned: Aligned) -> Array:
        """A few plain numbers a TR for baselines and trunk, `[T, P]` float32. Default: mean and SD over the frames."""
        out = []
        for start in range(0, aligned.grid.n_trs, 32):
            values, mask = aligned.rows(slice(start, start + 32))
            x = np.ma.array(values.reshape(*mask.shape, -1).astype(np.float32))
            x[~mask] = np.ma.masked
            out.append(np.concatenate([x.mean(1).filled(0), x.std(1).filled(0)], axis=1))
        return np.concatenate(out).astype(np.float32)

    def summary_groups(self, columns: int) -> Sequence[int]:
        """How many of the `columns` of `summary` belong together, group by group, in order. Default: one group.

        Each group counts as much as the code does, however many columns it has: among the components that the trunk
        reads, twenty numbers for a whole picture are not lost beside 400 for its places.
        """
        return [columns]

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write features as a file that a person can play or open; `out` has no suffix yet. Optional.

        Raises
        ------
        ConfigError
            If this modality only encodes.
        """
        raise ConfigError(f"{self.name} only encodes: {out.name} cannot be played back; choose another {self.kind}")

    @property
    def how(self) -> str:
        """How `reconstruct` works, for the report: a vocoder's name, or why nothing can be played. Default: nothing."""
        return ""

    def can_reconstruct(self) -> bool:
        """Whether this modality, with its settings, turns its features back into a file."""
        return type(self).reconstruct is not Modality.reconstruct

    def settings(self) -> dict[str, Any]:
        """The settings as plain values, as they stand in the config and the cache key."""
        return self.model_dump(mode="json")
