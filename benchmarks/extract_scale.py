"""Extraction of several films in one and in two processes, beside its limits.

    ./do python benchmarks/extract_scale.py
    ./do python benchmarks/extract_scale.py --films 6 --repeats 5 --check

Films (640x360, H.264, 24 Hz, with sound) are made once, in the cache: 30 s of what `video_extract.py` takes, in a loop,
each film of another length, so that each has other bytes. Every way reads pictures (video_s3d) and sound (audio_mel) of
all films, begins with an empty folder of features, and is timed whole, with the start of Python:

- `plain`: a loop over films and plugins that throws the features away: no store, no hash of the film, nothing written;
- `jobs 1`: `giblet extract --jobs 1`;
- `half`: the same with GIBLET_THREADS and OMP_NUM_THREADS at half of the processors, a worker's share;
- `jobs 2`: `giblet extract --jobs 2`.

The ways take turns, every other turn backwards. A ratio is the median over turns of a turn's own, with its range.

Bars: `jobs 1` at most 1.25 times `plain`; `jobs 2` at least 1.5 times as fast as `half`, of which twice is the ideal.
`jobs 1` beside `jobs 2` is what a second process gives to somebody whose one process had all processors: without a bar.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from giblet.folders import cache_folder
from video_extract import ffmpeg, material

BAR_PLAIN, BAR_TWO, PART_S = 1.25, 1.5, 30
WAYS = ("plain", "jobs 1", "half", "jobs 2")
RATIOS = (("jobs 1", "plain", BAR_PLAIN), ("half", "jobs 2", BAR_TWO), ("jobs 1", "jobs 2", None))
PLAIN = """
import sys
from pathlib import Path
from giblet.plugins import Registry
from giblet.types import Source
registry = Registry.discover()
modalities = [registry.modality("video_s3d"), registry.modality("audio_mel")]
for film in sys.argv[1:]:
    for modality in modalities:
        for chunk in modality.extract(Source(Path(film))):
            pass
"""


def make_films(n: int, minutes: float, folder: Path) -> list[Path]:
    """Films of about that many minutes, the k-th longer by k seconds; made once."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / f"scale-{minutes:g}min-{k}.mp4" for k in range(n)]
    if not all(film.is_file() for film in made):
        quiet, part = [ffmpeg(), "-v", "error", "-y"], folder / "scale-part.mp4"
        picture = ["-vf", "scale=640:360", "-r", "24", "-c:v", "libx264", "-preset", "fast", "-pix_fmt", "yuv420p"]
        sound = ["-f", "lavfi", "-i", "anoisesrc=r=44100:seed=0", "-map", "0:v:0", "-map", "1:a:0", "-c:a", "aac"]
        subprocess.run([*quiet, *material(None), *sound, "-t", str(PART_S), *picture, str(part)], check=True)
        for k, film in enumerate(made):
            whole, length = film.with_name(f"part-{film.name}"), str(60 * minutes + k)
            loop = ["-stream_loop", "-1", "-i", str(part), "-c", "copy", "-t", length]
            subprocess.run([*quiet, *loop, str(whole)], check=True)
            whole.replace(film)
    return made


def command(way: str, films: Sequence[Path]) -> list[str]:
    """What a way runs."""
    if way == "plain":
        return [sys.executable, "-c", PLAIN, *map(str, films)]
    jobs = "2" if way == "jobs 2" else "1"
    named = [word for film in films for word in ("--film", str(film))]
    return [sys.executable, "-m", "giblet", "extract", *named, "--text", "none", "--jobs", jobs, "--json"]


def once(way: str, films: Sequence[Path], cpus: int, folder: Path) -> float:
    """Seconds of a way, which finds no features and leaves none."""
    place = Path(tempfile.mkdtemp(dir=folder))
    share = {name: str(max(1, cpus // 2)) for name in ("GIBLET_THREADS", "OMP_NUM_THREADS")}
    env = os.environ | {"GIBLET_CACHE": str(place)} | (share if way == "half" else {})
    started = time.perf_counter()
    subprocess.run(command(way, films), env=env, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    shutil.rmtree(place)
    return seconds


def measure(films: Sequence[Path], repeats: int, cpus: int) -> dict[str, list[float]]:
    """Seconds of each way, by turn."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as tmp:
        for turn in range(repeats):
            for way in WAYS[:: 1 if turn % 2 == 0 else -1]:
                found[way].append(once(way, films, cpus, Path(tmp)))
    return found


def rows_of(found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Each ratio, its range over turns, and whether it misses its bar."""
    rows = []
    for way, beside, bar in RATIOS:
        each = [a / b for a, b in zip(found[way], found[beside], strict=True)]
        ratio = statistics.median(each)
        missed = bar is not None and (ratio > bar if beside == "plain" else ratio < bar)
        rows.append({"what": f"{way} / {beside}", "ratio": ratio, "range": [min(each), max(each)], "bar": bar})
        rows[-1]["missed"] = missed
    return rows


def show(found: dict[str, list[float]], rows: Sequence[dict[str, Any]], cpus: int, about: str) -> None:
    """The table."""
    print(f"{about}, {cpus} processors; seconds, then ratios of a turn")
    for way, seconds in found.items():
        print(f"{way:18}{statistics.median(seconds):8.1f}   {min(seconds):.1f} - {max(seconds):.1f}")
    for r in rows:
        bar = "" if r["bar"] is None else f"   bar {r['bar']:g}"
        print(f"{r['what']:18}{r['ratio']:8.2f}   {r['range'][0]:.2f} - {r['range'][1]:.2f}{bar}")
    for r in (r for r in rows if r["missed"]):
        print(f"misses its bar: {r['what']}", file=sys.stderr)


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=5.0, help="length of a film")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    try:
        films = make_films(args.films, args.minutes, cache_folder() / "benchmarks")
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        print(f"the films cannot be made: {error}", file=sys.stderr)
        return 2
    cpus = len(os.sched_getaffinity(0))
    found = measure(films, args.repeats, cpus)
    rows = rows_of(found)
    about = f"{args.films} films of {args.minutes:g} min, {args.repeats} turns"
    print(json.dumps({"seconds": found, "rows": rows})) if args.json else show(found, rows, cpus, about)
    return int(args.check and any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
