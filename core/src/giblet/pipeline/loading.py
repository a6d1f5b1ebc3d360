"""The parts of `model/`, read back: modules built again from their blueprint and given their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from giblet.brain import BrainModality
from giblet.errors import ConfigError, DataError, PluginError
from giblet.model import ModalityNets, Model, RelativeLoss
from giblet.pipeline.blueprint import Blueprint
from giblet.pipeline.saving import ARRAYS, BRAIN, DAMAGE, FACTS, FOLDER, WEIGHTS
from giblet.plugins import Registry
from giblet.types import Array, FeatureSpec

Facts = Mapping[str, Any]
Weights = Mapping[str, Tensor]
Arrays = dict[str, dict[str, dict[str, Array]]]
"""What kind of thing was fitted, whose it is, its name."""


def read_model(run: Path) -> tuple[Facts, Weights, Arrays]:
    """What `model/` holds.

    Raises
    ------
    ConfigError
        If `run` is not the folder of a run, or of one that is not trained yet.
    DataError
        If a file is damaged.
    """
    folder = _model_folder(run)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        weights = load_file(folder / WEIGHTS)
        return facts, weights, _read_arrays(folder / ARRAYS)
    except DAMAGE as error:
        cause = " ".join(str(error).split())
        raise DataError(
            f"{folder} is damaged ({cause}); delete it, and the `giblet run` that made it makes it again"
        ) from None


def _model_folder(run: Path) -> Path:
    if not (run / "run.json").is_file():
        raise ConfigError(f"{run} is not the folder of a run; give the --out of a `giblet run`")
    if not (run / FOLDER).is_dir():
        if (run / "fold-1" / "run.json").is_file():
            raise ConfigError(f"{run} holds folds, each a run of its own; give one, for example {run / 'fold-1'}")
        raise ConfigError(f"the run {run} is not trained to its end; the `giblet run` that began it goes on with it")
    return run / FOLDER


def _read_arrays(path: Path) -> Arrays:
    found: Arrays = {"projection": {}, "constant": {}, "bold_sd": {}, "state": {}}
    with np.load(path, allow_pickle=False) as file:
        for entry in file.files:
            what, _, rest = entry.partition("/")
            whose, _, name = rest.rpartition("/")
            found[what].setdefault(whose, {})[name] = file[entry]
    return found


def read_blueprint(facts: Facts, arrays: Arrays, registry: Registry) -> Blueprint:
    """Fitted modalities and the sizes of their data, as they were.

    Raises
    ------
    PluginError
        If a plugin is missing or broken.
    """
    built = {}
    for key, made_with in facts["modalities"].items():
        _require_plugin(made_with, registry)
        modality = registry.modality(made_with["plugin"], **made_with["settings"])
        built[key] = modality.fitted(**arrays["state"].get(key, {}))
    brain = built.pop(BRAIN)
    assert isinstance(brain, BrainModality)
    specs = {key: FeatureSpec(**(spec | {"shape": tuple(spec["shape"])})) for key, spec in facts["specs"].items()}
    tr_s = Fraction(facts["tr_s"])
    sizes = (facts["voxels"], tr_s, facts["slice_time_ref"], facts["training_volumes"])
    return Blueprint(registry, built, brain, specs, *sizes)


def _require_plugin(made_with: Mapping[str, Any], registry: Registry) -> None:
    name, owner = made_with["plugin"], f"{made_with['distribution']}=={made_with['version']}"
    if name not in registry.plugins and name not in registry.clashes:
        raise PluginError(f"the run needs the plugin {name!r}, which is not installed; pip install {owner}")


def load_weights(model: Model, nets: list[ModalityNets], weights: Weights, facts: Facts) -> None:
    """Put the weights in place; a plugin that builds other networks than it did is named."""
    whose = f"giblet=={facts['giblet']}"
    try:
        model.load_state_dict(_below("model.", weights))
        for n in nets:
            made_with = facts["modalities"][n.name]
            whose = f"{made_with['distribution']}=={made_with['version']}"
            for part, module in (("encoder", n.encoder), ("decoder", n.decoder)):
                module.load_state_dict(_below(f"nets.{n.name}.{part}.", weights))
                module.eval()
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise PluginError(
            f"the run's weights do not fit what is installed ({why:.200}); make the run again, or pip install {whose}"
        ) from None
    model.eval()


def _below(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def read_loss(n: ModalityNets, constant: Array, scale: float) -> RelativeLoss:
    """A modality's loss with the constant and the scale of its training TRs."""
    loss = RelativeLoss(n.loss, n.spec, torch.from_numpy(constant))
    loss.scale = scale
    return loss


def version_notes(facts: Facts, registry: Registry) -> list[str]:
    """A line for each distribution that is another version now."""
    used = facts["modalities"].values()
    made = {m["distribution"]: (m["version"], registry.plugins[m["plugin"]].version) for m in used}
    made["giblet"] = (facts["giblet"], version("giblet"))
    changed = {name: pair for name, pair in made.items() if pair[0] != pair[1]}
    return [f"{name} is {now} here, the run was made with {then}" for name, (then, now) in changed.items()]
