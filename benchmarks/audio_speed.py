"""What a codec costs: encoding beside one call over the whole file, memory beside two minutes, and training steps.

    ./do python benchmarks/audio_speed.py
    ./do python benchmarks/audio_speed.py --weights random --threads 1 --check

`one call` gives the model the whole of --minutes of noise, as its own `encode` does; `extract` is what giblet does, in
pieces. They take turns, and the ratio is the median over --pairs turns, with its range; on one thread it is CPU time,
which other work on the machine does not lengthen. --weights random is a model of the size of facebook/encodec_24khz
with random weights; speed does not depend on them, so the pretrained one costs the same.

`round trip` encodes a wav, decodes the codes into another and reads its length, 23 min 46 s beside two minutes, each in
a process of its own: memory is the peak of that process, and the numbers of frames and samples must be exact. `step` is
a training step of encoder and decoder on 16 TRs of 1.5 s for each target, beside codes; finetune trains the codec's own
nets.

Bars: `extract` at least 1.8 times as fast as one call; memory at most 1.2 times that of two minutes; exact lengths.
--check exits 1 where a bar is missed, and 2 where the weights cannot be had.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from giblet.errors import WeightsError
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import Codec, load_codec
from own_peak import with_own_peak

KBPS, RATE_HZ, HOP = 6.0, 24_000, 320
SPEED_BAR, MEMORY_BAR = 1.8, 1.2
SHORT_S, LONG_S = 120, 23 * 60 + 46
TRS, TR_S, WIDTH = 16, 1.5, 256
TARGETS = ("codes", "latents", "regression", "finetune")
CHILD = """
import json, sys
from pathlib import Path
import torch
from own_peak import own_peak
from giblet.types import Features, Source
from giblet_audio_encodec import AudioEncodec
wav, weights, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
encodec = AudioEncodec(weights=weights)
features = Features.concat(encodec.extract(Source(Path(wav))))
made = encodec.reconstruct(features, Path(wav).with_name("made"))
peak = own_peak()
import soundfile
print(json.dumps({"frames": len(features.values), "samples": soundfile.info(made).frames, "peak_bytes": peak}))
"""


def random_weights(folder: Path) -> str:
    """A model of the published size; its codebooks are noise."""
    from transformers import EncodecConfig, EncodecModel

    torch.manual_seed(0)
    model = EncodecModel(EncodecConfig())
    for layer in model.quantizer.layers:
        torch.nn.init.normal_(layer.codebook.embed)
    model.save_pretrained(folder)
    return str(folder)


def noise(seconds: float) -> np.ndarray:
    """Quiet noise, [n]."""
    return (0.05 * np.random.default_rng(0).standard_normal(int(seconds * RATE_HZ))).astype(np.float32)


def clock() -> Callable[[], float]:
    """CPU time on one thread, else the clock on the wall."""
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


@torch.inference_mode()
def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes, without gradients."""
    now = clock()
    started = now()
    work()
    return now() - started


def speed_row(codec: Codec, minutes: float, pairs: int) -> dict[str, Any]:
    """One call over the whole file and extraction in pieces, taking turns."""
    from giblet_audio_encodec.targets import CodesTarget

    sound, way = noise(60 * minutes), CodesTarget(codec, KBPS)
    x = torch.from_numpy(sound)[None, None]
    ways = {"one call": lambda: codec.model.encode(x, bandwidth=KBPS), "extract": lambda: [*way.stream([sound])]}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(pairs):
        for name in list(ways)[:: 1 if turn % 2 else -1]:
            seconds[name].append(seconds_of(ways[name]))
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    ratio = statistics.median(ratios)
    found = {"what": "speed", "minutes": minutes, "seconds": medians, "ratio": ratio}
    return found | {"range": [min(ratios), max(ratios)], "missed": ratio < SPEED_BAR}


def round_trip(seconds: int, weights: str, threads: int) -> dict[str, Any]:
    """Sound to codes to sound in a process of its own."""
    import soundfile

    with tempfile.TemporaryDirectory() as tmp:
        wav = Path(tmp) / "sound.wav"
        soundfile.write(wav, noise(seconds), RATE_HZ, subtype="PCM_16")
        command = [sys.executable, "-c", CHILD, str(wav), weights, str(threads)]
        done = subprocess.run(command, check=True, capture_output=True, env=with_own_peak())
    return json.loads(done.stdout)


