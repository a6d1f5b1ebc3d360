"""How well the trunk predicts demo worlds, and what it says where there is nothing to predict or time is off.

    ./do python benchmarks/demo_worlds.py --seeds 0 1 2
    ./do python benchmarks/demo_worlds.py --null --seeds 10 11 12 --front-end-steps 1
    ./do python benchmarks/demo_worlds.py --shifted 15 --seeds 20 --front-end-steps 1

Bars: r at least 0.80 of the true ceiling and not below the better ridge by more than 0.01 in any world; null worlds
with r at most the null's 95th percentile in 9 of 10; misaligned worlds flagged with a lag within 2 s of the truth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from giblet.analysis.bold import bold_metrics, score_bold
from giblet.config import build_config
from giblet.data.demo import make_demo
from giblet.data.study import load_study
from giblet.model import predict_scans
from giblet.pipeline import extract_study
from giblet.pipeline.evaluate import compare_with_truth
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.train import train_trunk
from giblet.plugins import Registry

MODALITIES = {"video": "video_s3d", "audio": "audio_mel", "text": "text_bge", "fmri": "fmri_mask"}
RATIO, BEHIND, NULL_SHARE, LAG_S = 0.80, 0.01, 0.9, 2.0
COLUMNS = ("seed", "r", "ridge_r", "banded_r", "ceiling", "ratio", "null_p95", "p", "lag_s", "lag_flag", "seconds")


def world(folder: Path, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One world, from its making to its scores; the model's own seed is 0 throughout."""
    started = time.monotonic()
    study = load_study(make_demo(folder / "study", seed, null=args.null, shifted_s=args.shifted))
    overrides = {"text": {"weights": "minilm"}, "train": {"front_end_steps": args.front_end_steps}}
    config = build_config(MODALITIES, overrides, seed=0, plumbing=False)
    inputs = extract_study(study, config, Registry.discover(), lambda *_: None)
    trained = train_trunk(inputs, config, RunFolder(folder), lambda *_: None)
    predicted = predict_scans(trained.model, trained.codes, inputs.timelines)
    scores = score_bold(inputs.timelines, trained.codes, predicted, trained.model.subjects, config, inputs.gap)
    fmri = bold_metrics(scores, {})
    truth = compare_with_truth(study.truth, fmri) if study.truth else {}
    row = {k: fmri[k] for k in ("r", "ridge_r", "banded_r", "null_p95", "p", "lag_s", "lag_flag")}
    row |= {"seed": seed, "ceiling": truth.get("ceiling"), "ratio": truth.get("ratio_to_ceiling")}
    return row | {"seconds": round(time.monotonic() - started)}


def misses(rows: list[dict[str, Any]], args: argparse.Namespace) -> list[str]:
    """What a bar does not forgive."""
    if args.null:
        quiet = sum(r["r"] <= r["null_p95"] for r in rows) / len(rows)
        return [] if quiet >= NULL_SHARE else [f"{quiet:.0%} of null worlds stay below their null's p95"]
    if args.shifted:
        off = [r for r in rows if not r["lag_flag"] or abs(r["lag_s"] - args.shifted) > LAG_S]
        return [f"seed {r['seed']}: lag {r['lag_s']} not flagged as {args.shifted}" for r in off]
    low = [f"seed {r['seed']}: {r['ratio']:.2f} of the ceiling" for r in rows if r["ratio"] < RATIO]
    behind = [r["seed"] for r in rows if r["r"] < max(r["ridge_r"], r["banded_r"]) - BEHIND]
    return low + [f"seed {s}: behind ridge" for s in behind]


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print("  ".join(c.rjust(8) for c in COLUMNS))
    for r in rows:
        cells = (f"{r[c]:.3f}" if isinstance(r[c], float) else str(r[c]) for c in COLUMNS)
        print("  ".join(c.rjust(8) for c in cells), flush=True)


def main() -> int:
    """Run the worlds that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--null", action="store_true", help="worlds with phase-randomised scans")
    parser.add_argument(
        "--shifted", type=float, default=0.0, metavar="SECONDS", help="scans that come this much too late"
    )
    parser.add_argument("--front-end-steps", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as tmp:
            rows.append(world(Path(tmp), seed, args))
    print(json.dumps(rows)) if args.json else show(rows)
    missed = misses(rows, args)
    for line in missed:
        print(f"misses its bar: {line}", file=sys.stderr)
    return int(args.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
