"""`giblet completion`."""

from __future__ import annotations

import click

VARIABLE = "_GIBLET_COMPLETE"


HELP = """Print what makes SHELL complete commands, options, plugins, settings, run folders, regions and subjects.

\b
bash: giblet completion bash >> ~/.bashrc
zsh:  giblet completion zsh >> ~/.zshrc
fish: giblet completion fish > ~/.config/fish/completions/giblet.fish
"""


@click.command(help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script of a shell."""
    from click.shell_completion import get_completion_class

    from giblet.cli.main import cli

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(cli, {}, "giblet", VARIABLE).source())
