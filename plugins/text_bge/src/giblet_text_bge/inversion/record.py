"""What an inverter's folder says of itself: `inverter.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from giblet.errors import WeightsError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

NAME = "inverter.json"
PUBLISHED_TEXTS = (
    "A man walks into a kitchen and sits down.",
    "The dog sleeps in front of the fire.",
    "Two women talk about the weather.",
    "It rains on an empty street at night.",
)
PUBLISHED_FLOOR = 0.5
"""Token F1 on plain sentences after one correction. vec2text's own inverters find 92 % of texts of 32 tokens exactly in
50 steps (Morris et al. 2023); one with a wrong embedder writes unrelated words."""


class Trial(BaseModel):
    """Texts that an inverter must find again from their embeddings, and how well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    texts: tuple[str, ...] = Field(default=PUBLISHED_TEXTS, min_length=1)
    steps: int = Field(default=1, ge=0, le=50)
    floor: float = Field(default=PUBLISHED_FLOOR, ge=0, le=1)
    """The least mean token F1."""


class Record(BaseModel):
    """The embedder whose embeddings an inverter inverts, and how to tell that it works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: str
    width: int = Field(ge=1)
    max_tokens: int = Field(ge=2)
    prefix: str = ""
    probe: tuple[float, ...] | None = None
    """The embedding of the first text of the trial: it tells embedders apart better than their names do."""
    trial: Trial = Trial()


def read(folder: Path) -> Record | None:
    """The record of a folder, or None where it has none, as published checkpoints have not.

    Raises
    ------
    WeightsError
        If it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "its JSON"
        raise WeightsError(f"{path} is damaged at {where}; take the inverter anew from where you had it") from None


def published(config: dict[str, Any], width: int) -> Record:
    """The record of a checkpoint of vec2text, from its config."""
    return Record(
        embedder=str(config.get("embedder_model_api") or config.get("embedder_model_name") or "unknown"),
        width=width,
        max_tokens=int(config.get("max_seq_length", 128)),
    )


def write(folder: Path, record: Record) -> None:
    """Write the record."""
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")
