"""What temporal modules cost: a training step of encoder and decoder, beside the baseline `mean`.

    ./do python benchmarks/temporal.py
    ./do python benchmarks/temporal.py --plugins video_s3d audio_mel --repeats 31 --check

Bars, for a step of the default study (16 TRs of 1.5 s; video_s3d and audio_mel one after the other): multiscale at most
1.15 times `mean`, hierarchical 1.25, both 1.30. Each plugin has rows of its own, which --check does not judge; where
one is over the bar, the table says by how many milliseconds and why. All modules of a plugin take turns in one process;
a ratio is the median over turns, with its quartiles. On one thread (the default) it is CPU time, which other work on
the machine does not lengthen; --threads N takes the clock on the wall. The codec of audio_encodec is not needed: the
speed of a net does not depend on the vectors that it begins with.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from giblet.modality import Modality
from giblet.pipeline.step_cost import Stepper, against, interleaved
from giblet.plugins import Registry
from giblet.types import FeatureSpec
from torch import nn

MODULES = ("mean", "multiscale", "hierarchical", "multiscale+hierarchical")
BARS = {"multiscale": 1.15, "hierarchical": 1.25, "multiscale+hierarchical": 1.30}
STUDY, DEFAULT = "default study", ("video_s3d", "audio_mel")
TRS, TR_S, WIDTH = 16, 1.5, 256
FILM = FeatureSpec((90, 160, 3), 38, "uint8", tr_s=TR_S)
SPECS = {
    "video_s3d": FILM,
    "video_2dcnn": FILM,
    "audio_mel": FeatureSpec((80,), 130, tr_s=TR_S),
    "audio_encodec": FeatureSpec((8,), 113, "int16", num_classes=1024, tr_s=TR_S),
}
WHY = {
    "audio_mel": "the net is so small that the fixed price of a few dozen more operations shows",
    "audio_encodec": "it convolves all 113 frames, where the rest of the encoder is an embedding and two dense layers",
}
MEGA = 1e6


def batch(spec: FeatureSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of the right shape and range, every second TR with a frame fewer."""
    torch.manual_seed(0)
    shape = (TRS, spec.frames, *spec.shape)
    mask = torch.ones(TRS, spec.frames, dtype=torch.bool)
    mask[::2, -1] = False
    if spec.num_classes:
        return torch.randint(0, spec.num_classes, shape, dtype=torch.int16), mask
    return torch.randint(0, 256, shape, dtype=torch.uint8) if spec.dtype == "uint8" else 20 * torch.randn(shape), mask


def nets(modality: Modality, spec: FeatureSpec) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; those of codes begin with vectors of noise."""
    torch.manual_seed(0)
    if modality.name != "audio_encodec":
        return modality.encode(spec, WIDTH), modality.decode(spec, WIDTH)
    from giblet_audio_encodec.decoders import CodeDecoder
    from giblet_audio_encodec.nets import CodeEncoder

    vectors = torch.randn(spec.size, spec.num_classes or 1, 128)
    return CodeEncoder(spec, WIDTH, vectors, modality.settings()["temporal"]), CodeDecoder(spec, WIDTH, vectors)


def measure(name: str, registry: Registry, repeats: int) -> tuple[dict[str, Stepper], dict[str, list[float]]]:
    """The steppers of a plugin by module, and the seconds of each repeat."""
    spec = SPECS[name]
    steppers = {}
    for module in MODULES:
        modality = registry.modality(name, temporal=module)
        steppers[module] = Stepper(*nets(modality, spec), modality.loss, batch(spec))
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    return steppers, interleaved({m: [s] for m, s in steppers.items()}, repeats, clock)


def rows_of(
    where: str, seconds: Mapping[str, list[float]], steppers: Mapping[str, list[Stepper]]
) -> list[dict[str, Any]]:
    """A row a module."""
    times, rows = against(seconds, "mean"), []
    for module in MODULES:
        bar, cost = BARS.get(module), times[module]
        row = {"where": where, "module": module, "bar": bar, **cost}
        row["parameters"] = sum(s.parameters for s in steppers[module])
        row["memory_bytes"] = max(s.memory_bytes() for s in steppers[module])
        row["more_ms"] = 1e3 * (cost["step_s"] - times["mean"]["step_s"])
        row["missed"] = bar is not None and cost["ratio"] > bar
        rows.append(row)
    return rows


def study_rows(found: Mapping[str, tuple[dict[str, Stepper], dict[str, list[float]]]]) -> list[dict[str, Any]]:
    """Both plugins of the default study one after the other, turn by turn."""
    parts = [found[name] for name in DEFAULT]
    seconds = {m: [sum(turn) for turn in zip(*(p[1][m] for p in parts), strict=True)] for m in MODULES}
    return rows_of(STUDY, seconds, {m: [p[0][m] for p in parts] for m in MODULES})


def show(rows: list[dict[str, Any]]) -> None:
    """The table, and what a missed bar costs."""
    head = ("", "module", "M parameters", "MB", "ms", "/ mean", "quartiles", "bar")
    widths = (15, 24, 13, 7, 8, 8, 14, 7)
    print("".join(h.rjust(w) for h, w in zip(head, widths, strict=True)))
    for r in rows:
        cells = (
            r["where"],
            r["module"],
            f"{r['parameters'] / MEGA:.2f}",
            f"{r['memory_bytes'] / MEGA:.0f}",
            f"{1e3 * r['step_s']:.1f}",
            f"{r['ratio']:.2f}",
            "{:.2f} - {:.2f}".format(*r["quartiles"]),
            "" if r["bar"] is None else f"{r['bar']:.2f}",
        )
        print("".join(c.rjust(w) for c, w in zip(cells, widths, strict=True)), flush=True)
    for r in (r for r in rows if r["missed"]):
        print(
            f"{r['where']}: {r['module']} is over {r['bar']:.2f}; it adds {r['more_ms']:.1f} ms a step to a net that "
            f"takes {1e3 * r['step_s'] - r['more_ms']:.1f}: {WHY.get(r['where'], 'it sees every kept frame')}"
        )


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", nargs="+", choices=list(SPECS), default=list(SPECS))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    registry = Registry.discover()
    found = {name: measure(name, registry, args.repeats) for name in args.plugins}
    rows = [r for n, (steppers, s) in found.items() for r in rows_of(n, s, {m: [x] for m, x in steppers.items()})]
    complete = set(DEFAULT) <= set(found)
    rows = [*study_rows(found), *rows] if complete else rows
    print(json.dumps(rows)) if args.json else show(rows)
    if not complete:
        print(f"no row for the {STUDY}: it needs {' and '.join(DEFAULT)}", file=sys.stderr)
    if not args.check:
        return 0
    return 2 if not complete else int(any(r["missed"] for r in rows if r["where"] == STUDY))


if __name__ == "__main__":
    sys.exit(main())
