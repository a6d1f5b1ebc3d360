"""Reading and masking a scan beside nilearn: time, memory and values.

    ./do python benchmarks/fmri_io.py
    ./do python benchmarks/fmri_io.py --pairs 7 --check

A scan of the size of the Sherlock study (61x73x61 voxels, 946 volumes, float32, 1.03 GB) and a mask of a third of its
voxels are made once, in the folder of features. `ours` is what `fmri_mask` extracts, [T, V] in memory; `apply_mask` is
nilearn's. Each reads in a process of its own, the file being in the page cache; they take turns, and a ratio is the
median over turns of a turn's own ratio, with its quartiles. Time leaves out the start of Python and imports; memory is
the peak of the whole process, with all of Python in it. `.nii.gz` (one turn) has no bar: unpacking takes the time.

Bars for .nii: at most 0.5 times nilearn's time, a peak of at most 600 MB, and the same values to the last bit.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from giblet.data.store import features_folder
from own_peak import with_own_peak

SHAPE, VOLUMES, TR_S = (61, 73, 61), 946, 1.5
BAR_TIME, BAR_BYTES = 0.5, 600e6
CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from own_peak import own_peak
way, scan, mask, out = sys.argv[1:]
import nibabel, nilearn.masking
from giblet.types import Source
from giblet_fmri_mask import FmriMask, features, reading
volumes = nibabel.load(scan).shape[3]
fmri = FmriMask(mask=Path(mask)).fit([Source(Path(scan))], [[slice(0, volumes)]])
started = time.perf_counter()
if way == "ours":
    values = np.empty((volumes, int(fmri.state["mask"].sum())), np.float32)
    at = 0
    for chunk in fmri.extract(Source(Path(scan))):
        values[at : at + len(chunk.values)] = chunk.values
        at += len(chunk.values)
else:
    values = nilearn.masking.apply_mask(scan, mask)
seconds = time.perf_counter() - started
peak = own_peak()
if out != "-":
    np.save(out, values)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
"""


def make_scan(folder: Path) -> tuple[Path, Path, Path]:
    """The scan as .nii and .nii.gz, and the mask; made once."""
    import nibabel as nib

    names = [folder / f"scan-{'x'.join(map(str, SHAPE))}x{VOLUMES}{s}" for s in (".nii", ".nii.gz", "_mask.nii")]
    if all(n.is_file() for n in names):
        return names[0], names[1], names[2]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as tmp:
        parts = [Path(tmp) / n.name for n in names]
        near = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij"))
        inside, rng = (near**2).sum(0) < 0.71, np.random.default_rng(0)
        volumes = [_volume(inside, rng) for _ in range(32)]
        series = np.stack([volumes[k % len(volumes)] for k in range(VOLUMES)], axis=-1)
        image = nib.Nifti1Image(series, np.diag([3.0, 3, 3, 1]))
        image.header.set_zooms((3, 3, 3, TR_S))
        image.header.set_xyzt_units("mm", "sec")
        nib.save(image, parts[0])
        nib.save(image, parts[1])
        nib.save(nib.Nifti1Image(inside.astype(np.uint8), image.affine), parts[2])
        for part, name in zip(parts, names, strict=True):
            part.replace(name)
    return names[0], names[1], names[2]


def _volume(inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return ((1000 * inside + 50) + 20 * rng.standard_normal(SHAPE)).astype(np.float32)


def read(way: str, scan: Path, mask: Path, out: Path | None = None) -> dict[str, Any]:
    """One reading in a process of its own."""
    command = [sys.executable, "-c", CHILD, way, str(scan), str(mask), "-" if out is None else str(out)]
    done = subprocess.run(command, check=True, capture_output=True, env=with_own_peak())
    return json.loads(done.stdout)


def same_values(scan: Path, mask: Path, folder: Path) -> bool:
    """Whether both read the same numbers."""
    made = {way: folder / f"{way}.npy" for way in ("ours", "apply_mask")}
    for way, path in made.items():
        read(way, scan, mask, path)
    ours, theirs = (np.load(path, mmap_mode="r") for path in made.values())
    return ours.shape == theirs.shape and all(
        np.array_equal(ours[k : k + 50], theirs[k : k + 50]) for k in range(0, len(ours), 50)
    )


def row(what: str, scan: Path, mask: Path, pairs: int, *, bar: bool) -> dict[str, Any]:
    """Seconds and peaks of both ways over turns."""
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "apply_mask": []}
    for turn in range(pairs):
        for way in list(runs)[:: 1 if turn % 2 else -1]:
            runs[way].append(read(way, scan, mask))
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs["ours"], runs["apply_mask"], strict=True)]
    found = {way: {k: statistics.median(r[k] for r in each) for k in each[0]} for way, each in runs.items()}
    ratio, peak = statistics.median(ratios), found["ours"]["peak_bytes"]
    quartiles = [float(q) for q in np.percentile(ratios, [25, 75])]
    missed = bar and (ratio > BAR_TIME or peak > BAR_BYTES)
    return {"what": what, **found, "ratio": ratio, "quartiles": quartiles, "turns": pairs, "bar": bar, "missed": missed}


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print(f"{'x'.join(map(str, SHAPE))}x{VOLUMES} float32 to [T, V]; seconds and peak memory, median over turns")
    print(f"{'':10}{'ours s':>8}{'nilearn s':>11}{'ratio':>8}   quartiles      ours MB   nilearn MB   turns")
    for r in (r for r in rows if "ratio" in r):
        a, b, (low, high) = r["ours"], r["apply_mask"], r["quartiles"]
        bars = f"   bars {BAR_TIME:g}, {BAR_BYTES / 1e6:.0f} MB" if r["bar"] else ""
        print(
            f"{r['what']:10}{a['seconds']:8.2f}{b['seconds']:11.2f}{r['ratio']:8.2f}   {low:.2f} - {high:.2f}"
            f"{a['peak_bytes'] / 1e6:13.0f}{b['peak_bytes'] / 1e6:13.0f}{r['turns']:8}{bars}"
        )
    for r in (r for r in rows if r["what"] == "values"):
        print(f"values: {'equal' if r['equal'] else 'DIFFERENT'}")
    for r in (r for r in rows if r["missed"]):
        print(f"misses its bar: {r['what']}", file=sys.stderr)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    folder = features_folder().parent / "benchmarks"
    try:
        scan, packed, mask = make_scan(folder)
    except OSError as error:
        print(f"the scan cannot be made: {error}", file=sys.stderr)
        return 2
    rows = [row(".nii", scan, mask, args.pairs, bar=True), row(".nii.gz", packed, mask, 1, bar=False)]
    tmp = Path(tempfile.mkdtemp(dir=folder))
    try:
        equal = same_values(scan, mask, tmp)
    finally:
        shutil.rmtree(tmp)
    rows.append({"what": "values", "equal": equal, "missed": not equal})
    print(json.dumps(rows)) if args.json else show(rows)
    return int(args.check and any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
