"""Extraction of a film beside the ffmpeg command line: time, memory and pixels.

    ./do python benchmarks/video_extract.py
    ./do python benchmarks/video_extract.py --pairs 9 --cpus 1 --check

A film of ten minutes (640x360, H.264, 24 Hz) is made once, in the folder of features: 30 s of --film, else of
`GIBLET_TEST_DATA`/film/big_buck_bunny_30s.mp4, else of a moving fractal, in a loop. `command line` decodes it, scales
it to 160x90 with our scaler flags, converts it to RGB and throws the frames away; `to a file` writes them.
`read_frames` is our bare loop; `extract` is what `giblet run --extract-only` does for the modality: hash of the film,
frames, and the features on disk, synchronised. Everything is tied to the same --cpus processors, from which both sides
take the number of their threads; our time leaves out the start of Python. They take turns; a ratio is the median over
turns of a turn's own ratio, with its quartiles. Memory is the peak of the whole process.

Bars: `extract` and `read_frames` at most 1.15 times the command line; peak memory for ten minutes at most 1.1 times
that for one; pixels of one minute: mean difference at most 0.5 level, and 99 % of the values within 2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from giblet.folders import cache_folder
from giblet.media import read_frames
from giblet.media.frame_scaling import FLAGS
from own_peak import with_own_peak

WIDTH, HEIGHT, SECONDS = 160, 90, 30
BAR_TIME, BAR_MEMORY, BAR_MEAN, BAR_WITHIN, BAR_SHARE = 1.15, 1.1, 0.5, 2, 0.99
OURS = ("read_frames", "extract")
THEIRS = ("command line", "to a file")
CHILD = """
import json, os, sys, time
from pathlib import Path
from own_peak import own_peak
what, film, folder = sys.argv[1:]
os.environ["GIBLET_CACHE"] = folder
from giblet.media import read_frames
from giblet import stages
from giblet.data.store import Store, StoreWriter, features_folder
from giblet.plugins import Registry
from giblet.types import Source
import av
registry = Registry.discover()
modality = registry.modality("video_s3d")
store = Store(features_folder(), lambda name: registry.plugins[name].version)
registry.pm.register(store)
registry.pm.register(StoreWriter(store))
started = time.perf_counter()
if what == "extract":
    frames = len(stages.extract(registry, modality, Source(Path(film))).values)
else:
    frames = sum(len(c.values) for c in read_frames(Path(film), modality.width_px, modality.height_px))
seconds = time.perf_counter() - started
peak = own_peak()
print(json.dumps({"seconds": seconds, "frames": frames, "peak_bytes": peak}))
"""


def ffmpeg() -> str:
    """The command line: that of the system, else that of the wheel."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


