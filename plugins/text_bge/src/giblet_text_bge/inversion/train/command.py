"""`giblet train-inverter`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from giblet.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from giblet.types import Progress

    from giblet_text_bge.inversion.train.evaluation import Evaluation
    from giblet_text_bge.inversion.train.settings import Training


@click.command("train-inverter")
@click.argument("texts", type=click.Path(path_type=Path))
@click.option("--embedder", default="minilm", show_default=True, help="A SentenceTransformer: hub name or folder.")
@click.option("--t5", default="", help="A folder with a T5 and its tokenizer to begin from; without: a new, small one.")
@click.option("-o", "pairs", metavar="KEY=VALUE", multiple=True, help="Any other setting of the training.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/inverter"), help="The folder.")
@click.option("--json", "as_json", is_flag=True, help="Print evaluation.json.")
@click.option("--quiet", is_flag=True, help="No progress.")
def command(texts: Path, embedder: str, t5: str, pairs: Sequence[str], out: Path, as_json: bool, quiet: bool) -> None:
    """Train what turns embeddings back into texts, on TEXTS, a file with one text a line.

    Two networks are trained, one that guesses and one that corrects, and measured on lines that they never saw, beside
    the nearest of the lines that they were trained on. The same command again goes on where it stopped. The inverter is
    OUT/inverter; `giblet run -o text.inverter=OUT/inverter` uses it.
    """
    from giblet_text_bge.inversion.train.run import train_inverter

    settings = settings_of({"embedder": embedder, "t5": t5}, pairs)
    try:
        with _bars(quiet) as progress:
            result = train_inverter(texts, out, settings, progress)
    except KeyboardInterrupt:
        logging.getLogger("giblet").warning("all is saved in %s; the same command goes on from here", out)
        raise
    click.echo(result.as_json() if as_json else _table(result), nl=not as_json)


def settings_of(given: dict[str, str], pairs: Sequence[str]) -> Training:
    """The settings, with those of `-o`.

    Raises
    ------
    ConfigError
        If one is unknown or has a value that it cannot have.
    """
    from giblet.config import parse_value, what_is_wrong
    from pydantic import ValidationError

    from giblet_text_bge.inversion.train.settings import Training

    found: dict[str, Any] = dict(given)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key in Training.model_fields and equals):
            raise ConfigError(f"-o {pair}: not KEY=VALUE of the training; {did_you_mean(key, Training.model_fields)}")
        found[key] = parse_value(value)
    try:
        return Training(**found)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"-o {first['loc'][0]}={first['input']!r} is not possible: {what_is_wrong(first)}") from None


@contextmanager
def _bars(quiet: bool) -> Iterator[Progress]:
    """A bar a stage with the time left, on a terminal; nothing in a pipe."""
    if quiet or not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description:<20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield advance


def _table(result: Evaluation) -> str:
    """A line a method and level of noise."""
    lines = [f"{'':24}{'noise':>6}{'n':>6}{'BLEU':>7}  {'token F1':22}exact"]
    for s in result.scores:
        f1, exact = _with_interval(s.token_f1, s.token_f1_interval), _with_interval(s.exact, s.exact_interval)
        lines.append(f"{s.method:24}{s.noise:6.2f}{s.n:6}{s.bleu:7.1f}  {f1:22}{exact}")
    return "\n".join(lines)


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
