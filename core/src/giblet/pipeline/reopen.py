"""A finished run, opened again: its model without any data, or with the study's data beside it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from giblet.analysis.decode import Reader
from giblet.brain import BrainModality
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.errors import ConfigError, DataError
from giblet.modality import Modality
from giblet.model import Codes, ModalityNets, Model, Projection, RelativeLoss, members_of, predict_scans
from giblet.pipeline.blueprint import Blueprint
from giblet.pipeline.cleaned import Scale
from giblet.pipeline.clocks import Clock
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.loading import load_weights, read_blueprint, read_loss, read_model, version_notes
from giblet.pipeline.networks import build_model, build_nets
from giblet.pipeline.prepare import Inputs, extract_study
from giblet.pipeline.saving import BRAIN
from giblet.pipeline.study_record import require_files, restored
from giblet.pipeline.trained import Trained
from giblet.plugins import Registry
from giblet.training import apply_codes
from giblet.types import Progress


@dataclass(frozen=True)
class Reopened:
    """A trained model with all that it needs to predict a new film or to decode a new scan.

    `codes` hold the projections and no run; `bold_sd` [V] is what each subject's scans were divided by; `clocks` are
    the rates of the features; `tables` says that scans are tables, not images, `confounds` that they were cleaned of
    more than drift; `read_as` what of each scan's files was named; `notes` what is not as it was when the run was made.
    """

    run: Path
    config: RunConfig
    blueprint: Blueprint
    model: Model
    nets: list[ModalityNets]
    losses: dict[str, RelativeLoss]
    codes: Codes
    bold_sd: dict[str, Scale]
    clocks: dict[str, Clock]
    tables: bool
    confounds: bool
    read_as: list[dict[str, Any]]
    gap: int
    split: dict[str, list[list[Any]]]
    notes: list[str]

    @property
    def registry(self) -> Registry:
        """The plugins that the model was built with."""
        return self.blueprint.registry

    @property
    def modalities(self) -> dict[str, Modality]:
        """The fitted stimulus modalities by key."""
        return self.blueprint.modalities

    @property
    def brain(self) -> BrainModality:
        """The fitted brain modality."""
        return self.blueprint.brain

    @property
    def subjects(self) -> list[str]:
        """Everybody the model has heads for, in their order."""
        return self.blueprint.subjects

    @property
    def projections(self) -> dict[str, Projection]:
        """What turns codes into the trunk's inputs, by modality."""
        return self.codes.projections


class ReopenedStudy(NamedTuple):
    """A reopened run with its data: everything that `evaluate` worked with."""

    study: Study
    inputs: Inputs
    trained: Trained
    reader: Reader


def reopen(run: Path, registry: Registry) -> Reopened:
    """The model of a finished run, without its data; weights are those that were trained, bit by bit.

    Raises
    ------
    ConfigError
        If `run` is not the folder of a run, or of one that is not trained yet.
    PluginError
        If a plugin is missing or builds other networks than it did.
    DataError
        If the files of the model are damaged.
    """
    facts, weights, arrays = read_model(run)
    config = RunConfig.model_validate(facts["config"])
    blueprint = read_blueprint(facts, arrays, registry)
    codes = Codes.empty(0, {key: Projection.of(a) for key, a in arrays["projection"].items()})
    nets = build_nets(blueprint, config)
    model = build_model(blueprint, nets, codes, config)
    for member in members_of(model):
        voxels = [blueprint.voxels[s] for s in blueprint.subjects]
        member.encode(voxels, codes.plain_sizes)
        member.invert(voxels)
    load_weights(model, nets, weights, facts)
    return Reopened(
        run,
        config,
        blueprint,
        model,
        nets,
        {n.name: read_loss(n, arrays["constant"][n.name]["values"], facts["loss_scales"][n.name]) for n in nets},
        codes,
        {subject: a["values"] for subject, a in arrays["bold_sd"].items()},
        {key: Clock.read(c) for key, c in facts["clocks"].items()},
        facts["tables"],
        facts["confounds"],
        facts["read_as"],
        facts["gap"],
        facts["split"],
        version_notes(facts, registry),
    )


def study_of(run: Path, moved: Study | None = None) -> Study:
    """The study of a run, or `moved` where that holds the same files.

    Raises
    ------
    ConfigError
        If the run does not know its study.
    DataError
        If a file of the study is gone or has changed, naming the first.
    """
    kept = RunFolder(run).read_json("study.json")
    if kept is None:
        raise ConfigError(f"{run} has no study.json, so its films and scans are unknown; copy it with the run")
    found = restored(kept, run) if moved is None else moved
    require_files(found, kept, run)
    return found


def with_data(again: Reopened, study: Study, progress: Progress) -> ReopenedStudy:
    """A reopened run with its study read again.

    Raises
    ------
    DataError
        If the study cannot be split as it was.
    """
    fitted = {**again.modalities, BRAIN: again.brain}
    inputs = extract_study(study, again.config, again.registry, progress, fitted=fitted)
    if inputs.described["split"] != again.split:
        raise DataError(f"the split of {again.run} cannot be drawn again with giblet {version('giblet')}; run again")
    inputs.described["notes"] += again.notes
    codes = apply_codes(inputs.timelines, again.nets, again.modalities, again.projections, progress)
    trained = Trained(again.model, again.nets, again.losses, codes)
    predicted = predict_scans(again.model, codes, inputs.timelines)
    reader = Reader(again.model, again.nets, again.losses, codes, inputs.timelines, predicted, again.config)
    return ReopenedStudy(study, inputs, trained, reader)
