"""Commands of other distributions: listed without being imported, each alone, no name twice."""

from __future__ import annotations

import sys
from importlib.metadata import version

import click
import pytest
from giblet.cli import main
from giblet.cli.main import COMMANDS, cli

GOOD = """
import click

@click.command()
@click.option("--loud", is_flag=True)
def command(loud):
    "Say hello."
    click.echo("HELLO" if loud else "hello")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that makes a distribution with one command, as an installer would."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(distribution, name, code):
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        folder = tmp_path / f"{module}-1.5.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n", "utf-8")
        (folder / "entry_points.txt").write_text(f"[giblet.commands]\n{name} = {module}:command\n", "utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return module

    return make


@pytest.fixture
def giblet(capsys):
    """Run the command line; exit code, what was printed, what was said on stderr."""

    def call(*args):
        with pytest.raises(SystemExit) as done:
            main(list(args))
        streams = capsys.readouterr()
        return done.value.code or 0, streams.out, streams.err

    return call


def test_a_command_is_listed_with_its_owner_and_not_imported(install, giblet):
    module = install("hello-maker", "hello", GOOD)
    code, out, _ = giblet("--help")
    assert code == 0
    assert "  hello " in out
    assert "Of hello-maker 1.5." in out
    assert module not in sys.modules


def test_a_command_runs_with_its_options_and_can_be_completed(install, giblet):
    install("hello-maker", "hello", GOOD)
    assert giblet("hello", "--loud") == (0, "HELLO\n", "")
    assert "hello" in cli.list_commands(click.Context(cli))


def test_a_misspelt_name_is_told_the_nearest(install, giblet):
    install("hello-maker", "hello", GOOD)
    code, _, err = giblet("helo")
    assert code == 2
    assert "did you mean 'hello'?" in err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no\\nlicence')", "ValueError: no licence"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("command = 3", "which is no click command"),
        ("other = 3", "has no attribute 'command'"),
    ],
)
def test_a_broken_command_costs_nobody_else_anything(install, giblet, code, said):
    install("broken", "wreck", code)
    install("hello-maker", "hello", GOOD)
    assert giblet("--help")[0] == 0
    assert giblet("hello") == (0, "hello\n", "")
    assert giblet("demo", "--help")[0] == 0
    exit_code, out, err = giblet("wreck")
    assert (exit_code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("giblet: the command 'wreck' of broken 1.5 ")
    assert said in err


def test_two_of_one_name_are_refused_and_both_owners_named(install, giblet):
    install("hello-maker", "hello", GOOD)
    install("other-maker", "hello", GOOD)
    code, _, err = giblet("hello")
    assert code == 2
    assert "the command 'hello' is claimed by" in err
    assert {"hello-maker 1.5", "other-maker 1.5"} <= {
        o.strip() for o in err[err.index("by") + 2 :].split(";")[0].split("and")
    }
    assert giblet("demo", "--help")[0] == 0


def test_a_name_of_giblets_own_is_refused_and_both_owners_named(install, giblet):
    install("run-maker", "run", GOOD)
    code, _, err = giblet("run", "--help")
    assert code == 2
    assert f"claimed by giblet {version('giblet')} and run-maker 1.5" in err
    assert giblet("demo", "--help")[0] == 0
    assert list(COMMANDS).count("run") == cli.list_commands(click.Context(cli)).count("run")
