"""One network's folder in the layout of vec2text's published checkpoints: `config.json` and weights by its names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from giblet.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from giblet_text_bge.inversion.networks import CorrectorNet, InversionNet, Sizes

Weights = dict[str, "Tensor"]
STAGES = ("inversion", "corrector")
OLD_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "inversion": {"embedding_transform.2.": ("embedding_transform.3.",)},
    "corrector": {
        f"embedding_transform.{layer}.": tuple(f"embedding_transform_{i}.{layer}." for i in (1, 2, 3))
        for layer in (0, 3)
    },
}
"""Names of weights from before the dropout was put in, and from before e, h and e - h had layers of their own."""
AGAIN = "take the inverter anew from where you had it"


def read_config(folder: Path, stage: str) -> dict[str, Any]:
    """The config of a stage.

    Raises
    ------
    WeightsError
        If it is damaged.
    """
    path = folder / stage / "config.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged ({brief(error)}); {AGAIN}") from None
    return found


def read_weights(folder: Path, stage: str) -> Weights:
    """All weights of a stage but the embedder's own, which may be beside them, by today's names.

    Raises
    ------
    WeightsError
        If they are missing or damaged.
    """
    files = sorted((folder / stage).glob("*.safetensors")) or sorted((folder / stage).glob("pytorch_model*.bin"))
    if not files:
        raise WeightsError(f"{folder / stage} has no model.safetensors and no pytorch_model.bin; {AGAIN}")
    found: Weights = {}
    for file in files:
        found |= _read_file(file)
    return _renamed({name: w for name, w in found.items() if not name.startswith("embedder.")}, stage)


def sizes_of(weights: Weights, transform: str, d_model: int) -> Sizes:
    """Width, bottleneck and pseudo-tokens, from the shapes of a projection.

    Raises
    ------
    WeightsError
        If there is no such projection.
    """
    from giblet_text_bge.inversion.networks import Sizes

    try:
        first, last = weights[f"{transform}.0.weight"], weights[f"{transform}.3.weight"]
    except KeyError as error:
        raise WeightsError(f"the weights lack {error.args[0]}, so they are no inverter's; {AGAIN}") from None
    return Sizes(first.shape[1], first.shape[0], last.shape[0] // d_model)


def load_into(network: InversionNet | CorrectorNet, weights: Weights, where: Path) -> None:
    """Load the weights of a network.

    Raises
    ------
    WeightsError
        If some are missing or have other shapes than the T5's config says.
    """
    own = {name: weights[name].float() for name in network.state_dict() if name in weights}
    try:
        missing = network.load_state_dict(own, strict=False).missing_keys
    except RuntimeError as error:
        raise WeightsError(f"{where}: weights and the T5's config do not fit ({brief(error)}); {AGAIN}") from None
    absent = {name for name, _ in network.named_parameters()} & set(missing)  # the former names shared ones once
    if absent:
        raise WeightsError(f"{where} lacks the weights {min(absent)}; {AGAIN}")


def save_network(folder: Path, stage: str, network: InversionNet | CorrectorNet, config: dict[str, Any]) -> None:
    """Write one network in half precision; of shared weights only the first."""
    import torch
    from safetensors.torch import save_file

    (folder / stage).mkdir(parents=True, exist_ok=True)
    own = {name: p.detach().to("cpu", torch.float16).contiguous() for name, p in network.named_parameters()}
    save_file(own, folder / stage / "model.safetensors", metadata={"format": "pt"})
    (folder / stage / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def brief(error: Exception) -> str:
    """An error of a library in a few words."""
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line[:100]}"


def _read_file(path: Path) -> Weights:
    import torch
    from safetensors.torch import load_file

    try:
        found: Weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    except Exception as error:  # safetensors and pickle have errors of their own
        raise WeightsError(f"{path} does not open ({brief(error)}); {AGAIN}") from error
    return found


def _renamed(weights: Weights, stage: str) -> Weights:
    """Weights of old checkpoints under today's names; those of today as they are."""
    out = dict(weights)
    for name, weight in weights.items():
        for old, new in OLD_NAMES[stage].items():
            if name.startswith(old):
                out |= {today + name.removeprefix(old): weight for today in new}
    return out
