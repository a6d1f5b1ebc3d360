"""The modality text_bge: one embedding an annotation, frozen, and the nearest texts back."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from giblet import Aligned, Features, FeatureSpec, Modality, Source, TRGrid, hookimpl
from giblet.errors import ConfigError, DataError
from giblet.types import Array, Float
from numpy.typing import NDArray
from pydantic import Field

if TYPE_CHECKING:
    from torch import nn

CHUNK_BYTES = 32 << 20


class TextBge(Modality):
    """Sentence embeddings of annotations, as their own code: nothing is trained before the trunk."""

    name = "text_bge"
    kind = "text"
    unit = "unit vector"

    weights: str = "BAAI/bge-large-en-v1.5"
    """A SentenceTransformer: name on the hub, folder, or "minilm", the one that the extra `minilm` carries.

    The default is BGE (Xiao et al. 2023, arXiv:2309.07597).
    """
    prefix: str = ""
    """Put before each text; BGE's instruction is meant for search queries, not for symmetric similarity."""
    context_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds of text before an event's end that are embedded with it; for tables of single words."""
    gap: Literal["empty", "forward", "nearest"] = "empty"
    """What a TR without text gets: nothing (masked), the last text before it, or the nearest one."""
    several: Literal["pool", "longest"] = "pool"
    """What a TR with several texts gets: their mean weighted by overlap, or the one that covers it longest."""
    batch_size: int = Field(default=32, ge=1)

    def extract(self, source: Source) -> Iterator[Features]:
        """One embedding an annotation of source.path / source.stream, [N, D] float32, with onset, duration, `texts`.

        Raises
        ------
        DataError
            If there is no annotation.
        WeightsError
            If the embedder cannot be had.
        """
        texts, onset_s, duration_s = self._read(source)
        vectors = self._embed(texts)
        step = max(1, CHUNK_BYTES // (4 * vectors.shape[1]))
        for i in range(0, len(texts), step):
            part = slice(i, i + step)
            yield Features.events(vectors[part], onset_s[part], duration_s[part], texts=texts[part])

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Keep each text of all sources and its embedding: the corpus that texts are recovered from.

        Test texts belong to it, as the alternatives among which a decoded embedding must find its own; no scan and no
        time of them is learned.
        """
        unique = list(dict.fromkeys(text for source in sources for text in self._read(source)[0]))
        return self.fitted(corpus_texts=np.array(unique, dtype=np.str_), corpus_embeddings=self._embed(unique))

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """One row a TR, by overlap, as `gap` and `several` say."""
        from giblet.alignment import bin_events

        return bin_events(features, grid, gap=self.gap, several=self.several)

    def width(self, spec: FeatureSpec) -> int:
        """The embedding's width: it is its own code."""
        return spec.size

    def encode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The embedding itself, [n, 1, D] -> [n, D]."""
        from giblet.nn import MaskedFlatten

        _check_width(spec, width)
        return MaskedFlatten()

    def decode(self, spec: FeatureSpec, width: int) -> nn.Module:
        """The code itself, [n, D] -> [n, 1, D]."""
        from giblet.nn import UnflattenFrame

        _check_width(spec, width)
        return UnflattenFrame(spec)

    def summary(self, aligned: Aligned) -> Array:
        """The embedding, [T, D] float32; 0 where a TR has no text."""
        return aligned.rows(slice(None), 1)[0][:, 0].astype(np.float32)

    def reconstruct(self, features: Features, out: Path) -> Path:
        """Write the nearest text of the corpus for each embedding as .tsv: onset_s, duration_s, recovered, score.

        Where the features know their texts, also `original` and its rank in the corpus; an unfitted modality takes
        those texts for the corpus.

        Raises
        ------
        ConfigError
            If there is neither a corpus nor texts.
        """
        from giblet_text_bge.recovery import ranks, recover

        originals = _originals(features)
        corpus_texts, corpus = self._corpus(originals)
        texts, scores = recover(features.values, corpus, corpus_texts)
        columns: dict[str, Iterable[object]] = {
            "onset_s": (round(float(t), 6) for t in features.onset_s),
            "duration_s": (round(float(t), 6) for t in _durations_s(features)),
            "recovered": texts,
            "score": (f"{s:.4f}" for s in scores),
        }
        if originals is not None:
            found = ranks(features.values, corpus, corpus_texts, originals)
            columns |= {"original": originals, "rank": ("n/a" if np.isnan(r) else f"{r:g}" for r in found)}
        return _write_tsv(out.with_name(out.name + ".tsv"), columns)

    def _read(self, source: Source) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
        """Texts, onsets and durations of a source; context reaches back over where the source is cut."""
        from giblet.media import read_table

        from giblet_text_bge.features import cut, with_context

        table = read_table(source.path, source.stream)
        texts = with_context(table.text, table.onset_s, table.duration_s, self.context_s)
        kept = cut(table, source.start_s, source.stop_s)
        if not len(kept):
            raise DataError(f"{source.path} has no annotation between start_s and stop_s; take a longer stretch")
        return [texts[i] for i in kept], table.onset_s[kept], table.duration_s[kept]

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed each text once; those of the corpus are known already."""
        from giblet_text_bge.weights import embed

        known = dict(zip(self.state.get("corpus_texts", ()), self.state.get("corpus_embeddings", ()), strict=True))
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= dict(zip(new, embed(new, self.weights, self.prefix, self.batch_size), strict=True))
        return np.stack([known[text] for text in texts])

    def _corpus(self, originals: list[str] | None) -> tuple[Sequence[str], Array]:
        if "corpus_texts" in self.state:
            return self.state["corpus_texts"].tolist(), self.state["corpus_embeddings"]
        if originals is None:
            raise ConfigError(f"{self.name} has no corpus to recover texts from; fit it, or give features with texts")
        unique = list(dict.fromkeys(originals))
        return unique, self._embed(unique)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """Announce text_bge."""
    return [TextBge]


def _check_width(spec: FeatureSpec, width: int) -> None:
    if width != spec.size:
        raise ConfigError(f"text_bge is its own code: its width is {spec.size}, not {width}")


def _originals(features: Features) -> list[str] | None:
    texts = features.attrs.get("texts")
    if texts is not None and len(texts) != len(features.values):
        raise DataError(f"{len(texts)} texts came with {len(features.values)} embeddings; give one each, or none")
    return texts


def _durations_s(features: Features) -> Float:
    if features.durations is not None:
        return features.durations * float(features.timebase)
    step = np.median(np.diff(features.ticks)) if len(features.ticks) > 1 else 1
    return np.full(len(features.ticks), step * float(features.timebase))


def _write_tsv(path: Path, columns: dict[str, Iterable[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(columns)
        table.writerows(zip(*columns.values(), strict=True))
    return path
