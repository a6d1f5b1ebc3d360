"""What `giblet.extract` gives: features by run and modality, each on the scanner's clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from giblet.api.studies import FilePath
from giblet.config import RunConfig
from giblet.data.study import Study
from giblet.types import Aligned

if TYPE_CHECKING:
    from giblet.pipeline.prepare import Inputs

Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Extracted(Mapping[str, Mapping[str, Aligned]]):
    """Features by run and modality: `extracted["run-1"]["video"]` is an `Aligned`, native features on the TR grid."""

    study: Study
    config: RunConfig
    inputs: Inputs

    def __getitem__(self, run: str) -> Mapping[str, Aligned]:
        for timeline in self.inputs.timelines:
            if timeline.run == run:
                return timeline.aligned
        raise KeyError(f"{run}; there are: {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return (t.run for t in self.inputs.timelines)

    def __len__(self) -> int:
        return len(self.inputs.timelines)

    @property
    def streams(self) -> Rows:
        """A row a stream: samples, rate in Hz, most frames in a TR, TRs and how many of them it covers."""
        return list(self.inputs.described["streams"])

    @property
    def notes(self) -> list[str]:
        """What was assumed or cut."""
        return list(self.inputs.described["notes"])

    def save(self, folder: FilePath) -> Path:
        """Begin a run's folder with `inputs.json`, which says what was extracted; features stay in the cache.

        Raises
        ------
        ConfigError
            If the folder holds something else.
        GibletError
            If it cannot be written.
        """
        from giblet.pipeline.run import open_run as begin_run

        return begin_run(Path(folder), self.study, self.config, self.inputs).path

    def __repr__(self) -> str:
        found = {key: None for aligned in self.values() for key in aligned}
        return f"<Extracted {self.study.name}: {', '.join(found)} of {', '.join(self)}>"

    def _repr_html_(self) -> str:
        names = ("stimulus", "modality", "samples", "rate_hz", "frames_per_tr", "n_trs", "covered_trs")
        return html_table(names, [[row[n] for n in names] for row in self.streams])


def html_table(names: tuple[str, ...], rows: list[list[Any]]) -> str:
    """A small table for a notebook."""

    def line(cells: list[Any] | tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(_cell(c))}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(names, 'th')}</thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
