"""How like the right words the found ones are, text by text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from giblet.errors import DataError

Texts = Sequence[str]


def token_f1(found: Texts, wanted: Texts) -> float:
    """Mean over texts of the harmonic mean of precision and recall of words, 0..1 (Rajpurkar et al. 2016).

    Words are runs of letters and digits in lower case, counted as often as they occur (doi:10.18653/v1/D16-1264, but
    articles stay). Two texts without a word are alike.

    Raises
    ------
    DataError
        If there is not one found text for each that is wanted, as in the other two.
    """
    return _mean([_f1(words(f), words(w)) for f, w in _pairs(found, wanted)])


def bleu(found: Texts, wanted: Texts) -> float:
    """Mean over texts of BLEU, 0..100 (Papineni et al. 2002, doi:10.3115/1073083.1073135), as sacrebleu computes it.

    Of a text of fewer than four words only the n-grams that it has count (sacrebleu's effective order).
    """
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(effective_order=True)
    return _mean([scorer.sentence_score(f, [w]).score for f, w in _pairs(found, wanted)])


def exact(found: Texts, wanted: Texts) -> float:
    """The share of texts with all words right, in their order; case and punctuation do not count."""
    return _mean([words(f) == words(w) for f, w in _pairs(found, wanted)])


def words(text: str) -> list[str]:
    """Runs of letters and digits in lower case."""
    return re.findall(r"\w+", text.casefold())


def _f1(found: list[str], wanted: list[str]) -> float:
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted)) if found or wanted else 1.0


def _pairs(found: Texts, wanted: Texts) -> list[tuple[str, str]]:
    if len(found) != len(wanted) or not len(found):
        raise DataError(f"{len(found)} found texts for {len(wanted)} that are wanted; give one for each")
    return list(zip(found, wanted, strict=True))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
