"""`giblet.inspect_study`: what a run would be given, before anything long begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from giblet.api.request import Request, Settings, registry_of_run
from giblet.api.studies import FilePath, as_study
from giblet.data.study import Study
from giblet.errors import ConfigError, GibletError

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Inspected:
    """Streams, scans and blocks of a study, read off headers.

    `problem` is what would stop a run, or None; `gap_s` how far apart blocks lie, in seconds.
    """

    study: Study
    described: dict[str, Any]
    gap_s: float
    problem: str | None

    @property
    def streams(self) -> Rows:
        """A row a stream: `what` it is, rate in Hz, from when to when, TRs and how many of them it covers."""
        return list(self.described["streams"])

    @property
    def notes(self) -> list[str]:
        """What was assumed or would be cut."""
        return list(self.described["notes"])

    def plot(self, path: FilePath) -> Path:
        """Draw streams, scans and blocks on the stimulus's clock, as .svg, .png or .pdf.

        Raises
        ------
        ConfigError
            If the name ends otherwise.
        GibletError
            If the file cannot be written.
        """
        from giblet.media import replacing
        from giblet.report.alignment import alignment_plot

        place = Path(path)
        if place.suffix not in (".svg", ".png", ".pdf"):
            raise ConfigError(f"{place.name} is no picture that can be drawn; end its name with .svg, .png or .pdf")
        figure = alignment_plot(self.described, self.runs)
        figure.set_facecolor("white")
        try:
            with replacing(place) as part:
                figure.savefig(part)
        except OSError as error:
            raise GibletError(f"cannot write {place}: {error.strerror}; give another path") from None
        return place

    @property
    def runs(self) -> Sequence[str]:
        """The runs, in the order of the study."""
        return list(self.described["clocks"])


def inspect_study(study: Study | FilePath, *, settings: Settings | None = None, **plugins: str | None) -> Inspected:
    """Look at a study without extracting or training anything: seconds, not minutes.

    Parameters
    ----------
    study
        A study, or the path of a study.toml.
    settings
        Settings by name, for example `{"model.kernel_s": 24}`: kernels decide how far apart blocks must lie.
    **plugins
        The plugin of each kind, for example `video="s3d"`, or "none".

    Raises
    ------
    GibletError
        If a file cannot be read, or stimulus and scans do not overlap. What hinders only the split is in `problem`.
    """
    from giblet.pipeline.overview import overview

    found, config = Request.of(plugins, settings).of_study(as_study(study))
    seen = overview(found, config, registry_of_run())
    return Inspected(found, seen.described, seen.gap_s, seen.problem)
