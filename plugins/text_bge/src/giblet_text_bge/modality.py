"""The modality text_bge: one embedding an annotation, frozen, and the texts back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from giblet import Aligned, Features, FeatureSpec, Modality, Source, TRGrid, hookimpl
from giblet.errors import ConfigError
from giblet.types import Array
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from torch import nn

    from giblet_text_bge.cache import Embedded
    from giblet_text_bge.embedder import Embedder
    from giblet_text_bge.texts_back import Corpus

CHUNK_BYTES = 32 << 20


class TextBge(Modality):
    """Sentence embeddings of annotations, as their own code: nothing is trained before the trunk."""

    name = "text_bge"
    kind = "text"
    unit = "unit vector"
    net_settings = frozenset({"gap", "several", "recover", "inverter", "steps", "beam", "batch_size"})

    weights: str = "BAAI/bge-large-en-v1.5"
    """A SentenceTransformer: name on the hub, folder, or "minilm", the one that the extra `minilm` carries.

    The default is BGE (Xiao et al. 2023, arXiv:2309.07597).
    """
    prefix: str = ""
    """Put before each text; BGE's instruction is meant for search queries, not for symmetric similarity."""
    long_texts: Literal["split", "refuse"] = "split"
    """What a text with more tokens than the embedder reads gets: the mean of its parts' embeddings, or an error."""
    spread: Literal["repeat", "words"] = "repeat"
    """What the TRs of a text that spans several get: each the whole text, or each the words that fall into it."""
    context_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds of text before an event's end that are embedded with it; for tables of single words."""
    gap: Literal["empty", "forward", "nearest"] = "empty"
    """What a TR without text gets: nothing (masked), the last text before it, or the nearest one."""
    several: Literal["pool", "longest"] = "pool"
    """What a TR with several texts gets: their mean weighted by overlap, or the one that covers it longest."""
    batch_size: int = Field(default=32, ge=1)
    corpus: Path | None = None
    """Texts to recover from: a .txt with one a line, or an annotation table; none takes those of the study."""
    inverter: str = ""
    """The folder or name of an inverter for this embedder; if it is given, texts are recovered in both ways."""
    recover: Literal["nearest", "invert"] = "nearest"
    """How texts are recovered: the nearest of the corpus, or words that the inverter makes up."""
    steps: int = Field(default=20, ge=0, le=50)
    """Corrections of each inverted text."""
    beam: int = Field(default=1, ge=1)
    """Guesses that are kept at each correction."""

    @field_validator("recover")
    @classmethod
    def _has_means(cls, value: str, info: ValidationInfo) -> str:
        if value == "invert" and not info.data.get("inverter"):
            raise PydanticCustomError("no_inverter", "text.inverter names none; give a folder of giblet train-inverter")
        return value

    def extract(self, source: Source) -> Iterator[Features]:
        """One embedding an annotation of source.path / source.stream, [N, D] float32, with onset, duration, `texts`.

        Raises
        ------
        DataError
            If there is no annotation, or one is too long and `long_texts` is "refuse".
        WeightsError
            If the embedder cannot be had.
        """
        from giblet_text_bge.features import read_events

        table = read_events(source, self.spread, self.context_s)
        made = self._embed(table.text)
        n_split = len({text for text, n in zip(table.text, made.parts, strict=True) if n > 1})
        said = [f"{n_split} texts were too long for {self.weights} and embedded in parts"] if n_split else []
        notes = "\n".join([*table.notes, *said])
        step = max(1, CHUNK_BYTES // (4 * made.vectors.shape[1]))
        for i in range(0, len(table.text), step):
            part = slice(i, i + step)
            times = (table.onset_s[part], table.duration_s[part])
            yield Features.events(made.vectors[part], *times, texts=table.text[part], notes=notes)

    def fit(self, sources: Sequence[Source], train: Sequence[Sequence[slice]]) -> Self:
        """Keep the corpus that texts are recovered from, and its embeddings; try the inverter.

        Without `corpus` it is each text of all sources. Test texts belong to it, as the alternatives among which a
        decoded embedding must find its own; no scan and no time of them is learned.

        Raises
        ------
        WeightsError
            If the inverter is not one for this embedder.
        """
        from giblet_text_bge.features import read_corpus, read_events, unique
        from giblet_text_bge.texts_back import open_inverter

        if self.inverter:
            open_inverter(self.inverter, self._embedder)
        if self.corpus is not None:
            texts = read_corpus(self.corpus.expanduser())
        else:
            texts = unique([t for s in sources for t in read_events(s, self.spread, self.context_s).text])
        made = self._embed(texts)
        return self.fitted(corpus_texts=np.array(texts), corpus_embeddings=made.vectors, corpus_parts=made.parts)

    def align(self, features: Features, grid: TRGrid) -> Aligned:
        """One row a TR, by overlap, as `gap` and `several` say; the corpus goes along, to score what is recovered."""
        from giblet.alignment import bin_events

        aligned = bin_events(features, grid, gap=self.gap, several=self.several)
        corpus = {k: self.state[k] for k in ("corpus_texts", "corpus_embeddings") if k in self.state}
        attrs = {**aligned.features.attrs, **corpus}
        return replace(aligned, features=replace(aligned.features, attrs=attrs))

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
        """Write the text of each embedding as .tsv: onset_s, duration_s, recovered, score (of the nearest text).

        With an inverter also `nearest` and `inverted`: `recovered` is the one that `recover` names. Where the features
        know their texts, also `original` and its rank in the corpus; an unfitted modality takes those for the corpus.

        Raises
        ------
        ConfigError
            If there is neither a corpus nor texts.
        WeightsError
            If the inverter is not one for this embedder.
        """
        from giblet_text_bge.texts_back import inverted, originals_of, times, write_tsv

        originals = originals_of(features)
        corpus = self._corpus(originals)
        columns = times(features) | corpus.nearest(features.values)
        if self.inverter:
            made = inverted(features.values, corpus, self.inverter, self._embedder, self.steps, self.beam)
            columns |= {"nearest": columns["recovered"], "inverted": made}
            columns["recovered"] = columns["inverted" if self.recover == "invert" else "nearest"]
        if originals is not None:
            columns |= {"original": originals, "rank": corpus.ranks(features.values, originals)}
        return write_tsv(out.with_name(out.name + ".tsv"), columns)

    @property
    def how(self) -> str:
        """How texts are recovered, and from how many."""
        known = self.state.get("corpus_texts")
        nearest = "the nearest text" if known is None else f"the nearest of {len(known)} texts"
        if not self.inverter:
            return f"{nearest} by centred cosine"
        made = f"inversion by {Path(self.inverter).name} ({self.steps} steps, beam {self.beam})"
        return f"{made} beside {nearest}" if self.recover == "invert" else f"{nearest} beside {made}"

    @property
    def _embedder(self) -> Embedder:
        from giblet_text_bge.embedder import Embedder

        return Embedder(self.weights, self.prefix, self.batch_size, self.long_texts)

    def _embed(self, texts: Sequence[str]) -> Embedded:
        """Embeddings; those of the corpus are known already, and no embedder is opened for them."""
        from giblet_text_bge.cache import Embedded

        known = {str(text): i for i, text in enumerate(self.state.get("corpus_texts", ()))}
        if not texts or any(text not in known for text in texts):
            return self._embedder.embed(texts)
        rows = [known[text] for text in texts]
        return Embedded(self.state["corpus_embeddings"][rows], self.state["corpus_parts"][rows])

    def _corpus(self, originals: list[str] | None) -> Corpus:
        from giblet_text_bge.features import unique
        from giblet_text_bge.texts_back import Corpus

        if "corpus_texts" in self.state:
            return Corpus(self.state["corpus_texts"].tolist(), self.state["corpus_embeddings"])
        if originals is None:
            raise ConfigError(f"{self.name} has no corpus to recover texts from; fit it, or give features with texts")
        texts = unique(originals)
        return Corpus(texts, self._embed(texts).vectors)


@hookimpl
def register_modalities() -> list[type[Modality]]:
    """Announce text_bge."""
    return [TextBge]


def _check_width(spec: FeatureSpec, width: int) -> None:
    if width != spec.size:
        raise ConfigError(f"text_bge is its own code: its width is {spec.size}, not {width}")
