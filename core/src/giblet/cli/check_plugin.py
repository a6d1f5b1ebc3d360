"""`giblet check-plugin`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from giblet.errors import ConfigError, DataError, GibletError, PluginError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from giblet.testing import Case, Check, Outcome


@click.command("check-plugin")
@click.argument("name")
@click.option("--source", type=click.Path(path_type=Path), help="A file of at least 6 s; default: a made one.")
@click.option("-o", "pairs", metavar="KEY=VALUE", multiple=True, help="A setting of the plugin.")
@click.option("--check", "part", metavar="SUBSTRING", default="", help="Only the checks whose name has this in it.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(name: str, source: Path | None, pairs: Sequence[str], part: str, as_json: bool) -> None:
    """Run the conformance checks against the installed plugin NAME, such as audio_mel; 1 is the exit code if one fails.

    No test framework is needed. What each check asks for, and what to do when it fails: docs/reference/conformance.md.
    """
    began = time.perf_counter()
    from giblet.plugins import Registry
    from giblet.testing import Case, checks_for, run_checks
    from giblet.types import Source

    if source is not None and not source.exists():
        raise DataError(f"there is no file {source}; give a recording of at least 6 s, or leave --source out")
    modality = Registry.discover().modality(name, **_settings(pairs, name.partition("_")[0]))
    checks = _chosen(checks_for(modality), part)
    case = Case(modality, None if source is None else lambda: Source(source))
    with _nothing_left_behind():
        _extract_once(case)
        outcomes = []
        for outcome in run_checks(case, checks):
            outcomes.append(outcome)
            if not as_json:
                click.echo(_line(outcome))
    failed = sum(o.failure is not None for o in outcomes)
    click.echo(_as_json(name, outcomes) if as_json else _count(name, outcomes, time.perf_counter() - began))
    raise SystemExit(1 if failed else 0)


def _settings(pairs: Iterable[str], kind: str) -> dict[str, Any]:
    """The plugin's settings; a key may have its kind before it, as in `giblet run`."""
    from giblet.config import parse_value

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ConfigError(f"-o {pair!r} is not KEY=VALUE, for example -o temporal=mean")
        found[key.removeprefix(f"{kind}.")] = parse_value(value)
    return found


def _chosen(checks: list[Check], part: str) -> list[Check]:
    from giblet.testing import name_of

    chosen = [c for c in checks if part.replace(" ", "_") in name_of(c)]
    if not chosen:
        raise ConfigError(f"no check has {part!r} in its name; {did_you_mean(part, map(name_of, checks))}")
    return chosen


def _extract_once(case: Case) -> None:
    """Every check needs features: where there are none, say so once."""
    path = case.make_source().path
    try:
        count = len(case.features.values)
    except GibletError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise PluginError(f"{case.modality.name} cannot extract {path.name}: {type(error).__name__}: {text}") from error
    click.echo(f"{case.modality.name} on {path.name}: {count} samples", err=True)


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Keep hypothesis from making a folder where the user stands."""
    from tempfile import TemporaryDirectory

    from hypothesis.configuration import set_hypothesis_home_dir

    with TemporaryDirectory() as tmp:
        set_hypothesis_home_dir(tmp)
        yield


def _line(outcome: Outcome) -> str:
    words = outcome.check.replace("_", " ")
    if outcome.not_tried is not None:
        return f"nothing tried  {words}: {outcome.not_tried}"
    if outcome.failure is None:
        return f"passed  {words}"
    return click.style("FAILED", fg="red") + f"  {words}: {outcome.failure}"


def _count(name: str, outcomes: Sequence[Outcome], seconds: float) -> str:
    failed = sum(o.failure is not None for o in outcomes)
    idle = sum(o.not_tried is not None for o in outcomes)
    n = len(outcomes) - idle
    verdict = f"all {n} checks passed" if not failed else f"{failed} of {n} checks failed"
    found_nothing = f", {idle} had nothing to try" if idle else ""
    return f"{name}: {verdict}{found_nothing} ({seconds:.0f} s)"


def _as_json(name: str, outcomes: Iterable[Outcome]) -> str:
    rows = [{**asdict(o), "passed": o.failure is None and o.not_tried is None} for o in outcomes]
    return json.dumps({"plugin": name, "passed": all(r["failure"] is None for r in rows), "checks": rows}, indent=1)
