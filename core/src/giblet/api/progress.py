"""Progress with time left on a terminal or in a notebook; silence in a pipe."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from giblet.types import Progress

WORDS = {
    "cells": "trainings",
    "codes": "encode the film",
    "decode": "make film and sound",
    "embed": "embed texts",
    "extract": "read stimuli",
    "films": "film without it",
    "fit": "learn from stimuli",
    "scan": "read the scan",
    "scans": "read scans",
    "trunk": "film to scans",
    "trunk refit": "film to scans, again",
    "decoders": "scans to film",
}
"""What a stage is called on the screen, where its own name says too little."""


def words_of(stage: str) -> str:
    """A stage in a user's words: `front-end video` trains the encoder and decoder of video alone."""
    if stage.startswith("front-end "):
        return f"learn {stage.removeprefix('front-end ')}"
    name = stage.rstrip("0123456789 ")
    return WORDS[name] + stage.removeprefix(name) if name in WORDS else stage


def shows_progress() -> bool:
    """Whether somebody watches: stderr is a terminal, or this is a notebook that can draw bars."""
    if sys.stderr.isatty():
        return True
    return "ipykernel" in sys.modules and importlib.util.find_spec("ipywidgets") is not None


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """A callback `(stage, done, total)`: bars on stderr where somebody watches, else nothing."""
    if quiet or not shows_progress():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(words_of(stage), total=total)
            elif bars.tasks[tasks[stage]].finished and done < total:
                bars.reset(tasks[stage])  # the same stage of another fold
            bars.update(tasks[stage], completed=done, total=total)

        yield advance
