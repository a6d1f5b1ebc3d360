"""A small embedder and small networks from a seed, by numpy alone: the same in any environment.

`reference.py` gives them to the package vec2text, the tests give them to ours.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 768  # vec2text's corrector takes no other
REPEATS = 3
MAX_TOKENS = 16
T5 = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 2}
SPECIAL = ("<pad>", "</s>", "<unk>")
WORDS = tuple(f"{a}{b}{c}" for a in "bdkmr" for b in "aeo" for c in ("", "n", "s", "ta"))
N_TEXTS = 8
LOUD = 12.0


def vocabulary() -> dict[str, int]:
    """The number of each word."""
    return {word: i for i, word in enumerate((*SPECIAL, *WORDS))}


def t5_config() -> dict[str, Any]:
    """What a T5 of these sizes is called with."""
    return {**T5, "vocab_size": len(vocabulary()), "decoder_start_token_id": 0, "dropout_rate": 0.1}


def tokenizer() -> Any:
    """One token a word, an end, and padding, as T5 numbers them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel(vocabulary(), unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def weights(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, NDArray[np.float32]]:
    """Values for weights of these names and shapes; those of one name and seed are always the same.

    They are scaled so that the networks depend on what they read and write texts of many lengths.
    """
    return {name: _weight(name, tuple(shape), seed) for name, shape in shapes.items()}


def _weight(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    tied = ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
    for part in tied:  # one matrix, as in every T5 of the first version
        name = name.replace(part, "shared")
    values = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape)
    return (_centre(name) + _spread(name, shape) * values).astype(np.float32)


def _centre(name: str) -> float:
    """Norms let pass what they get; the last makes a choice of words clear."""
    if "decoder.final_layer_norm" in name:
        return LOUD
    return 1.0 if "layer_norm" in name or name == "layernorm.weight" else 0.0


def _spread(name: str, shape: tuple[int, ...]) -> float:
    if "norm" in name or name.endswith("bias") or "relative_attention_bias" in name:
        return 0.1
    if name.endswith("shared.weight"):
        return 0.5
    return (4.0 if "EncDecAttention" in name else 1.5) * shape[-1] ** -0.5


def table(seed: int) -> NDArray[np.float32]:
    """The embedding of each token, [V, D]."""
    return np.random.default_rng([seed, 1]).standard_normal((len(vocabulary()), WIDTH)).astype(np.float32)


def places() -> NDArray[np.float32]:
    """How much a token counts at each place, [MAX_TOKENS]."""
    return (1 + 0.5 * np.sin(np.arange(MAX_TOKENS))).astype(np.float32)


def embed(texts: Sequence[str], seed: int) -> NDArray[np.float32]:
    """The mean over the tokens of a text, each weighted by its place, [N, D]: order matters, length is free."""
    words, end = vocabulary(), [1]
    rows = [[words.get(w, words["<unk>"]) for w in text.split()][: MAX_TOKENS - 1] + end for text in texts]
    return np.stack([(table(seed)[row] * places()[: len(row), None]).mean(0) for row in rows])


def texts(seed: int) -> list[str]:
    """Texts whose embeddings are inverted."""
    rng = np.random.default_rng([seed, 2])
    return [" ".join(rng.choice(WORDS, rng.integers(3, 10))) for _ in range(N_TEXTS)]
