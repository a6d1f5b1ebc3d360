"""Docs cannot rot: what is generated is compared, what is code is run, what is linked is there."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType

import click
import giblet
import numpy as np
import pytest
from giblet import hookspecs
from giblet.brain import BrainModality
from giblet.cli.main import COMMANDS as COMMANDS_OF_CLI
from giblet.cli.main import cli
from giblet.config import SECTIONS, RunConfig, parse_overrides
from giblet.data import study_file
from giblet.data.study_file import StudyFile
from giblet.media.examples import EXAMPLES
from giblet.modality import Modality
from giblet.plugins import Registry
from pydantic import BaseModel
from pydantic.fields import FieldInfo

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
READMES = sorted(ROOT.glob("plugins/*/README.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "core" / "README.md", *PAGES, *READMES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LESSON = DOCS / "tutorials" / "first-plugin.md"
GUIDED = {LESSON, DOCS / "how-to" / "new-kind.md"}
"""Pages whose blocks are run in order, as a reader does: the second in test_template.py."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in BLOCK.findall(page.read_text("utf-8")) if language in languages]


# What is generated


@pytest.mark.parametrize("page", generate.generated_pages(), ids=name_of)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text("utf-8")
    assert generate.filled(text) == text, f"{name_of(page)} is out of date; run ./do python docs/generate.py"


def test_every_part_is_on_a_page() -> None:
    marks = [m for page in PAGES for m in generate.MARK.findall(page.read_text("utf-8"))]
    assert sorted(marks) == sorted(generate.PARTS)


def rows_of(page: str) -> dict[str, str]:
    """The default by the setting, as a reader finds them in the tables of a page."""
    text = (DOCS / page).read_text("utf-8")
    return dict(re.findall(r"^\| `([\w.]+)` \| `?([^|`]+)`? \|", text, re.M))


def test_every_setting_is_documented_with_its_default() -> None:
    documented = rows_of("reference/config.md")
    for section, cls in SECTIONS.items():
        for key, field in cls.model_fields.items():
            said = documented[f"{section}.{key}"]
            default = field.get_default(call_default_factory=True)
            assert default == (said if isinstance(default, str) else json.loads(said)), f"{section}.{key}"
    for key in RunConfig.model_fields.keys() - SECTIONS.keys():
        assert key in documented


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "plugins").iterdir() if p.is_dir()))
def test_every_plugin_is_documented(folder: str) -> None:
    cls = Registry.discover().modality_class(folder)
    documented = rows_of("reference/config.md")
    assert {f"{cls.kind}.{key}" for key in cls.model_fields} <= documented.keys()
    assert f"[`{folder}`](plugins/{folder}/README.md)" in (ROOT / "README.md").read_text("utf-8")
    readme = (ROOT / "plugins" / folder / "README.md").read_text("utf-8")
    unsaid = [key for key in cls.model_fields if f"`{key}`" not in readme]
    assert not unsaid, f"plugins/{folder}/README.md does not mention {unsaid}"


def test_every_method_of_modality_is_documented() -> None:
    text = (DOCS / "reference/modality.md").read_text("utf-8")
    for cls, one in ((Modality, "extract"), (BrainModality, "clean")):
        public = [n for n in vars(cls) if not n.startswith("_") and callable(getattr(cls, n, None))]
        ours = [n for n in public if n not in ("model_config", "model_post_init")]
        assert one in ours
        assert [n for n in ours if f"### `{n}`" not in text] == []


ENTRIES = [
    study_file.StudyEntry,
    study_file.StimulusEntry,
    study_file.ScanEntry,
    study_file.FeatureEntry,
    study_file.AnnotationsEntry,
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.__name__)
def test_every_key_of_a_study_file_is_documented(entry: type[study_file.Entry]) -> None:
    text = (DOCS / "reference/study-file.md").read_text("utf-8")
    assert [key for key in entry.model_fields if f"`{key}`" not in text] == []


def test_every_score_of_scans_is_documented() -> None:
    from giblet.analysis.bold import BoldScores, bold_metrics
    from giblet.analysis.ceilings import Ceiling
    from giblet.analysis.nulls import shift_null
    from giblet.analysis.ridges import GROUP

    r = {m: np.array([0.1, 0.2]) for m in ("r", "ridge_r", "banded_r", "summary_ridge_r")}
    series = np.random.default_rng(0).normal(size=(100, 2))
    null = shift_null(series, series, [slice(0, 100)], 1.5)
    ceilings = {"people": Ceiling("loo_isc", np.ones((1, 2)), "note"), GROUP: Ceiling("half", np.ones(2), "note")}
    scores = BoldScores({"sub-01": r, GROUP: r}, ceilings, null, null, None, [], {m: np.ones((1, 5)) for m in r})
    found = bold_metrics(scores, {"visual": np.array([True, False])})
    text = (DOCS / "reference/metrics-json.md").read_text("utf-8")
    keys = {*found, *found["group"], *found["subjects"]["sub-01"], *found["regions"]["visual"]}
    assert [k for k in sorted(keys) if f"`{k}`" not in text] == []


