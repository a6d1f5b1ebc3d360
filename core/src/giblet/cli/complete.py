"""What a shell offers when Tab is pressed: cheap, and silent about anything that is wrong."""

from __future__ import annotations

import csv
import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pydantic import BaseModel

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def complete_plugins(names: Iterable[str]) -> Complete:
    """Names of plugins of one kind."""
    legal = list(names)
    return lambda context, parameter, begun: [n for n in legal if n.startswith(begun)]


def complete_runs(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Folders of runs under what was typed, else under `out` and here; any folder where there is none."""
    typed = Path(begun)
    parents = [typed, typed.parent] if begun else [Path(), Path("out")]
    runs = {p.parent.as_posix() for folder in parents for p in _run_files(folder)}
    found = sorted(r for r in runs if r.startswith(begun))
    return [CompletionItem(r) for r in found] or [CompletionItem(begun, type="dir")]


def _run_files(folder: Path) -> list[Path]:
    return list(folder.glob("*/run.json")) if folder.is_dir() else []


def complete_regions(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Regions (`--region`) or networks (`--network`) of the run's atlas."""
    columns = ("network",) if parameter.name == "networks" else ("name", "network")
    run, study = _study_record(context)
    try:
        labels = run / study["labels"]
        with labels.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if labels.suffix == ".tsv" else ","))
    except (OSError, KeyError, TypeError, ValueError):
        return []
    names = dict.fromkeys(row[c] for c in columns for row in rows if row.get(c))
    return [n for n in names if n.startswith(begun)]


def complete_subjects(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """People of the run."""
    _, study = _study_record(context)
    people = dict.fromkeys(scan["subject"] for scan in study.get("scans", ()))
    return [s for s in people if s.startswith(begun)]


def _study_record(context: click.Context) -> tuple[Path, dict[str, Any]]:
    """The run among the words on the line (an option that still lacks its value hides it), and its `study.json`."""
    words = [context.params.get("run"), *shlex.split(os.environ.get("COMP_WORDS", ""))]
    for run in (Path(w) for w in words if w):
        if (run / "study.json").is_file():
            found: dict[str, Any] = json.loads((run / "study.json").read_text("utf-8"))
            return run, found
    return Path(), {}


def complete_settings(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Settings of the config and of the plugins that are chosen, with their defaults to change."""
    from giblet.api.choice import NONE, chosen_plugins, kinds
    from giblet.config import SECTIONS
    from giblet.errors import GibletError
    from giblet.plugins import Registry

    sections: dict[str, type[BaseModel]] = dict(SECTIONS)
    registry = Registry.discover()
    for kind, name in chosen_plugins({k: context.params.get(k) for k in kinds()}).items():
        try:
            sections |= {kind: registry.modality_class(name)} if name != NONE else {}
        except GibletError:
            continue
    return [text for section, cls in sections.items() for text in _pairs(section, cls) if text.startswith(begun)]


def _pairs(section: str, cls: type[BaseModel]) -> Iterator[str]:
    for key, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        text = default if isinstance(default, str) else json.dumps(default, separators=(",", ":"), default=str)
        yield f"{section}.{key}={text}"
