"""How time and memory of extraction and training grow with TRs, voxels, people and the length of the film.

    ./do python benchmarks/growth.py
    ./do python benchmarks/growth.py --repeats 5 --check --plot out/growth.png

Studies of noise are made for it (`made_study.py`), one size at a time, the others as at the beginning of their row.
Each measurement is a process of its own with an empty cache, on one thread. Repeats go round all sizes; the least time
is shown, to which whatever else the machine does only adds, and the most memory. Time is CPU time without the start of
Python and imports: reading, masking and cleaning of scans, extraction of film and sound (video_s3d, audio_mel), and
training of trunk and decoders with the preset `compact`. Memory is what the process has of its own at its peak
(RssAnon); files that it maps are left out, for the system may drop their pages.

TRs grow by runs of 400, with 6 steps of training for each run: the data are gone through as often, however many there
are. And they grow within a single run, with 12 steps whatever its length, as `train.trunk_steps` sets them: a step
passes through the whole run. (With steps for each TR there, as by default, time would grow with the square. The row
begins at 800 TRs, for a step takes 512 training TRs to the heads, which fewer do not fill.) What grows is fitted by a
line, t = a + b n; `bend` is the share of the largest time that the square makes up in the parabola that fits best.
Bars: time of extraction in TRs and in film, and of training in TRs, is a line (R2 at least 0.98), and ten times the
film takes at most 1.1 times the memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from giblet.folders import cache_folder
from made_study import make_study
from watched_process import watch

BASE = {"runs": 1, "trs": 400, "voxels": 1000, "people": 4}
FILM = {"runs": 1, "trs": 0, "voxels": 0, "people": 0}
GROWTH: dict[str, tuple[str, dict[str, int], list[int]]] = {
    "TRs in runs of 400": ("runs", BASE, [1, 2, 4, 6]),
    "TRs of one run": ("trs", BASE, [800, 1200, 1600, 2400]),
    "voxels": ("voxels", BASE, [1000, 2000, 4000, 8000]),
    "people": ("people", BASE, [2, 4, 8, 16]),
    "minutes of film": ("minutes", FILM, [1, 2, 5, 10]),
}
LINES = {
    ("extraction", "TRs in runs of 400"),
    ("training", "TRs in runs of 400"),
    ("extraction", "TRs of one run"),
    ("training", "TRs of one run"),
    ("extraction", "minutes of film"),
}
STEPS, STEPS_PER_RUN = 12, 6
LEAST_R2, MOST_MEMORY = 0.98, 1.1
CODE = """
from pathlib import Path
from giblet.config import build_config
from giblet.data.study import load_study
from giblet.pipeline import extract_study
from giblet.pipeline.folder import RunFolder
from giblet.plugins import Registry
kinds = {"video": "video_s3d", "audio": "audio_mel"} if asked["film"] else {}
steps = dict(trunk_steps=asked["steps"], decoder_steps=asked["steps"], refit=False)
train = {**steps, "validate_every": 1000, "trunk_validate_every": 1000}
settings = {"fmri": {"mask": asked["mask"]}, "split": {"gap_s": 60}, "train": train}
config = build_config({**kinds, "fmri": "fmri_mask"}, settings, seed=0, plumbing=False)
registry, study = Registry.discover(), load_study(Path(asked["study"]))
for name in (*kinds.values(), "fmri_mask"):
    registry.modality_class(name)
if not asked["film"]:
    from giblet.pipeline.train import train as train_stages
begun = time.process_time()
inputs = extract_study(study, config, registry, progress, brain=not asked["film"])
extracted = time.process_time()
if not asked["film"]:
    progress("train", 0, 1)
    train_stages(inputs, config, RunFolder(Path(asked["out"])), lambda *_: None)
told(extraction=extracted - begun, training=time.process_time() - extracted)
"""


def measure(study: Path, *, steps: int, film: bool, place: Path) -> dict[str, float]:
    """Seconds and private bytes of extraction and training, by a process of its own with an empty cache."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        asked: dict[str, Any] = {"study": str(study.parent), "film": film, "steps": steps}
        asked |= {"mask": str(study.parent / "mask.nii"), "out": f"{folder}/run"}
        Path(asked["out"]).mkdir()
        seen = watch(CODE, cache=Path(folder) / "cache", **asked)
    before = max((r["private"] for n, r in seen.by_stage.items() if n != "train"), default=0)
    return {**seen.told, "extraction_bytes": before, "training_bytes": seen.private}


