"""Our codes beside those of the reference package `encodec` 0.1.1, on the same random weights.

    uv pip install --target REF --no-deps encodec==0.1.1 einops torchaudio==2.11.0
    PYTHONPATH=REF ./do python benchmarks/encodec_reference.py

The package needs torchaudio, so it is no dependency; --no-deps keeps the torch that is there (2.14.1). Both models of
the paper are built at their full size with random weights; codebooks are filled with residuals of a test sound. Then

- codes of one call (of stereo, of each chunk), at every bandwidth: every code must be the same;
- latents of a sound of 31 s that `extract` reads in pieces, beside one call: largest difference, bar 1e-3 of their SD
  over time. Where two vectors are equally near to within that, another code is taken, and the codes of later books with
  it: the share of such frames is printed;
- the sound of the codes: largest difference, bar 1e-3 of its peak (of stereo 0.6 %: loudness is rounded to 0.1 dB).

Exits 1 where a bar is missed, and 2 where the package is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

LATENTS, SOUND = 1e-3, {1: 1e-3, 2: 6e-3}
SECONDS = 31.3


def noisy_chords(rate_hz: int, channels: int, seconds: float = SECONDS) -> np.ndarray:
    """Chords of changing loudness with noise, another one in each channel, [n, channels]."""
    rng, t = np.random.default_rng(0), np.arange(int(seconds * rate_hz)) / rate_hz
    out = np.zeros((len(t), channels))
    for channel in range(channels):
        for pitch in rng.uniform(80, 2000, 6):
            out[:, channel] += np.sin(2 * np.pi * pitch * t) * (1 + np.sin(2 * np.pi * rng.uniform(0.1, 4) * t))
    return (0.05 * out + 0.01 * rng.standard_normal(out.shape)).astype(np.float32)


def as_input(sound: np.ndarray, divided: bool) -> torch.Tensor:
    """[1, channels, n], of a root mean square of 1 where the model divides by it."""
    x = torch.from_numpy(sound.T.copy())[None]
    return x / x.square().mean().sqrt() if divided else x


@torch.no_grad()
def fill(model: Any, sound: np.ndarray) -> None:
    """Codebook c of the reference becomes what the books before it leave of the latents of a sound.

    Biases are 0, so that latents vary around 0 as those of a trained codec do, and not a little around a constant.
    """
    for name, parameter in model.named_parameters():
        if "bias" in name:
            parameter.zero_()
    rng = torch.Generator().manual_seed(0)
    residual = model.encoder(as_input(sound, model.normalize))[0].T
    for layer in model.quantizer.vq.layers:
        book = layer._codebook
        rows = torch.randint(len(residual), (len(book.embed),), generator=rng)
        book.embed.copy_(residual[rows] + 0.1 * residual.std(0) * torch.randn(book.embed.shape, generator=rng))
        residual = residual - book.embed[book.quantize(residual)]


def copy_of(reference: Any, folder: Path) -> str:
    """The reference's weights in the layout that giblet loads; both list their tensors in the same order."""
    from transformers import EncodecConfig, EncodecModel

    stereo = reference.channels == 2
    config = EncodecConfig(
        target_bandwidths=[float(b) for b in reference.target_bandwidths],
        sampling_rate=reference.sample_rate,
        audio_channels=reference.channels,
        normalize=reference.normalize,
        chunk_length_s=reference.segment,
        overlap=reference.overlap if stereo else None,
        use_causal_conv=not stereo,
        norm_type="time_group_norm" if stereo else "weight_norm",
    )
    model, state = EncodecModel(config), {}
    for part in ("encoder", "decoder", "quantizer"):
        ours, theirs = (getattr(m, part).state_dict() for m in (model, reference))
        for (name, to), value in zip(ours.items(), theirs.values(), strict=True):
            assert to.shape == value.shape, f"{part}.{name} is {to.shape} here and {value.shape} there"
            state[f"{part}.{name}"] = value
    model.load_state_dict(state)
    model.save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def theirs(reference: Any, sound: np.ndarray, kbps: float) -> tuple[np.ndarray, np.ndarray]:
    """The reference's codes [n, C] and the sound [n, channels] that it makes of them."""
    reference.set_target_bandwidth(kbps)
    frames = reference.encode(torch.from_numpy(sound.T.copy())[None])
    codes = np.concatenate([codes[0].T.numpy() for codes, _ in frames])
    return codes, reference.decode(frames)[0].T.numpy()[: len(sound)]


