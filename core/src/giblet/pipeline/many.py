"""Everything that several studies need extracted, each stream once, spread over processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from giblet.config import RunConfig
from giblet.data.store import digest, modality_key
from giblet.data.study import Study
from giblet.data.work import Do, Failure, Place, Result, Stored, Work, extract, fit
from giblet.modality import Modality
from giblet.pipeline.prepare import build_modalities
from giblet.pipeline.presentations import presentations
from giblet.pipeline.spread import Engine, Say
from giblet.plugins import Registry
from giblet.progress import watched
from giblet.types import Progress, Source


@dataclass(frozen=True, slots=True)
class ExtractedItem:
    """What became of one file and one modality: `cached` was there before; without an `error` it is there now.

    `notes` say what was wrong with the file, or assumed of it.
    `file` is None where a modality could not learn from the files of its study, so that none was extracted.
    """

    study: str
    modality: str
    file: Path | None
    seconds: float = 0.0
    cached: bool = False
    n_bytes: int = 0
    notes: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0

    @property
    def name(self) -> str:
        """What it is, for people."""
        return f"{self.modality} of {self.file.name if self.file else f'the study {self.study}'}"


@dataclass(frozen=True, slots=True)
class _Part:
    """One modality of one study, and the sources that its runs read, one a run."""

    study: str
    modality: Modality
    version: str
    sources: tuple[Source, ...]

    def work(self, *sources: Source) -> Work:
        """Some of it, as plain values."""
        m = self.modality
        return Work(m.name, self.version, m.settings(), dict(m.state), sources)

    def each(self) -> Iterator[tuple[str, _Item]]:
        """Every source, under what decides its features."""
        made_by = modality_key(self.modality, self.version)
        for source in self.sources:
            yield digest([made_by, repr(source)]), (self, source)


_Item = tuple[_Part, Source]


def extract_many(
    planned: Sequence[tuple[Study, RunConfig]], registry: Registry, engine: Engine, progress: Progress, say: Say
) -> list[ExtractedItem]:
    """Extract all streams of all studies, as `extract_study` would; what fails does not keep the others from it.

    Raises
    ------
    ConfigError
        If a study lacks a file of a modality.
    GibletError
        If no more can be extracted at all: the disk is full, say. What is finished stays.
    """
    parts = [part for study, config in planned for part in _parts(study, config, registry)]
    n = len({(part.modality.name, source) for part in parts for source in part.sources})
    spread = replace(engine, jobs=max(1, min(engine.jobs, n)))
    with spread.place() as place, watched(progress):
        call = _Call(spread, place, progress, say)
        fitted, failed = _fitted(parts, call)
        items = sorted(_unlike(fitted), key=lambda item: -_size(item[1]))  # the longest first: none is waited for
        results = call.all("extract", extract, [part.work(source) for part, source in items])
    return failed + [_item(part, source, result) for (part, source), result in zip(items, results, strict=True)]


def _parts(study: Study, config: RunConfig, registry: Registry) -> Iterator[_Part]:
    modalities = build_modalities(registry, study, config)
    runs = presentations(study, modalities)
    for key, modality in modalities.items():
        sources = (run.sources[key] for run in runs)
        version = registry.plugins[modality.name].version
        yield _Part(study.name, modality, version, tuple(replace(s, path=s.path.absolute()) for s in sources))


@dataclass(frozen=True, slots=True)
class _Call:
    engine: Engine
    place: Place
    progress: Progress
    say: Say

    def all(self, stage: str, do: Do, works: Sequence[Work]) -> list[Result]:
        """The results of some work, in its order."""
        found: dict[int, Result] = {}
        self.progress(stage, 0, len(works))
        for number, result in self.engine.do(do, works, self.place, self.say):
            found[number] = result
            self.progress(stage, len(found), len(works))
        return [found[number] for number in range(len(works))]


def _fitted(parts: Sequence[_Part], call: _Call) -> tuple[list[_Part], list[ExtractedItem]]:
    """The parts whose modalities have learned what they must before extracting, and those that failed at it."""
    learning = [p for p in parts if type(p.modality).fit is not Modality.fit]
    fitted, failed = [p for p in parts if p not in learning], []
    for part, state in zip(learning, call.all("fit", fit, [p.work(*p.sources) for p in learning]), strict=True):
        if isinstance(state, Failure):
            failed.append(_item(part, None, state))
        elif isinstance(state, dict):
            fitted.append(replace(part, modality=part.modality.fitted(**state)))
    return fitted, failed


def _unlike(parts: Iterable[_Part]) -> Iterable[_Item]:
    """Each stream once, whatever studies and runs share it."""
    return dict(pair for part in parts for pair in part.each()).values()


def _size(source: Source) -> int:
    return source.path.stat().st_size if source.path.is_file() else 0


def _item(part: _Part, source: Source | None, result: Result) -> ExtractedItem:
    item = ExtractedItem(part.study, part.modality.name, None if source is None else source.path)
    if isinstance(result, Stored):
        return replace(item, **asdict(result))
    assert isinstance(result, Failure)
    return replace(item, error=result.error, exit_code=result.exit_code)
