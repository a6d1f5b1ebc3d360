"""A measured scan back to film, sound and text: of a person the model knows, or of somebody new."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from giblet import stages
from giblet.data.split import Block
from giblet.errors import ConfigError
from giblet.model import ModalityNets, decode_code, read_block
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.new_scan import as_the_runs, clock_notes, read_scan
from giblet.pipeline.reconstruct import cut, read_summary, render
from giblet.pipeline.reopen import Reopened
from giblet.pipeline.results import results_folder
from giblet.pipeline.spaces import AVERAGE
from giblet.pipeline.study_record import known_notes
from giblet.types import ALONE, Features, Progress, ScanFiles, TRGrid

MARKER = "decoded.json"
NO_BASIS = (
    "each person of the run has a basis of their own (fmri.space=srm); somebody new has none, and is read by the mean "
    "of all; for a basis of their own, run again with their scans of the training film in the study"
)


def latent_of(again: Reopened, y: NDArray[np.float32], valid: NDArray[np.bool_], subject: str | None) -> Tensor:
    """What is read of a scan [T, V], for `rebuild`: as the person's own, or, of somebody new, the mean over everybody.

    Only `valid` TRs [T] are read. The mean holds what people have in common and a little more than a head that all
    share: of a person left out of a demo study, nets gave every modality's code back better so (r of video .189 against
    .182).

    Raises
    ------
    ConfigError
        If somebody new is to be read, and the voxels of the run's people are not the same places.
    """
    if subject is None and again.brain.averages:
        subject = AVERAGE
    if subject is not None:
        return read_block(again.model, y, valid, subject)
    if not again.blueprint.pooled:
        raise ConfigError(
            "the run's people do not share their voxels, so it cannot read somebody new; name the subject, one of "
            f"{', '.join(again.subjects)}, or train with this person's scans"
        )
    return torch.stack([read_block(again.model, y, valid, s) for s in again.subjects]).mean(0)


@dataclass(frozen=True, eq=False)
class DecodedScan:
    """What was read from a scan: each modality's scaled code [T, W], of which `written_trs` are to be made."""

    again: Reopened
    scan: Path
    subject: str | None
    codes: dict[str, Tensor]
    n_trs: int
    written_trs: int
    notes: list[str]

    @property
    def playable(self) -> list[ModalityNets]:
        """The modalities that can be made into a file."""
        return _playable(self.again)

    @property
    def read_by(self) -> str:
        """Whose heads read the scan."""
        return f"the head of {self.subject}" if self.subject else "the mean of everybody's heads"

    def features(self, n: ModalityNets) -> Features:
        """Native features of a modality, made from its code; time begins with volume 0."""
        again, block = self.again, Block("test", 0, self.written_trs)
        blank = again.clocks[n.name].blank(
            again.modalities[n.name], n.spec, TRGrid(again.blueprint.tr_s, self.written_trs)
        )
        code = self.codes[n.name][: self.written_trs]
        made = render(n, lambda rows: decode_code(n, again.codes, code[rows]), blank, block)
        return cut(blank, block, made, read_summary(n, again.codes, code))


def decode_scan(
    again: Reopened,
    scan: Path,
    progress: Progress,
    subject: str | None = None,
    seconds: Fraction | None = None,
    tr_s: Fraction | None = None,
    files: ScanFiles = ALONE,
) -> DecodedScan:
    """Read a scan, to be made into film and sound of at most its first `seconds`; nothing is written.

    Raises
    ------
    ConfigError, DataError
        As `read_scan` and `latent_of`, or if nothing can be played.
    """
    if not _playable(again):
        raise ConfigError(f"nothing that {again.run} was trained on can be played: {', '.join(again.modalities)}")
    beside = as_the_runs(again, scan, subject, files)
    y, valid = read_scan(again, scan, subject, tr_s, beside)
    progress("scan", 1, 1)
    with torch.no_grad():
        codes = again.model.rebuild(latent_of(again, y, valid, subject))
    n_trs = len(y) if seconds is None else min(len(y), max(1, int(seconds / again.blueprint.tr_s)))
    notes = [*again.notes, *known_notes(again.run, scan, subject), *clock_notes(again, scan, tr_s, files)]
    notes += reading_notes(again, subject, beside)
    return DecodedScan(again, scan, subject, codes, len(y), n_trs, notes)


def reading_notes(again: Reopened, subject: str | None, files: ScanFiles) -> list[str]:
    """What was taken out of a scan, and what stands for a person's own basis where they have none."""
    notes = [NO_BASIS] if subject is None and "people" in again.brain.state else []
    if files.confounds is None:
        return notes
    columns = f"{', '.join(files.confound_columns)} of " if files.confound_columns else ""
    return [*notes, f"cleaned of the confounds in {columns}{files.confounds.name}"]


def write_decoding(made: DecodedScan, out: Path, progress: Progress) -> dict[str, Any]:
    """Write what was read of each modality as a file, and `decoded.json`, which is returned.

    Raises
    ------
    ConfigError, GibletError
        As `results_folder`.
    """
    with results_folder(out, MARKER) as folder:
        told = _told(made, _write_films(made, folder, progress))
        RunFolder(folder).write_json(MARKER, told)
    return told


def _write_films(made: DecodedScan, folder: Path, progress: Progress) -> dict[str, str]:
    """The name of each modality's file."""
    again = made.again
    files: dict[str, str] = {}
    progress("decode", 0, len(made.playable))
    for done, n in enumerate(made.playable):
        modality = again.modalities[n.name]
        files[n.name] = stages.reconstruct(again.registry, modality, made.features(n), folder / n.name).name
        progress("decode", done + 1, len(made.playable))
    return files


def _told(made: DecodedScan, files: dict[str, str]) -> dict[str, Any]:
    again = made.again
    return {
        "run": again.run.absolute(),
        "scan": made.scan.absolute(),
        "subject": made.subject,
        "read_by": made.read_by,
        "tr_s": float(again.blueprint.tr_s),
        "n_trs": made.n_trs,
        "written_trs": made.written_trs,
        "files": files,
        "how": {k: how for k in files if (how := again.modalities[k].how)},
        "cannot_be_played": [n.name for n in again.nets if n.name not in files],
        "notes": made.notes,
    }


def _playable(again: Reopened) -> list[ModalityNets]:
    return [n for n in again.nets if again.modalities[n.name].can_reconstruct()]
