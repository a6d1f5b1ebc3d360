"""What moves a scan beside the brain: fMRIPrep's confounds by nilearn's strategies, or any table of regressors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError, did_you_mean
from giblet.media.series import column_names, read_series
from giblet.types import Nuisance, Source

FMRIPREP = re.compile(r"_desc-confounds_(?:timeseries|regressors)\.tsv$")
DEFAULT = ("motion", "wm_csf")
"""Realignment and the means of white matter and CSF: the 9 parameters of Ciric et al. (2017,
doi:10.1016/j.neuroimage.2017.03.020) without the global signal, which a film that everybody follows moves too."""
OPTIONS = {"motion": "basic", "ica_aroma": "basic"}
"""Where nilearn's defaults would not do: its 24 motion parameters are more than a block of a minute can carry."""


def read_nuisance(
    source: Source, strategies: Sequence[str] | None = None, options: Mapping[Any, Any] | None = None
) -> Nuisance | None:
    """Regressors of a scan, [T, C], and the volumes that are not to be used; None where there is nothing to take out.

    Of fMRIPrep's table `strategies` are taken as nilearn's `load_confounds` defines them, with its `options`; None
    takes `DEFAULT`, and an empty list nothing. fMRIPrep's cosines are left out unless "high_pass" asks for them. Of
    any other table the columns named in the source are taken, or all. Where a derivative has no first value, its
    second stands for it.

    Raises
    ------
    DataError
        If the table is missing or lacks what is asked for, or holds values that are not finite.
    """
    table = source.scan.confounds
    if table is None and strategies:
        raise DataError(f"{source.path} has no table of confounds beside it; give it, or set fmri.confounds=[]")
    if table is None or (strategies is not None and not strategies):
        return None
    if not table.is_file():
        raise DataError(f"there is no table of confounds {table}; correct the path, or set fmri.confounds=[]")
    prepared = FMRIPREP.search(table.name) and not source.scan.confound_columns
    found = _prepared(table, strategies or DEFAULT, options or {}) if prepared else _own(source, table)
    _require_finite(found, table)
    return found


def _prepared(table: Path, strategies: Sequence[str], options: Mapping[str, Any]) -> Nuisance:
    from nilearn.interfaces.fmriprep import load_confounds

    # nilearn looks for the table beside an image, which need not be there
    image = FMRIPREP.sub("_desc-preproc_bold.nii.gz", str(table))
    wanted = [*strategies, "high_pass"] if "compcor" in strategies and "high_pass" not in strategies else strategies
    try:
        frame, kept = load_confounds(image, strategy=tuple(wanted), demean=False, **{**OPTIONS, **options})
    except (ValueError, KeyError, TypeError, IndexError) as error:
        line = " ".join(str(error).split())
        asked = ", ".join(strategies)
        raise DataError(f"{table} has not what {asked} need ({line}); set fmri.confounds to what it has") from None
    if "high_pass" not in strategies:
        frame = frame.loc[:, [not name.startswith("cosine") for name in frame.columns]]
    censored = np.zeros(len(frame), bool)
    if kept is not None:
        censored[:] = True
        censored[kept] = False
    return Nuisance(frame.to_numpy(np.float64), tuple(map(str, frame.columns)), censored)


def _own(source: Source, table: Path) -> Nuisance:
    values = np.asarray(read_series(table), np.float64)
    names = column_names(table) or [f"column {i + 1}" for i in range(values.shape[1])]
    wanted = source.scan.confound_columns or tuple(names)
    for name in wanted:
        if name not in names:
            raise DataError(f"{table} has no column {name!r}; {did_you_mean(name, names)}")
    picked = values[:, [names.index(name) for name in wanted]]
    return Nuisance(_begun(picked), wanted, np.zeros(len(picked), bool))


def _begun(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A first row that is missing, as that of a derivative, takes the second's place."""
    if len(values) < 2:
        return values
    first = np.where(np.isnan(values[0]), values[1], values[0])
    return np.concatenate([first[None], values[1:]])


def _require_finite(found: Nuisance, table: Path) -> None:
    bad = ~np.isfinite(found.regressors[~found.censored])
    if bad.any():
        name = found.names[int(bad.any(0).argmax())]
        row = int(np.flatnonzero(~found.censored)[bad.any(1).argmax()])
        raise DataError(f"{table}: {name} has no value at volume {row} (counted from 0); repair it or leave it out")
