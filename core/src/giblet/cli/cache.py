"""`giblet cache`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from giblet.cli.figures import row
from giblet.cli.flags import json_option, print_json
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.data.cached import Cached

GB = 1e9


@click.group()
def command() -> None:
    """Features on disk, which every run shares: what there is, and making room."""


@command.command("list")
@json_option("the list")
def list_command(as_json: bool) -> None:
    """What features are kept, the longest unused first."""
    from giblet.data.cached import list_cached
    from giblet.data.store import features_folder

    found = list_cached(features_folder())
    if as_json:
        print_json([_facts(c) for c in found])
        return
    _table(found)
    click.echo(f"{len(found)} in {features_folder()}, {_gb(found):.2f} GB")


@command.command()
@click.option("--older-than", "older_days", metavar="DAYS", type=click.FloatRange(min=0), help="Unused for so long.")
@click.option(
    "--to", "keep_gb", metavar="GB", type=click.FloatRange(min=0), help="The longest unused, until no more is left."
)
@click.option("--all", "everything", is_flag=True, help="Everything.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def prune(older_days: float | None, keep_gb: float | None, everything: bool, dry_run: bool) -> None:
    """Delete features that can be made again, and what killed runs left behind a day ago or earlier."""
    from giblet.data.cached import list_cached, to_prune
    from giblet.data.cached import prune as delete
    from giblet.data.store import features_folder

    if everything and (older_days is not None or keep_gb is not None):
        raise ConfigError("--all leaves nothing for --older-than or --to to choose; give one or the other")
    days = 0.0 if everything else older_days
    chosen = to_prune(list_cached(features_folder()), days, None if keep_gb is None else GB * keep_gb)
    _table(chosen)
    if not dry_run:
        delete(chosen)
    click.echo(f"{len(chosen)} {'would go' if dry_run else 'deleted'}, {_gb(chosen):.2f} GB")


def _facts(c: Cached) -> dict[str, object]:
    return {"label": c.label, "bytes": c.n_bytes, "days_unused": c.days, "whole": c.whole, "folder": str(c.folder)}


def _table(found: Sequence[Cached]) -> None:
    for c in found:
        click.echo(row((f"{c.days:8.1f} days", f"{c.n_bytes / 1e6:.1f} MB", f"  {c.label}"), (16, 12, 0)))


def _gb(found: Sequence[Cached]) -> float:
    return sum(c.n_bytes for c in found) / GB
