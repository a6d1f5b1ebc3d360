"""How many threads a film is read with: one a processor, unless other processes read beside this one."""

from __future__ import annotations

import os

from giblet.errors import ConfigError


def most_threads() -> int:
    """GIBLET_THREADS, the most that a film is read with; 0 where nobody has set it: as many as there are processors.

    Raises
    ------
    ConfigError
        If it is no number.
    """
    said = os.environ.get("GIBLET_THREADS", "0")
    if not said.isdecimal():
        raise ConfigError(f"GIBLET_THREADS={said} is no number of threads; give 1 or more, or leave it out")
    return int(said)