# What is new


def fake_setting(cls: type[BaseModel]) -> Callable[[pytest.MonkeyPatch], None]:
    field = FieldInfo(annotation=int, default=1, description="a setting that no page knows")
    return lambda patch: patch.setitem(cls.model_fields, "fake", field)


def fake_option(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    option = click.Option(["--fake"], help="An option that no page knows.")
    return lambda patch: patch.setattr(command, "params", [*command.params, option])


def fake_hook(patch: pytest.MonkeyPatch) -> None:
    def fake(modality: Modality) -> None:
        """A hook that no page knows."""

    patch.setattr(hookspecs, "fake", hookspecs.hookspec(fake), raising=False)


def fake_method(cls: type[Modality]) -> Callable[[pytest.MonkeyPatch], None]:
    def fake(self: Modality) -> None:
        """A method that no page knows."""

    fake.__module__ = cls.__module__
    return lambda patch: patch.setattr(cls, "fake", fake, raising=False)


OUR_PLUGINS = [readme.parent.name for readme in READMES]
NEWS: list[tuple[str, str, Callable[[pytest.MonkeyPatch], None]]] = [
    *(("config", section, fake_setting(cls)) for section, cls in SECTIONS.items()),
    *(("plugins", name, fake_setting(Registry.discover().modality_class(name))) for name in OUR_PLUGINS),
    *(("commands", name, fake_option(name)) for name in COMMANDS_OF_CLI),
    ("hooks", "hook", fake_hook),
    ("modality", "method", fake_method(Modality)),
    ("brain", "method", fake_method(BrainModality)),
]


@pytest.mark.parametrize(("part", "where", "add"), NEWS, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_new_makes_its_page_out_of_date(part, where, add, monkeypatch) -> None:
    before = generate.PARTS[part]()
    add(monkeypatch)
    after = generate.PARTS[part]()
    assert "fake" not in before
    assert "fake" in after


def test_every_setting_has_a_meaning() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| .* \|([^|]*)\|$", generate.config() + "\n" + generate.plugins(), re.M)
    assert len(rows) > 80
    assert [name for name, meaning in rows if not meaning.strip()] == []


def test_every_option_has_a_help() -> None:
    for name in COMMANDS_OF_CLI:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert [o.name for o in options if not o.help] == [], name


def test_every_public_name_is_documented() -> None:
    text = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    assert [n for n in giblet.__all__ if not re.search(rf"`(giblet\.)?{n}\b", text)] == []


# What is linked


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(page.read_text("utf-8")) if "://" not in link]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)} links to {link}, which is not there"
        assert not anchor or anchor in anchors(target), f"{name_of(page)} links to {link}: no such heading"


def test_every_page_is_reachable_from_the_index() -> None:
    found, to_do = set[Path](), [DOCS / "index.md"]
    while to_do:
        page = to_do.pop()
        if page not in found and page.suffix == ".md" and page.is_relative_to(DOCS):
            found.add(page)
            to_do += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert set(PAGES) - found == set()


# What is code

LANGUAGES = {"python", "sh", "toml", "text"}
"""Blocks of the first three run in this file; the last is what is printed or generated, and no code."""


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    text = page.read_text("utf-8")
    opened = re.findall(r"^```(.*)$", text, re.M)[::2]
    assert set(opened) <= LANGUAGES
    assert re.findall(r"^ {4}(?:from \w+ import|import \w+)", BLOCK.sub("", text), re.M) == [], "Python that is not run"


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Every `giblet` command of a page's shell blocks and, in the READMEs, of its indented ones."""
    text = "\n".join(blocks(page, "sh"))
    text += "\n" + "\n".join(re.findall(r"^ {4}((?:\./do )?giblet .*)$", page.read_text("utf-8"), re.M))
    text = text.replace("$SLURM_ARRAY_TASK_ID", "1").replace(" ...", "")
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        words = words[1:] if words[:1] == ["./do"] else words
        if words[:1] == ["giblet"]:
            yield words[1:]


COMMANDS = [(p, w) for p in TEXTS if p not in GUIDED for w in shell_lines(p)]


