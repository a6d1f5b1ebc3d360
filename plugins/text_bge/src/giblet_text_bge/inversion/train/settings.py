"""The settings of a training, and the folder that belongs to them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from giblet.errors import ConfigError
from giblet.media import replacing
from pydantic import BaseModel, ConfigDict, Field

NAME = "training.json"


class Training(BaseModel):
    """How an inverter is trained. The sizes are those of a T5 from nothing; a T5 of your own brings its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    embedder: str = "minilm"
    """A SentenceTransformer, as `text.weights` of `giblet run`."""
    prefix: str = ""
    """Put before each text when it is embedded, as `text.prefix` of `giblet run`."""
    t5: str = ""
    """A folder with a T5 and its tokenizer to begin from; empty: a new T5 and a tokenizer learned from the texts."""
    held_out: int = Field(default=1000, ge=2)
    """Lines for validation, and as many for the test; fewer where they would be over a tenth of all."""
    vocabulary: int = Field(default=8000, ge=300)
    """Tokens of the new tokenizer (byte-pair encoding over bytes, so that every text can be written)."""
    d_model: int = Field(default=256, ge=8, multiple_of=8)
    d_ff: int = Field(default=1024, ge=8)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    repeats: int = Field(default=16, ge=1)
    """Pseudo-tokens that stand for one embedding."""
    bottleneck: int = Field(default=0, ge=0)
    """Width between embedding and pseudo-tokens; 0: the embedding's own, as in vec2text."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    max_tokens: int = Field(default=32, ge=4)
    """Longer texts are cut in training, and none longer is written."""
    epochs_inversion: float = Field(default=20.0, gt=0)
    epochs_corrector: float = Field(default=20.0, gt=0)
    batch_size: int = Field(default=128, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    """Of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) after a rise over `warmup`, then straight down to 0."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps."""
    noise: float = Field(default=0.0, ge=0)
    """Gaussian noise on the embeddings in training, as a share of their length: hardens against decoded embeddings."""
    check_steps: int = Field(default=5, ge=0, le=50)
    """Corrections in the evaluation and in the check that the inverter must pass whenever it is opened."""
    seed: int = 0


def claim(folder: Path, settings: Training, lines: Sequence[str]) -> None:
    """Make the folder this training's, or refuse one that belongs to another.

    Raises
    ------
    ConfigError
        If what is in the folder was made with other settings or from other texts.
    """
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = f'{{"settings": {settings.model_dump_json()}, "lines_sha256": "{digest}"}}\n'
    path = folder / NAME
    if not path.is_file():
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    elif path.read_text("utf-8") != text:
        raise ConfigError(f"{folder} holds a training with other settings or texts; give another --out, or delete it")
