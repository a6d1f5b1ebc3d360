"""An ablation: the same study under several settings and seeds, each trained once, scored on the same test blocks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from giblet.analysis.joined import require_people
from giblet.config import RunConfig
from giblet.data.store import by_content, content_hash, digest
from giblet.data.study import Study
from giblet.errors import ConfigError, GibletError
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.held_out import scores
from giblet.pipeline.overview import overview
from giblet.pipeline.prepare import extract_study
from giblet.pipeline.step_cost import Stepper, against, interleaved, steppers_of
from giblet.pipeline.study_record import identity
from giblet.pipeline.train import train
from giblet.pipeline.variants import TEMPORAL, Overrides, Variant, cell_config, configs_of, folder_name, label
from giblet.plugins import Registry
from giblet.types import Progress

PACKAGES = ("giblet", "torch", "numpy")
REPEATS = 9


@dataclass(frozen=True)
class Ablation:
    """What is compared, on which study, and where it goes."""

    study: Study
    modalities: dict[str, str]
    overrides: Overrides
    variants: Sequence[Variant]
    seeds: Sequence[int]
    out: Path

    def config(self, variant: Variant, seed: int, registry: Registry) -> RunConfig:
        """The config of one cell."""
        return cell_config(self.modalities, self.overrides, variant, seed, registry)

    @property
    def reference(self) -> Variant:
        """What cost is compared with: the baseline `mean` where it takes part, else the first variant."""
        return next((v for v in self.variants if v.get(TEMPORAL) == "mean"), self.variants[0])

    def content(self) -> list[Any]:
        """What of the study decides a cell: the contents of its files, its scans with their clocks, and its split."""
        stimuli = [p for s in self.study.stimuli for p in (*s.files.values(), *(t.path for t in s.features.values()))]
        return [[content_hash(p) for p in dict.fromkeys(stimuli)], identity(self.study), dict(self.study.split)]


def ablate(ablation: Ablation, command: str, progress: Progress) -> dict[str, Any]:
    """Train and score every cell that is not done yet, measure what a step costs, and write `ablate.json`.

    Raises
    ------
    GibletError
        If anything that a cell needs cannot be had; finished cells stay.
    """
    refuse_impossible(ablation)  # said before the first hour
    content, cells = ablation.content(), []
    places = [(v, s) for v in ablation.variants for s in ablation.seeds]
    for done, (variant, seed) in enumerate(places):
        cells.append(run_cell(ablation, variant, seed, content, progress))
        progress("cells", done + 1, len(places))
    result = {
        "study": ablation.study.name,
        "command": command,
        "versions": {p: version(p) for p in PACKAGES},
        "modalities": ablation.modalities,
        "seeds": list(ablation.seeds),
        "reference": label(ablation.reference),
        "cells": cells,
        "variants": summarise(ablation, cells, step_costs(ablation, progress)),
    }
    RunFolder(ablation.out).write_json("ablate.json", result)
    return result


def refuse_impossible(ablation: Ablation) -> None:
    """Refuse variants whose settings cannot be or are the same, or with which the study cannot be split.

    Raises
    ------
    GibletError
        If there is one; where headers tell, its name comes first.
    """
    registry = Registry.discover()
    registry.load_wrappers()
    varied = ablation.modalities, ablation.overrides, ablation.variants
    configs = configs_of(*varied, ablation.seeds[0], registry)
    for variant, config in zip(ablation.variants, configs, strict=True):
        if config.split.all_folds:
            raise ConfigError(f"{label(variant)}: a cell is one training; say which fold with -o split.fold=K")
        try:
            problem = overview(ablation.study, config, registry).problem
        except GibletError as error:
            raise type(error)(f"{label(variant)}: {error}") from error
        if problem is not None:
            raise ConfigError(f"{label(variant)}: {problem}")


def run_cell(ablation: Ablation, variant: Variant, seed: int, content: list[Any], progress: Progress) -> dict[str, Any]:
    """One variant with one seed: trained and scored, or read where that is done.

    Its folder keeps settings, log and scores; the weights go when the scores are there.
    """
    registry = Registry.discover()
    registry.load_wrappers()
    config = ablation.config(variant, seed, registry)
    plain = config.model_dump(mode="json")
    path = ablation.out / folder_name(variant, seed)
    folder = RunFolder.open(path, plain, digest([by_content(plain), content, version("giblet")]))
    found: dict[str, Any] | None = folder.read_json("cell.json")
    if found is None:
        started = time.monotonic()
        inputs = extract_study(ablation.study, config, registry, progress)
        require_people(inputs.timelines, inputs.subjects)
        trained = train(inputs, config, folder, progress)
        found = {"settings": dict(variant), "seed": seed, "scores": scores(inputs, trained, config)}
        found |= {"trunk_parameters": trained.model.trunk_parameters(), "seconds": time.monotonic() - started}
        folder.write_json("cell.json", found)
    for weights in ("checkpoints", "model"):
        shutil.rmtree(path / weights, ignore_errors=True)
    return found


def step_costs(ablation: Ablation, progress: Progress) -> dict[str, dict[str, Any]]:
    """Parameters, memory and time of a front-end step of every variant, measured in turns in this process.

    There is no time where a variant trains no front ends.
    """
    built: dict[str, list[Stepper]] = {}
    for variant in ablation.variants:
        registry = Registry.discover()
        config = ablation.config(variant, ablation.seeds[0], registry)
        inputs = extract_study(ablation.study, config, registry, progress)
        built[label(variant)] = steppers_of(inputs, config)
    none = dict.fromkeys(built, dict.fromkeys(("step_s", "ratio", "quartiles")))
    times = (
        against(interleaved(built, REPEATS, progress=progress), label(ablation.reference))
        if all(built.values())
        else none
    )
    return {name: _size(steppers) | times[name] for name, steppers in built.items()}


def _size(steppers: Sequence[Stepper]) -> dict[str, int]:
    memory = max((s.memory_bytes() for s in steppers), default=0)
    return {"parameters": sum(s.parameters for s in steppers), "memory_bytes": memory}


def summarise(
    ablation: Ablation, cells: Sequence[dict[str, Any]], costs: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """A row a variant: its cost, and mean, SD and range of each score over seeds."""
    rows = []
    for variant in ablation.variants:
        mine = [c for c in cells if c["settings"] == dict(variant)]
        spread = {name: _spread([c["scores"][name] for c in mine]) for name in mine[0]["scores"]}
        name = label(variant)
        cost = costs[name] | {"trunk_parameters": mine[0]["trunk_parameters"]}
        rows.append({"name": name, "settings": dict(variant), "cost": cost, "scores": spread})
    return rows


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [v for v in values if v is not None]
    if not known:
        return dict.fromkeys(("mean", "sd", "low", "high"))
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return {"mean": float(np.mean(known)), "sd": sd, "low": min(known), "high": max(known)}
