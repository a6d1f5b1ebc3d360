"""An unseen film as a model reads it: on its clock, with what it has of the model's modalities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

from giblet import stages
from giblet.alignment.grid import stop_s
from giblet.data.dataset import Timeline
from giblet.data.split import MIN_TRS, Block
from giblet.data.store import open_store
from giblet.data.study import Stimulus
from giblet.errors import ConfigError, DataError, did_you_mean
from giblet.modality import Modality
from giblet.pipeline.reopen import Reopened
from giblet.pipeline.scans import block_cleaning
from giblet.types import Features, FeatureSpec, Progress, Source, TRGrid


@dataclass(frozen=True)
class Film:
    """A film as a model reads it: on its clock, with the modalities that it has, and why others are missing.

    `files` are what each modality was read from.
    """

    timeline: Timeline
    missing: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        """What of the film a signal does not cover, and that nothing was cleaned where it is short."""
        n = self.timeline.grid.n_trs
        found = []
        for key, aligned in self.timeline.aligned.items():
            covered = int(aligned.valid.sum())
            if not covered:
                found.append(f"{key} covers none of the {n} TRs, and says nothing; check its times and --offset")
            elif covered < n and aligned.features.durations is None:
                found.append(f"{key} covers {covered} of {n} TRs")
        short = f"nothing was cleaned: of fewer than {MIN_TRS} TRs drifts would take all"
        return found if self.timeline.cleaning else [*found, short]


def read_film(again: Reopened, stimulus: Stimulus, offset_s: Fraction, n_trs: int | None, progress: Progress) -> Film:
    """Extract and align what the film has of the model's modalities; the others are missing, each with its reason.

    What cleaning takes out of a scan as long as the film is taken out of its prediction too; of a film of fewer than 20
    TRs it would take everything, so that nothing is.

    Raises
    ------
    ConfigError
        If it has none of them, features that the model does not know, or fewer TRs than asked for.
    DataError
        If its features are of another shape than those that the model was trained on.
    """
    if unknown := [name for name in stimulus.features if name not in again.modalities]:
        raise ConfigError(f"the run has no features {unknown[0]!r}; {did_you_mean(unknown[0], list(again.modalities))}")
    sources, missing = sources_of(again.modalities, stimulus)
    name = _name(stimulus)
    if not sources:
        raise ConfigError(f"{name} has nothing that the model reads: {'; '.join(missing.values())}")
    open_store(again.registry)
    features = {}
    progress("extract", 0, len(sources))
    for done, (key, source) in enumerate(sources.items()):
        features[key] = stages.extract(again.registry, again.modalities[key], source)
        _require_shape(key, features[key], again.blueprint.specs[key])
        progress("extract", done + 1, len(sources))
    grid = _grid(name, features, again.blueprint.tr_s, offset_s, n_trs)
    aligned = {k: stages.align(again.registry, again.modalities[k], f, grid) for k, f in features.items()}
    timeline = Timeline(name, grid, (Block("test", 0, grid.n_trs),), aligned)
    if grid.n_trs >= MIN_TRS:
        timeline = replace(timeline, cleaning=block_cleaning(again.brain, timeline))
    return Film(timeline, missing, {k: source.path.absolute() for k, source in sources.items()})


def _name(stimulus: Stimulus) -> str:
    """What a film is called: its file, or the first that is there in its place."""
    files = [*stimulus.files.values(), *(table.path for table in stimulus.features.values())]
    return files[0].name


def sources_of(modalities: Mapping[str, Modality], stimulus: Stimulus) -> tuple[dict[str, Source], dict[str, str]]:
    """The file and stream of each modality that is there, and what to say of each that is not."""
    sources, missing = {}, {}
    for key, modality in modalities.items():
        path = stimulus.files.get(modality.kind)
        if key in stimulus.features:
            sources[key] = Source(stimulus.features[key].path)
        elif path is None:
            missing[key] = f"no {key} was given"
        elif not _has_stream(modality.kind, path):
            missing[key] = f"{path.name} has no {key}"
        else:
            sources[key] = stimulus.source(modality.kind)
    return sources, missing


def _has_stream(kind: str, path: Path) -> bool:
    """Whether a film has pictures or sound; files of other kinds hold what they are named for."""
    from giblet.media import audio_streams, video_streams

    found = {"video": video_streams, "audio": audio_streams}.get(kind)
    return found is None or bool(found(path))


def _require_shape(key: str, features: Features, spec: FeatureSpec) -> None:
    if features.values.shape[1:] != spec.shape:
        found, wanted = ("x".join(map(str, shape)) or "1" for shape in (features.values.shape[1:], spec.shape))
        raise DataError(f"{key} has {found} values a sample, the model was trained on {wanted}; give features alike")


def _grid(name: str, features: Mapping[str, Features], tr_s: Fraction, offset_s: Fraction, asked: int | None) -> TRGrid:
    every = list(features.values())
    telling = [f for f in every if f.durations is None] or every
    end = max(stop_s(f) for f in telling)
    there = max(_reached(f, tr_s, offset_s) for f in telling)
    if there < 1 or (asked is not None and not 1 <= asked <= there):
        wanted = "none can be predicted" if there < 1 else f"--trs {asked} cannot be predicted"
        raise ConfigError(
            f"{name} ends at {float(end):.1f} s: from --offset {float(offset_s):g} on there are {max(there, 0)} TRs of "
            f"{float(tr_s):g} s, and {wanted}"
        )
    return TRGrid(tr_s, asked or there, offset_s)


def _reached(features: Features, tr_s: Fraction, offset_s: Fraction) -> int:
    """How many TRs there is something of; one that is only begun counts if a sample lies in it."""
    end = (stop_s(features) - offset_s) / tr_s
    if features.durations is not None or len(features.ticks) == 0:
        return ceil(end)
    last = (int(features.ticks[-1]) * features.timebase - offset_s) / tr_s
    return max(floor(end), floor(last) + 1)
