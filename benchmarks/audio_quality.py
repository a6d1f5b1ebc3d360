"""What each kind of features of sound can give back at best, without a brain: codecs and mel spectrograms.

    ./do python benchmarks/audio_quality.py
    ./do python benchmarks/audio_quality.py --only bundled mel --check

Real speech (five clips: two of LibriSpeech, a presidential address, a phrase of a corpus, a film's narration; 70 s) and
music (two pieces, 67 s) are turned into features and back, and scored against the original in mono at 16 kHz, in pieces
of at most 10 s. Nothing was trained on them by giblet. Rows: the bundled codec at each of its bandwidths and, of the
same architecture, without training (random weights and codebooks, seed 0); EnCodec at 24 and 48 kHz where its weights
are in the model hub's cache, which is not asked for more; mel spectrograms of 80 and 128 bands by Griffin-Lim; and 80
bands averaged over each TR of 1.5 s, which is what is left when time inside a TR is thrown away. Of music there is no
PESQ or STOI: they were made for speech. A figure is the mean over clips, with the SD over clips in brackets; `least` is
the worst clip. SI-SDR compares samples, and Griffin-Lim guesses phases: it cannot score there.

Bars, of the bundled codec at 6 kbps on speech: STOI at least 0.70 in the mean and 0.55 for the worst clip, SI-SDR above
0 dB, STOI above that of the untrained codec and of the averaged mel by at least 0.2. For EnCodec at 24 kHz and 1.5, 3,
6, 12, 24 kbps, Codec-SUPERB-tiny publishes PESQ 1.516, 1.984, 2.635, 3.304, 3.658 and STOI 0.799, 0.861, 0.910, 0.943,
0.960, on other speech. Without the recordings of GIBLET_TEST_DATA it exits with 2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from giblet.analysis.audio import score_sounds
from giblet.errors import WeightsError
from giblet.media import read_sound
from giblet.modality import Modality
from giblet.plugins import Registry
from giblet.types import Features, Source

SPEECH = (
    "speech/jfk.flac",
    "speech/librispeech_61-70968-0000.flac",
    "speech/librispeech_198-209-0000.ogg",
    "speech/acoustic_corpus.wav",
    "film/nasa_webb_13s.mp4",
)
MUSIC = ("music/vibe_ace.ogg", "music/trumpet.ogg")
KINDS = {"speech": SPEECH, "music": MUSIC}
SHOWN = {
    "speech": {"stoi": "STOI", "pesq_wb": "PESQ-wb", "si_sdr_db": "SI-SDR", "snr_db": "SNR", "mel_r": "mel r"},
    "music": {"si_sdr_db": "SI-SDR", "snr_db": "SNR", "mel_r": "mel r", "envelope_r": "envelope r"},
}
GROUPS = ("bundled", "untrained", "encodec", "mel")
HZ, TR_S = 16_000, 1.5
JUDGED = "bundled codec, 6 kbps"
UNTRAINED, AVERAGED = "untrained codec, 6 kbps", "mel 80, mean of each TR, Griffin-Lim"
BAR_STOI, BAR_LEAST, BAR_SI_SDR_DB, BAR_ABOVE = 0.70, 0.55, 0.0, 0.2
Change = Callable[[Features], Features]


@dataclass(frozen=True)
class Row:
    """A name, and how its modality is made; `change` is done to the features before they are played."""

    group: str
    name: str
    plugin: str
    settings: dict[str, Any]
    change: Change | None = None


def rows() -> list[Row]:
    """Every setting."""
    codec: list[Row] = []
    for weights, of, bandwidths in (
        ("bundled", "bundled codec", (1.5, 3.0, 6.0)),
        ("untrained", "untrained codec", (6.0,)),
        ("facebook/encodec_24khz", "EnCodec 24 kHz", (1.5, 3.0, 6.0, 12.0, 24.0)),
        ("facebook/encodec_48khz", "EnCodec 48 kHz", (3.0, 6.0, 12.0, 24.0)),
    ):
        group = weights if weights in GROUPS else "encodec"
        settings = [{"weights": weights, "bandwidth_kbps": b} for b in bandwidths]
        codec += [Row(group, f"{of}, {s['bandwidth_kbps']:g} kbps", "audio_encodec", s) for s in settings]
    mel = [Row("mel", f"mel {n}, Griffin-Lim", "audio_mel", {"n_mels": n}) for n in (80, 128)]
    return [*codec, *mel, Row("mel", AVERAGED, "audio_mel", {"n_mels": 80}, averaged)]


def averaged(features: Features) -> Features:
    """The same, every frame the mean of its TR."""
    tr = (features.onset_s // TR_S).astype(int)
    means = np.stack([features.values[tr == t].mean(0) for t in np.unique(tr)])
    return features.with_values(means[np.unique(tr, return_inverse=True)[1]])


def untrained(folder: Path) -> Path:
    """The bundled codec's architecture with random weights and codebooks."""
    import torch
    from giblet_audio_encodec.weights import find_weights
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    model = EncodecModel(EncodecConfig.from_pretrained(find_weights("bundled")))
    for layer in model.quantizer.layers:
        layer.codebook.embed.normal_()
    model.save_pretrained(folder)
    return folder


