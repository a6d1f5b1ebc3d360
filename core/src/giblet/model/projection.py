"""From what an encoder gives to what the trunk reads, and back: learned on one film, applied to any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError
from giblet.types import Float

Matrix = NDArray[np.float32]
Fitted = NDArray[np.float64]
STILL = 1e-6
"""A column whose SD is smaller than this share of the largest does not vary: it becomes 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """What was learned of one modality on training TRs.

    `centre` and `scale` [W] standardise the code. `summary_centre` and `summary_scale` [S] do so with the summary, each
    group of its columns together, and `summary_basis` [P', S] takes its components; None where no summary is joined.
    `basis` [P, W + P'] takes the components of both that the trunk reads; None where it reads the scaled code itself.
    """

    centre: Fitted
    scale: Fitted
    basis: Fitted | None = None
    summary_centre: Fitted | None = None
    summary_scale: Fitted | None = None
    summary_basis: Fitted | None = None

    @property
    def outputs(self) -> int:
        """P, how many columns the trunk reads."""
        return len(self.centre) if self.basis is None else len(self.basis)

    @property
    def width(self) -> int:
        """W, the size of the code that the modality's own decoder reads."""
        return len(self.centre)

    @property
    def back(self) -> int:
        """How many columns are read back from scans: the code, then the plain features where they are joined."""
        return self.width + (0 if self.summary_basis is None or self.basis is None else len(self.summary_basis))

    @property
    def parts(self) -> list[slice]:
        """The columns that are read back, part by part: the code, and the plain features where they are joined."""
        return [slice(0, self.width), *([slice(self.width, self.back)] if self.back > self.width else [])]

    @property
    def weights(self) -> Matrix:
        """By what the columns that are read back are multiplied, [W'], for each part to count alike: a variance of 1.

        Before, each column of a code has that variance, and so has the mean column of plain features.
        """
        counts = [max(1, int(varying(self.scale).sum())), *(part.stop - part.start for part in self.parts[1:])]
        columns = [part.stop - part.start for part in self.parts]
        return np.repeat(np.reciprocal(np.sqrt(counts)), columns).astype(np.float32)

    @property
    def plain_outputs(self) -> int:
        """P', how many columns the plain features have."""
        return len(self.centre) if self.summary_basis is None else len(self.summary_basis)

    def apply(self, code: Matrix, summary: Matrix | None) -> tuple[Matrix, Matrix, Matrix]:
        """Code [T, W] and summary [T, S] -> what the trunk reads [T, P], what comes back from scans, plain features.

        The second is the scaled code [T, W] with the plain features [T, P'] behind it where the trunk reads both.
        Without a summary the plain features are the scaled code itself.
        """
        targets = standardised(code, self.centre, self.scale)
        plain = targets if self.summary_basis is None else self.plain(summary)
        if self.basis is None:
            return targets, targets, plain
        joined = targets if plain is targets else np.concatenate([targets, plain], 1)
        return components(joined, self.basis), joined, plain

    def plain(self, summary: Matrix | None) -> Matrix:
        """The leading components [T, P'] of a summary [T, S].

        Raises
        ------
        DataError
            If the summary is not as wide as the one that they were fitted on.
        """
        assert summary is not None
        assert self.summary_basis is not None
        assert self.summary_centre is not None
        assert self.summary_scale is not None
        if summary.shape[1] != len(self.summary_centre):
            raise DataError(
                f"a summary has {summary.shape[1]} columns, the model was trained on {len(self.summary_centre)}; "
                "the plugin has changed: train again"
            )
        return components(standardised(summary, self.summary_centre, self.summary_scale), self.summary_basis)

    def summary(self, back: Matrix) -> Matrix | None:
        """The summary [T, S] behind what comes back from scans, [T, W']; None where that holds no plain features."""
        if self.back == self.width or self.summary_basis is None:
            return None
        assert self.summary_centre is not None
        assert self.summary_scale is not None
        scaled = back[:, self.width :] @ np.linalg.pinv(self.summary_basis).T
        return np.asarray(scaled * self.summary_scale + self.summary_centre, np.float32)

    def arrays(self) -> dict[str, Fitted]:
        """What was learned, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @classmethod
    def of(cls, arrays: Mapping[str, Fitted]) -> Projection:
        """The projection that `arrays()` came from."""
        return cls(**arrays)


def standardised(rows: Float, centre: Fitted, scale: Fitted) -> Matrix:
    """[T, P] minus `centre` over `scale`, both [P]; columns that do not vary become 0."""
    return ((rows - centre) / np.where(varying(scale), scale, np.inf)).astype(np.float32)


def varying(sd: Fitted) -> NDArray[np.bool_]:
    """Which columns vary, from their SDs [P]."""
    return np.asarray(sd > STILL * max(float(sd.max(initial=0)), 1e-12))


def components(rows: Float, basis: Fitted) -> Matrix:
    """[T, P] on the rows of `basis` [n, P], [T, n]."""
    return (rows @ basis.T).astype(np.float32)