def ours(weights: str, sound: np.ndarray, kbps: float, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of one call (of each chunk), codes of `extract`, and the sound of the first."""
    import soundfile
    from giblet.types import Features, Source
    from giblet_audio_encodec import AudioEncodec
    from giblet_audio_encodec.chunks import cut_chunks
    from giblet_audio_encodec.codec import load_codec
    from giblet_audio_encodec.playing import play_features
    from giblet_audio_encodec.targets import CodesTarget

    codec, wav = load_codec(weights), folder / "sound.wav"
    soundfile.write(wav, sound, codec.rate_hz, subtype="FLOAT")
    parts = cut_chunks([sound], codec.chunk, codec.stride) if codec.chunk else [(0, sound)]
    whole = np.concatenate([codec.encode(part, kbps) for _, part in parts])
    features = Features.concat(AudioEncodec(weights=weights, bandwidth_kbps=kbps).extract(Source(wav)))
    made = np.concatenate(list(play_features(CodesTarget(codec, kbps), features.with_values(whole))))
    heard = int(codec.loudness is not None)
    return whole[:, heard:], features.values[:, heard:], made


@torch.no_grad()
def latent_difference(reference: Any, weights: str, sound: np.ndarray) -> float | None:
    """Latents in pieces beside one call of the reference, in SDs; None of chunks, which are calls of their own."""
    from giblet_audio_encodec.codec import load_codec
    from giblet_audio_encodec.streaming import embed_stream

    if reference.segment:
        return None
    want = reference.encoder(torch.from_numpy(sound.T.copy())[None])[0].T.numpy()
    found = np.concatenate([z for z, _ in embed_stream(load_codec(weights), [sound], 750)])
    return float(np.abs(found - want).max() / want.std(0).mean())


def row(reference: Any, weights: str, sound: np.ndarray, kbps: float, folder: Path) -> dict[str, Any]:
    """One model at one bandwidth."""
    want, played = theirs(reference, sound, kbps)
    whole, pieces, made = ours(weights, sound, kbps, folder)
    differ = int((whole != want).sum()) if whole.shape == want.shape else want.size
    share = float((pieces != want).any(1).mean()) if pieces.shape == want.shape else 1.0
    latents = latent_difference(reference, weights, sound)
    heard = float(np.abs(made - played).max() / np.abs(played).max())
    missed = differ > 0 or (latents or 0.0) > LATENTS or heard > SOUND[reference.channels]
    model = f"{reference.sample_rate // 1000} kHz"
    found = {"model": model, "kbps": kbps, "books": want.shape[1], "codes": want.size, "differ": differ}
    return found | {"latents": latents, "share_in_pieces": share, "sound": heard, "missed": missed}


def rows_of(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Both models at every bandwidth."""
    from encodec import EncodecModel

    rows = []
    for build in (EncodecModel.encodec_model_24khz, EncodecModel.encodec_model_48khz):
        torch.manual_seed(0)
        reference = build(pretrained=False).eval()
        sound = noisy_chords(reference.sample_rate, reference.channels, seconds)
        fill(reference, sound)
        with tempfile.TemporaryDirectory() as tmp:
            weights = copy_of(reference, Path(tmp) / "weights")
            rows += [row(reference, weights, sound, kbps, Path(tmp)) for kbps in reference.target_bandwidths]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print("model   kbps  books   codes  differ   latents in pieces, of SD   frames of other codes   sound, of its peak")
    for r in rows:
        latents = "-" if r["latents"] is None else f"{r['latents']:.1e}"
        head = f"{r['model']:8}{r['kbps']:4g}{r['books']:7}{r['codes']:8}{r['differ']:8}{latents:>27}"
        print(f"{head}{100 * r['share_in_pieces']:22.2f} %{r['sound']:21.1e}" + (" MISSED" if r["missed"] else ""))


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        rows = rows_of()
    except ImportError as error:
        print(f"the reference package is not there: {error}", file=sys.stderr)
        return 2
    print(json.dumps(rows)) if args.json else show(rows)
    return int(any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
