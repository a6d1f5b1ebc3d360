"""What is written of decoded embeddings: their times, the nearest texts, and words that an inverter makes up."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from giblet.errors import DataError
from giblet.types import Features, Float
from giblet.words import ranks, recover, typical

from giblet_text_bge.embedder import Embedder

if TYPE_CHECKING:
    from giblet_text_bge.inversion import Inverter

Columns = dict[str, Iterable[object]]


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """Different texts [K] and their embeddings [K, D]."""

    texts: list[str]
    embeddings: Float

    def nearest(self, values: Float) -> Columns:
        """The columns `recovered` and `score`, its centred cosine, for each of [N, D]."""
        texts, scores = recover(values, self.embeddings, self.texts)
        return {"recovered": texts, "score": [f"{s:.4f}" for s in scores]}

    def ranks(self, values: Float, originals: list[str]) -> list[str]:
        """The column `rank` of the right texts; n/a where the corpus does not hold them."""
        found = ranks(values, self.embeddings, self.texts, originals)
        return ["n/a" if np.isnan(r) else f"{r:g}" for r in found]


@lru_cache(maxsize=1)
def open_inverter(name: str, embedder: Embedder) -> Inverter:
    """The inverter of that folder or name, once it was tried with this embedder.

    Raises
    ------
    WeightsError
        If it was made for another embedder, or is none.
    """
    from giblet_text_bge.inversion import load_inverter

    return load_inverter(name, embedder.fresh, embedder.weights)


def inverted(values: Float, corpus: Corpus, name: str, embedder: Embedder, steps: int, beam: int) -> list[str]:
    """Words for each of [N, D]; a decoded embedding is first moved as far from the corpus's mean as texts are."""
    return open_inverter(name, embedder).invert(typical(values, corpus.embeddings), steps, beam)


def times(features: Features) -> Columns:
    """The columns `onset_s` and `duration_s`; samples without a duration last one median step."""
    if features.durations is not None:
        length = features.durations * float(features.timebase)
    else:
        step = np.median(np.diff(features.ticks)) if len(features.ticks) > 1 else 1
        length = np.full(len(features.ticks), step * float(features.timebase))
    return {
        "onset_s": [round(float(t), 6) for t in features.onset_s],
        "duration_s": [round(float(t), 6) for t in length],
    }


def originals_of(features: Features) -> list[str] | None:
    """The texts that the features are known to be of.

    Raises
    ------
    DataError
        If they are not one an embedding.
    """
    texts = features.attrs.get("texts")
    if texts is not None and len(texts) != len(features.values):
        raise DataError(f"{len(texts)} texts came with {len(features.values)} embeddings; give one each, or none")
    return texts


def write_tsv(path: Path, columns: Mapping[str, Iterable[object]]) -> Path:
    """Write columns under their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return path
