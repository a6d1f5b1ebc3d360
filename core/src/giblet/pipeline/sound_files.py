"""Reconstructed sounds as they are heard: beside the sound of the film itself, and by a recogniser of speech."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from giblet.analysis.audio import find_recogniser, transcribe, word_scores
from giblet.config import RunConfig
from giblet.data.split import Block
from giblet.data.study import Study
from giblet.media import StreamInfo, audio_streams, read_sound, write_sound
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.presentations import presentations
from giblet.types import Features

FEATURES = "features"
"""The original's features made sound of, without a net: what the spectrogram or the codec alone costs."""


def beside_source(
    study: Study, inputs: Inputs, name: str, place: tuple[int, Block], original: Features, files: Mapping[str, Path]
) -> dict[str, Path]:
    """The files, what was made of the `original`'s features named `features`, and the film's own sound `original`.

    That sound begins where the features do, to the sample, with the channels and at the rate of what is made of them,
    but at no more than its own: a telephone's sound is scored as such.

    Raises
    ------
    DataError
        If the film's sound cannot be read any more.
    """
    made = files["original"].rename(files["original"].with_stem(FEATURES))
    timeline, (begin_s, stop_s) = inputs.timelines[place[0]], _stretch(inputs, *place, original)
    source = next(r for r in presentations(study, inputs.modalities) if r.name == timeline.run).sources[name]
    rate_hz = min(_stream(made).sample_rate_hz or 0, _stream(source.path, source.stream).sample_rate_hz or 0)
    chunks = read_sound(source.path, rate_hz, source.stream, _stream(made).channels or 1, begin_s, stop_s)
    sound = np.concatenate([c.values for c in chunks])
    return {"original": write_sound(made.with_name("original.wav"), sound, rate_hz), FEATURES: made} | {
        v: path for v, path in files.items() if v != "original"
    }


def _stream(path: Path, stream: str | None = None) -> StreamInfo:
    """The sound stream of a file that is read; `read_sound` says what is wrong with one that is not there."""
    streams = audio_streams(path)
    return next((s for s in streams if (s.default if stream is None else str(s.index) == stream)), streams[0])


def _stretch(inputs: Inputs, timeline: int, block: Block, original: Features) -> tuple[Fraction, Fraction]:
    """Stimulus time at which the features of a block begin, and at which the block ends; a cut's clock is at zero."""
    grid = inputs.timelines[timeline].grid
    begin_s = grid.start_s + block.start * grid.tr_s + int(original.ticks[0]) * original.timebase
    return begin_s, grid.start_s + block.stop * grid.tr_s


def hear_words(config: RunConfig, folder: Path) -> dict[str, Any]:
    """The `words` of a sound in metrics.json, by the recogniser that `evaluate.asr` names; nothing without one.

    Raises
    ------
    WeightsError
        If it cannot be had.
    """
    if config.evaluate.asr is None:
        return {}
    files = {p.stem: p for p in sorted((folder / "audio").iterdir()) if audio_streams(p)}
    heard = transcribe(files, find_recogniser(config.evaluate.asr))
    texts = {v: " ".join(pieces) for v, pieces in heard.items()}
    return {"words": {"asr": config.evaluate.asr, "wer": word_scores(heard), "texts": texts}}
