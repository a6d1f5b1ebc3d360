"""What a person asks of a run beside its study: plugins, settings and a seed, refused where they cannot be meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from giblet.api.choice import NONE, TABLES, chosen_plugins
from giblet.api.lacking import silent_kinds
from giblet.config import RunConfig, build_config, nested
from giblet.data.study import Study
from giblet.errors import ConfigError

if TYPE_CHECKING:
    from giblet.plugins import Registry

Settings = Mapping[str, Any]
"""Settings by name, as behind `-o` of the command line: `{"train.trunk_steps": 500}`."""
DEMO_WEIGHTS = {"text_bge": {"text.weights": "minilm"}, "audio_encodec": {"audio.weights": "bundled"}}
"""What reads the demo's words and sound unless a person chooses: small models that come along, not a download."""


@dataclass(frozen=True, slots=True)
class Request:
    """Plugins by kind, which kinds were named, and settings by section."""

    plugins: dict[str, str]
    named: frozenset[str]
    settings: dict[str, dict[str, Any]]
    seed: int
    plumbing: bool

    @classmethod
    def of(
        cls,
        plugins: Mapping[str, str | None],
        settings: Settings | None = None,
        *,
        seed: int = 0,
        plumbing: bool = False,
        folds: int | None = None,
    ) -> Request:
        """Check names and values before anything is read or made.

        Raises
        ------
        ConfigError, PluginError
            If a kind, plugin or setting does not exist, or a value is not possible.
        """
        from giblet.plugins import Registry

        chosen = chosen_plugins(plugins)
        given = dict(settings or {}) | ({} if folds is None else {"split.folds": folds})
        sections = nested(given, [*chosen, TABLES])
        registry = Registry.discover()
        for kind, name in chosen.items():
            if name != NONE:
                registry.modality(name, **sections.get(kind, {}))
        build_config(chosen, sections, seed=seed, plumbing=plumbing)
        return cls(chosen, frozenset(k for k, n in plugins.items() if n is not None), sections, seed, plumbing)

    def of_study(self, study: Study) -> tuple[Study, RunConfig]:
        """The config of a run of a study, without the kinds that it lacks and nobody named, and the study that says so.

        Raises
        ------
        DataError
            If a film lacks what was asked for, or what other films of the study have.
        """
        there = self.among(study)
        chosen = {k for k, n in there.items() if n != NONE} & {kind for s in study.stimuli for kind in s.files}
        notes = silent_kinds(study, chosen, self.named)
        plugins = {k: NONE if k in notes else n for k, n in there.items()}
        config = build_config(plugins, self.settings, seed=self.seed, plumbing=self.plumbing)
        return replace(study, notes=(*study.notes, *notes.values())), config

    def check(self, study: Study, *, brain: bool) -> None:
        """Refuse what could not be extracted or (`brain`) split, before any file of the study is there.

        Raises
        ------
        ConfigError
            If a kind that was named has no file, nothing is left, or the split is not possible.
        """
        from giblet.pipeline.prepare import check_plan
        from giblet.pipeline.splits import first_fold

        config = build_config(self.among(study), self.settings, seed=self.seed, plumbing=self.plumbing)
        check_plan(study, first_fold(config), registry_of_run(), brain=brain)

    def among(self, study: Study) -> dict[str, str]:
        """Plugins by kind; none for what no stimulus has a file of and nobody named: what is named must be there."""
        there = {kind for s in study.stimuli for kind in s.files} | {"fmri"}
        return {k: n if k in there or k in self.named else NONE for k, n in self.plugins.items()}


def registry_of_run() -> Registry:
    """All plugins, and what wraps the stages of every run.

    Raises
    ------
    PluginError
        If a wrapper is broken.
    """
    from giblet.plugins import Registry

    registry = Registry.discover()
    registry.load_wrappers()
    return registry


def demo_settings(plugins: Mapping[str, str | None], settings: Settings) -> dict[str, Any]:
    """Settings for the demo study: plugins that need weights take those that come with them."""
    taken = [DEMO_WEIGHTS.get(name, {}) for name in chosen_plugins(plugins).values()]
    return {k: v for weights in taken for k, v in weights.items()} | dict(settings)


def require_scans(study: Study) -> None:
    """Refuse a study that cannot train a model.

    Raises
    ------
    ConfigError
        If it has no scans.
    DataError
        If one holds values that are not finite.
    """
    from giblet.data.bold import require_sound

    if not study.scans:
        raise ConfigError(
            f"study {study.name!r} has no scans; give --bold FILES, or extract its features alone (--extract-only)"
        )
    require_sound(study.scans)