def memory_row(weights: str, threads: int) -> dict[str, Any]:
    """Peak memory and lengths of a long round trip beside a short one."""
    short, long = (round_trip(s, weights, threads) for s in (SHORT_S, LONG_S))
    exact = all(
        (r["samples"], r["frames"]) == (s * RATE_HZ, -(-s * RATE_HZ // HOP))
        for r, s in ((short, SHORT_S), (long, LONG_S))
    )
    ratio = long["peak_bytes"] / short["peak_bytes"]
    found = {"what": "memory", "short": short, "long": long, "ratio": ratio, "exact": exact}
    return found | {"missed": ratio > MEMORY_BAR or not exact}


def step_rows(weights: str, repeats: int, targets: Sequence[str]) -> list[dict[str, Any]]:
    """Seconds of a training step of each target, and its ratio to the first."""
    from giblet.pipeline.step_cost import Stepper, against, interleaved

    steppers = {}
    for target in targets:
        modality = AudioEncodec(weights=weights, target=target)
        batch, spec = one_batch(modality)
        torch.manual_seed(0)
        nets = modality.encode(spec, WIDTH), modality.decode(spec, WIDTH)
        steppers[target] = [Stepper(*nets, modality.loss, batch)]
    costs = against(interleaved(steppers, repeats, clock()), targets[0])
    return [{"what": "step", "target": t, "parameters": s[0].parameters, **costs[t]} for t, s in steppers.items()]


def one_batch(modality: AudioEncodec) -> tuple[tuple[torch.Tensor, torch.Tensor], Any]:
    """16 TRs of noise as the target has them, and their spec."""
    from fractions import Fraction

    from giblet.types import Features, TRGrid

    values = np.concatenate([v for v, _ in modality._target().stream([noise(TRS * TR_S)])])
    features = Features(values, HOP * np.arange(len(values)), Fraction(1, RATE_HZ))
    aligned = modality.align(features, TRGrid(Fraction(3, 2), TRS))
    x, mask = aligned.rows(slice(None))
    return (torch.from_numpy(x), torch.from_numpy(mask)), modality.spec(aligned)


def show(row: dict[str, Any]) -> None:
    """One row, in words."""
    missed = "   MISSES ITS BAR" if row.get("missed") else ""
    if row["what"] == "speed":
        one, ours = (row["seconds"][k] for k in ("one call", "extract"))
        low, high = row["range"]
        times = f"one call {one:.1f} s, extract {ours:.1f} s"
        print(f"speed   {row['minutes']:g} min: {times}, {row['ratio']:.2f} x ({low:.2f} - {high:.2f})", end="")
        print(f"   bar {SPEED_BAR}{missed}", flush=True)
    elif row["what"] == "memory":
        short, long = (row[k]["peak_bytes"] / 1e6 for k in ("short", "long"))
        exact = "exact" if row["exact"] else "NOT EXACT"
        print(f"memory  {short:.0f} MB for 2 min, {long:.0f} MB for 23 min 46 s, {row['ratio']:.2f} x", end="")
        print(f"   bar {MEMORY_BAR}; {row['long']['frames']} frames, {row['long']['samples']} samples: {exact}{missed}")
    else:
        low, high = row["quartiles"]
        ratio = f"{row['ratio']:.2f} x ({low:.2f} - {high:.2f})"
        print(
            f"step    {row['target']:12}{1e3 * row['step_s']:8.0f} ms  {ratio}  {row['parameters'] / 1e6:.2f} M",
            flush=True,
        )


def measure(weights: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, each shown when it is there."""
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "speed": lambda: [speed_row(load_codec(weights), args.minutes, args.pairs)],
        "memory": lambda: [memory_row(weights, args.threads)],
        "step": lambda: step_rows(weights, args.pairs, TARGETS),
    }
    rows = []
    for part in args.only:
        found = parts[part]()
        rows += found
        for row in () if args.json else found:
            show(row)
    return rows


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="bundled", help="a name or folder as audio.weights takes it, or random")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", choices=("speed", "memory", "step"), default=["speed", "memory", "step"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as tmp:
        try:
            weights = random_weights(Path(tmp)) if args.weights == "random" else args.weights
            rows = measure(weights, args)
        except WeightsError as error:
            print(error, file=sys.stderr)
            return 2
    if args.json:
        print(json.dumps(rows))
    return int(args.check and any(r.get("missed") for r in rows))


if __name__ == "__main__":
    sys.exit(main())
