"""What joins latent and BOLD in time: held-out r of every `model.hemodynamics`, on made-up and on real scans.

    ./do python benchmarks/hemodynamics.py
    ./do python benchmarks/hemodynamics.py --study alice --seeds 0 1 2 3 4

Front ends are trained once a fold and seed, and the trunk from the same codes for each option: `learned` kernels that
begin as the canonical response, that response fixed (`canonical`), kernels that begin flat (`fir`), one
fixed delay (`shift`, `model.shift_s`), and `none`. All else is the stock model; -o SECTION.KEY=VALUE changes it. Real
studies, folds and gaps are those of `real_scans.py`; the demo study is read without its film, on sound and text, in
five folds with a gap of 60 s. r is that of the group mean, mean over voxels or parcels; differences to `learned` are
paired by test block and seed. There is no bar.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from giblet.analysis.joined import join, joined_predictions, joined_scans
from giblet.analysis.scores import pearson
from giblet.config import ModelConfig, RunConfig, build_config, parse_overrides
from giblet.data.demo import make_demo
from giblet.data.study import load_study
from giblet.errors import GibletError
from giblet.model import Model, members_of, predict_scans
from giblet.pipeline import extract_study
from giblet.pipeline.blueprint import blueprint_of
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.networks import build_model
from giblet.pipeline.prepare import Inputs
from giblet.pipeline.train import fit_trunk, train_trunk
from giblet.pipeline.trained import Trained
from giblet.plugins import Registry
from real_scans import MODALITIES, fold_inputs
from real_studies import STUDIES, RealStudy, data_folder

OPTIONS = get_args(ModelConfig.model_fields["hemodynamics"].annotation)
LEARNED = "learned"
SOUND = {"audio": "audio_mel"}


def demo(folder: Path) -> RealStudy:
    """The demo study of seed 0."""
    make_demo(folder / "demo", seed=0)
    settings = {"text": {"weights": "minilm"}}
    return RealStudy(load_study(folder / "demo"), "sound (mel) and text (MiniLM)", settings, folds=5, gap_s=60)


def group_r(model: Model, trained: Trained, inputs: Inputs) -> float:
    """Held-out r of the group mean, mean over voxels."""
    test = join(inputs.timelines).test_trs
    predicted = predict_scans(model, trained.codes, inputs.timelines)
    guess, y = (
        np.mean([rows(s)[test] for s in inputs.subjects], 0)
        for rows in (lambda s: joined_predictions(predicted, s), lambda s: joined_scans(inputs.timelines, s))
    )
    return float(pearson(guess, y).mean())


def net_alone(config: RunConfig, option: str) -> RunConfig:
    """The config with other hemodynamics, and without the closed form, which only some of them have."""
    changed = {"hemodynamics": option, "closed_form": False}
    return config.model_copy(update={"model": config.model.model_copy(update=changed)})


def with_option(option: str, trained: Trained, inputs: Inputs, config: RunConfig, folder: Path) -> Model:
    """A trunk with other hemodynamics, from the codes that are there."""
    chosen = net_alone(config, option)
    model = build_model(blueprint_of(inputs), trained.nets, trained.codes, chosen)
    folder.mkdir(parents=True)
    for k, member in enumerate(members_of(model)):
        fit_trunk(member, trained.codes, inputs.timelines, chosen, RunFolder(folder), lambda *_: None, k)
    return model


def run_fold(inputs: Inputs, config: RunConfig, options: Sequence[str], folder: Path) -> dict[str, float]:
    """The r of every option on one test block."""
    made = folder / LEARNED
    made.mkdir(parents=True)
    trained = train_trunk(inputs, net_alone(config, LEARNED), RunFolder(made), lambda *_: None)
    found = {LEARNED: group_r(trained.model, trained, inputs)}
    for option in (o for o in options if o != LEARNED):
        model = with_option(option, trained, inputs, config, folder / option)
        found[option] = group_r(model, trained, inputs)
    return found


def measure(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One study, from its files to r by option, fold and seed."""
    real = demo(folder) if name == "demo" else STUDIES[name](data_folder(), folder)
    modalities = MODALITIES | (SOUND if name == "demo" else {})
    overrides = dict(real.settings) | parse_overrides(args.overrides, modalities)
    config = build_config(modalities, overrides, seed=0, plumbing=False)
    base = extract_study(real.study, config, Registry.discover(), lambda *_: None, brain=False)
    r: dict[str, list[list[float]]] = {o: [] for o in args.options}
    for fold in range(real.folds):
        inputs = fold_inputs(real, base, config, fold)
        seeds = [
            run_fold(inputs, config.model_copy(update={"seed": s}), args.options, folder / f"{fold}-{s}")
            for s in args.seeds
        ]
        for option in r:
            r[option].append([found[option] for found in seeds])
    return {"study": name, "features": real.features, "people": len(real.study.subjects), "r": r}


def show(row: dict[str, Any], seeds: Sequence[int]) -> None:
    """One study's table: means, spreads, and the paired difference to `learned`."""
    print(f"\n{row['study']}: {row['people']} people; {row['features']}; seeds {' '.join(map(str, seeds))}")
    print(f"{'option':12}{'r':>8}{'SD blocks':>11}{'SD seeds':>10}{'- learned':>11}{'blocks above':>14}   r by block")
    reference = np.array(row["r"][LEARNED])
    for option, values in row["r"].items():
        r = np.array(values)
        difference = (r - reference).mean(1)
        above = f"{int((difference > 0).sum())} of {len(r)}" if option != LEARNED else ""
        shown = f"{difference.mean():+.3f}" if option != LEARNED else ""
        each = " ".join(f"{b:6.3f}" for b in r.mean(1))
        print(
            f"{option:12}{r.mean():8.3f}{r.mean(1).std():11.3f}{r.mean(0).std():10.3f}{shown:>11}{above:>14}   {each}",
            flush=True,
        )


def main() -> int:
    """Measure the studies that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", choices=("demo", *STUDIES), action="append", dest="studies", help="default: all")
    parser.add_argument("--option", choices=OPTIONS, action="append", dest="options", help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-o", dest="overrides", metavar="SECTION.KEY=VALUE", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.options = list(dict.fromkeys([LEARNED, *(args.options or OPTIONS)]))
    rows = []
    for name in args.studies or ("demo", *STUDIES):
        try:
            with tempfile.TemporaryDirectory() as tmp:
                rows.append(measure(name, args, Path(tmp)))
        except GibletError as error:
            print(f"{name} cannot be measured: {error}", file=sys.stderr)
            return 2
        if not args.json:
            show(rows[-1], args.seeds)
    if args.json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
