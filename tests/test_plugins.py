"""Plugins: found without being imported, loaded one at a time, none able to harm another."""

import json
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from giblet import ConfigError, Features, FeatureSpec, Modality, PluginError, Source, TRGrid, hookimpl, seconds, stages
from giblet import plugins as plugins_module
from giblet.plugins import RESERVED, STAGES, Plugin, Registry, can_be_kind


class Toy(Modality):
    name = "toy_one"
    kind = "toy"
    level: int = 3

    def extract(self, source):
        yield Features.regular(np.full((8, 2), self.level, np.float32), 2)

    def reconstruct(self, features, out):
        path = out.with_suffix(".txt")
        path.write_text("toy")
        return path


def module(*classes, **hooks):
    """A plugin's module with hooks."""
    made = ModuleType("toy_plugin")

    @hookimpl
    def register_modalities():
        return list(classes)

    made.register_modalities = register_modalities
    vars(made).update(hooks)
    return made


def plugin(load, name="toy_one", distribution="giblet-toy"):
    return Plugin(name, distribution, "1.2", load if callable(load) else lambda: load)


def fails():
    raise ImportError("No module named 'nowhere'\nand a second line")


def exits():
    sys.exit("no licence")


class Abstract(Modality):
    name = "toy_one"
    kind = "toy"


class Nameless(Toy):
    name = None


class WrongKind(Toy):
    kind = "sound"


class Reserved(Toy):
    name = "out_one"
    kind = "out"


class Other(Toy):
    name = "toy_two"


class Queer(Toy):
    role = "audience"


class Braincase(Toy):
    role = "brain"


@hookimpl
def register_modalitys():
    return []


@hookimpl
def extract(modality, source):
    return iter([])


@hookimpl
def align(modality, no_such_argument):
    return None


@hookimpl(wrapper=True)
def decode(modality, spec, width):
    return None


def misspelt():
    compile("def extract(:\n", "/here/giblet_toy/__init__.py", "exec")


