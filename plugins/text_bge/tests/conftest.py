"""What the tests of inversion share: small networks of a seed, in the layout of vec2text's published checkpoints."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent


def _load_toy():
    spec = importlib.util.spec_from_file_location("toy", HERE.parent / "crosscheck" / "toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy():
    """crosscheck/toy.py."""
    return _load_toy()


@pytest.fixture(scope="session")
def reference():
    """What crosscheck/reference.py wrote down."""
    return json.loads((HERE / "inversion_reference.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def toy_embed(toy, reference):
    """The embedder of the small networks."""
    return lambda texts: toy.embed(texts, reference["seed"])


@pytest.fixture(scope="session")
def publish(toy, reference):
    """A function that writes both networks as vec2text lays them out, weights of its embedder included."""
    import torch
    from safetensors.torch import save_file
    from transformers import T5Config

    def write(folder, rename=lambda stage, weights: weights, **config):
        T5Config(**toy.t5_config()).save_pretrained(folder / "t5")
        toy.tokenizer().save_pretrained(folder / "t5")
        about = {"embedder_model_name": "toy", "max_seq_length": toy.MAX_TOKENS, "num_repeat_tokens": toy.REPEATS}
        for stage, seed in (("inversion", 1), ("corrector", 2)):
            weights = {n: torch.from_numpy(w) for n, w in toy.weights(reference[stage], seed).items()}
            weights = rename(stage, weights) | {"embedder.tokens.weight": torch.zeros(2, 2)}
            (folder / stage).mkdir(parents=True)
            save_file(weights, folder / stage / "model.safetensors")
            (folder / stage / "config.json").write_text(json.dumps(about | config), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def published(publish, toy_embed, tmp_path_factory):
    """The folder of the small networks, and the inverter that it holds."""
    from giblet_text_bge.inversion import checkpoint

    folder = publish(tmp_path_factory.mktemp("published"))
    inverter = checkpoint.open_inverter(folder, checkpoint.read_record(folder), toy_embed)
    return SimpleNamespace(folder=folder, inverter=inverter)
