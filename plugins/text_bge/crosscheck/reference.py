"""Run the package vec2text on the small networks of `toy.py` and write down what it finds.

    python -m venv reference && reference/bin/pip install -r plugins/text_bge/crosscheck/requirements.txt
    reference/bin/python plugins/text_bge/crosscheck/reference.py plugins/text_bge/tests/inversion_reference.json

The package needs old libraries, so it has an environment of its own. Two things are put in its place that it would
fetch from a hub: the embedder, and the metrics of its trainers, which take no part here. Its loop is untouched.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import evaluate
import numpy as np
import torch
import toy
import transformers
import vec2text.models.inversion
from torch import Tensor, nn
from vec2text.models import CorrectorEncoderModel, InversionModel
from vec2text.models.config import InversionConfig

SEED = 0
STEPS = (1, 2, 3, 4, 5)
BEAMS = (1, 2)
evaluate.load = lambda *args, **kwargs: None


class ToyEmbedder(nn.Module):
    """The embedder of `toy.py` as vec2text takes one: states of tokens, whose mean is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(hidden_size=toy.WIDTH)
        self.tokens = nn.Embedding.from_pretrained(torch.from_numpy(toy.table(SEED)))
        self.register_buffer("places", torch.from_numpy(toy.places()))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """Token ids [B, L] to states [B, L, D]."""
        return SimpleNamespace(last_hidden_state=self.tokens(input_ids) * self.places[: input_ids.shape[1], None])


def corrector(folder: Path) -> Any:
    """The package's own corrector, over networks with the weights of `toy.py`."""
    transformers.T5ForConditionalGeneration(transformers.T5Config(**toy.t5_config())).save_pretrained(folder)
    toy.tokenizer().save_pretrained(folder)
    vec2text.models.inversion.load_embedder_and_tokenizer = lambda **kwargs: (ToyEmbedder(), toy.tokenizer())
    config = InversionConfig(
        model_name_or_path=str(folder),
        embedder_model_name="toy",
        embedder_model_api=None,
        embedder_fake_with_zeros=False,
        embedder_no_grad=True,
        embeddings_from_layer_n=None,
        use_frozen_embeddings_as_input=True,
        encoder_dropout_disabled=False,
        decoder_dropout_disabled=False,
        corrector_ignore_hypothesis_embedding=False,
        embedder_gaussian_noise_level=0.0,
        use_lora=False,
        max_seq_length=toy.MAX_TOKENS,
        num_repeat_tokens=toy.REPEATS,
    )
    return vec2text.api.load_corrector(filled(InversionModel(config), 1), filled(CorrectorEncoderModel(config), 2))


def filled(model: Any, seed: int) -> Any:
    """A model with the weights of `toy.py`; those of the embedder stay."""
    new = toy.weights(shapes(model), seed)
    model.load_state_dict({name: torch.from_numpy(w) for name, w in new.items()}, strict=False)
    return model.eval()


def shapes(model: Any) -> dict[str, list[int]]:
    """Names and shapes of all weights but the embedder's."""
    return {n: list(w.shape) for n, w in model.state_dict().items() if not n.startswith("embedder.")}


@torch.no_grad()
def found(over: Any, target: Tensor, steps: int, beam: int) -> dict[str, Any]:
    """Token ids and cosines after some steps of the package's loop."""
    options = {**over.gen_kwargs, "min_length": 1, "max_length": toy.MAX_TOKENS}
    over.return_best_hypothesis = True
    if steps:
        ids = over.generate({"frozen_embeddings": target}, options, steps, beam)
    else:
        ids = over.inversion_trainer.generate({"frozen_embeddings": target}, options)
    cosines = torch.cosine_similarity(over.embed_generated_hypothesis(ids), target)
    return {"steps": steps, "beam": beam, "ids": ids.tolist(), "cosines": [round(float(c), 7) for c in cosines]}


def main() -> None:
    """Write the file that the tests compare with."""
    with tempfile.TemporaryDirectory() as folder:
        over = corrector(Path(folder))
        target = torch.from_numpy(toy.embed(toy.texts(SEED), SEED))
        results = [found(over, target, 0, 1), *(found(over, target, s, b) for b in BEAMS for s in STEPS)]
        about = {
            "versions": {p.__name__: p.__version__ for p in (torch, transformers)} | {"numpy": np.__version__},
            "seed": SEED,
            "inversion": shapes(over.inversion_trainer.model),
            "corrector": shapes(over.model),
        }
    Path(sys.argv[1]).write_text(json.dumps({**about, "results": results}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
