"""`model/` in a run's folder: what was trained and fitted, enough to use it without the data; whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from giblet.config import RunConfig
from giblet.data.scan_header import is_table
from giblet.errors import GibletError, PluginError
from giblet.modality import Modality
from giblet.pipeline.blueprint import blueprint_of
from giblet.pipeline.clocks import Clock
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.trained import Trained
from giblet.plugins import Registry
from giblet.types import Array

FOLDER, FACTS, WEIGHTS, ARRAYS = "model", "model.json", "weights.safetensors", "arrays.npz"
BRAIN = "fmri"
DAMAGE = (OSError, EOFError, ValueError, LookupError, RuntimeError, zipfile.BadZipFile, SafetensorError)
"""What readers of JSON, weights and arrays say of a torn file."""


def save_model(folder: RunFolder, inputs: Inputs, config: RunConfig, trained: Trained) -> None:
    """Write `model/`, unless it is there, whole, and younger than every checkpoint.

    Raises
    ------
    GibletError
        If the disk is full or the folder cannot be written; nothing half-written stays.
    """
    target = folder.path / FOLDER
    trained_at = max(p.stat().st_mtime for p in (folder.path / "checkpoints").iterdir())
    if not folder.writes or (is_whole(target) and target.stat().st_mtime >= trained_at):
        return
    tmp = folder.path / f".{FOLDER}-{os.getpid()}"
    try:
        tmp.mkdir()
        (tmp / FACTS).write_text(json.dumps(_facts(inputs, config, trained), indent=1), encoding="utf-8")
        save_file(dict(_weights(trained)), tmp / WEIGHTS)  # `save` would hold all of them once more
        shutil.copymode(tmp / FACTS, tmp / WEIGHTS)  # it writes for its user alone
        with (tmp / WEIGHTS).open("rb+") as file:
            _to_disk(file)
        with (tmp / ARRAYS).open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(_arrays(inputs, trained)))
            _to_disk(file)
        shutil.rmtree(target, ignore_errors=True)
        tmp.replace(target)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise GibletError(f"cannot write {target}: {error}; free space, then run the same command again") from None
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def is_whole(model: Path) -> bool:
    """Whether all files of `model/` are there and end where they say; weights are not read."""
    try:
        json.loads((model / FACTS).read_text(encoding="utf-8"))
        with safe_open(model / WEIGHTS, "pt"), zipfile.ZipFile(model / ARRAYS):
            return True
    except DAMAGE:
        return False


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _facts(inputs: Inputs, config: RunConfig, trained: Trained) -> dict[str, Any]:
    blueprint = blueprint_of(inputs)
    plugins = {key: _plugin(inputs.registry, m) for key, m in {**blueprint.modalities, BRAIN: blueprint.brain}.items()}
    return {
        "giblet": version("giblet"),
        "config": config.model_dump(mode="json"),
        "modalities": plugins,
        "specs": {key: asdict(spec) for key, spec in blueprint.specs.items()},
        "voxels": blueprint.voxels,
        "tr_s": str(blueprint.tr_s),
        "slice_time_ref": blueprint.slice_time_ref,
        "training_volumes": blueprint.training_volumes,
        "clocks": {key: Clock.of(inputs.timelines[0].aligned[key].features).facts() for key in blueprint.specs},
        "tables": is_table(Path(inputs.described["scans"][0]["bold"])),
        "confounds": any(t.nuisance for t in inputs.timelines),
        "read_as": [{k: s[k] for k in ("subject", "variable", "confound_columns")} for s in inputs.described["scans"]],
        "gap": inputs.gap,
        "split": inputs.described["split"],
        "loss_scales": {key: loss.scale for key, loss in trained.losses.items()},
    }


def _plugin(registry: Registry, modality: Modality) -> dict[str, Any]:
    plugin = registry.plugins[modality.name]
    return {
        "plugin": modality.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "settings": modality.settings(),
        "citations": _citations(modality),
    }


def _citations(modality: Modality) -> str:
    """The BibTeX file `citations.bib` beside the plugin's `__init__.py`, if it has one."""
    spec = find_spec(type(modality).__module__.partition(".")[0])
    folders = (spec.submodule_search_locations or []) if spec else []
    found = [p for p in (Path(f) / "citations.bib" for f in folders) if p.is_file()]
    return found[0].read_text(encoding="utf-8") if found else ""


def _weights(trained: Trained) -> Iterator[tuple[str, Tensor]]:
    """The autoencoder under `model.`, the nets of each modality under `nets.KEY.encoder.` and `nets.KEY.decoder.`."""
    modules: dict[str, nn.Module] = {"model": trained.model}
    for n in trained.nets:
        modules |= {f"nets.{n.name}.encoder": n.encoder, f"nets.{n.name}.decoder": n.decoder}
    for prefix, module in modules.items():
        for name, weight in module.state_dict().items():
            yield f"{prefix}.{name}", weight.detach().cpu().clone(memory_format=torch.contiguous_format)


def _arrays(inputs: Inputs, trained: Trained) -> Iterator[tuple[str, Array]]:
    """Every fitted array under `what/whose/name`."""
    for key, projection in trained.codes.projections.items():
        for name, array in projection.arrays().items():
            yield f"projection/{key}/{name}", array
    for key, loss in trained.losses.items():
        yield f"constant/{key}/values", loss.constant.numpy()
    for subject, sd in inputs.bold_sd.items():
        yield f"bold_sd/{subject}/values", sd
    assert inputs.brain is not None
    for key, modality in {**inputs.modalities, BRAIN: inputs.brain}.items():
        for name, array in modality.state.items():
            if array.dtype.hasobject:
                raise PluginError(f"{modality.name}: fitted {name!r} holds objects; keep plain numbers or texts")
            yield f"state/{key}/{name}", array
