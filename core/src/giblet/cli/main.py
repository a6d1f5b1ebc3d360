"""The `giblet` group: commands are imported when they are called, errors are one line."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import click

from giblet.cli import others
from giblet.errors import GibletError, did_you_mean

COMMANDS = {
    "run": "From files to a trained model, figures, reconstructions and a page.",
    "train": "From files to a trained model, by one process or many.",
    "inspect": "Look at a study before a long run.",
    "extract": "The features of many films at once, in several processes.",
    "predict": "An unseen film to everybody's predicted scan.",
    "decode": "A measured scan to film, sound and text.",
    "lesion": "Take a part of the brain away and see what each modality loses.",
    "ablate": "Compare settings: scores over seeds, and cost.",
    "demo": "Write a small study of known truth.",
    "cache": "List the features on disk, and make room.",
    "weights": "Give weights on this machine a name.",
    "plugins": "List what is installed, and what is wrong with it.",
    "new-plugin": "Write a plugin that works, to change into your own.",
    "check-plugin": "Try an installed plugin on everything that a plugin must keep.",
    "report": "Write the page of a run again.",
    "listen": "Make a page for blind listening to a run's sounds.",
    "completion": "Make a shell complete names.",
}

GOES_ON = ("run", "train", "extract", "ablate")
"""The commands that keep what they did when they are stopped."""


class LazyGroup(click.Group):
    """Knows its commands by name and help, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use, then those of others."""
        return list(dict.fromkeys([*COMMANDS, *others.names()]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if (other := others.load(cmd_name, COMMANDS)) or cmd_name not in COMMANDS:
            return other
        command: click.Command = import_module(f"giblet.cli.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for one that does not exist."""
        if args and args[0] not in (legal := self.list_commands(ctx)):
            raise click.UsageError(f"no command {args[0]!r}; {did_you_mean(args[0], legal)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if found := others.rows(COMMANDS):
            with formatter.section("Commands of plugins"):
                formatter.write_dl(found)


@click.command(cls=LazyGroup)
@click.version_option(package_name="giblet", prog_name="giblet")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error; goes anywhere.")
def cli() -> None:
    """Films, brains and back: models whose middle layer is brain space.

    Begin with `giblet run`, which makes a demo study and does everything with it.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: an error is one line on stderr (`--debug`: its traceback) and an exit code."""
    argv = sys.argv[1:] if args is None else args
    try:
        with notes_on_stderr():
            sys.exit(cli.main([a for a in argv if a != "--debug"], prog_name="giblet", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo(f"giblet: stopped{_goes_on(argv)}", err=True)
        why = error.__cause__ or error  # click has put its own Abort before it
        sys.exit(128 + getattr(why, "signal", signal.SIGINT))
    except Exception as error:
        if "--debug" in argv:
            raise
        click.echo(f"giblet: {one_line(error)}", err=True)
        sys.exit(error.exit_code if isinstance(error, GibletError) else 1)


def _goes_on(argv: list[str]) -> str:
    """What to do after a stop, where the command keeps what it did."""
    if next((a for a in argv if not a.startswith("-")), "") not in GOES_ON:
        return ""
    if "--overwrite" in argv:
        return "; if the new run has begun, the same command without --overwrite goes on with it"
    return "; the same command goes on from here"


class Notes(logging.Handler):
    """What giblet says of its inputs, a line a note."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        click.echo(f"note: {record.getMessage()}", err=True)


@contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Print what is logged as notes."""
    log, handler = logging.getLogger("giblet"), Notes()
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True


def one_line(error: Exception) -> str:
    """What went wrong, for a person: our own errors explain themselves, the system's name a file, others are bugs."""
    text = " ".join(str(error).split())
    if isinstance(error, GibletError):
        return text
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}; give another path, or make this one usable"
    return f"unexpected {type(error).__name__}: {text}; the same command with --debug shows where"
