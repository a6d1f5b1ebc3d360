"""What the nets of film can do: an overfit check of the wiring, figures held out, and what a training step costs.

    ./do python benchmarks/video_nets.py
    ./do python benchmarks/video_nets.py --only overfit --pictures out --check

The overfit check is a wiring test, not a result: brain space is left out (the code goes straight to the decoder), and 8
TRs of a real clip, 12 frames each at 80x45, are learned by heart. Bars for both plugins: frame correlation at least
0.95, motion coherence at least 0.60, within 5 min of CPU time on every thread. Held out, other TRs of the same clip are
made, at least 3 s away, beside the mean training frame; whatever comes out is printed. A step is forward, backward and
update on 2 TRs of 38 frames, all nets taking turns. Nets are compared at one size of what they see and make: 12 frames
at 80x45, or all frames at 160x90. There, S3D must have fewer parameters than 2dcnn, in its encoder and in encoder and
decoder: the light net, and the full one at a quarter of its channels. The whole S3D has more, 7.9 M in its published
features alone, and its row says so. Needs GIBLET_TEST_DATA for films.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from giblet.analysis.video import frame_correlation, motion_coherence
from giblet.modality import Modality
from giblet.pipeline.step_cost import Stepper, against, interleaved
from giblet.plugins import Registry
from giblet.types import Features, FeatureSpec, Source, TRGrid

PLUGINS = ("video_2dcnn", "video_s3d")
FILM, TR_S, WIDTH, TRS, START_S = "big_buck_bunny_30s.mp4", Fraction(3, 2), 256, 8, 9
SMALL = {"width_px": 80, "height_px": 45, "frames_per_tr": 12}
STEPS = {"video_2dcnn": 200, "video_s3d": 400}
"""A step of S3D takes about half the time."""
LR, WARM_UP, CLIP = 4e-3, 20, 1.0
LEARNED, TESTED = slice(0, 14), slice(16, 20)
"""TRs of the whole clip; two between them are left out."""
BAR_R, BAR_COHERENCE, BAR_S = 0.95, 0.60, 300.0
EVERYTHING = {"net_frames": 0, "net_width": 0, "net_height": 0}
NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "2dcnn": ("video_2dcnn", {}),
    "s3d": ("video_s3d", {}),
    "2dcnn, 160x90": ("video_2dcnn", EVERYTHING),
    "s3d, 160x90": ("video_s3d", EVERYTHING),
    "s3d full x 0.25, 160x90": ("video_s3d", {"net": "full", "scale": 0.25, **EVERYTHING}),
    "s3d full, 160x90": ("video_s3d", {"net": "full", **EVERYTHING}),
}
LIKE = {"s3d": "2dcnn"} | dict.fromkeys([n for n in NETS if n.startswith("s3d") and "160x90" in n], "2dcnn, 160x90")
"""What sees and makes as many frames of the same size."""
MAY_BE_LARGER = "s3d full, 160x90"
NATIVE = FeatureSpec((90, 160, 3), 38, "uint8", tr_s=float(TR_S))
PARTS = ("overfit", "held out", "step")


@dataclass(frozen=True)
class Clip:
    """TRs of a film, [T, 12, 45, 80, 3] uint8, all frames there."""

    frames: np.ndarray
    modality: Modality
    spec: FeatureSpec

    @classmethod
    def read(cls, modality: Modality, film: Path, start_s: int, trs: int) -> Clip:
        """The TRs from a time on, as the modality aligns them."""
        features = Features.concat(modality.extract(Source(film)))
        aligned = modality.align(features, TRGrid(TR_S, trs, Fraction(start_s)))
        return cls(aligned.rows(slice(None))[0], modality, modality.spec(aligned))


def trained(clip: Clip, learned: slice) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Encoder and decoder that have learned some TRs of a clip, 8 a step: AdamW, warm-up, cosine."""
    steps = STEPS[clip.modality.name]
    torch.manual_seed(0)
    encoder, decoder = clip.modality.encode(clip.spec, WIDTH), clip.modality.decode(clip.spec, WIDTH)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(weights, LR, weight_decay=0.0)
    every = torch.from_numpy(clip.frames[learned])
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / WARM_UP) * (1 + np.cos(np.pi * step / steps)) / 2
        x = every[torch.randperm(len(every))[:TRS]]
        loss = clip.modality.loss(decoder(encoder(x, torch.ones(x.shape[:2], dtype=torch.bool))), x).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
    return encoder.eval(), decoder.eval()


def made(nets: tuple[torch.nn.Module, torch.nn.Module], frames: np.ndarray) -> np.ndarray:
    """What comes back of some TRs, uint8."""
    with torch.no_grad():
        back = nets[1](nets[0](torch.from_numpy(frames), torch.ones(frames.shape[:2], dtype=torch.bool)))
    return back.round().clamp(0, 255).byte().numpy()


def scores(original: np.ndarray, back: np.ndarray) -> dict[str, float]:
    """Frame correlation and motion coherence, both the mean over TRs."""
    moved = [motion_coherence(a, b) for a, b in zip(original, back, strict=True)]
    return {
        "frame_r": float(np.mean([frame_correlation(a, b) for a, b in zip(original, back, strict=True)])),
        "motion_coherence": float(np.mean([m for m in moved if m is not None])),
    }


