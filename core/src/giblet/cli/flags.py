"""What several commands' flags have in common."""

from __future__ import annotations

from pathlib import Path

from giblet.errors import ConfigError


def name_and_file(text: str) -> tuple[str, Path]:
    """`NAME=FILE` of --features.

    Raises
    ------
    ConfigError
        If it has another form.
    """
    name, equals, path = text.partition("=")
    if not (name.isidentifier() and equals and path):
        raise ConfigError(f"--features {text!r} is not NAME=FILE, for example --features motion=motion.tsv")
    return name, Path(path)