def material(film: Path | None) -> list[str]:
    """What ffmpeg reads to make the film from."""
    if film is not None:
        return ["-i", str(film)]
    data = Path(os.environ.get("GIBLET_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    found = data / "film" / "big_buck_bunny_30s.mp4"
    return ["-i", str(found)] if found.is_file() else ["-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=24"]


def make_film(tool: str, given: list[str], minutes: int, folder: Path) -> Path:
    """A film of that many minutes; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = Path(given[-1]).stem if given[0] == "-i" else "fractal"
    film, part = folder / f"{stem}-{minutes}min.mp4", folder / f"{stem}-30s.mp4"
    quiet = [tool, "-v", "error", "-y"]
    encoded = [
        "-t",
        str(SECONDS),
        "-vf",
        "scale=640:360",
        "-r",
        "24",
        "-c:v",
        "libx264",
        "-preset",
        "fast",
        "-crf",
        "23",
    ]
    if not part.is_file():
        whole = part.with_name(f"part-{part.name}")
        subprocess.run([*quiet, *given, *encoded, "-pix_fmt", "yuv420p", str(whole)], check=True)
        whole.replace(part)
    if not film.is_file():
        whole = film.with_name(f"part-{film.name}")
        loop = ["-stream_loop", str(60 * minutes // SECONDS - 1), "-i", str(part), "-map", "0:v:0", "-c", "copy"]
        subprocess.run([*quiet, *loop, str(whole)], check=True)
        whole.replace(film)
    return film


def command(tool: str, film: Path, *to: str) -> list[str]:
    """The command line that does what we do."""
    scale = f"scale={WIDTH}:{HEIGHT}:flags={FLAGS},format=rgb24"
    return [tool, "-v", "error", "-y", "-i", str(film), "-map", "0:v:0", "-vf", scale, *to]


def theirs(tool: str, film: Path, way: str, folder: Path) -> dict[str, Any]:
    """One run of the command line."""
    to = ("-f", "null", "-") if way == "command line" else ("-f", "rawvideo", str(folder / "frames.raw"))
    started = time.perf_counter()
    subprocess.run(command(tool, film, *to), check=True)
    return {"seconds": time.perf_counter() - started}


def ours(film: Path, way: str, folder: Path) -> dict[str, Any]:
    """One run of ours, in a process of its own."""
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, way, str(film), str(place)],
            check=True,
            capture_output=True,
            env=with_own_peak(),
        )
    finally:
        shutil.rmtree(place)
    return json.loads(done.stdout)


def turns(ways: dict[str, Callable[[], dict[str, Any]]], pairs: int) -> dict[str, list[dict[str, Any]]]:
    """Every way in turn, so that other work on the machine meets all alike."""
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for turn in range(pairs):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            runs[way].append(ways[way]())
    return runs


def time_row(way: str, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Seconds of a way, and its ratio to the command line, turn by turn."""
    seconds = [r["seconds"] for r in runs[way]]
    ratios = [s / r["seconds"] for s, r in zip(seconds, runs["command line"], strict=True)]
    quartiles = [float(q) for q in np.percentile(ratios, [25, 75])]
    ratio, bar = statistics.median(ratios), BAR_TIME if way in OURS else None
    row = {"what": way, "seconds": statistics.median(seconds), "ratio": ratio, "quartiles": quartiles, "bar": bar}
    return row | {"missed": bar is not None and ratio > bar}


def memory_rows(short: list[dict[str, Any]], runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Peak memory of an extraction of ten minutes beside one of one minute."""
    peaks = [statistics.median(r["peak_bytes"] for r in each) for each in (short, runs["extract"])]
    ratio = peaks[1] / peaks[0]
    return [{"what": "memory", "one": peaks[0], "ten": peaks[1], "ratio": ratio, "missed": ratio > BAR_MEMORY}]


def pixel_row(tool: str, film: Path) -> dict[str, Any]:
    """Our values beside those of the command line, frame by frame."""
    shape, total, within, count = (HEIGHT, WIDTH, 3), 0, 0, 0
    with subprocess.Popen(command(tool, film, "-f", "rawvideo", "-"), stdout=subprocess.PIPE) as process:
        for chunk in read_frames(film, WIDTH, HEIGHT):
            raw = process.stdout.read(chunk.values.nbytes)
            difference = np.abs(np.frombuffer(raw, np.uint8).reshape(-1, *shape).astype(np.int16) - chunk.values)
            total, within = total + int(difference.sum()), within + int((difference <= BAR_WITHIN).sum())
            count += difference.size
        over = len(process.stdout.read())
    mean, share = total / count, within / count
    row = {"what": "pixels", "mean": mean, "within": share, "values": count}
    return row | {"missed": mean > BAR_MEAN or share < BAR_SHARE or over > 0}


def measure(tool: str, films: dict[int, Path], pairs: int) -> list[dict[str, Any]]:
    """All rows."""
    with tempfile.TemporaryDirectory() as tmp:
        folder, long = Path(tmp), films[10]
        ways: dict[str, Callable[[], dict[str, Any]]] = {}
        ways |= {w: (lambda w=w: theirs(tool, long, w, folder)) for w in THEIRS}
        ways |= {w: (lambda w=w: ours(long, w, folder)) for w in OURS}
        runs = turns(ways, pairs)
        short = [ours(films[1], "extract", folder) for _ in range(3)]
        rows = [time_row(way, runs) for way in ways]
        return [*rows, *memory_rows(short, runs), pixel_row(tool, films[1])]


def show(rows: list[dict[str, Any]], cpus: int) -> None:
    """The table."""
    print(f"ten minutes of 640x360 to {WIDTH}x{HEIGHT}, {cpus} processors; seconds, and ratio to the command line")
    for r in rows:
        if "seconds" in r:
            low, high = r["quartiles"]
            bar = "" if r["bar"] is None else f"   bar {r['bar']:.2f}"
            print(f"{r['what']:14}{r['seconds']:8.2f}{r['ratio']:8.2f}   {low:.2f} - {high:.2f}{bar}")
        elif r["what"] == "memory":
            one, ten = r["one"] / 1e6, r["ten"] / 1e6
            print(
                f"peak memory: {one:.0f} MB for 1 min, {ten:.0f} MB for 10, ratio {r['ratio']:.2f}   bar {BAR_MEMORY}"
            )
        else:
            share = f"{100 * r['within']:.3f} % of {r['values']} values within {BAR_WITHIN}"
            print(f"pixels: mean difference {r['mean']:.4f} level, {share}   bars {BAR_MEAN}, {100 * BAR_SHARE:g} %")
    for r in (r for r in rows if r["missed"]):
        print(f"misses its bar: {r['what']}", file=sys.stderr)


def main() -> int:
    """Measure."""
    available = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--cpus", type=int, default=len(available), help="processors that both sides may use")
    parser.add_argument("--film", type=Path, help="what the film is made of")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    os.sched_setaffinity(0, available[: args.cpus])
    try:
        tool = ffmpeg()
        films = {m: make_film(tool, material(args.film), m, cache_folder() / "benchmarks") for m in (1, 10)}
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        print(f"the film cannot be made: {error}", file=sys.stderr)
        return 2
    rows = measure(tool, films, args.pairs)
    print(json.dumps(rows)) if args.json else show(rows, len(os.sched_getaffinity(0)))
    return int(args.check and any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
