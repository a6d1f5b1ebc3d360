"""Write the averaged weights of a checkpoint as the folder that the plugin ships.

./do python plugins/audio_encodec/training/export.py out/codec/last.pt
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from state import State
from transformers import EncodecModel

BUNDLED = Path(__file__).parents[1] / "src/giblet_audio_encodec/bundled"
GAIN = 0.5
"""Recordings are louder than the training sound, and codebooks clip what is loud; chosen on the validation voices."""
LARGEST_BYTES = 8_000_000


@torch.no_grad()
def turn_down(model: EncodecModel, gain: float) -> None:
    """Let the codec see its sound `gain` times as loud and undo that at its end: exact, and needs no code."""
    first, last = model.encoder.layers[0].conv, model.decoder.layers[-1].conv
    first.parametrizations.weight.original0.mul_(gain)
    last.parametrizations.weight.original0.div_(gain)
    last.bias.div_(gain)


def export(checkpoint: Path, folder: Path) -> int:
    """Write `config.json` and `model.safetensors` in half precision; the size of the latter in bytes.

    Raises
    ------
    ValueError
        If the weights are too large to ship.
    """
    model = State.load(checkpoint).averaged()
    turn_down(model, GAIN)
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    size = sum(2 * value.numel() for value in weights.values())
    if size > LARGEST_BYTES:
        raise ValueError(f"the weights have {size} bytes, more than {LARGEST_BYTES}: train a smaller model")
    folder.mkdir(parents=True, exist_ok=True)
    model.config.architectures, model.config.dtype = ["EncodecModel"], "float32"
    model.config.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(weights, path, metadata={"format": "pt"})
    return path.stat().st_size


def main() -> None:
    """Read the options and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--to", type=Path, default=BUNDLED, help="folder to write")
    options = parser.parse_args()
    print(f"{options.to}: {export(options.checkpoint, options.to)} bytes")


if __name__ == "__main__":
    main()
