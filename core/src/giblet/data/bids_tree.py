"""fMRIPrep's derivatives by their names: only `sub-*/[ses-*/]func` is listed, no index is built and no file opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from giblet.data.naming import entities_of, natural
from giblet.data.written import read_object
from giblet.errors import ConfigError, DataError

BOLD = re.compile(r"_desc-preproc_bold\.nii(?:\.gz)?$|_bold\.(?:func\.gii|[dp]tseries\.nii)$")
LOOKED_FOR = "sub-*/[ses-*/]func/*_desc-preproc_bold.nii.gz, *_bold.func.gii or *_bold.dtseries.nii"
OF_THE_IMAGE = ("space", "res", "den", "hemi", "desc", "cohort")
"""Entities that tell images of one scan apart."""
TOLD = 5
"""How many scans that lack something are named; the others are counted."""
NATIVE = "func"
"""The space of a scan that was not resampled, by fMRIPrep's name for it."""


@dataclass(frozen=True, slots=True)
class Image:
    """One preprocessed image: what its name says, and which names lie beside it."""

    path: Path
    entities: Mapping[str, str]
    beside: frozenset[str] = field(repr=False)

    @property
    def subject(self) -> str:
        """The person."""
        return f"sub-{self.entities['sub']}"

    @property
    def space(self) -> str:
        """Space and resolution as fMRIPrep's `--output-spaces` writes them: `MNI152NLin2009cAsym:res-2`."""
        finer = [f"{k}-{self.entities[k]}" for k in ("cohort", "res", "den") if k in self.entities]
        return ":".join([self.entities.get("space", NATIVE), *finer])

    @property
    def scan(self) -> str:
        """What names of this scan begin with, whatever the image."""
        kept = [f"{k}-{v}" for k, v in self.entities.items() if k not in OF_THE_IMAGE]
        return "_".join(kept)

    @property
    def mask(self) -> Path | None:
        """The brain mask on the same grid, where there is one, compressed or not."""
        stem = self.path.name.partition("_desc-preproc_bold.nii")[0]
        found = (self._beside(f"{stem}_desc-brain_mask{end}") for end in (".nii.gz", ".nii"))
        return next((p for p in found if p is not None), None)

    @property
    def confounds(self) -> Path | None:
        """The table of confounds, where there is one."""
        names = [f"{self.scan}_desc-confounds_{end}.tsv" for end in ("timeseries", "regressors")]
        return next((p for p in map(self._beside, names) if p is not None), None)

    def _beside(self, name: str) -> Path | None:
        return self.path.with_name(name) if name in self.beside and name != self.path.name else None


class Tree(NamedTuple):
    """What derivatives hold: their images, and what was passed over."""

    images: list[Image]
    notes: tuple[str, ...]


def derivatives_of(folder: Path) -> tuple[Path, Path]:
    """The folder of fMRIPrep's derivatives, and the root of the data set that they are of.

    Raises
    ------
    DataError
        If there is no such folder.
    ConfigError
        If it holds several derivatives.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; give the root of a BIDS data set, or fMRIPrep's folder in it")
    inside = folder / "derivatives"
    if not inside.is_dir() or _says_derivative(folder):
        parent = folder.absolute().parent
        return folder, parent.parent if parent.name == "derivatives" else folder
    found = sorted(p for p in inside.iterdir() if p.is_dir())
    named = [p for p in found if p.name.startswith("fmriprep")] or found
    if len(named) != 1:
        said = ", ".join(p.name for p in found) or "nothing"
        raise ConfigError(f"{inside} holds {said}; name the folder of fMRIPrep: --bids {inside / 'NAME'}")
    return named[0], folder


def _says_derivative(folder: Path) -> bool:
    described = folder / "dataset_description.json"
    return described.is_file() and read_object(described).get("DatasetType") == "derivative"


def tree_of(derivatives: Path) -> Tree:
    """Every preprocessed image, of all tasks and spaces, in the order of the names; single echoes are passed over.

    Notes name images whose names say no person or task, and people without an image.
    """
    images: list[Image] = []
    odd: list[str] = []
    without: list[str] = []
    for subject in _folders(derivatives, "sub-"):
        every = [image for folder in _func_folders(subject) for image in _images(folder)]
        named = [i for i in every if {"sub", "task"} <= i.entities.keys()]
        odd += [i.path.name for i in every if i not in named]
        whole = [i for i in named if "echo" not in i.entities]
        without += [] if whole else [subject.name]
        images += whole
    notes = [f"{some(odd)} passed over: no sub-NAME or no task-NAME of letters and digits in the name"] if odd else []
    notes += [f"{some(without)} without a preprocessed scan in func"] if without else []
    return Tree(images, tuple(notes))


def _images(folder: Path) -> list[Image]:
    names = frozenset(e.name for e in os.scandir(folder))
    return [Image(folder / n, entities_of(n), names) for n in sorted(names, key=natural) if BOLD.search(n)]


def _func_folders(subject: Path) -> Iterator[Path]:
    inside = [Path(e.path) for e in os.scandir(subject) if e.is_dir()]
    yield from (p for p in inside if p.name == "func")
    sessions = sorted((p for p in inside if p.name.startswith("ses-")), key=lambda p: natural(p.name))
    yield from (s / "func" for s in sessions if (s / "func").is_dir())


def _folders(root: Path, prefix: str) -> list[Path]:
    return sorted(Path(e.path) for e in os.scandir(root) if e.name.startswith(prefix) and e.is_dir())


def some(names: Sequence[str]) -> str:
    """The first of some names, how many there are beside, and the verb."""
    more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
    return f"{', '.join(names[:TOLD])}{more} {'is' if len(names) == 1 else 'are'}"
