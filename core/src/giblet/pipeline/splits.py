"""Which TRs train, validate and test, and how far apart they must lie."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from giblet.config import RunConfig, SplitConfig
from giblet.data.folds import fold_splits
from giblet.data.shared_films import Films, follow, leaders, refuse_seen
from giblet.data.split import MIN_GAP_S, Split, block_split, given_split, least_gap_s, plumbing_split, required_gap_s
from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.modality import Modality
from giblet.types import TRGrid


def gap_trs(study: Study, modalities: Mapping[str, Modality], config: RunConfig) -> int:
    """The gap between blocks in TRs, from the configured kernels and contexts.

    Raises
    ------
    ConfigError
        If the config asks for one that kernels or contexts reach across.
    """
    context = max(float(getattr(m, "context_s", 0.0)) for m in modalities.values())
    least = least_gap_s(config.model.kernel_s, context)
    asked = config.split.gap_s
    if asked is not None and asked < least and not config.plumbing:
        raise ConfigError(
            f"split.gap_s = {asked:g} is too small: kernels and feature context reach {least:g} s; give at least that, "
            "or a smaller model.kernel_s"
        )
    return ceil((required_gap_s(config.model.kernel_s, context) if asked is None else asked) / float(study.tr_s))


def gap_notes(config: RunConfig) -> list[str]:
    """Say it where a person chose a gap that is shorter than usual."""
    asked = config.split.gap_s
    if asked is None or asked >= MIN_GAP_S or config.plumbing:
        return []
    return [
        f"the gap between blocks is {asked:g} s by split.gap_s, under the usual {MIN_GAP_S:g} s: scans of neighbouring "
        "blocks may still be alike, so held-out scores may be too good"
    ]


def one_fold(config: RunConfig, k: int) -> RunConfig:
    """The config of the k-th fold, counted from 1."""
    return config.model_copy(update={"split": config.split.model_copy(update={"fold": k})})


def first_fold(config: RunConfig) -> RunConfig:
    """The config of the first training: that of the first fold where all are done."""
    return one_fold(config, 1) if config.split.all_folds else config


def in_fold(k: int, run: str) -> str:
    """How a run in the k-th of several folds is called."""
    return f"fold {k}: {run}"


def draw_splits(
    study: Study, config: RunConfig, grids: Mapping[str, TRGrid], gap: int, films: Films | None = None
) -> Split:
    """The splits of all trainings: that of each fold, by `in_fold`, where all folds are done, else the only one."""
    if not config.split.all_folds:
        return draw_split(study, config, grids, gap, films)
    ks = range(1, config.split.folds + 1)
    drawn = {k: draw_split(study, one_fold(config, k), grids, gap, films) for k in ks}
    return {in_fold(k, run): blocks for k, split in drawn.items() for run, blocks in split.items()}


def draw_split(
    study: Study, config: RunConfig, grids: Mapping[str, TRGrid], gap: int, films: Films | None = None
) -> Split:
    """Which TRs of each run train, validate and test: as the study states, by folds, or one block split.

    Runs that show the same of `films` share one split of its seconds.
    """
    leader_of = leaders(grids, films or {})
    if config.plumbing or study.split:
        leader_of = {run: run for run in grids}
    split = _drawn(study, config, {run: grids[run].n_trs for run in grids if leader_of[run] == run}, gap)
    found = follow(split, grids, leader_of)
    if not config.plumbing:
        refuse_seen(found, grids, films or {}, gap)
    return found


def _drawn(study: Study, config: RunConfig, lengths: Mapping[str, int], gap: int) -> Split:
    chosen = config.split
    if chosen.folds > 1:
        return _fold(study, config, lengths, gap)
    if chosen.fold is not None:
        raise ConfigError("split.fold chooses one of several folds; give split.folds (or --folds K) with it")
    if config.plumbing:
        return plumbing_split(lengths)
    if study.split:
        return given_split(study.split, lengths, gap)
    return block_split(lengths, gap, chosen.train, chosen.validation)


def _fold(study: Study, config: RunConfig, lengths: Mapping[str, int], gap: int) -> Split:
    """The split of one fold; refused where something else decides what is tested."""
    chosen = config.split
    if config.plumbing:
        raise ConfigError("--plumbing tests on what it trains on and needs no folds; leave one of them out")
    if study.split:
        raise ConfigError(f"{study.name!r} states its own [split], and folds draw theirs; leave one of them out")
    if chosen.train != SplitConfig().train:
        raise ConfigError("split.train has no effect with folds: all that is left trains; leave it out")
    splits = fold_splits(lengths, gap, chosen.folds, chosen.validation)
    if chosen.fold is None:
        raise ConfigError(f"each of {len(splits)} folds is a training of its own; say which with -o split.fold=K")
    if chosen.fold > len(splits):
        raise ConfigError(f"split.fold = {chosen.fold} is none of the {len(splits)} folds; give 1 to {len(splits)}")
    return splits[chosen.fold - 1]
