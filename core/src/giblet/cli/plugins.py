"""`giblet plugins`."""

from __future__ import annotations

import json
from typing import Any

import click


def describe() -> list[dict[str, Any]]:
    """Every plugin, loaded by itself: what it is, what it can do, and what is wrong with it."""
    from giblet.plugins import Registry

    registry = Registry.discover()
    rows = []
    for plugin in registry.all():
        if registry.plugins.get(plugin.name) is plugin:
            registry.load(plugin.name)
        cls = plugin.modalities.get(plugin.name)
        rows.append(
            {
                "name": plugin.name,
                "kind": plugin.kind,
                "role": cls.role if cls else None,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "abilities": _abilities(cls) if cls else [],
                "settings": sorted(cls.model_fields) if cls else [],
                "error": plugin.error,
            }
        )
    return rows


def _abilities(cls: Any) -> list[str]:
    return ["encode", "decode", *(["reconstruct"] if cls.can_reconstruct() else [])]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def command(as_json: bool) -> None:
    """List every installed plugin: name, kind, role, distribution, version, what it can do, and its error if broken."""
    rows = describe()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    columns = ("name", "kind", "role", "distribution", "version", "can")
    table = [
        [r["name"], r["kind"], r["role"] or "?", r["distribution"], r["version"], ", ".join(r["abilities"])]
        for r in rows
    ]
    widths = [max(len(str(line[i])) for line in [columns, *table]) for i in range(len(columns))]
    for line in [columns, *table]:
        click.echo("  ".join(str(cell).ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    for r in rows:
        if r["error"]:
            click.echo(f"{r['name']} ({r['distribution']} {r['version']}) is broken: {r['error']}")
