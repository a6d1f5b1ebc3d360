"""Codes, latents or numbers: which target of audio_encodec is best made again from scans, in one unit.

    ./do python benchmarks/audio_targets.py --check
    ./do python benchmarks/audio_targets.py --targets codes latents --seeds 0 --set audio.net=full

For each seed a demo world is made (two films of 8 min, six people) and a model trained on its sound alone, once a
target, with that seed and the settings of `giblet run` but for --set; the codec is --weights at 6 kbps. What is made of
the test blocks is turned into what the codec's decoder would get: the sum of the vectors of codes (latents are
quantised again, numbers are rounded). Its squared error against that of the true sound is divided by the error of the
mean of the training TRs: 1.0 knows nothing. `roundtrip` is encoder and decoder alone; `predicted` and `measured` are
read from scans, the mean of all people; `permuted` is `measured` at the wrong time. Of what is played, against the
original's features: `envelope_r` is the correlation of loudness in windows of 20 ms, `rhythm_r` that of how fast it
goes up and down. The spread is over seeds.

Bar (--check): in every seed the better of codes and latents beats regression, read from measured scans, and the mean
margin is more than twice its standard error over seeds; and it says more than a constant, so is below 1.0. It exits 1
where that is missed, 2 where a row is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from giblet.analysis.audio import envelope_correlation, rhythm_correlation
from giblet.types import Features
from numpy.typing import NDArray

TARGETS = ("codes", "latents", "regression")
VERSIONS = ("roundtrip", "predicted", "measured", "permuted")
LIKENESS = (envelope_correlation, rhythm_correlation)
HEARD = tuple(f"{v} {score}" for v in ("roundtrip", "measured") for score in ("envelope_r", "rhythm_r"))
SCORES = (*VERSIONS, *HEARD)
STANDARD_ERRORS = 2.0
Latents = NDArray[np.float32]


def train_cell(toml: Path, folder: Path, target: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """One target on one world: what it makes of all test blocks, scored."""
    from giblet.api.request import Request
    from giblet.api.studies import load_study
    from giblet.pipeline.folder import RunFolder
    from giblet.pipeline.prepare import extract_study
    from giblet.pipeline.train import train
    from giblet.plugins import Registry
    from giblet.types import silent

    plugins = {"audio": "encodec", "video": "none", "text": "none"}
    settings = {"audio.weights": args.weights, "audio.target": target} | dict(s.split("=", 1) for s in args.set)
    started = time.monotonic()
    study, config = Request.of(plugins, settings, seed=seed).of_study(load_study(toml))
    inputs = extract_study(study, config, Registry.discover(), silent)
    run = RunFolder.open(folder, config.model_dump(mode="json"), f"{target} {seed}")
    trained = train(inputs, config, run, silent)
    return {"target": target, "seed": seed, **score(inputs, trained, config), "seconds": time.monotonic() - started}


def score(inputs: Any, trained: Any, config: Any) -> dict[str, float]:
    """Relative error of latents for each version, and the correlation of envelopes, over all test blocks."""
    from giblet.analysis.decode import Reader
    from giblet.model import predict_scans
    from giblet.pipeline.reconstruct import make_versions

    predicted = predict_scans(trained.model, trained.codes, inputs.timelines)
    reader = Reader(trained.model, trained.nets, trained.losses, trained.codes, inputs.timelines, predicted, config)
    (n,), way = trained.nets, inputs.modalities["audio"]._target()
    mean = training_mean(inputs.timelines, way)
    squared, constant, heard = dict.fromkeys(VERSIONS, 0.0), 0.0, list[list[float]]()
    for timeline, block in reader.places():
        made = make_versions(n, reader, timeline, block)
        truth = way.heard(made["original"].values)
        constant += float(np.square(truth - mean).sum())
        for v in VERSIONS:
            squared[v] += float(np.square(way.heard(made[v].values) - truth).sum())
        original, *others = (played(made[v], way) for v in ("original", "roundtrip", "measured"))
        heard.append([f(original, x, way.codec.rate_hz) for x in others for f in LIKENESS])
    return {v: squared[v] / constant for v in VERSIONS} | dict(zip(HEARD, np.mean(heard, 0).tolist(), strict=True))


def training_mean(timelines: Sequence[Any], way: Any) -> Latents:
    """The mean [D] of what the decoder would get, over the training TRs."""
    from giblet.training.front_ends import training_parts

    rows = []
    for aligned, trs in training_parts(timelines, "audio"):
        values, mask = aligned.rows(trs)
        rows.append(way.heard(values[mask]))
    return np.concatenate(rows).mean(0)


def played(features: Features, way: Any) -> NDArray[np.float32]:
    """Sound [N] of features."""
    from giblet_audio_encodec.playing import play_features

    return np.concatenate(list(play_features(way, features)))[:, 0]


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All cells, each printed when it is done."""
    from giblet.data.demo import make_demo

    rows = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as tmp:
            make_demo(Path(tmp) / "study", seed)
            for target in args.targets:
                toml = Path(tmp) / "study" / "study.toml"
                rows.append(train_cell(toml, Path(tmp) / target, target, seed, args))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def margin(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """By how much the better of codes and latents beats regression, seed by seed; None where a cell is missing.

    What reads nothing (1.0 is a constant) beats regression, too, and still misses.
    """
    error = {(r["target"], r["seed"]): r["measured"] for r in rows}
    seeds = sorted({seed for _, seed in error})
    if any((t, s) not in error for t in TARGETS for s in seeds) or len(seeds) < 2:
        return None
    means = {t: float(np.mean([error[t, s] for s in seeds])) for t in TARGETS}
    best = min(("codes", "latents"), key=means.__getitem__)
    each = [error["regression", s] - error[best, s] for s in seeds]
    mean, error_of_mean = float(np.mean(each)), float(np.std(each, ddof=1) / len(each) ** 0.5)
    read = all(error[best, s] < 1 for s in seeds)
    missed = not read or min(each) <= 0 or mean <= STANDARD_ERRORS * error_of_mean
    return {"best": best, "margin": mean, "standard_error": error_of_mean, "each": each, "missed": missed}


def show(rows: Sequence[dict[str, Any]], found: dict[str, Any] | None) -> None:
    """The table: mean and SD over seeds."""
    print("target      " + "".join(f"{s:>22}" for s in (*SCORES, "seconds")))
    for target in dict.fromkeys(r["target"] for r in rows):
        mine = [r for r in rows if r["target"] == target]
        cells = []
        for s in (*SCORES, "seconds"):
            values = [r[s] for r in mine]
            sd = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.3f}{sd}")
        print(f"{target:12}" + "".join(f"{c:>22}" for c in cells))
    if found:
        each = ", ".join(f"{x:.3f}" for x in found["each"])
        print(
            f"{found['best']} beats regression by {found['margin']:.3f}, standard error {found['standard_error']:.3f}"
        )
        print(f"seed by seed: {each}" + ("   MISSES ITS BAR" if found["missed"] else ""))


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--weights", default="bundled")
    parser.add_argument("--set", nargs="+", default=[], metavar="SECTION.KEY=VALUE", help="other settings of the run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(args)
    found = margin(rows)
    print(json.dumps({"rows": rows, "margin": found})) if args.json else show(rows, found)
    if not args.check:
        return 0
    return 2 if found is None else int(found["missed"])


if __name__ == "__main__":
    sys.exit(main())
