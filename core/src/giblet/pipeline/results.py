"""The folder that `predict` and `decode` write into: nothing of anybody else's is overwritten."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import ConfigError, GibletError


def require_own(out: Path, marker: str) -> None:
    """Refuse a folder that holds something else than earlier results (`marker` says so); nothing is made.

    Raises
    ------
    ConfigError
        If it does.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / marker).is_file())):
        raise ConfigError(f"{out} is not empty and holds no {marker}; give another --out")


def open_results(out: Path, marker: str) -> Path:
    """Make a folder for results, or take one that holds earlier ones (`marker` says so), which are replaced.

    Raises
    ------
    ConfigError
        As `require_own`.
    GibletError
        If it cannot be written.
    """
    require_own(out, marker)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GibletError(f"cannot write to {out}: {error.strerror}; give another --out") from None
    return out