@pytest.mark.parametrize(("page", "words"), COMMANDS, ids=lambda v: " ".join(v) if isinstance(v, list) else v.name)
def test_commands_can_be_meant(page: Path, words: list[str]) -> None:
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, f"{name_of(page)}: no command {words[0]}"
    context = command.make_context(words[0], words[1:])  # an unknown option raises
    registry = Registry.discover()
    classes = [registry.modality_class(n) for n in registry.plugins]
    kinds = {c.kind for c in classes} - {"features"}  # `--features NAME=FILE` is no choice of a plugin
    for section, values in parse_overrides(context.params.get("overrides") or (), kinds).items():
        settings = [SECTIONS[section]] if section in SECTIONS else [c for c in classes if c.kind == section]
        assert any(values.keys() <= c.model_fields.keys() for c in settings), f"{name_of(page)}: {section} {values}"
    for kind in kinds & context.params.keys():
        assert context.params[kind] in (None, "none", *(n.removeprefix(f"{kind}_") for n in registry.plugins))


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 12


class BegunError(Exception):
    """The work would begin here."""


def begin(*args: object, **kwargs: object) -> None:
    raise BegunError


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that pages speak of, a few seconds each."""
    folder = tmp_path_factory.mktemp("material")
    film = EXAMPLES["video"](folder)
    scan = EXAMPLES["fmri"](folder)
    shutil.copy(film, folder / "silent.mp4")
    put(folder / "scenes.csv", "onset,duration,text\n0,2,A dog barks.\n2,2,It rains.\n")
    put(folder / "silent.srt", "1\n00:00:01,000 --> 00:00:03,000\nA dog barks.\n")
    put(folder / "story.TextGrid")
    put(folder / "words.TextGrid")
    np.save(folder / "motion.npy", np.zeros((5, 2)))
    (folder / "func").mkdir()
    for subject in ("sub-01", "sub-02"):
        shutil.copy(scan, folder / f"{subject}_bold.nii.gz")
        shutil.copy(scan, folder / "func" / f"{subject}_bold.nii.gz")
    table = "\n".join("1 2 3" for _ in range(30))
    for subject in ("s18", "s33"):
        put(folder / f"{subject}-timecourses.txt", table)
    prepared = folder / "dataset" / "derivatives" / "fmriprep"
    for subject, image in product(("sub-01", "sub-02"), ("bold", "mask")):
        place = prepared / subject / "func"
        place.mkdir(parents=True, exist_ok=True)
        end = {"bold": "preproc_bold", "mask": "brain_mask"}[image]
        shutil.copy(scan, place / f"{subject}_task-film_space-MNI152NLin2009cAsym_desc-{end}.nii.gz")
        put(place / f"{subject}_task-film_desc-confounds_timeseries.tsv", "trans_x\n0.1\n")
    put(folder / "dataset" / "task-film_events.tsv", "onset\tduration\tstim_file\n0\t6\tfilm.mp4\n")
    (folder / "dataset" / "stimuli").mkdir()
    shutil.copy(film, folder / "dataset" / "stimuli" / "film.mp4")
    entries = ['[study]\nname = "study"\ntr_s = 1.5', *(STIMULUS.format(run=r) for r in RUNS)]
    for subject, run_ in product(("sub-01", "sub-03", "sub-05"), RUNS):
        put(folder / f"{subject}_{run_}.txt", table)
        entries.append(SCAN.format(subject=subject, run=run_))
    put(folder / "study.toml", "\n".join(entries))
    return folder


RUNS = ("run-1", "run-2")
STIMULUS = '[[stimulus]]\nname = "{run}"\nfilm = "film.mp4"\nannotations = "scenes.csv"'
SCAN = '[[scan]]\nsubject = "{subject}"\nrun = "{run}"\nstimulus = "{run}"\nbold = "{subject}_{run}.txt"'
STARTS = [(p, w) for p, w in COMMANDS if w[0] in ("run", "ablate") and "..." not in w]
MADE_BEFORE = ("out/null-world",)
"""Studies that an earlier line of the same page makes."""


@pytest.mark.parametrize(("page", "words"), STARTS, ids=lambda v: " ".join(v) if isinstance(v, list) else v.name)
def test_commands_read_their_files_and_begin(page, words, material, monkeypatch) -> None:
    """As far as the first second of work: options, plugins, settings, files and study are read for real."""
    monkeypatch.chdir(material)
    for place in ("fitting.fit", "fitting.extract", "costing.training_cost", "ablation.ablate", "studies.demo_study"):
        monkeypatch.setattr(f"giblet.api.{place}", begin)
    words = ["study.toml" if w in MADE_BEFORE else w for w in words]
    with pytest.raises(BegunError):
        cli.main(words, standalone_mode=False)


def toml_blocks() -> list[tuple[Path, str]]:
    return [(page, code) for page in TEXTS for code in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "code"), toml_blocks(), ids=lambda v: v.name if isinstance(v, Path) else "block")
def test_toml_blocks_are_study_files_or_packages(page: Path, code: str) -> None:
    parsed = tomllib.loads(code)
    if "study" in parsed:
        StudyFile.model_validate(parsed)
        return
    (name,) = parsed["project"]["entry-points"]["giblet"]
    assert parsed["project"]["name"] == f"giblet-{name.replace('_', '-')}"


def run(arguments: list[str], folder: Path) -> str:
    """Run Python in a folder whose `src` is importable; its output."""
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "GIBLET_CACHE": str(folder / "cache"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


PYTHON_PAGES = [p for p in [*PAGES, *READMES] if p not in GUIDED and blocks(p, "python")]
ONE_AFTER_THE_OTHER = """
import json, os, sys, traceback
failed = {}
for page, folder, code in json.load(open(sys.argv[1], encoding="utf-8")):
    os.chdir(folder)
    try:
        exec(compile(code, page, "exec"), {"__name__": "__main__"})
    except BaseException:
        failed[page] = traceback.format_exc()
