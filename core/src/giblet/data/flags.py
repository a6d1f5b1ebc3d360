"""A study from files alone: who, which run and which film are read off the names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

from giblet.data.assemble import check_tr, make_scans, make_stimulus, refuse_twice, without
from giblet.data.naming import Named, expand, identify, loose_entities_of, natural, paired, stem
from giblet.data.parts import Stimulus, Study
from giblet.data.study_file import AnnotationsEntry, FeatureEntry, ScanEntry, StimulusEntry
from giblet.errors import ConfigError
from giblet.types import seconds


def study_from_flags(
    film: Sequence[Path] = (),
    annotations: Sequence[str] = (),
    bold: Sequence[str] = (),
    tr_s: Fraction | None = None,
    offset_s: Sequence[float | Fraction] = (),
    features: Sequence[tuple[str, Path]] = (),
    exclude: Collection[str] = (),
    needs_bold: bool = True,
    transposed: bool = False,
) -> Study:
    """A study from files alone: one film for all scans, or several that are matched with the runs.

    `annotations` are paths or "embedded", one a film; `bold` are paths or globs; `offset_s` is one number for all, or
    one a run in order of their names. `transposed` tables of parcels have one row a parcel.

    Raises
    ------
    ConfigError
        If there is nothing to study, a glob matches nothing, or it is open which files belong together.
    DataError
        If a file is missing or a scan is not what its name says.
    """
    check_tr(tr_s)
    stimuli = flag_stimuli(film, annotations, features)
    files = paired(expand(bold, "bold"))
    named = identify(list(files)) if files else []
    if needs_bold and not named:
        raise ConfigError("there are no scans; give --bold FILES, or stop after the features with --extract-only")
    runs = sorted({n.run for n in named}, key=natural)
    offsets = offsets_of(offset_s, runs)
    entries = [
        ScanEntry(
            subject=n.subject,
            run=n.run,
            stimulus=match(n, stimuli, runs).name,
            bold=n.path,
            right=files[n.path],
            offset_s=offsets[n.run],
            transposed=transposed or None,
        )
        for n in named
    ]
    wanted = without(entries, exclude)
    scans, notes = make_scans(wanted, Path.cwd(), tr_s, None)
    if len(stimuli) == 1 and len(runs) > 1:
        notes = (
            *notes,
            f"{', '.join(runs)} are all taken as scans of {stimuli[0].name}; a study.toml can say otherwise",
        )
    name = "+".join(s.name for s in stimuli)
    return Study(name, Path.cwd(), stimuli, scans, notes=notes, given_tr_s=tr_s)


def flag_stimuli(
    film: Sequence[Path], annotations: Sequence[str], features: Sequence[tuple[str, Path]]
) -> tuple[Stimulus, ...]:
    """The stimuli that flags name, each with its film, annotations and features.

    Raises
    ------
    ConfigError
        If there is none, or it is open which belong together.
    """
    films = expand([str(f) for f in film], "film")
    n = max(len(films), len(annotations), 1 if features else 0)
    if not n:
        raise ConfigError("there is no stimulus; give a film, annotations or features, or the path of a study.toml")
    if annotations and len(annotations) not in ({1, n} if annotations[0] == "embedded" else {n}):
        raise ConfigError(f"{len(annotations)} annotations do not match {n} films; give one a film, in the same order")
    if films and len(films) < n:
        raise ConfigError(
            f"{len(annotations)} annotations do not match {len(films)} films; give one a film, in the same order"
        )
    if features and n > 1:
        raise ConfigError("--features cannot tell which of several films it is of; say so in a study.toml")
    refuse_twice([f[0] for f in features], "--features")
    texts = list(annotations) * n if len(annotations) == 1 else list(annotations)
    names = _names(films or [Path(t) for t in texts] or [p for _, p in features[:1]])
    tables = {name: FeatureEntry(path=path) for name, path in features}
    return tuple(
        make_stimulus(
            StimulusEntry(
                name=names[i],
                film=films[i] if films else None,
                annotations=AnnotationsEntry(path=texts[i]) if texts else None,
                features=tables,
            ),
            Path.cwd(),
        )
        for i in range(n)
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """Names of stimuli: the file's, with its folder's before it where two files have one name."""
    counts = Counter(stem(p) for p in paths)
    return [stem(p) if counts[stem(p)] == 1 else f"{p.absolute().parent.name}-{stem(p)}" for p in paths]


def offsets_of(offset_s: Sequence[float | Fraction], runs: Sequence[str]) -> dict[str, float]:
    """When each run began, in seconds of stimulus time.

    Raises
    ------
    ConfigError
        If there are neither one nor as many as runs.
    """
    if len(offset_s) > 1 and len(offset_s) != len(runs):
        raise ConfigError(f"{len(offset_s)} offsets for the runs {', '.join(runs)}; give one for all, or one a run")
    values = [float(seconds(o)) for o in offset_s] or [0.0]
    return dict(zip(runs, values * len(runs) if len(values) == 1 else values, strict=True))


def match(scan: Named, stimuli: Sequence[Stimulus], runs: Sequence[str]) -> Stimulus:
    """The film that a scan is of: by `run-` or `task-` in both names, else by order, one film a run."""
    if len(stimuli) == 1:
        return stimuli[0]
    by_run = {loose_entities_of(s.name).get("run", "").lstrip("0"): s for s in stimuli}
    run = scan.entities.get("run", "").lstrip("0")
    if len(by_run) == len(stimuli) and run in by_run:
        return by_run[run]
    by_task = {"".join(c for c in s.name.lower() if c.isalnum()): s for s in stimuli}
    if scan.entities.get("task", "").lower() in by_task:
        return by_task[scan.entities["task"].lower()]
    if len(runs) == len(stimuli):
        return stimuli[runs.index(scan.run)]
    raise ConfigError(
        f"which of the {len(stimuli)} films did {scan.subject} {scan.run} see? name films and scans alike "
        "(run-1, run-2), or list them in a study.toml"
    )
