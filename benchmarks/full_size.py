"""A study of 17 people, 1,976 TRs and 83,300 voxels with its film, trained under a limit of 4 GB.

    ./do python benchmarks/full_size.py
    ./do python benchmarks/full_size.py --distinct 17 --steps 20

Scans are noise on the disk (11 GB as the float32 that training reads); people beyond the `--distinct` first ones have
the scans of these. A few steps of each stage are trained with the preset `compact`, heads of rank 16, and each step in
eight parts. The process may hold 4 GB of its own (RLIMIT_DATA): one byte more, and it is refused. `private` is what it
held at its peak in each stage (RssAnon), `resident` all that was in memory, with pages of mapped files, which the
system drops when others need the room. Batches are read in turn (`train.readers=0`), for a reader holds one more.
Bar: it comes to its end. All files are deleted at the end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from giblet.folders import cache_folder
from made_study import TR_S, make_study
from watched_process import Watched, watch

PEOPLE, TRS, VOXELS = 17, 1976, 83_300
CODE = """
from pathlib import Path
from giblet.config import build_config
from giblet.data.study import load_study
from giblet.pipeline import extract_study
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.train import train
from giblet.plugins import Registry
kinds = {"video": "video_s3d", "audio": "audio_mel", "fmri": "fmri_mask"}
config = build_config(kinds, asked["settings"], seed=0, plumbing=False)
inputs = extract_study(load_study(Path(asked["study"])), config, Registry.discover(), progress)
train(inputs, config, RunFolder(Path(asked["out"])), progress)
told()
"""


def settings(study: Path, steps: int, rank: int, parts: int) -> dict[str, Any]:
    """What differs from the defaults."""
    some = dict.fromkeys(("front_end_steps", "trunk_steps", "decoder_steps", "validate_every"), steps)
    train = {**some, "trunk_validate_every": steps, "accumulate": parts, "readers": 0}
    return {"fmri": {"mask": str(study.parent / "mask.nii"), "head_rank": rank}, "train": train}


def show(seen: Watched) -> None:
    """A row a stage."""
    print(f"{'stage':20}{'seconds':>9}{'private MB':>12}{'resident MB':>13}")
    for name, row in seen.by_stage.items():
        print(f"{name:20}{row['seconds']:9.1f}{row['private'] / 1e6:12.0f}{row['resident'] / 1e6:13.0f}")
    print(f"{'all':29}{seen.private / 1e6:12.0f}{seen.resident / 1e6:13.0f}")


def main() -> int:
    """Make the study, train it, and take it away again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("people", PEOPLE), ("trs", TRS), ("voxels", VOXELS), ("distinct", 4), ("steps", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in (("rank", 16), ("parts", 8), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--limit-gb", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cache_folder().mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="full-size-", dir=cache_folder()))
    try:
        sizes = (args.trs, args.voxels, args.people)
        study = make_study(place / "study", *sizes, film_s=args.trs * TR_S, distinct=args.distinct)
        asked = {"study": str(study.parent), "settings": settings(study, args.steps, args.rank, args.parts)}
        out, limit = place / "run", int(args.limit_gb * 1e9)
        out.mkdir()
        seen = watch(CODE, args.threads, limit, place / "cache", out=str(out), **asked)
    except RuntimeError as error:
        print(f"it does not fit {args.limit_gb:g} GB: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"the study cannot be made: {error}", file=sys.stderr)
        return 2
    finally:
        shutil.rmtree(place)
    found = {"private": seen.private, "resident": seen.resident, "stages": seen.by_stage}
    print(json.dumps(found)) if args.json else show(seen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
