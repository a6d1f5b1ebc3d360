"""Between voxels and the units of a brain space, as its fitted state says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from giblet.errors import ConfigError
from giblet.types import Array

from giblet_fmri_mask.learned import nearest_orthonormal, principal_components, shared_response


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The fitted arrays of a brain space: `unit` [V], or `basis` [U, V], or `people` [S] and `bases` [S, V, U]."""

    state: Mapping[str, Array]

    @property
    def units(self) -> int | None:
        """U, how many units there are; None where each voxel is one."""
        if "unit" in self.state:
            return int(self.state["unit"].max()) + 1
        basis = self.basis(None)
        return None if basis is None else len(basis)

    def basis(self, subject: str | None) -> Array | None:
        """The basis [U, V] of a person, or the mean of all; None where nothing is learned."""
        if "bases" not in self.state:
            return self.state.get("basis")
        mine = np.flatnonzero(self.state["people"] == subject)
        found: Array = self.state["bases"][mine[0]] if len(mine) else nearest_orthonormal(self.state["bases"].mean(0))
        return found.T

    def into(self, y: Array, subject: str | None) -> Array:
        """Voxels [T, V] as units of what was learned [T, U]."""
        basis = self.basis(subject)
        return y if basis is None else np.asarray(y @ basis.T / self.state["size"], np.float32)

    def back(self, units: Array, subject: str | None) -> Array:
        """Units as voxels, [.., U] -> [.., V]."""
        if "unit" in self.state:
            return units[..., self.state["unit"]]
        basis = self.basis(subject)
        return units if basis is None else np.asarray(units * self.state["size"] @ basis, units.dtype)


def learn_pca(scans: Mapping[str, Array], there: Mapping[str, Array], units: int) -> dict[str, Array]:
    """The components of everybody's training volumes [T, V]: `basis` [U, V] and `size` [1]."""
    voxels = next(iter(scans.values())).shape[1]
    basis = principal_components((scans[s][there[s]] for s in scans), min(units, voxels))
    return _sized({"basis": basis}, scans, there)


def learn_srm(scans: Mapping[str, Array], there: Mapping[str, Array], units: int, iterations: int) -> dict[str, Array]:
    """Everybody's basis of the shared response: `people` [S], `bases` [S, V, U] and `size` [1].

    Raises
    ------
    ConfigError
        If there is only one person.
    """
    if len(scans) < 2:
        raise ConfigError("fmri.space=srm shares a response between people, and there is one; take fmri.space=pca")
    most = min(next(iter(scans.values())).shape[1], *(int(t.sum()) for t in there.values()))
    found = shared_response(scans, there, min(units, most), iterations)
    return _sized({"people": np.array(list(found)), "bases": np.stack(list(found.values()))}, scans, there)


def _sized(state: dict[str, Array], scans: Mapping[str, Array], there: Mapping[str, Array]) -> dict[str, Array]:
    """With the `size` [1] that makes the mean square of the units 1 over training volumes."""
    space = Space(state | {"size": np.ones(1)})
    power = np.mean([np.square(space.into(scans[s][there[s]], s)).mean() for s in scans])
    return state | {"size": np.array([np.sqrt(power)])}
