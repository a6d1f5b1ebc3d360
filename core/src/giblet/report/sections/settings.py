"""How to make this run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from giblet.report.markup import Html, Section, folded, html, table, tag
from giblet.report.run_folder import RunFolder


def render(run: RunFolder) -> Section | None:
    """Command, seed, machine, plugins, versions, settings, seconds of each stage, and files."""
    parts = [
        _command(run),
        _plugins(run),
        _stages(run),
        _pairs("Settings", "setting", dict(_flat(run.config))),
        _pairs("Versions", "package", run.metrics.get("versions") or {}),
        _files(run),
    ]
    return Section("settings", "Settings, versions and time", html(parts)) if any(parts) else None


def _command(run: RunFolder) -> Html:
    command, seed = run.metrics.get("command"), run.metrics.get("seed")
    wrappers = run.inputs.get("wrappers") or []
    version = (run.metrics.get("versions") or {}).get("giblet")
    facts = {"study": run.metrics.get("study"), "seed": seed, "giblet": version, **(run.metrics.get("machine") or {})}
    facts["wrappers"] = ", ".join(wrappers) or ("none" if version else None)
    shown = [[tag("dt", k), tag("dd", str(v))] for k, v in facts.items() if v is not None]
    return html(
        [tag("pre", command, tabindex="0") if command else None, tag("dl", *shown, class_="facts") if shown else None]
    )


def _plugins(run: RunFolder) -> Html:
    """Every plugin with who distributes it, then their settings, defaults too."""
    plugins = run.model.get("modalities") or {}
    if not plugins:
        return Html()
    rows = [[key, p["plugin"], p["distribution"], p["version"]] for key, p in plugins.items()]
    shown = table("Plugins of this run", ["signal", "plugin", "distribution", "version"], rows)
    settings = dict(_flat({key: p["settings"] for key, p in plugins.items()}))
    return html([shown, _pairs("Settings of the plugins", "setting", settings)])


def _stages(run: RunFolder) -> Html:
    if not run.log:
        return Html()
    rows = [[str(row.get("stage", "")), row.get("seconds")] for row in run.log]
    total = sum(float(row.get("seconds") or 0) for row in run.log)
    return table("Seconds a stage", ["stage", "seconds"], [*rows, ["all", total]])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _pairs(title: str, what: str, values: Mapping[str, Any]) -> Html:
    rows = [[key, str(value)] for key, value in values.items()]
    return folded(title, table(f"{title} of this run", [what, "value"], rows)) if rows else Html()


def _files(run: RunFolder) -> Html:
    folders = [run.path / "predictions", run.path / "reconstructions"]
    found = [
        p for f in folders if f.is_dir() for p in sorted(f.rglob("*")) if p.is_file() and not p.name.startswith(".")
    ]
    links = [tag("li", tag("a", p.relative_to(run.path).as_posix(), href=run.embedder.link(p))) for p in found]
    return folded("Files beside this page", tag("ul", *links)) if links else Html()
