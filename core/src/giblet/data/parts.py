"""What a study is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

from giblet.data.naming import natural
from giblet.data.study_file import Segment
from giblet.errors import ConfigError
from giblet.types import ALONE, WHOLE_TABLE, ScanFiles, Source, TableChoice

SLICE_TIME_REF = 0.5
"""When in its TR a volume counts as taken where no sidecar says it: the middle."""


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Ready-made features of a stimulus: row n is at `start_s + n * tr_s`; no `tr_s`: the study's TR."""

    path: Path
    tr_s: Fraction | None = None
    start_s: Fraction = Fraction(0)
    hemodynamics: Literal["none", "applied"] = "none"


@dataclass(frozen=True, slots=True)
class Stimulus:
    """What was seen or heard: a file and a stream for each kind of signal, and tables of ready-made features.

    `table` chooses columns and rows of the annotations.
    """

    name: str
    files: Mapping[str, Path]
    streams: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, FeatureTable] = field(default_factory=dict)
    table: TableChoice = WHOLE_TABLE

    def source(self, kind: str) -> Source:
        """What of its file a modality of this kind reads."""
        table = self.table if kind == "text" else WHOLE_TABLE
        return Source(self.files[kind], self.streams.get(kind), table=table)


@dataclass(frozen=True, slots=True)
class Scan:
    """One run of one subject: volume 0 begins at `offset_s` of the stimulus's time.

    `mask` says where the brain is; `files` how the scan is read, and what belongs to it.
    """

    subject: str
    run: str
    stimulus: str
    bold: Path
    tr_s: Fraction
    n_volumes: int
    offset_s: Fraction = Fraction(0)
    slice_time_ref: float = SLICE_TIME_REF
    mask: Path | None = None
    files: ScanFiles = ALONE

    def source(self) -> Source:
        """What the brain modality reads."""
        return Source(self.bold, run=self.run, subject=self.subject, scan=self.files)


@dataclass(frozen=True, slots=True)
class Study:
    """Which files belong together; `split` holds `(label, start, stop)` in TRs by run, `notes` what was assumed."""

    name: str
    folder: Path
    stimuli: tuple[Stimulus, ...]
    scans: tuple[Scan, ...]
    split: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    atlas: Path | None = None
    labels: Path | None = None
    truth: Path | None = None
    notes: tuple[str, ...] = ()
    given_tr_s: Fraction | None = None

    @property
    def subjects(self) -> tuple[str, ...]:
        """The people, in the order of their scans."""
        return tuple(dict.fromkeys(s.subject for s in self.scans))

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs, numbers in their order: run-2 before run-10."""
        return tuple(sorted({s.run for s in self.scans}, key=natural))

    @property
    def tr_s(self) -> Fraction:
        """The TR that all scans share, or the one given where there are none.

        Raises
        ------
        ConfigError
            If the scans have different TRs, or there is neither a scan nor a TR.
        """
        trs = {s.tr_s: s.subject for s in self.scans} or ({self.given_tr_s: ""} if self.given_tr_s else {})
        if not trs:
            raise ConfigError(f"study {self.name!r} has no scans, so its TR is unknown; give --tr SECONDS")
        if len(trs) > 1:
            said = ", ".join(f"{float(tr):g} s ({subject})" for tr, subject in trs.items())
            raise ConfigError(
                f"the scans have different TRs: {said}; study them apart, or leave some out with --exclude"
            )
        return next(iter(trs))

    def stimulus(self, name: str) -> Stimulus:
        """The stimulus of this name."""
        return next(s for s in self.stimuli if s.name == name)
