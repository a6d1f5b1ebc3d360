"""What a run's model gives: predicted scans, a decoded film, the cost of a lesion; each can be saved into a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from giblet.api.extracted import html_table
from giblet.api.progress import progress_bars
from giblet.api.studies import FilePath
from giblet.types import Features, TRGrid

if TYPE_CHECKING:
    from pandas import DataFrame

    from giblet.pipeline.decoding import DecodedScan
    from giblet.pipeline.lesion import Lesioned
    from giblet.pipeline.predict import PredictedFilm

MEASURED, PREDICTED = "from_measured", "from_predicted"


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Everybody's predicted scan of a film, with its clock and its space."""

    made: PredictedFilm

    @property
    def scans(self) -> Mapping[str, NDArray[np.float32]]:
        """Predicted BOLD [T, U] by subject, in units of the run's brain space; voxels are in SDs of the training scans.

        `average` is the mean over people, where voxel v is the same place in everybody.
        """
        return self.made.scans

    @property
    def grid(self) -> TRGrid:
        """When each TR begins, in film time."""
        return self.made.film.timeline.grid

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Where the voxels lie, [X, Y, Z]: `volume[mask] = voxels(who)[t]`; None where scans are tables of parcels."""
        mask = self.made.again.brain.state.get("mask")
        return None if mask is None else mask.astype(bool)

    def voxels(self, who: str) -> NDArray[np.float32]:
        """A scan of `scans` as voxels of the mask [T, V], whatever the units of the run's brain space are."""
        return np.asarray(self.made.again.brain.from_space(self.scans[who], who), np.float32)

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """Voxel indices to mm, [4, 4]; None where scans are tables of parcels."""
        affine = self.made.again.brain.state.get("affine")
        return None if affine is None else np.asarray(affine, np.float64)

    @property
    def modalities(self) -> list[str]:
        """What of the film was read."""
        return list(self.made.film.timeline.aligned)

    @property
    def missing(self) -> Mapping[str, str]:
        """What the model reads and the film lacks, with the reason."""
        return self.made.film.missing

    @property
    def notes(self) -> list[str]:
        """What is not as it was when the run was made, and what the film does not hold."""
        return self.made.notes

    def save(self, folder: FilePath, *, quiet: bool = False) -> dict[str, Any]:
        """Write a scan for everybody, and `prediction.json`, which is returned.

        Raises
        ------
        ConfigError
            If the folder holds something else.
        GibletError
            If it cannot be written.
        """
        from giblet.pipeline.predict import write_prediction

        with progress_bars(quiet=quiet) as progress:
            return write_prediction(self.made, Path(folder), progress)

    def __repr__(self) -> str:
        name, voxels = self.made.film.timeline.run, next(iter(self.scans.values())).shape[1]
        clock = f"{self.grid.n_trs} TRs of {float(self.grid.tr_s):g} s"
        return f"<Prediction of {name}: {clock}, {voxels} voxels of {', '.join(self.scans)}>"


@dataclass(frozen=True, eq=False, repr=False)
class Decoding:
    """What was read from a scan. Films are large, so that each modality is made when it is asked for."""

    made: DecodedScan

    @property
    def codes(self) -> Mapping[str, NDArray[np.float32]]:
        """The scaled code [T, W] that was read of each modality."""
        return {name: code.numpy() for name, code in self.made.codes.items()}

    @property
    def grid(self) -> TRGrid:
        """When each TR begins; time 0 is the beginning of volume 0."""
        return TRGrid(self.made.again.blueprint.tr_s, self.made.written_trs)

    @property
    def playable(self) -> list[str]:
        """The modalities that can be made into a film, a sound or a text."""
        return [n.name for n in self.made.playable]

    @property
    def notes(self) -> list[str]:
        """What was assumed of the scan, and what is not as it was when the run was made."""
        return self.made.notes

    @property
    def read_by(self) -> str:
        """Whose heads read the scan."""
        return self.made.read_by

    def features(self, modality: str) -> Features:
        """Native features [N, *S] of a modality with their times, made from its code."""
        by_name = {n.name: n for n in self.made.again.nets}
        if modality not in by_name:
            raise KeyError(f"{modality}; there are: {', '.join(by_name)}")
        return self.made.features(by_name[modality])

    def save(self, folder: FilePath, *, quiet: bool = False) -> dict[str, Any]:
        """Write film, sound and text, and `decoded.json`, which is returned.

        Raises
        ------
        ConfigError
            If the folder holds something else.
        GibletError
            If it cannot be written.
        """
        from giblet.pipeline.decoding import write_decoding

        with progress_bars(quiet=quiet) as progress:
            return write_decoding(self.made, Path(folder), progress)

    def __repr__(self) -> str:
        clock = f"{self.grid.n_trs} TRs of {float(self.grid.tr_s):g} s"
        return f"<Decoding of {self.made.scan.name}: {clock} of {', '.join(self.codes)}, read by {self.read_by}>"


@dataclass(frozen=True, eq=False, repr=False)
class Lesion:
    """A lesion and what it costs each modality."""

    made: Lesioned

    @property
    def result(self) -> dict[str, Any]:
        """All of it, as in `lesion.json`."""
        return self.made.told

    @property
    def name(self) -> str:
        """What was taken away."""
        return str(self.result["lesion"])

    @property
    def voxels(self) -> NDArray[np.float64]:
        """How much of each voxel was taken, [V]: 1 inside and 0 outside; of components their weights."""
        return self.made.target.weights

    @property
    def warnings(self) -> list[str]:
        """What must be known before the table is believed."""
        return list(self.result["warnings"])

    @property
    def table(self) -> DataFrame:
        """A row a modality and source: intact and lesioned loss, their difference, that on codes, its interval, p."""
        from pandas import DataFrame

        names = ("intact", "lesion", "effect", "code_effect", "code_interval", "p", "decodable")
        rows = [
            {"modality": m, "from": source, **{n: found.get(n) for n in names}}
            for m, row in self.result["modalities"].items()
            for source, found in ((MEASURED, row), (PREDICTED, row[PREDICTED]))
        ]
        return DataFrame(rows).set_index(["modality", "from"])

    def save(self, folder: FilePath, *, quiet: bool = False) -> dict[str, Any]:
        """Write `lesion.json` (returned), where it lies, and the film as it is seen without the part and by it alone.

        Raises
        ------
        ConfigError
            If the folder holds something else.
        GibletError
            If it cannot be written.
        """
        from giblet.pipeline.lesion import write_lesion

        with progress_bars(quiet=quiet) as progress:
            return write_lesion(self.made, Path(folder), progress)

    def __repr__(self) -> str:
        size = f"{self.result['n_units']} of {self.result['of_units']} {self.result['units']}"
        costs = ", ".join(f"{m} {row['effect']:+.3f}" for m, row in self.result["modalities"].items())
        return f"<Lesion of {self.name}: {size}; from measured scans {costs}>"

    def _repr_html_(self) -> str:
        names = ("", "from", "intact", "lesion", "effect", "effect on codes", "p")
        cells = ("intact", "lesion", "effect", "code_effect", "p")
        rows = [[m, source, *(row[c] for c in cells)] for (m, source), row in self.table.iterrows()]
        return html_table(names, rows)