def series(name: str, repeats: int, place: Path) -> list[dict[str, Any]]:
    """A row a size: n, the least seconds of the repeats, to which other work only adds, and the most bytes."""
    what, base, sizes = GROWTH[name]
    with tempfile.TemporaryDirectory(dir=place) as folder:
        asked = [{**base, what: n} for n in sizes]
        studies = [made(a, Path(folder) / f"study-{k}") for k, a in enumerate(asked)]
        steps = [STEPS_PER_RUN * n if what == "runs" else STEPS for n in sizes]
        cells = list(zip(studies, steps, strict=True))
        rounds = [[measure(s, steps=k, film=base is FILM, place=place) for s, k in cells] for _ in range(repeats)]
    rows = []
    for n, found in zip(sizes, zip(*rounds, strict=True), strict=True):
        row = {k: (max if k.endswith("_bytes") else min)(f[k] for f in found) for k in found[0]}
        rows.append({"what": name, "n": 400 * n if what == "runs" else n, **row})
    return rows


def made(sizes: dict[str, int], folder: Path) -> Path:
    """A study of these sizes."""
    minutes = sizes.get("minutes", 0)
    return make_study(
        folder, **{k: v for k, v in sizes.items() if k != "minutes"}, film_s=60.0 * minutes if minutes else None
    )


def line(n: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """The line that fits best: where it begins, its slope, R2, and what the best parabola's square makes up."""
    slope, begin = np.polyfit(n, seconds, 1)
    left = np.subtract(seconds, begin + slope * np.asarray(n))
    r2 = 1 - left @ left / np.square(np.subtract(seconds, np.mean(seconds))).sum()
    bend = np.polyfit(n, seconds, 2)[0] * n[-1] ** 2 / seconds[-1]
    return {"begin_s": float(begin), "slope_s": float(slope), "r2": float(r2), "bend": float(bend)}


def fits(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The line of each time in what grows."""
    found = []
    for name in dict.fromkeys(r["what"] for r in rows):
        mine = [r for r in rows if r["what"] == name]
        for what in ("extraction",) if name == "minutes of film" else ("extraction", "training"):
            found += [{"what": name, "of": what, **line([r["n"] for r in mine], [r[what] for r in mine])}]
    return found


def missed(rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> list[str]:
    """The bars that were missed."""
    bad = [
        f"{f['of']} in {f['what']}: R2 {f['r2']:.3f}"
        for f in lines
        if (f["of"], f["what"]) in LINES and f["r2"] < LEAST_R2
    ]
    film = [r for r in rows if r["what"] == "minutes of film"]
    if film and (ratio := film[-1]["extraction_bytes"] / film[0]["extraction_bytes"]) > MOST_MEMORY:
        bad.append(f"memory of extraction: {ratio:.2f} times for {film[-1]['n'] / film[0]['n']:g} times the film")
    return bad


def show(rows: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> None:
    """The tables."""
    print(f"{'':22}{'n':>8}{'extraction s':>14}{'MB':>8}{'training s':>13}{'MB':>8}")
    for r in rows:
        trained = f"{r['training']:13.2f}{r['training_bytes'] / 1e6:8.0f}" if r["what"] != "minutes of film" else ""
        print(f"{r['what']:22}{r['n']:8g}{r['extraction']:14.2f}{r['extraction_bytes'] / 1e6:8.0f}{trained}")
    print(f"\n{'time of':12}{'in':22}{'begins s':>10}{'ms each':>10}{'R2':>8}{'bend':>8}")
    for f in lines:
        print(f"{f['of']:12}{f['what']:22}{f['begin_s']:10.2f}{1e3 * f['slope_s']:10.3f}{f['r2']:8.3f}{f['bend']:8.1%}")


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Time and memory in each of what grows, as a picture."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(r["what"] for r in rows))
    figure = Figure(figsize=(3.2 * len(names), 5.4), layout="constrained")
    axes = figure.subplots(2, len(names), squeeze=False)
    for k, name in enumerate(names):
        mine = [r for r in rows if r["what"] == name]
        for what, colour in (("extraction", "#1b6ca8"), ("training", "#c2571a")):
            if what == "extraction" or name != "minutes of film":
                n = [r["n"] for r in mine]
                axes[0, k].plot(n, [r[what] for r in mine], "o-", color=colour, label=what)
                axes[1, k].plot(n, [r[f"{what}_bytes"] / 1e6 for r in mine], "o-", color=colour, label=what)
        axes[0, k].set(title=name, ylabel="CPU seconds", ylim=(0, None))
        axes[1, k].set(xlabel=name, ylabel="MB of its own", ylim=(0, None))
    axes[0, 0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(GROWTH), default=list(GROWTH), metavar="WHAT")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    place = cache_folder() / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    try:
        rows = [row for name in args.only for row in series(name, args.repeats, place)]
    except (OSError, RuntimeError) as error:
        print(f"a row is missing: {error}", file=sys.stderr)
        return 2
    lines = fits(rows)
    bad = missed(rows, lines)
    print(json.dumps({"rows": rows, "lines": lines, "missed": bad})) if args.json else show(rows, lines)
    if args.plot:
        plot(rows, args.plot)
    for one in bad:
        print(f"misses its bar: {one}", file=sys.stderr)
    return int(args.check and bool(bad))


if __name__ == "__main__":
    sys.exit(main())
