"""Room for a run in a folder that holds another: what giblet wrote is put aside, and goes when the new run begins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from giblet.data.study import Study
from giblet.errors import ConfigError
from giblet.pipeline.folder import ASIDE
from giblet.pipeline.study_record import files_of

WRITTEN = re.compile(
    r"(run|config|inputs|study|metrics)\.json|(log|train)\.jsonl|(maps|draws)\.npz|(report|listen)\.html|brain_map\.png|"
    r"model|checkpoints|predictions|reconstructions|\.\w+\.json|\.model-\d+"
)
"""What giblet writes into the folder of a run, beside folds, the demo study, and what it put aside."""
MARKER = "run.json"
FOLD = re.compile(r"fold-\d+")


@contextmanager
def making_room(out: Path, study: Study | None, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Put a run aside, within its folder, until `RunFolder.open` throws it away; it comes back if that does not happen.

    A folder that holds no run is left as it is. `settings` may name files as well as the study does.

    Raises
    ------
    ConfigError
        If the folder holds something that giblet did not write, or files of the study.
    """
    place = out.resolve()
    if (place / MARKER).is_file():
        _refuse_foreign(place, out)
        _refuse_study(place, out, [*_study_files(study), *_named(settings)])
    try:
        _put_aside(place)
        yield
    except BaseException:
        _restore(place)
        raise


def _refuse_foreign(place: Path, out: Path) -> None:
    for path in sorted(place.iterdir()):
        fold = FOLD.fullmatch(path.name) is not None and path.is_dir()
        demo = path.name == "demo" and (path / "truth.json").is_file()
        if fold:
            _refuse_foreign(path, out / path.name)
        elif not (demo or path.name == ASIDE or WRITTEN.fullmatch(path.name)):
            raise ConfigError(
                f"{out} holds {path.name}, which giblet did not write, and is not thrown away; move it, or give "
                "another folder (--out)"
            )


def _refuse_study(place: Path, out: Path, files: Iterable[Path]) -> None:
    for path in files:
        # where the file is, and where a link to it is
        for full in (path.resolve(), path.parent.resolve() / path.name):
            if full.is_relative_to(place):
                raise ConfigError(f"{out} holds files of the study ({full.name}) and is not thrown away; move them")


def _study_files(study: Study | None) -> list[Path]:
    if study is None:
        return []
    stated = [p for p in (study.folder / "study.toml", study.truth) if p is not None and p.is_file()]
    return [*stated, *(path for _, path in files_of(study))]


def _named(settings: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """The files and folders that settings name, such as a mask or weights."""
    texts = [v for section in settings.values() for v in section.values() if isinstance(v, str | Path)]
    return [path for path in (Path(t).expanduser() for t in texts) if path.exists()]


def _put_aside(place: Path) -> None:
    """Everything of a run, its marker last, so that what a killed command began is gone on with."""
    aside = place / ASIDE
    if not (place / MARKER).is_file():
        return
    if (aside / MARKER).is_file():  # it is all of a run before this one
        shutil.rmtree(aside)
    aside.mkdir(exist_ok=True)
    for path in _marker_last(p for p in place.iterdir() if p != aside):
        path.rename(aside / path.name)


def _restore(place: Path) -> None:
    """Bring back what was put aside, in the place of what was made meanwhile; nothing where a new run has begun."""
    aside = place / ASIDE
    if not aside.is_dir():
        return
    for path in _marker_last(aside.iterdir()):
        made = place / path.name
        if made.is_dir():
            shutil.rmtree(made)
        path.replace(made)
    aside.rmdir()


def _marker_last(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.name == MARKER)
