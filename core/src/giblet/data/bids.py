"""A study from a BIDS data set with fMRIPrep's derivatives: scans, masks and confounds by their entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from giblet.data.assemble import check_tr, make_scans, without
from giblet.data.bids_stimuli import Given, stimuli_of
from giblet.data.bids_tree import LOOKED_FOR, TOLD, Image, Tree, derivatives_of, some, tree_of
from giblet.data.naming import Named, entities_of, paired, refuse_two_of_one, run_of
from giblet.data.parts import Study
from giblet.data.study_file import ScanEntry
from giblet.data.written import read_object
from giblet.errors import ConfigError, DataError, did_you_mean

OF_A_RUN = ("ses", "acq", "ce", "rec", "dir", "run")
"""Entities that tell the scans of one person and task apart."""


def study_from_bids(
    folder: Path, task: str | None = None, space: str | None = None, given: Given | None = None
) -> Study:
    """The scans of a task in one space, with their brain masks and confounds, and the films that their events name.

    Flags that name stimuli (`given`) take the place of the events. `space` is written as fMRIPrep does it,
    `MNI152NLin2009cAsym:res-2`; it need not be given where there is one.

    Raises
    ------
    ConfigError
        If the task or space does not exist, or it is open which is meant, or what was shown.
    DataError
        If files are missing or scans are not what they are said to be, each subject named.
    """
    given = given or Given()
    check_tr(given.tr_s)
    derivatives, root = derivatives_of(folder.expanduser().absolute())
    tree = tree_of(derivatives)
    images, exclude = _without(_of_task(tree, task, derivatives), given.exclude)
    chosen = _in_space(images, space)
    rights = paired([i.path for i in chosen])
    named = _named([i for i in chosen if i.path in rights])
    stimuli, shown = stimuli_of(named, root, given)
    wanted = without([_entry(n, i, rights[i.path], *shown[i.path]) for n, i in named], exclude)
    _require_all(wanted)
    scans, notes = make_scans(wanted, root, given.tr_s, None)
    atlas, labels, several = _atlas(derivatives, chosen[0])
    truth, split = _truth(root)
    told = (*notes, *several, *_absent(wanted), *_chosen(chosen[0], tree.images), *tree.notes)
    extra: dict[str, Any] = {"atlas": atlas, "labels": labels, "truth": truth, "given_tr_s": given.tr_s}
    used = tuple(s for s in stimuli if s.name in {e.stimulus for e in wanted})
    name = f"{root.name}-{chosen[0].entities['task']}"
    return Study(name, root, used, scans, split, notes=told, **extra)


def _entry(named: Named, image: Image, right: Path | None, stimulus: str, offset_s: Fraction) -> ScanEntry:
    beside = {"right": right, "mask": image.mask, "confounds": image.confounds}
    who = {"subject": named.subject, "run": named.run, "stimulus": stimulus}
    return ScanEntry(**who, bold=image.path, offset_s=float(offset_s), **beside)


def _chosen(image: Image, every: Sequence[Image]) -> list[str]:
    """Which of the tree's scans were taken, and who has none of them."""
    task = image.entities["task"]
    elsewhere = sorted({i.subject for i in every} - {i.subject for i in every if i.entities["task"] == task})
    have = "has" if len(elsewhere) == 1 else "have"
    absent = [f"{', '.join(elsewhere)} {have} no scan of task {task}"] if elsewhere else []
    return [f"scans are of task {task}, space {image.space}", *absent]


def _of_task(tree: Tree, task: str | None, derivatives: Path) -> list[Image]:
    if not tree.images:
        raise DataError("; ".join([f"{derivatives} holds no scan of fMRIPrep: there is no {LOOKED_FOR}", *tree.notes]))
    tasks = sorted({i.entities["task"] for i in tree.images})
    if task is None and len(tasks) > 1:
        raise ConfigError(f"{derivatives} has the tasks {', '.join(tasks)}; choose one with --task")
    name = (task or tasks[0]).removeprefix("task-")
    if name not in tasks:
        raise ConfigError(f"{derivatives} has no scan of task {name!r}; {did_you_mean(name, tasks)}")
    return [i for i in tree.images if i.entities["task"] == name]


