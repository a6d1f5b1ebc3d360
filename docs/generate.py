"""Write the generated parts of the reference pages (`./do python docs/generate.py`); tests/test_docs.py compares."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import click
import giblet
from giblet import hookspecs
from giblet.brain import BrainModality
from giblet.cli.main import COMMANDS, cli
from giblet.config import SECTIONS, RunConfig
from giblet.modality import Modality
from giblet.model import PRESETS
from giblet.model.presets.describe import describe
from giblet.plugins import Registry
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

DOCS = Path(__file__).parent
MARK = re.compile(r"<!-- generated: (\w+) -->\n.*?<!-- end -->", re.S)
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def config() -> str:
    """Every field of the run's config, a table a section."""
    top = [row for row in _rows(RunConfig) if row[0] not in {f"`{name}`" for name in SECTIONS}]
    parts = [f"## The run itself\n\n{_table(top)}"]
    for name, section in SECTIONS.items():
        parts.append(f"## `{name}`\n\n{inspect.getdoc(section)}\n\n{_table(_rows(section, f'{name}.'))}")
    return "\n\n".join(parts)


def plugins() -> str:
    """The settings of every plugin of this repository, a table a plugin."""
    registry, parts = Registry.discover(), []
    for plugin in registry.all():
        cls = registry.modality_class(plugin.name)
        if cls.__module__.partition(".")[0] in _ours():
            core = plugin.distribution == "giblet"
            more = "" if core else f"\n\nMore in its [README](../../plugins/{plugin.name}/README.md)."
            table = _table(_rows(cls, "" if core else f"{plugin.kind}.", _said_in_readme(plugin.name)))
            parts.append(f"### `{plugin.name}`\n\n{inspect.getdoc(cls)}\n\n{table}{more}")
    return "\n\n".join(parts)


def _said_in_readme(plugin: str) -> dict[str, str]:
    """What a plugin's README says of its settings, in tables of setting, default and meaning."""
    readme = DOCS.parent / "plugins" / plugin / "README.md"
    rows = re.findall(r"^\| (`[^|]+`) \|[^|]*\| (.+) \|$", readme.read_text("utf-8"), re.M) if readme.exists() else []
    return {name: meaning for names, meaning in rows for name in re.findall(r"`(\w+)`", names)}


def _ours() -> set[str]:
    return {"giblet", *(f"giblet_{folder.name}" for folder in (DOCS.parent / "plugins").iterdir())}


def commands() -> str:
    """The help of every command."""
    parts = [f"## giblet\n\n{_help(cli, 'giblet')}"]
    context = click.Context(cli, info_name="giblet")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        parts.append(f"## giblet {name}\n\n{_help(command, f'giblet {name}')}")
    return "\n\n".join(parts)


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=100, **command.context_settings)
    return f"```text\n{command.get_help(context)}\n```"


def hooks() -> str:
    """Every hook specification: signature and meaning."""
    found = [f for f in vars(hookspecs).values() if inspect.isfunction(f) and hasattr(f, "giblet_spec")]
    parts = []
    for f in found:
        first = "; the first answer counts" if f.giblet_spec.get("firstresult") else "; all answers count"
        parts.append(f"### `{f.__name__}`\n\n```text\n{_signature(f)}\n```\n\n{_prose(f)} (pluggy{first}.)")
    return "\n\n".join(parts)


def modality(cls: type[Modality] = Modality) -> str:
    """Every public method and property of a class that plugins extend, those that it inherits left out."""
    parts = []
    for name, member in vars(cls).items():
        f = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if name.startswith("_") or not inspect.isfunction(f) or f.__module__ != cls.__module__:
            continue
        shown = f"{name} -> {f.__annotations__['return']}" if isinstance(member, property) else _signature(f)
        required = " **Required.**" if getattr(f, "__isabstractmethod__", False) else ""
        parts.append(f"### `{name}`\n\n```text\n{shown}\n```\n\n{_prose(f)}{required}")
    return "\n\n".join(parts)


def types() -> str:
    """The classes and functions of the package's front that are data or errors, in the order of their modules."""
    found = [getattr(giblet, name) for name in giblet.__all__]
    ours = [o for o in found if getattr(o, "__module__", "") in ("giblet.types", "giblet.errors")]
    ours.sort(key=lambda o: (o.__module__ == "giblet.errors", inspect.getsourcelines(o)[1]))
    return "\n\n".join(_type_part(o) for o in ours)


def _type_part(member: Any) -> str:
    """A class with its fields and public methods, or a function."""
    if inspect.isfunction(member):
        return f"### `{member.__name__}`\n\n```text\n{_signature(member)}\n```\n\n{_prose(member)}"
    fields = dataclasses.fields(member) if dataclasses.is_dataclass(member) else ()
    shown = "\n".join(["```text", *map(_field, fields), "```"]) if fields else ""
    parts = [f"### `{member.__name__}`", inspect.getdoc(member) or "", shown, "\n".join(_members(member))]
    return "\n\n".join(part for part in parts if part)


def _field(field: dataclasses.Field[Any]) -> str:
    """A field as it stands in its class."""
    default = "" if field.default is dataclasses.MISSING else f" = {field.default!r}"
    return f"{field.name}: {field.type}{default}"


def _members(cls: type) -> Iterator[str]:
    """A list item for each public method and property that the class itself defines."""
    for name, member in vars(cls).items():
        f = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(f):
            shown = f"{name} -> {f.__annotations__['return']}" if isinstance(member, property) else _signature(f)
            yield textwrap.indent(f"- `{shown}`: {_prose(f)}", "  ").removeprefix("  ")


