"""Texts longer than an embedder reads: in parts, or refused; never cut silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from giblet.errors import ConfigError, DataError

LongTexts = Literal["split", "refuse"]
Count = Callable[[list[str]], list[int]]
"""Tokens of each text, with the prefix and the tokens that mark beginning and end."""


def counter(model: Any, prefix: str) -> Count | None:
    """How a SentenceTransformer counts tokens; None where it reads texts of any length."""
    limit = model.get_max_seq_length()
    if limit is None or limit == float("inf"):
        return None

    def count(texts: list[str]) -> list[int]:
        found = model.tokenizer([prefix + t for t in texts], truncation=False, verbose=False)["input_ids"]
        return [len(tokens) for tokens in found]

    return count


def in_parts(texts: Sequence[str], count: Count, limit: int, long_texts: LongTexts, who: str) -> list[list[str]]:
    """Each text as parts of at most `limit` tokens: itself where it fits, else halves, quarters, ... at word ends.

    Raises
    ------
    DataError
        If one is longer and `long_texts` is "refuse".
    ConfigError
        If the prefix leaves no room.
    """
    lengths = count(list(texts))
    too_long = [i for i, n in enumerate(lengths) if n > limit]
    if too_long and long_texts == "refuse":
        first = too_long[0]
        raise DataError(
            f"{len(too_long)} of {len(texts)} texts are longer than the {limit} tokens that {who} reads, the first, "
            f"{texts[first][:40]!r}..., has {lengths[first]}; shorten them, or say -o text.long_texts=split"
        )
    parts = [[text] for text in texts]
    for i in too_long:
        parts[i] = _halves(texts[i], count, limit)
    return parts


def _halves(text: str, count: Count, limit: int) -> list[str]:
    if count([text])[0] <= limit:
        return [text]
    words = text.split()
    if len(words) > 1:
        middle = len(words) // 2
        left, right = " ".join(words[:middle]), " ".join(words[middle:])
    elif len(text) > 1:
        left, right = text[: len(text) // 2], text[len(text) // 2 :]
    else:
        raise ConfigError(f"text.prefix leaves no room for text: it fills the {limit} tokens that the embedder reads")
    return [*_halves(left, count, limit), *_halves(right, count, limit)]
