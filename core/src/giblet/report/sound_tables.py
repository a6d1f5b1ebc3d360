"""What a reconstructed sound is worth, as tables: scores beside their controls, what has no score and why, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from giblet.report import legend
from giblet.report.markup import Html, html, number, paragraphs, table
from giblet.report.scores import COLUMNS

QUALITY = {
    "snr_db": "SNR (dB)",
    "si_sdr_db": "SI-SDR (dB)",
    "mel_r": "mel r",
    "envelope_r": "envelope r",
    "rhythm_r": "rhythm r",
    "stoi": "STOI (speech)",
    "pesq_wb": "PESQ, wide band (speech)",
    "pesq_nb": "PESQ, narrow band (speech)",
}
ABSENT = "n/a"
MEANING = (
    "Each is the mean over pieces of equal length, at most 10 s (SD over pieces in brackets). SNR and SI-SDR compare "
    "samples, so that a sound with other phases, as Griffin-Lim makes, scores low; silence has "
    "an SNR of 0. Mel r: correlation over time of log power, mean over mel bands. Envelope r: of loudness. Rhythm "
    "r, of the whole sound: correlation of how fast loudness goes up and down, whatever its phase, which scans do not "
    "hold. STOI (intelligibility, 0 to 1) and PESQ (1 to 4.6) were made for speech: of music and noises they say "
    "nothing. "
    "A piece in which only the reconstruction is silent has SI-SDR -100, STOI 0 and PESQ 0.999."
)
FEATURES = (
    "Features alone: the original's features made sound of, without a net; what the spectrogram or codec itself loses."
)
WORDS = (
    "Word error rate: words to change, leave out or put in, over the words that the same recogniser hears in the "
    "original; 0 is the same words, about 1 none of them. It says nothing where the original holds no speech."
)


def quality(scores: Mapping[str, Any]) -> Html:
    """A row a metric, a column a version, and why some have no score."""
    made = {v: scores[v] for v in COLUMNS if isinstance(scores.get(v), Mapping) and scores[v]}
    names = [name for name in QUALITY if any(name in s for s in made.values())]
    if not names:
        return Html()
    rows = [[QUALITY[name], *(_cell(s, name) for s in made.values())] for name in names]
    over = legend.stretch(", ", scores)
    pieces = next(iter(made.values())).get("n_pieces")
    caption = f"Quality of the sound beside its controls{over}, in {number(pieces)} pieces, mono at {_rate(scores)}"
    head = ["metric", *(COLUMNS[v] for v in made)]
    return html([table(caption, head, rows), paragraphs(MEANING, FEATURES, *_unscored(scores))])


def _rate(scores: Mapping[str, Any]) -> str:
    return f"{scores['scored_hz'] / 1000:g} kHz" if scores.get("scored_hz") else "16 kHz"


def _cell(scores: Mapping[str, Any], name: str) -> str:
    value, sd = scores.get(name), scores.get(f"{name}_sd")
    if value is None:
        return ABSENT
    return number(value) if sd is None else f"{number(value)} ({number(sd)})"


def _unscored(scores: Mapping[str, Any]) -> list[str]:
    """A sentence a version that lacks scores."""
    told = []
    for version, reasons in (scores.get("unscored") or {}).items():
        whys = dict.fromkeys(reasons.values())
        parts = [f"{', '.join(QUALITY[m] for m, r in reasons.items() if r == why)}: {why}" for why in whys]
        told.append(f"Not scored, {legend.VERSIONS.get(version, version)}: {'; '.join(parts)}.")
    return told


def words(found: Mapping[str, Any]) -> Html:
    """The word error rate of each version, and what was heard."""
    if not found:
        return Html()
    rates, texts = found["wer"], found["texts"]
    order = [v for v in legend.VERSIONS if v in texts]
    rows = [[legend.VERSIONS[v], _wer(v, rates), texts[v] or "no words"] for v in order]
    shown = table(f"Words that {found['asr']} hears", ["version", "word error rate", "words"], rows)
    return html([shown, paragraphs(WORDS)])


def _wer(version: str, rates: Mapping[str, float | None]) -> str:
    if version not in rates:
        return ""
    rate = rates[version]
    return f"{ABSENT}: no word in the original" if rate is None else number(rate)