def learn_row(name: str, part: str, registry: Registry, film: Path, pictures: Path | None) -> dict[str, Any]:
    """Train on TRs of a clip, and score those (overfit) or others (held out), beside the mean training frame."""
    modality = registry.modality(name, **SMALL)
    whole = part == "held out"
    clip = Clip.read(modality, film, 0 if whole else START_S, TESTED.stop if whole else TRS)
    learned, scored = (LEARNED, TESTED) if whole else (slice(None), slice(None))
    began, cpu = time.perf_counter(), time.process_time()
    nets = trained(clip, learned)
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": (time.process_time() - cpu) / torch.get_num_threads()}
    original, back = clip.frames[scored], made(nets, clip.frames[scored])
    mean = np.broadcast_to(clip.frames[learned].mean((0, 1)).round().astype(np.uint8), original.shape)
    if pictures is not None:
        draw(original, back, pictures / f"{name} {part}.png")
    row = {"part": part, "net": name, **scores(original, back), "control": scores(original, mean), **cost}
    low = row["frame_r"] < BAR_R or row["motion_coherence"] < BAR_COHERENCE or row["cpu_s"] > BAR_S
    return row | {"missed": part == "overfit" and bool(low)}


def draw(original: np.ndarray, back: np.ndarray, path: Path) -> None:
    """Every second TR, four frames of each: the original above what came back."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [np.concatenate(list(x[t, ::3]), axis=1) for t in range(0, len(original), 2) for x in (original, back)]
    Image.fromarray(np.concatenate(rows)).resize((1280, 180 * len(rows)), Image.Resampling.NEAREST).save(path)


def step_rows(registry: Registry, repeats: int) -> list[dict[str, Any]]:
    """What a training step of each net costs, taking turns."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (2, NATIVE.frames, *NATIVE.shape), dtype=torch.uint8)
    batch = x, torch.ones(x.shape[:2], dtype=torch.bool)
    steppers = {}
    for net, (name, settings) in NETS.items():
        modality = registry.modality(name, **settings)
        nets = modality.encode(NATIVE, WIDTH), modality.decode(NATIVE, WIDTH)
        steppers[net] = Stepper(*nets, modality.loss, batch)
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds = interleaved({n: [s] for n, s in steppers.items()}, repeats, clock)
    return [{"part": "step", "net": n, **size_row(n, steppers), **against(seconds, LIKE.get(n, n))[n]} for n in NETS]


def size_row(net: str, steppers: dict[str, Stepper]) -> dict[str, Any]:
    """Parameters of a net, and whether it is larger than the one that it is compared with."""
    own, other = (sizes(steppers[n]) for n in (net, LIKE.get(net, net)))
    larger = [part for part in own if net in LIKE and own[part] >= other[part]]
    return {**own, "like": LIKE.get(net), "larger": larger, "missed": bool(larger) and net != MAY_BE_LARGER}


def sizes(stepper: Stepper) -> dict[str, int]:
    """Learned numbers of the encoder, and of encoder and decoder."""
    encoder = sum(p.numel() for p in stepper.encoder.parameters() if p.requires_grad)
    return {"encoder_parameters": encoder, "parameters": stepper.parameters}


def show(row: dict[str, Any]) -> None:
    """One row, in words."""
    name = f"{row['part']:9} {row['net']:24}"
    if row["part"] == "step":
        (low, high), like = row["quartiles"], row["like"]
        ratio = f"{row['ratio']:5.2f} x {like} ({low:.2f} - {high:.2f})" if like else ""
        size = f"{row['encoder_parameters'] / 1e6:5.2f} M in the encoder, {row['parameters'] / 1e6:5.2f} M in all"
        larger = f"  MORE PARAMETERS THAN {like}" if row["larger"] else ""
        print(f"{name} {size} {1e3 * row['step_s']:8.1f} ms  {ratio}{larger}", flush=True)
        return
    control = row["control"]
    print(
        f"{name} frame r {row['frame_r']:.3f} (mean frame {control['frame_r']:.3f})  motion coherence "
        f"{row['motion_coherence']:.3f} (mean frame {control['motion_coherence']:.3f})  "
        f"{row['cpu_s']:.0f} s of CPU on each thread, {row['wall_s']:.0f} s on the wall",
        flush=True,
    )


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pictures", type=Path, help="a folder for PNGs of the frames")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    registry, rows = Registry.discover(), list[dict[str, Any]]()
    film = Path(os.environ.get("GIBLET_TEST_DATA", "no data")) / "film" / FILM
    wanted = [(part, name) for part in PARTS[:2] if part in args.only for name in PLUGINS]
    for part, name in wanted if film.is_file() else []:
        rows.append(learn_row(name, part, registry, film, args.pictures))
        if not args.json:
            show(rows[-1])
    steps = step_rows(registry, args.repeats) if "step" in args.only else []
    for row in () if args.json else steps:
        show(row)
    rows += steps
    if args.json:
        print(json.dumps(rows))
    if wanted and not film.is_file():
        print(f"no overfit and held-out rows: they need GIBLET_TEST_DATA with film/{FILM}", file=sys.stderr)
    if not args.check:
        return 0
    complete = set(args.only) == set(PARTS) and film.is_file()
    return 1 if any(r["missed"] for r in rows) else 2 * int(not complete)


if __name__ == "__main__":
    sys.exit(main())