AUTHORS = ("media", "nn", "alignment", "video", "brain", "words", "progress", "folders", "weights")
"""The modules of giblet that authors of plugins import from, beside the package itself and `giblet.testing`."""


def authors() -> str:
    """Every public name that a plugin may import, a section a module: signature, and what it is in a line."""
    parts = []
    for name in AUTHORS:
        module = importlib.import_module(f"giblet.{name}")
        items = "\n".join(_item(public, getattr(module, public)) for public in module.__all__)
        parts.append(f"## `giblet.{name}`\n\n{inspect.getdoc(module)}\n\n{items}")
    return "\n\n".join(parts)


def _item(name: str, member: Any) -> str:
    """A list item: a function or class with its arguments, a modality by name, anything else as what it is."""
    if not inspect.isfunction(member) and not isinstance(member, type):
        return f"- `{name}`: " + (
            f"the number {member}." if isinstance(member, int | float) else "a type for settings."
        )
    settings = isinstance(member, type) and issubclass(member, BaseModel)
    shown = name if settings else _signature(member).removesuffix(" -> None").replace("*args: Any, **kwargs: Any", "")
    return f"- `{shown}`: {(inspect.getdoc(member) or '').partition(chr(10) * 2)[0]}"


def presets() -> str:
    """The layers of every preset at the reference sizes, a table a preset."""
    parts = []
    for preset in PRESETS.values():
        rows = describe(preset.name)
        total = sum(n for _, _, n in rows)
        trunk = sum(n for name, _, n in rows if "heads." not in name)
        body = [f"| `{name}` | {shape} | {n:,} |" for name, shape, n in rows]
        table = "\n".join(["| layer | shape | parameters |", "|---|---|---:|", *body])
        parts.append(
            f"## `{preset.name}`\n\nFor: {preset.purpose}. {total:,} parameters, {trunk:,} without heads.\n\n{table}"
        )
    return "\n\n".join(parts)


def _signature(f: Callable[..., Any]) -> str:
    return f.__name__ + str(inspect.signature(f)).replace("'", "")


def _prose(f: Callable[..., Any]) -> str:
    """A docstring with its Raises section as sentences."""
    text, _, raises = (inspect.getdoc(f) or "").partition("\nRaises\n------\n")
    told = re.findall(r"^(\w+)\n((?:    .*\n?)+)", raises, re.M)
    return "\n\n".join([text.strip(), *(f"Raises `{e}`: {textwrap.dedent(why).strip()}" for e, why in told)])


def _rows(
    cls: type[BaseModel], prefix: str = "", elsewhere: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, str, str, str]]:
    """Name, default, type and meaning of each field; the meaning may be said elsewhere than in the class."""
    notes = {**elsewhere, **_attribute_docs(cls)}
    for name, field in cls.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "required" if default is PydanticUndefined else f"`{_plain(default)}`"
        meaning = field.description or notes.get(name, "")
        yield f"`{prefix}{name}`", shown, _type(field), " ".join(meaning.split())


def _plain(value: object) -> str:
    """A default as it is typed behind `-o KEY=`."""
    return value if isinstance(value, str) and value else json.dumps(value, default=str)


def _type(field: Any) -> str:
    """The type as a reader says it, with its bounds."""
    text = field.annotation.__name__ if type(field.annotation) is type else str(field.annotation)
    text = re.sub(r"tuple\[.*\b(int|float|str)\b.*\.\.\.\]", r"list of \1", text)
    text = re.sub(r"typing\.|pathlib\.(_local\.)?", "", text).replace("None", "null")
    if text.startswith("Literal["):
        text = text[8:-1].replace("'", "")
    bounds = [f"{sign} {getattr(m, key):g}" for m in field.metadata for key, sign in BOUNDS.items() if hasattr(m, key)]
    return ", ".join([text.replace("|", "or"), *bounds])


def _attribute_docs(cls: type) -> dict[str, str]:
    """The strings that stand under fields in the body of a class, or of one of its own package that it extends."""
    package = cls.__module__.partition(".")[0]
    mine = [c for c in cls.__mro__ if c.__module__.partition(".")[0] == package]
    bodies = [cast("ast.ClassDef", ast.parse(textwrap.dedent(inspect.getsource(c))).body[0]).body for c in mine]
    return {
        ast.unparse(field.target): str(ast.literal_eval(note.value))
        for body in bodies
        for field, note in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(note, ast.Expr)
    }


def _table(rows: Any) -> str:
    head = ["| setting | default | type | meaning |", "|---|---|---|---|"]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([*head, *body]) if body else "It has no settings."


PARTS = {
    "config": config,
    "plugins": plugins,
    "commands": commands,
    "hooks": hooks,
    "modality": modality,
    "brain": partial(modality, BrainModality),
    "types": types,
    "authors": authors,
    "presets": presets,
}


def filled(text: str) -> str:
    """A page with its generated parts as they are now."""
    return MARK.sub(lambda m: f"<!-- generated: {m[1]} -->\n\n{PARTS[m[1]]()}\n\n<!-- end -->", text)


def generated_pages() -> list[Path]:
    """The pages that have generated parts."""
    return [page for page in sorted(DOCS.rglob("*.md")) if MARK.search(page.read_text("utf-8"))]


if __name__ == "__main__":
    for page in generated_pages():
        page.write_text(filled(page.read_text("utf-8")), encoding="utf-8")
