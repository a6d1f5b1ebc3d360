"""The `giblet` group: commands are imported when they are called, errors are one line."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version

import click

from giblet.errors import GibletError

COMMANDS = {
    "run": "From files to a trained model, figures, reconstructions and a page.",
    "demo": "Write a small study of known truth.",
    "plugins": "List what is installed, and what is wrong with it.",
    "report": "Write the page of a run again.",
}


class LazyGroup(click.Group):
    """Knows its commands by name and help, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"giblet.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for one that does not exist."""
        import difflib

        if args and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("giblet"), prog_name="giblet")
def cli() -> None:
    """Films, brains and back: models whose middle layer is brain space.

    Begin with `giblet run`, which makes a demo study and does everything with it.
    """


def main(args: list[str] | None = None) -> None:
    """Run the command line; a GibletError is one line on stderr and its exit code (`--debug` shows the traceback)."""
    argv = sys.argv[1:] if args is None else args
    debug = "--debug" in argv
    try:
        cli.main([a for a in argv if a != "--debug"], standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("giblet: stopped; the same command goes on from here", err=True)
        sys.exit(130)
    except GibletError as error:
        if debug:
            raise
        click.echo(f"giblet: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(141)
