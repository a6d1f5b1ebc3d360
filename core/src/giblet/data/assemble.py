"""From the entries of a study to its stimuli and scans: files are looked for, headers read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from giblet.data.onsets import one_clock
from giblet.data.parts import SLICE_TIME_REF, FeatureTable, Scan, Stimulus
from giblet.data.scan_header import inspect_bold, is_table, refuse_for_images
from giblet.data.study_file import FeatureEntry, ScanEntry, StimulusEntry, did_you_mean
from giblet.errors import ConfigError, DataError
from giblet.types import ScanFiles, TableChoice, seconds

SOUND_FILES = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac")
TOLD = 5
"""How many broken subjects are described; the others are counted."""


def there(folder: Path, path: Path, what: str) -> Path:
    """The full path of a file that must be there."""
    full = folder / path.expanduser()
    if not full.is_file():
        raise DataError(f"{what}: there is no file {full}; correct the path")
    return full


def make_stimulus(entry: StimulusEntry, folder: Path) -> Stimulus:
    """Files and streams of one stimulus; a film is both picture and sound."""
    what = f"stimulus {entry.name!r}"
    files: dict[str, Path] = {}
    streams = {k: v for k, v in (("video", entry.video_stream), ("audio", entry.audio_stream)) if v is not None}
    if entry.film is not None:
        film = there(folder, entry.film, what)
        files = {"audio": film} if film.suffix.lower() in SOUND_FILES else {"video": film, "audio": film}
    if entry.annotations is not None:
        inside = entry.annotations.path == "embedded"
        if inside and "video" not in files:
            raise ConfigError(
                f"{what}: embedded annotations are captions inside a film, and there is no film; give one"
            )
        files["text"] = files["video"] if inside else there(folder, Path(entry.annotations.path), what)
        if inside or entry.annotations_stream is not None:
            streams["text"] = entry.annotations_stream or "embedded"
    for kind, path in entry.files.items():
        if kind in files and kind != "audio":
            raise ConfigError(f"{what} has two files of kind {kind!r}; name one of them")
        files[kind] = there(folder, path, what)
    if not files and not entry.features:
        raise ConfigError(f"{what} is empty; give it a film, annotations, files or features")
    features = {k: _features(k, v, folder) for k, v in entry.features.items()}
    chosen = {} if entry.annotations is None else entry.annotations.model_dump(exclude={"path"})
    return Stimulus(entry.name, files, streams, features, TableChoice(**chosen))


def _features(name: str, entry: FeatureEntry, folder: Path) -> FeatureTable:
    tr_s = None if entry.tr_s is None else seconds(entry.tr_s)
    path = there(folder, entry.path, f"features {name!r}")
    return FeatureTable(path, tr_s, seconds(entry.start_s), entry.hemodynamics)


def without(scans: Sequence[ScanEntry], exclude: Collection[str]) -> list[ScanEntry]:
    """The scans that are not excluded by `SUBJECT` (with or without `sub-`) or `SUBJECT/RUN`."""
    keys = [{s.subject, s.subject.removeprefix("sub-"), f"{s.subject}/{s.run}"} for s in scans]
    for name in exclude:
        if not any(name in k for k in keys):
            raise ConfigError(
                f"--exclude {name!r} is no subject; {did_you_mean(name, sorted({s.subject for s in scans}))}"
            )
    left = [s for s, k in zip(scans, keys, strict=True) if not k & set(exclude)]
    if scans and not left:
        raise ConfigError("--exclude leaves no scan at all; keep at least one subject")
    return left


def make_scans(
    entries: Iterable[ScanEntry], folder: Path, tr_s: Fraction | None, study_tr_s: Fraction | None
) -> tuple[tuple[Scan, ...], tuple[str, ...]]:
    """Look for each scan's files and into its header. All that is wrong is said at once, with the way out.

    Scans that began nearly together are given one clock.
    """
    scans: list[Scan] = []
    notes: Counter[str] = Counter()
    problems: dict[str, list[str]] = {}
    for e in entries:
        own = None if e.tr_s is None else seconds(e.tr_s)
        try:
            scan, said = _scan(e, folder, tr_s or own or study_tr_s)
        except DataError as error:
            problems.setdefault(e.subject, []).append(str(error))
            continue
        scans.append(scan)
        notes.update(said)
    if problems:
        broken = ". ".join([f"subject {s}: {'; '.join(p)}" for s, p in problems.items()][:TOLD])
        broken += f". And {len(problems) - TOLD} more subjects" if len(problems) > TOLD else ""
        out = "" if not scans else " — or leave out with " + " ".join(f"--exclude {s}" for s in problems)
        raise DataError(broken + out)
    together, told = one_clock(scans)
    return together, (*(f"{note} ({n} scans)" if n > 1 else note for note, n in notes.items()), *told)


def _scan(entry: ScanEntry, folder: Path, tr_s: Fraction | None) -> tuple[Scan, list[str]]:
    path = there(folder, entry.bold, f"scan of {entry.subject} {entry.run}")
    files = _files(entry, folder)
    info = inspect_bold(path, tr_s, files)
    if info.tr_s is None:
        what = "is a table, which says no TR" if is_table(path) else "states no TR"
        raise ConfigError(f"{path} {what}; give --tr SECONDS")
    notes = list(info.notes)
    reference = entry.slice_time_ref if entry.slice_time_ref is not None else info.slice_time_ref
    if reference is None:
        reference = SLICE_TIME_REF
        notes.append(f"no slice times: volumes count as taken at {SLICE_TIME_REF:g} of their TR")
    clock = (info.tr_s, info.n_volumes, seconds(entry.offset_s), reference)
    mask = None if entry.mask is None else there(folder, entry.mask, f"mask of {entry.subject} {entry.run}")
    return Scan(entry.subject, entry.run, entry.stimulus, path, *clock, mask, files), notes


def _files(entry: ScanEntry, folder: Path) -> ScanFiles:
    """How a scan is read and what belongs to it; a setting that the file cannot have is refused."""
    who = f"{entry.subject} {entry.run}"
    refuse_for_images(entry.bold, entry.transposed, entry.variable, entry.right, what=f"scan of {who}: ")
    if entry.confound_columns and entry.confounds is None:
        raise ConfigError(f"scan of {who} has confound_columns but no confounds; name their table")
    beside = {"right": entry.right, "confounds": entry.confounds}
    found = {k: None if v is None else there(folder, v, f"{k} of {who}") for k, v in beside.items()}
    return ScanFiles(entry.transposed, entry.variable, **found, confound_columns=entry.confound_columns)


def refuse_twice(names: Sequence[str], what: str) -> None:
    """Refuse a name that stands for two things."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ConfigError(f"{what} {twice[0]!r} is named twice; each needs its own")


def check_tr(tr_s: Fraction | None) -> None:
    """Refuse a TR that is no time."""
    if tr_s is not None and tr_s <= 0:
        raise ConfigError(f"a TR of {float(tr_s):g} s is not positive; give --tr SECONDS")
