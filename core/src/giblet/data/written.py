"""Reading back what giblet wrote: a file that is gone or torn is one line, and says what to do."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from giblet.errors import DataError

DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error)
"""What numpy says of a torn archive."""


def read_object(path: Path, *needed: str) -> dict[str, Any]:
    """A JSON object, which has at least the keys that are `needed`.

    Raises
    ------
    DataError
        If it is gone, or not that.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not JSON ({_line(error)}); delete it and run again to write it anew") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} must hold a JSON object; delete it and run again to write it anew")
    missing = [key for key in needed if key not in found]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; delete it and run again to write it anew")
    return found


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name.

    Raises
    ------
    DataError
        If it is gone or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except DAMAGE as error:
        raise DataError(f"{path} is damaged ({_line(error)}); delete it and run again to write it anew") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
