"""Every preset on the same demo worlds, at widths that a laptop trains: what each reaches, and at what price.

    ./do python benchmarks/presets.py --seeds 0 1 2
    ./do python benchmarks/presets.py --presets compact conv --steps 600

The layered presets see pictures of 64 x 36 and are scaled down to the share of their published widths that SCALES
names, so that each has a few million parameters; `compact` is as it always is. All train at most `--steps` steps on
the same split. `best` is the step whose validation score was best: an early one says that the rest was overfitting.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from giblet.analysis.scores import pearson
from giblet.config import RunConfig, build_config
from giblet.data.demo import make_demo
from giblet.data.study import load_study
from giblet.model import PRESETS, predict_scans
from giblet.pipeline import Inputs, extract_study
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.train import Trained, train_trunk
from giblet.plugins import Registry

MODALITIES = {"video": "video_s3d", "audio": "audio_mel", "text": "text_bge", "fmri": "fmri_mask"}
SCALES: dict[str, dict[str, Any]] = {
    "compact": {},
    "conv": {"scale": 0.25},
    "dense": {"scale": 0.05},
    "grid": {"scale": 0.02, "grid_step": 2},
    "two-stage": {"scale": 0.02, "components": 200},
}
SMALL = {"width_px": 64, "height_px": 36}
COLUMNS = ("seed", "preset", "r", "parameters", "trunk", "best", "seconds")


def configure(preset: str, steps: int) -> RunConfig:
    """The run's settings; everything that is not named here is as `giblet run` has it."""
    sections: dict[str, Any] = {"text": {"weights": "minilm"}, "model": {"preset": preset} | SCALES[preset]}
    sections["model"] |= {"closed_form": False} if preset == "compact" else {}  # presets differ in their nets
    sections |= {"train": {"trunk_steps": steps}} | ({} if preset == "compact" else {"video": SMALL})
    return build_config(MODALITIES, sections, seed=0, plumbing=False)


def held_out_r(inputs: Inputs, trained: Trained) -> float:
    """Mean correlation with the test blocks, over voxels and people."""
    found = []
    for t, scans in zip(inputs.timelines, predict_scans(trained.model, trained.codes, inputs.timelines), strict=True):
        for block in t.of("test"):
            found += [pearson(scans[s][block.trs], y[block.trs]).mean() for s, y in t.scans.items()]
    return float(np.mean(found))


def one(study: Path, seed: int, preset: str, steps: int, folder: Path) -> dict[str, Any]:
    """One preset on one world."""
    config = configure(preset, steps)
    inputs = extract_study(load_study(study), config, Registry.discover(), lambda *_: None)
    started = time.monotonic()
    trained = train_trunk(inputs, config, RunFolder(folder), lambda *_: None)
    seconds = time.monotonic() - started
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    best = min((r for r in rows if r["stage"] == "trunk"), key=lambda r: r["validation"])
    model = trained.model
    sizes = {"parameters": sum(p.numel() for p in model.parameters()), "trunk": model.trunk_parameters()}
    made = {"seed": seed, "preset": preset, "r": held_out_r(inputs, trained), **sizes}
    return made | {"best": best["step"], "seconds": round(seconds)}


def main() -> int:
    """Run the presets on the worlds that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(PRESETS))
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as tmp:
            study = make_demo(Path(tmp) / "study", seed)
            for preset in args.presets:
                folder = Path(tmp) / preset
                folder.mkdir()
                rows.append(one(study, seed, preset, args.steps, folder))
                shown = (f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in rows[-1].values())
                print("  ".join(x.rjust(10) for x in shown), file=sys.stderr, flush=True)
    print(json.dumps(rows) if args.json else table(rows))
    return 0


def table(rows: list[dict[str, Any]]) -> str:
    """All worlds, and the mean over them."""
    lines = ["  ".join(c.rjust(10) for c in COLUMNS)]
    for r in rows:
        cells = (f"{r[c]:.3f}" if isinstance(r[c], float) else str(r[c]) for c in COLUMNS)
        lines.append("  ".join(c.rjust(10) for c in cells))
    presets = dict.fromkeys(r["preset"] for r in rows)
    means = {p: np.mean([r["r"] for r in rows if r["preset"] == p]) for p in presets}
    return "\n".join([*lines, *(f"{p}: mean r {r:.3f}" for p, r in means.items())])


if __name__ == "__main__":
    sys.exit(main())
