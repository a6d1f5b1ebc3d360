"""The T5 that a training begins from, and its tokenizer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet_text_bge.inversion.t5 import build_t5, open_t5, open_tokenizer
from giblet_text_bge.inversion.train.settings import Training

SPECIAL = ("<pad>", "</s>", "<unk>")


def prepare(folder: Path, texts: Sequence[str], settings: Training) -> Any:
    """Write config and tokenizer into the folder, if they are not there, and open the tokenizer."""
    if not (folder / "config.json").is_file():
        if settings.t5:
            config = open_t5(settings.t5).config
            open_tokenizer(settings.t5).save_pretrained(folder)
            config.save_pretrained(folder)
        else:
            _tokenizer(texts, settings.vocabulary).save_pretrained(folder)
            _config(settings, len(open_tokenizer(str(folder)))).save_pretrained(folder)
    return open_tokenizer(str(folder))


def begin(folder: Path, settings: Training) -> Any:
    """A T5 to train: that of the settings with its weights, or one of random weights."""
    return open_t5(settings.t5) if settings.t5 else build_t5(str(folder))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within this block PyTorch's chance is that of the seed; after it, what it would have been."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def token_ids(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> NDArray[np.int64]:
    """The tokens of texts with the one that ends each, padded with -1 to max_tokens, [N, L]; a note tells what is cut.

    One place is left free, for the token that begins a text when it is written.
    """
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    out, room = np.full((len(ids), max_tokens), -1), max_tokens - 2
    for row, tokens in zip(out, ids, strict=True):
        kept = [*tokens[:room], tokenizer.eos_token_id]
        row[: len(kept)] = kept
    if cut := sum(len(tokens) > room for tokens in ids):
        said = "%d of %d lines have more than %d tokens and are cut in training; -o max_tokens=... takes more"
        logging.getLogger("giblet").warning(said, cut, len(ids), room)
    return out


def _tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    pad, end, unknown = SPECIAL
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, eos_token=end, unk_token=unknown)


def _config(settings: Training, vocabulary: int) -> Any:
    from transformers import T5Config

    return T5Config(
        vocab_size=vocabulary,
        d_model=settings.d_model,
        d_kv=settings.d_model // settings.heads,
        d_ff=settings.d_ff,
        num_layers=settings.layers,
        num_heads=settings.heads,
        dropout_rate=settings.dropout,
        decoder_start_token_id=0,
    )