def _without(images: Sequence[Image], exclude: Collection[str]) -> tuple[list[Image], list[str]]:
    """The images of people who are not excluded, whatever theirs lack, and what else is to be excluded."""
    people = {i.subject for i in images}
    gone = {name for name in exclude if f"sub-{name.removeprefix('sub-')}" in people}
    left = [i for i in images if not {i.subject, i.subject.removeprefix("sub-")} & gone]
    if not left:
        raise ConfigError("--exclude leaves no scan at all; keep at least one subject")
    return left, [name for name in exclude if name not in gone]


def _in_space(images: Sequence[Image], space: str | None) -> list[Image]:
    """The images of one space, which everybody must have."""
    counts = Counter(i.space for i in images)
    exact = [s for s in counts if s == space]
    fitting = exact or [s for s in counts if space in (s.partition(":")[0], None)]
    if len(fitting) != 1:
        there = ", ".join(f"{s} ({n} files)" for s, n in sorted(counts.items()))
        what = "scans are in several spaces" if space is None or fitting else f"no scan is in the space {space!r}"
        raise ConfigError(f"{what}; choose one with --space: {there}")
    chosen = [i for i in images if i.space == fitting[0]]
    missing = sorted({i.scan for i in images} - {i.scan for i in chosen})
    if missing:
        raise DataError(f"{some(missing)} not in the space {fitting[0]}; make fMRIPrep write it, or choose another")
    return chosen


def _named(images: Sequence[Image]) -> list[tuple[Named, Image]]:
    """Each scan's person and run, by the entities in which runs differ."""
    varying = [k for k in OF_A_RUN if len({i.entities.get(k) for i in images}) > 1]
    named = [Named(i.path, i.subject, run_of(i.entities, varying), dict(i.entities)) for i in images]
    refuse_two_of_one(named, "move one away")
    return list(zip(named, images, strict=True))


def _require_all(entries: Sequence[ScanEntry]) -> None:
    """Masks and confounds belong to all scans, or to none: what fMRIPrep left out for some is a mistake."""
    for what, name in (("mask", "desc-brain_mask.nii.gz"), ("confounds", "desc-confounds_timeseries.tsv")):
        lacking = [f"{e.subject} {e.run}" for e in entries if getattr(e, what) is None]
        if lacking and len(lacking) < len(entries):
            out = " ".join(f"--exclude {s.partition(' ')[0]}" for s in lacking[:TOLD])
            raise DataError(f"{some(lacking)} without {name}, which the others have; copy it, or leave out with {out}")


def _absent(entries: Sequence[ScanEntry]) -> list[str]:
    lacking = [w for w in ("mask", "confounds") if all(getattr(e, w) is None for e in entries)]
    words = {"mask": "no brain masks: the mask is learned", "confounds": "no confounds: only drift is taken out"}
    return [f"the derivatives have {words[w]}" for w in lacking]


def _atlas(derivatives: Path, image: Image) -> tuple[Path | None, Path | None, list[str]]:
    """The one atlas beside the subjects' folders and in the scans' space, `*atlas-NAME*_dseg.nii.gz`, and its table."""
    found = []
    for path in sorted(derivatives.glob("*atlas-*_dseg.nii*")):
        entities = entities_of(path.name)
        if entities.get("space", entities.get("tpl", image.entities.get("space"))) == image.entities.get("space"):
            found.append(path)
    if len(found) != 1:
        several = f"several atlases ({', '.join(p.name for p in found)}): none is taken; name one by fmri.atlas"
        return None, None, [several] if found else []
    labels = found[0].with_name(found[0].name.removesuffix(".gz").removesuffix(".nii") + ".tsv")
    return found[0], labels if labels.is_file() else None, []


def _truth(root: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The `truth.json` of a made-up data set, which says how it is split, too."""
    path = root / "truth.json"
    if not path.is_file():
        return None, {}
    split = read_object(path, "split")["split"]
    return path, {run: tuple(map(tuple, blocks)) for run, blocks in split.items()}
