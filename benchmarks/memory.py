"""The memory that `giblet run --dry-run` foretells beside what training then takes.

    ./do python benchmarks/memory.py
    ./do python benchmarks/memory.py --presets compact --voxels 20000 --check

A study of noise is made (`made_study.py`: one run, a film with sound, video_s3d and audio_mel). One process extracts it
and foretells; another trains a few steps of every stage, enough to validate and save. Both are fresh and on one thread.
`foretold` and `measured` are what the training process has of its own at its peak (RssAnon), with Python and all
libraries in it; `above` are the same without what it had before training. Bar: foretold is within 20 % of measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from giblet.folders import cache_folder
from made_study import TR_S, make_study
from watched_process import watch

BAR = 0.2
PRESETS: dict[str, dict[str, Any]] = {
    "compact": {},
    "conv": {"scale": 0.5},
    "dense": {"scale": 0.1},
    "two-stage": {"scale": 0.1, "components": 200},
}
BEGIN = """
from pathlib import Path
from giblet.config import build_config
from giblet.data.study import load_study
from giblet.pipeline import extract_study
from giblet.pipeline.cost import training_costs
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.train import train
from giblet.plugins import Registry
kinds = {"video": "video_s3d", "audio": "audio_mel", "fmri": "fmri_mask"}
config = build_config(kinds, asked["settings"], seed=0, plumbing=False)
inputs = extract_study(load_study(Path(asked["study"])), config, Registry.discover(), lambda *_: None)
progress("before", 0, 1)
time.sleep(0.05)
"""
FORETELL = "told(costs=training_costs(inputs, config).as_dict())"
TRAIN = 'train(inputs, config, RunFolder(Path(asked["out"])), progress)\ntold()'


def settings(preset: str, study: Path, steps: int) -> dict[str, dict[str, Any]]:
    """What differs from the defaults."""
    some = dict.fromkeys(("front_end_steps", "trunk_steps", "decoder_steps", "compressor_steps"), steps)
    train = {**some, "validate_every": steps - 1, "trunk_validate_every": steps - 1}
    fmri = {"mask": str(study / "mask.nii")}
    return {"fmri": fmri, "split": {"gap_s": 60}, "train": train, "model": {"preset": preset} | PRESETS[preset]}


def one(preset: str, study: Path, steps: int, place: Path) -> dict[str, Any]:
    """Foretold and measured bytes of a preset, and of each stage."""
    out = place / preset
    out.mkdir()
    asked = {"study": str(study), "settings": settings(preset, study, steps), "out": str(out)}
    costs = watch(BEGIN + FORETELL, cache=place / "cache", **asked).told["costs"]
    seen = watch(BEGIN + TRAIN, cache=place / "cache", **asked)
    before = seen.by_stage["before"]["private"]
    base = costs["process"] + costs["tables"]
    stages = {s["stage"]: base + s["peak"] for s in costs["stages"]}
    rows = [
        {"stage": name, "foretold": stages.get(name), "measured": row["private"]}
        for name, row in seen.by_stage.items()
        if name != "before"
    ]
    found = {"preset": preset, "foretold": costs["peak"], "measured": seen.private, "before": before, "stages": rows}
    return found | {"ratio": costs["peak"] / seen.private, "missed": abs(costs["peak"] / seen.private - 1) > BAR}


def show(rows: list[dict[str, Any]]) -> None:
    """The tables."""
    print(f"{'preset':12}{'stage':20}{'foretold MB':>13}{'measured MB':>13}{'ratio':>8}")
    for r in rows:
        for s in r["stages"]:
            told = "" if s["foretold"] is None else f"{s['foretold'] / 1e6:.0f}"
            print(f"{r['preset']:12}{s['stage']:20}{told:>13}{s['measured'] / 1e6:13.0f}")
        print(f"{r['preset']:12}{'peak':20}{r['foretold'] / 1e6:13.0f}{r['measured'] / 1e6:13.0f}{r['ratio']:8.2f}")
    for r in (r for r in rows if r["missed"]):
        print(f"misses its bar: {r['preset']}, {r['ratio']:.2f}", file=sys.stderr)


def main() -> int:
    """Foretell, train, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=["compact", "conv", "dense"])
    for name, value in (("people", 4), ("trs", 300), ("voxels", 4000), ("steps", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="memory-", dir=cache_folder()) as folder:
        place = Path(folder)
        try:
            sizes = (args.trs, args.voxels, args.people)
            study = make_study(place / "study", *sizes, film_s=args.trs * TR_S).parent
            rows = [one(preset, study, args.steps, place) for preset in args.presets]
        except (OSError, RuntimeError) as error:
            print(f"a row is missing: {error}", file=sys.stderr)
            return 2
    print(json.dumps(rows)) if args.json else show(rows)
    return int(args.check and any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
