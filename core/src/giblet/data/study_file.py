"""What may stand in a study.toml, and what is said about anything else."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from giblet.errors import ConfigError

Seconds = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(min_length=1)]
Segment = tuple[Literal["train", "validation", "test"], int, int]


class Entry(BaseModel):
    """One table of the file: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FeatureEntry(Entry):
    """`features = {motion = "motion.tsv"}`, or a table with its clock."""

    path: Path
    tr_s: Seconds | None = None
    start_s: float = 0.0
    hemodynamics: Literal["none", "applied"] = "none"


class AnnotationsEntry(Entry):
    """`annotations = "scenes.tsv"`, or a table that names columns and rows of a spreadsheet."""

    path: Name
    onset: Name | None = None
    duration: Name | None = None
    end: Name | None = None
    text: Name | None = None
    rows: tuple[int, int] | None = None


class StimulusEntry(Entry):
    """`[[stimulus]]`."""

    name: Name
    film: Path | None = None
    annotations: AnnotationsEntry | None = None
    annotations_stream: str | None = None
    video_stream: str | None = None
    audio_stream: str | None = None
    files: dict[str, Path] = {}
    features: dict[str, FeatureEntry] = {}

    @field_validator("video_stream", "audio_stream", "annotations_stream", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("annotations", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("features", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {k: {"path": v} if isinstance(v, str) else v for k, v in value.items()}


class ScanEntry(Entry):
    """`[[scan]]`."""

    subject: Name
    run: Name
    stimulus: Name
    bold: Path
    offset_s: float = 0.0
    tr_s: Seconds | None = None
    slice_time_ref: Annotated[float, Field(ge=0, le=1)] | None = None
    right: Path | None = None
    transposed: bool | None = None
    variable: Name | None = None
    mask: Path | None = None
    confounds: Path | None = None
    confound_columns: tuple[Name, ...] = ()


class StudyEntry(Entry):
    """`[study]`."""

    name: Name
    description: str = ""
    tr_s: Seconds | None = None
    atlas: Path | None = None
    labels: Path | None = None
    truth: Path | None = None


class StudyFile(Entry):
    """The whole file."""

    study: StudyEntry
    stimulus: Annotated[list[StimulusEntry], Field(min_length=1)]
    scan: list[ScanEntry] = []
    split: dict[str, list[Segment]] = {}


def read_study_file(path: Path) -> StudyFile:
    """Read and check a study.toml.

    Raises
    ------
    ConfigError
        If it is missing, is no TOML, or holds a key or value that cannot be meant.
    """
    if not path.is_file():
        raise ConfigError(f"there is no study file {path}; name a study.toml or its folder")
    try:
        return StudyFile.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error.errors()[0])}") from None


def _explain(error: Any) -> str:
    """One line for one problem: where it is, what it is, what is legal."""
    *where, key = error["loc"]
    place = _place(where)
    if error["type"] == "extra_forbidden":
        return f"{place} has no key {str(key)!r}; {did_you_mean(str(key), _legal(where))}"
    if error["type"] == "missing":
        return f"{place} lacks the key {key!r}"
    return f"{_place([*where, key])} = {error['input']!r} is not possible: {error['msg']}"


def _place(where: list[Any]) -> str:
    if not where:
        return "the file"
    if len(where) > 1 and where[0] in ("stimulus", "scan"):
        return " ".join([f"[[{where[0]}]] number {where[1] + 1}", ".".join(map(str, where[2:]))]).strip()
    return " ".join([f"[{where[0]}]", ".".join(map(str, where[1:]))]).strip()


def _legal(where: list[Any]) -> list[str]:
    sections: dict[str, type[Entry]] = {"study": StudyEntry, "stimulus": StimulusEntry, "scan": ScanEntry}
    for key, entry in (("features", FeatureEntry), ("annotations", AnnotationsEntry)):
        if key in where:
            return list(entry.model_fields)
    return list((sections[where[0]] if where else StudyFile).model_fields)


def did_you_mean(value: str, legal: list[str]) -> str:
    """The nearest legal name, and all of them."""
    near = difflib.get_close_matches(value, legal, 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"legal: {', '.join(legal) or 'none'}"
