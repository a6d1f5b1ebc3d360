"""Before an inverter is used: is its embedder the one in use, and does it find its own texts again?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from giblet.errors import WeightsError
from giblet.words import token_f1

from giblet_text_bge.inversion.inverter import Embed, Inverter
from giblet_text_bge.inversion.record import Record

PROBE_COSINE = 0.999
"""Half precision and other kernels change an embedding by far less, another prefix or model by far more."""
SAME = {
    "minilm": "all-minilm-l6-v2",
    "sentence-transformers/all-minilm-l6-v2": "all-minilm-l6-v2",
    "gtr_base_st": "gtr-t5-base",
    "sentence-transformers/gtr-t5-base": "gtr-t5-base",
}
"""Names of one embedder. vec2text's `gtr_base` is none of gtr-t5-base's: it leaves out its last layer and its norm."""


def check_embedder(folder: Path, record: Record, embed: Embed, embedder: str) -> None:
    """Refuse an inverter that was made for other embeddings than `embed` gives.

    Raises
    ------
    WeightsError
        Naming both embedders.
    """
    ours = embed([record.trial.texts[0]])[0]
    made_for = f"{folder} inverts embeddings of {record.embedder} (width {record.width}"
    in_use = f"and {embedder} (width {len(ours)}) is in use; name an inverter for it, or train one"
    if len(ours) != record.width:
        raise WeightsError(f"{made_for}), {in_use}")
    if record.probe is not None:
        cosine = _cosine(ours, np.array(record.probe))
        if cosine < PROBE_COSINE:
            prefix = f", prefix {record.prefix!r}"
            raise WeightsError(
                f"{made_for}{prefix}), whose embedding of a text has cosine {cosine:.3f} to ours, {in_use}"
            )
    elif _plain(record.embedder) != _plain(embedder):
        raise WeightsError(f"{made_for}), {in_use}")


def check_texts(folder: Path, record: Record, inverter: Inverter) -> None:
    """Refuse an inverter that does not find its own texts again.

    Raises
    ------
    WeightsError
        With the token F1 that it reached and the one that it must.
    """
    trial = record.trial
    found = inverter.invert(inverter.embed(list(trial.texts)), trial.steps)
    reached = token_f1(found, trial.texts)
    if reached < trial.floor:
        raise WeightsError(
            f"{folder} fails its own check: text to embedding and back has a token F1 of {reached:.2f}, not "
            f"{trial.floor:.2f}; its weights are damaged or its embedder is another: take it anew, or train one"
        )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _plain(name: str) -> str:
    return SAME.get(name.lower(), name.lower())