BROKEN = {
    "syntax": (misspelt, "SyntaxError: invalid syntax, /here/giblet_toy/__init__.py, line 1"),
    "import": (fails, "ImportError: No module named 'nowhere' and a second line"),
    "exit": (exits, "SystemExit: no licence"),
    "hook": (module(Toy, register_modalitys=register_modalitys), "no hook 'register_modalitys'; did you mean"),
    "no hook at all": (ModuleType("empty"), "returned nothing"),
    "abstract": (module(Abstract), "Abstract does not implement extract"),
    "nameless": (module(Nameless), "Nameless must set the class attribute `name`"),
    "wrong name": (module(Other), "the entry point is 'toy_one', but register_modalities() returned toy_two"),
    "wrong kind": (module(WrongKind), "a name begins with its kind: 'sound_...'"),
    "reserved kind": (module(Reserved), "is of the kind 'out'; a kind is one lower-case word that is still free"),
    "base of the role": (module(Braincase), "what has the role 'brain', and nothing else, derives from giblet.brain"),
    "role": (module(Queer), "has the role 'audience'; a role is one of: stimulus, brain"),
    "no class": (module(3), "returned 3, which is not a Modality class"),
    "twice": (module(Toy, Toy), "returned two classes named 'toy_one'"),
    "stage": (module(Toy, extract=extract), "override Modality.extract() in its own class, or make the hook a wrapper"),
    "argument": (module(Toy, align=align), "no_such_argument"),
    "no generator": (module(Toy, decode=decode), "is not a generator function"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_explained_and_harms_nobody(what):
    load, said = BROKEN[what]
    registry = Registry()
    registry.add(plugin(load))
    registry.add(plugin(module(Other), "toy_two", "giblet-two"))
    assert said in registry.load("toy_one").error
    assert "\n" not in registry.load("toy_one").error
    assert registry.plugins["toy_one"].modalities == {}
    with pytest.raises(PluginError, match=r"plugin 'toy_one' of giblet-toy 1\.2 does not load: .*; mend or remove"):
        registry.modality_class("toy_one")
    assert registry.modality_class("toy_two") is Other
    values = stages.extract(registry, Other(), Source("anywhere")).values
    assert (values == 3).all()


def test_a_broken_plugin_loaded_last_harms_nobody_either():
    registry = Registry()
    registry.add(plugin(module(Toy, extract=extract)))
    registry.add(plugin(module(Other), "toy_two"))
    registry.modality_class("toy_two")
    assert registry.load("toy_one").error
    assert len(stages.extract(registry, Other(), Source("anywhere")).values) == 8


def test_two_plugins_of_one_name_exclude_each_other_and_nobody_else():
    registry = Registry()
    for distribution in ("giblet-a", "giblet-b", "giblet-c"):
        registry.add(plugin(module(Toy), distribution=distribution))
    registry.add(plugin(module(Other), "toy_two"))
    with pytest.raises(PluginError, match=r"claimed by giblet-a 1\.2 and giblet-b 1\.2 and giblet-c 1\.2; uninstall"):
        registry.modality("toy_one")
    assert [p.name for p in registry.all()] == ["toy_one"] * 3 + ["toy_two"]
    assert all(p.error for p in registry.all()[:3])
    assert registry.modality("toy_two") == Other()


def test_one_module_may_stand_behind_two_entry_points():
    registry, both = Registry(), module(Toy, Other)
    registry.add(plugin(both))
    registry.add(plugin(both, "toy_two"))
    assert registry.modality("toy_one") == Toy()
    assert registry.modality("toy_two") == Other()
    assert [p.error for p in registry.all()] == [None, None]


def test_a_plugin_is_loaded_once_and_only_when_it_is_named():
    seen = []
    registry = Registry()
    registry.add(plugin(lambda: seen.append(1) or module(Toy)))
    registry.add(plugin(lambda: seen.append(2) or module(Other), "toy_two"))
    for _ in range(2):
        registry.modality("toy_one")
    assert seen == [1]


def test_names_and_settings_are_explained():
    registry = Registry()
    registry.add(plugin(module(Toy)))
    with pytest.raises(PluginError, match=r"no plugin 'toy_onn'; did you mean 'toy_one'\? there are: toy_one; `giblet"):
        registry.modality("toy_onn")
    with pytest.raises(ConfigError, match=r"toy_one has no setting 'levl'; did you mean 'level'\? there are: level"):
        registry.modality("toy_one", levl=2)
    with pytest.raises(ConfigError, match=r"toy_one: setting level = 'high' is not possible: Input should be"):
        registry.modality("toy_one", level="high")
    assert registry.modality("toy_one", level=5).level == 5


def test_a_missing_setting_is_named():
    registry = Registry.discover()
    with pytest.raises(ConfigError, match="features_table needs the setting 'tr_s'"):
        registry.modality("features_table")


class Watcher:
    """A plugin of the group giblet.wrappers: sees every stage, changes what is extracted."""

    def __init__(self):
        self.seen = []

    @hookimpl(wrapper=True)
    def extract(self, modality, source):
        self.seen.append("extract")
        result = yield
        return Features.concat(result).with_values(np.zeros((8, 2), np.float32))

    @hookimpl(wrapper=True)
    def align(self):
        self.seen.append("align")
        return (yield)

    @hookimpl(wrapper=True)
    def encode(self):
        self.seen.append("encode")
        return (yield)

    @hookimpl(wrapper=True)
    def decode(self):
        self.seen.append("decode")
        return (yield)

    @hookimpl(wrapper=True)
    def reconstruct(self, out):
        self.seen.append(f"reconstruct {out.name}")
        return (yield)


def through_all_stages(registry, modality, tmp_path):
    features = stages.extract(registry, modality, Source(tmp_path / "film"))
    aligned = stages.align(registry, modality, features, TRGrid(seconds(2), 2))
    spec = modality.spec(aligned)
    assert spec == FeatureSpec((2,), 4, "float32", tr_s=2.0)
    stages.encode(registry, modality, spec, 8)
    stages.decode(registry, modality, spec, 8)
    return features, stages.reconstruct(registry, modality, features, tmp_path / "made")


def test_a_wrapper_sees_every_stage(tmp_path):
    registry, watcher = Registry(), Watcher()
    registry.pm.register(watcher)
    features, path = through_all_stages(registry, Toy(), tmp_path)
    assert watcher.seen == [*STAGES[:-1], "reconstruct made"]
    assert (features.values == 0).all()
    assert path.read_text() == "toy"


class Point:
    """An entry point of giblet.wrappers."""

    name, value, dist = "watch", "watch", None

    def __init__(self, module):
        self.module = module

    def load(self):
        return self.module() if callable(self.module) else self.module


def test_wrappers_are_loaded_and_listed(tmp_path, monkeypatch):
    watcher = Watcher()
    monkeypatch.setattr(plugins_module, "entry_points", lambda group: [Point(watcher)])
    registry = Registry()
    assert registry.load_wrappers() == ["watch (watch ?)"]
    through_all_stages(registry, Toy(), tmp_path)
    assert len(watcher.seen) == len(STAGES)


@pytest.mark.parametrize(
    "broken", [fails, exits, module(extract=extract), module(register_modalitys=register_modalitys)]
)
def test_a_broken_wrapper_stops_the_run_in_one_line(monkeypatch, broken):
    monkeypatch.setattr(plugins_module, "entry_points", lambda group: [Point(broken)])
    with pytest.raises(PluginError, match=r"'watch' of watch \?, which wraps .*; repair or uninstall it") as error:
        Registry().load_wrappers()
    assert "\n" not in str(error.value)


def test_listing_imports_no_plugin():
    code = """
import json, sys
from giblet.plugins import Registry
names = [p.name for p in Registry.discover().all()]
print(json.dumps([names, [m for m in sys.modules if m.startswith("giblet_")], "numpy" in sys.modules]))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    names, imported, numpy_too = json.loads(out)
    assert {"audio_mel", "fmri_mask", "text_bge", "video_s3d", "features_table"} <= set(names)
    assert imported == []
    assert not numpy_too


def test_every_installed_plugin_loads():
    registry = Registry.discover()
    assert {p.name: registry.load(p.name).error for p in registry.all()} == {p.name: None for p in registry.all()}


@pytest.mark.parametrize("name", ["run", "train", "extract", "ablate", "inspect"])
def test_no_kind_can_take_a_word_of_the_command_line_or_the_config(name):
    from giblet.api.choice import kinds
    from giblet.config import SECTIONS

    command = import_module(f"giblet.cli.{name}").command

    words = {o.lstrip("-").replace("-", "_") for p in command.params for o in p.opts} - {"o", "features", *kinds()}
    assert words | set(SECTIONS) <= RESERVED
    assert not {"video", "audio", "text", "fmri", "features"} & RESERVED
    assert [k for k in ("eye-tracking", "Video", "", "two words", "3d") if can_be_kind(k)] == []
