"""Latents of long sound, faster than by one call over the whole, and in memory that does not grow with its length.

A causal EnCodec is convolutions, an LSTM and one more convolution. Convolutions need a few frames of what was before,
and run on four seconds at a time, whose pages are used again. The LSTM, step after step, waits for its weights from
memory; so that it reads them once for twenty places of the sound, each begins two seconds early, which settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from giblet_audio_encodec.codec import Codec, Float32
from giblet_audio_encodec.pieces import WARM_FRAMES, cut_blocks

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_FRAMES = 4500
"""A minute at once."""
CONV_FRAMES = 300
SEGMENT_FRAMES = 225


def embed_stream(codec: Codec, sound: Iterable[Float32], frames: int = BLOCK_FRAMES) -> Iterator[tuple[Float32, int]]:
    """Latents [n, D] of sound in chunks of any length, with the number of samples that were read so far."""
    import torch
    from torch.nn.utils import parametrize

    stream = LatentStream(codec)
    for block, context, seen in cut_blocks(sound, codec.hop, frames, stream.context):
        with torch.inference_mode(), parametrize.cached():
            x = torch.from_numpy(np.ascontiguousarray(block, np.float32)).reshape(1, 1, -1)
            latents = stream.push(x.to(codec.device), context)
        yield np.asarray(latents[0].T.cpu().numpy(), np.float32), seen


class LatentStream:
    """The encoder of a codec, which goes on where the last block ended.

    Attributes
    ----------
    context : int
        Frames of sound before a block that its convolutions need.
    """

    def __init__(self, codec: Codec) -> None:
        from transformers.models.encodec.modeling_encodec import EncodecLSTM

        layers = list(codec.model.encoder.layers)
        lstm = next(i for i, layer in enumerate(layers) if isinstance(layer, EncodecLSTM))
        self.convs, self.lstm, self.last = layers[:lstm], layers[lstm], layers[lstm + 1 :]
        self.hop = codec.hop
        self.context = -(-(reach(self.convs) - self.hop) // self.hop)
        self.last_context = reach(self.last) - 1
        self.features: Tensor | None = None
        self.hidden: Tensor | None = None

    def push(self, sound: Tensor, context: int) -> Tensor:
        """Latents [1, D, n] of the next frames of sound [1, 1, N], which begins with frames of context."""
        import torch

        features = torch.cat(list(self._convolved(sound, context)), 2)
        known = 0 if self.features is None else self.features.shape[2]
        joined = features if self.features is None else torch.cat([self.features, features], 2)
        hidden = self._recurrent(joined)[:, :, known:]
        before = 0 if self.hidden is None else self.hidden.shape[2]
        tall = hidden if self.hidden is None else torch.cat([self.hidden, hidden], 2)
        self.features, self.hidden = joined[:, :, -WARM_FRAMES:], tall[:, :, -self.last_context :]
        return applied(self.last, tall)[:, :, before:]

    def _convolved(self, sound: Tensor, context: int) -> Iterator[Tensor]:
        """Features [1, H, n] four seconds at a time, each with what is before it."""
        frames = -(-sound.shape[2] // self.hop)
        for at in range(context, frames, CONV_FRAMES):
            first = max(0, at - self.context)
            piece = sound[:, :, first * self.hop : (at + CONV_FRAMES) * self.hop]
            yield applied(self.convs, piece)[:, :, at - first :]

    def _recurrent(self, features: Tensor) -> Tensor:
        """The LSTM over features [1, H, n], in overlapping segments side by side; the first begins where they do."""
        import torch

        n = features.shape[2]
        rows = max(1, -(-(n - WARM_FRAMES) // SEGMENT_FRAMES))
        whole = WARM_FRAMES + rows * SEGMENT_FRAMES
        padded = torch.nn.functional.pad(features[0], (0, whole - n))
        segments = padded.unfold(1, WARM_FRAMES + SEGMENT_FRAMES, SEGMENT_FRAMES).transpose(0, 1)
        made = self.lstm(segments)
        later = made[:, :, WARM_FRAMES:].transpose(0, 1).flatten(1)
        return torch.cat([made[0, :, :WARM_FRAMES], later], 1)[None, :, :n]


def applied(layers: Iterable[Any], x: Tensor) -> Tensor:
    """Layers one after the other."""
    for layer in layers:
        x = layer(x)
    return x


def reach(layers: Iterable[Any]) -> int:
    """How many inputs back from its own end an output of causal convolutions depends on."""
    samples, step = 1, 1
    for conv in (m for layer in layers for m in main_path(layer)):
        samples += (conv.kernel_size[0] - 1) * conv.dilation[0] * step
        step *= conv.stride[0]
    return samples


def main_path(layer: Any) -> list[Any]:
    """The convolutions of a layer, those of a residual block but for its shortcut, which reaches no further."""
    from torch import nn
    from transformers.models.encodec.modeling_encodec import EncodecResnetBlock

    inner = layer.block if isinstance(layer, EncodecResnetBlock) else layer
    return [m for m in inner.modules() if isinstance(m, nn.Conv1d)]