json.dump(failed, open(sys.argv[2], "w", encoding="utf-8"))
"""


@pytest.fixture(scope="module")
def python_failures(material: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The traceback of each page whose Python fails; one process for all, for torch takes seconds to import."""
    work = tmp_path_factory.mktemp("python")
    save_codec(material / "encodec_24khz")
    jobs = []
    for page in PYTHON_PAGES:
        folder = material if page in READMES else work / page.stem
        folder.mkdir(exist_ok=True)
        jobs.append((name_of(page), str(folder), "\n".join(blocks(page, "python"))))
    put(work / "jobs.json", json.dumps(jobs))
    run(["-c", ONE_AFTER_THE_OTHER, str(work / "jobs.json"), str(work / "failed.json")], work)
    failures: dict[str, str] = json.loads((work / "failed.json").read_text("utf-8"))
    return failures


@pytest.mark.slow
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=name_of)
def test_python_blocks_run(page: Path, python_failures: dict[str, str]) -> None:
    assert python_failures.get(name_of(page), "") == ""


def save_codec(folder: Path) -> None:
    """A codec of random weights, in the shape of the one that a page has fetched."""
    import torch
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig(num_filters=4, num_lstm_layers=1))
    for layer in model.quantizer.layers:
        torch.nn.init.normal_(layer.codebook.embed)
    model.save_pretrained(folder)


def save(code: str, folder: Path) -> bool:
    """Write a block that begins with a comment naming its file, as the tutorial asks."""
    named = re.match(r"# ([\w./]+\.(?:py|toml))\n", code)
    if named:
        path = folder / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return named is not None


def install(folder: Path) -> None:
    """What `uv pip install --editable .` does for entry points: metadata beside the sources."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    info = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [f"{k} = {v}" for k, v in project["entry-points"]["giblet"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[giblet]", *points, ""]))


def test_the_lesson_on_plugins_is_as_short_as_it_says() -> None:
    first, *_, last = [code for code in blocks(LESSON, "python") if code.startswith("# src/")]
    assert len(re.findall(r"^.*\S", first, re.M)) == 10
    assert len(last.splitlines()) == 40


@pytest.mark.slow
def test_the_lesson_on_plugins_works_step_by_step(tmp_path: Path) -> None:
    outputs = []
    for language, code in BLOCK.findall(LESSON.read_text("utf-8")):
        if language == "sh":
            for line in code.splitlines():
                words = shlex.split(line)
                if words[0] == "uv":
                    install(tmp_path)
                else:
                    outputs.append(run(["-m", *words], tmp_path))
        elif not save(code, tmp_path) and language == "python":
            run(["-c", code], tmp_path)
    listed, extracted, checked, ten_lines, forty_lines = outputs
    assert re.search(r"^gaze_xy +gaze +stimulus +giblet-gaze-xy +0\.1\.0", listed, re.M)
    assert "broken" not in listed
    assert re.search(r"gaze_xy +3600 +60\.000 +90 +40 +40", extracted)
    assert re.search(r"all \d+ checks passed", checked)
    passed = [int(n) for o in (ten_lines, forty_lines) for n in re.findall(r"(\d+) passed", o)]
    assert passed[0] >= 12
    assert passed[1] == passed[0] + 1  # reconstruct