def build(row: Row, registry: Registry, folder: Path) -> Modality:
    """The modality of a row."""
    settings = dict(row.settings)
    if row.group == "untrained":
        settings["weights"] = str(untrained(folder / "untrained"))
    return registry.modality(row.plugin, **settings)


def score(modality: Modality, change: Change | None, path: Path, folder: Path) -> dict[str, float | None]:
    """What comes back of a clip, against the clip."""
    features = Features.concat(modality.extract(Source(path)))
    made = modality.reconstruct(features if change is None else change(features), folder / path.stem)
    x, y = (Features.concat(read_sound(p, HZ)).values[:, 0].astype(np.float64) for p in (path, made))
    n = min(len(x), len(y))
    scores, reasons = score_sounds(x[:n], y[:n], HZ)
    for metric, why in reasons.items():
        print(f"{path.name}: {metric}: {why}", file=sys.stderr)
    return {k: v for k, v in scores.items() if not k.endswith("_sd")}


def measure(row: Row, registry: Registry, data: Path, folder: Path) -> dict[str, Any]:
    """A row: by kind of sound and clip, and over clips mean, SD and the least."""
    try:
        modality = build(row, registry, folder)
        clips = {k: {p: score(modality, row.change, data / p, folder) for p in paths} for k, paths in KINDS.items()}
    except WeightsError as error:
        return {"group": row.group, "name": row.name, "absent": str(error)}
    found = {k: {m: spread([c[m] for c in each.values()]) for m in SHOWN[k]} for k, each in clips.items()}
    return {"group": row.group, "name": row.name, "how": modality.how, **found, "clips": clips}


def spread(values: list[float | None]) -> dict[str, float | None]:
    """Mean, SD and the least of what could be computed."""
    known = [v for v in values if v is not None]
    if not known:
        return {"mean": None, "sd": None, "least": None}
    return {"mean": float(np.mean(known)), "sd": float(np.std(known, ddof=1)), "least": float(min(known))}


def show(found: list[dict[str, Any]], kind: str) -> None:
    """A table of one kind of sound."""
    names = SHOWN[kind]
    least = "least STOI" if "stoi" in names else ""
    print(f"\n{kind:38}" + "".join(f"{title:>16}" for title in names.values()) + f"{least:>12}")
    for row in found:
        if "absent" in row:
            print(f"{row['name']:38} absent: its weights are not here")
            continue
        cells = [cell(row[kind][m], 3 if m in ("stoi", "mel_r", "envelope_r") else 2) for m in names]
        low = f"{row[kind]['stoi']['least']:12.3f}" if least else ""
        print(f"{row['name']:38}" + "".join(f"{c:>16}" for c in cells) + low)


def cell(of: dict[str, float | None], places: int) -> str:
    """A mean and its SD."""
    return "n/a" if of["mean"] is None else f"{of['mean']:.{places}f} ({of['sd']:.{places}f})"


def missed(found: dict[str, dict[str, Any]]) -> list[str]:
    """The bars that the bundled codec does not reach, in words."""
    stoi, si_sdr_db = found[JUDGED]["speech"]["stoi"], found[JUDGED]["speech"]["si_sdr_db"]["mean"]
    above = {n: stoi["mean"] - found[n]["speech"]["stoi"]["mean"] for n in (UNTRAINED, AVERAGED)}
    bars = {
        f"mean STOI {stoi['mean']:.3f} is below {BAR_STOI}": stoi["mean"] < BAR_STOI,
        f"least STOI {stoi['least']:.3f} is below {BAR_LEAST}": stoi["least"] < BAR_LEAST,
        f"SI-SDR {si_sdr_db:.2f} dB is not above {BAR_SI_SDR_DB:g} dB": si_sdr_db <= BAR_SI_SDR_DB,
    }
    bars |= {f"STOI is only {by:.3f} above {name}": by < BAR_ABOVE for name, by in above.items()}
    return [what for what, is_missed in bars.items() if is_missed]


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=GROUPS, nargs="+", default=list(GROUPS))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    data = Path(os.environ.get("GIBLET_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    lacking = [p for p in (*SPEECH, *MUSIC) if not (data / p).is_file()]
    if lacking:
        print(f"no rows: {data} lacks {', '.join(lacking)}; set GIBLET_TEST_DATA", file=sys.stderr)
        return 2
    os.environ["HF_HUB_OFFLINE"] = "1"
    registry, found = Registry.discover(), []
    with tempfile.TemporaryDirectory() as folder:
        for row in (r for r in rows() if r.group in args.only):
            found.append(measure(row, registry, data, Path(folder)))
            print(f"{row.name}: {'absent' if 'absent' in found[-1] else 'done'}", file=sys.stderr)
    if args.json:
        print(json.dumps(found))
    else:
        for kind in KINDS:
            show(found, kind)
    return verdict(found) if args.check else 0


def verdict(found: list[dict[str, Any]]) -> int:
    """1 for a missed bar, 2 for a row that is not there."""
    there = {row["name"]: row for row in found if "absent" not in row}
    if not {JUDGED, UNTRAINED, AVERAGED} <= there.keys():
        print("not checked: the rows of the bundled codec, the untrained one and mel are needed", file=sys.stderr)
        return 2
    reasons = missed(there)
    for what in reasons:
        print(f"{JUDGED}: {what}", file=sys.stderr)
    return int(bool(reasons))


if __name__ == "__main__":
    sys.exit(main())
