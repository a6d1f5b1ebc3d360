"""`giblet plugins`."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(as_json: bool) -> None:
    """List every installed plugin: name, kind, role, distribution, version, what it can do, and its error if broken."""
    from giblet.api.listing import list_plugins

    found = list_plugins()
    if as_json:
        click.echo(json.dumps([asdict(p) for p in found], indent=1))
        return
    columns = ("name", "kind", "role", "distribution", "version", "can")
    table = [(p.name, p.kind, p.role or "?", p.distribution, p.version, ", ".join(p.abilities)) for p in found]
    widths = [max(len(line[i]) for line in [columns, *table]) for i in range(len(columns))]
    for line in [columns, *table]:
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    for p in found:
        if p.error:
            click.echo(f"{p.name} ({p.distribution} {p.version}) is broken: {p.error}")
