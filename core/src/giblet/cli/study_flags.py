"""The options that name a study: a file, or films and scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.cli.flags import Function, tables_of
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.data.study import Study

ARGUMENT = click.argument("study", required=False, type=click.Path(path_type=Path))
OPTIONS = (
    click.option("--film", multiple=True, help="Film or sound file, or a glob; several for several runs."),
    click.option("--annotations", multiple=True, help="Table, subtitles or TextGrid of each film, or `embedded`."),
    click.option("--bold", multiple=True, help="Scans: NIfTI or tables of parcels [time, parcels]; globs in quotes."),
    click.option("--transposed", is_flag=True, help="Tables of --bold have one row a parcel, not a TR."),
    click.option(
        "--bids",
        type=click.Path(path_type=Path),
        metavar="DIR",
        default=None,
        help="BIDS data set with fMRIPrep's derivatives, or these.",
    ),
    click.option("--task", metavar="NAME", default=None, help="The task of --bids; needed where there are several."),
    click.option(
        "--space", metavar="NAME", default=None, help="Which images of --bids, e.g. MNI152NLin2009cAsym:res-2."
    ),
    click.option("--tr", "tr_s", metavar="SECONDS", default=None, help="The TR; overrules every header."),
    click.option(
        "--offset",
        "offset_s",
        metavar="SECONDS",
        multiple=True,
        help="Stimulus time at which volume 0 begins; default 0.",
    ),
    click.option(
        "--features", metavar="NAME=FILE", multiple=True, help="Ready-made features, a table [time, columns]."
    ),
    click.option("--exclude", metavar="SUBJECT", multiple=True, help="Leave a subject (or SUBJECT/RUN) out."),
)


def study_options(function: Function) -> Function:
    """STUDY, or the files that make one."""
    return ARGUMENT(file_options(function))


def file_options(function: Function) -> Function:
    """The files that make a study."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def study_of(path: Path | None, flags: dict[str, Any]) -> Study | None:
    """The study that is named, by a file or by its films and scans; None where nothing is."""
    from giblet.api.studies import load_study, study_from_files

    tr_s, exclude = flags["tr_s"], flags["exclude"]
    files = [f for f in ("film", "annotations", "bold", "features", "bids") if flags[f]]
    _refuse_idle(flags)
    if path is not None:
        if files:
            raise ConfigError(f"--{files[0]} and a study file say the same thing twice; put it into {path}")
        return load_study(path, tr_s=tr_s, exclude=exclude)
    if not files:
        return None
    clock = {"tr_s": tr_s, "offset_s": flags["offset_s"], "exclude": exclude}
    if flags["bids"] is not None:
        return _bids(flags, clock)
    media = (flags["film"], flags["annotations"], flags["bold"])
    return study_from_files(*media, features=tables_of(flags["features"]), transposed=flags["transposed"], **clock)


def _bids(flags: dict[str, Any], clock: dict[str, Any]) -> Study:
    from giblet.api.studies import study_from_bids

    stimuli = {"film": flags["film"], "annotations": flags["annotations"], "features": tables_of(flags["features"])}
    return study_from_bids(flags["bids"], flags["task"], flags["space"], **stimuli, **clock)


def _refuse_idle(flags: dict[str, Any]) -> None:
    """Refuse options that would have no effect."""
    for name in ("task", "space"):
        if flags[name] is not None and flags["bids"] is None:
            raise ConfigError(f"--{name} chooses scans of a BIDS data set; give --bids DIR, or leave it out")
    for name in ("bold", "transposed"):
        if flags[name] and flags["bids"] is not None:
            raise ConfigError(f"--{name} and --bids both say where scans come from; leave one out")
    if flags["transposed"] and not flags["bold"]:
        raise ConfigError("--transposed is of the tables of --bold; in a study.toml say transposed = true")
