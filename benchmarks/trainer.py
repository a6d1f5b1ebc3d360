"""What the training loop costs beside a bare one over the same networks, and what two processes make of a step.

    ./do python benchmarks/trainer.py
    ./do python benchmarks/trainer.py --repeats 41 --check

A study of the default shape is made of noise: a film of ten minutes (video_s3d, audio_mel), 400 TRs, eight people of
1,000 voxels. `bare` is the shortest PyTorch loop that trains a stage: draw and read a batch, forward, backward, clip,
AdamW. `giblet` is the loop of `giblet train`, which also follows the schedule, seeds every step and counts. `data` is
what drawing and reading alone take of the bare step. They take turns in one process, on one thread, by CPU time, all
reading in turn (`train.readers=0`: with a reader, that part is done meanwhile); a ratio is the median over turns, with
its quartiles.

Then the same training by one process and by two (torchrun, gloo), one thread each, by the clock on the wall and one
after the other: seconds of each stage, and the largest relative difference of any loss over 50 steps between two
processes and one that computes each step in two parts (`train.accumulate=2`), as they do. Behind it, the difference to
one that computes it in one part, whose sums are rounded otherwise; that has no bar.

Bars: overhead at most 3 % of a step, data at most 5 %, losses within 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from giblet.config import RunConfig, build_config
from giblet.data.study import load_study
from giblet.folders import cache_folder
from giblet.model import bold_loss, decode_code, person_drive, predict_scans, run_drive
from giblet.pipeline.blueprint import blueprint_of
from giblet.pipeline.networks import build_losses, build_model, build_nets
from giblet.pipeline.prepare import Inputs, extract_study
from giblet.pipeline.step_cost import against, interleaved
from giblet.plugins import Registry
from giblet.training import DecoderTask, FrontEndTask, Schedule, Task, TrunkTask, compute_codes
from giblet.training.batch import DecoderBatch, FrontEndBatch, TrunkBatch
from giblet.training.engine import Engine, Step
from giblet.training.ranks import Ranks
from giblet.training.share import WHOLE
from giblet.training.state import State
from giblet.training.trainer import advance, learning_rate
from giblet.types import silent
from made_study import make_study
from torch import Tensor

TRS, VOXELS, PEOPLE, FILM_S = 400, 1000, 8, 600
KINDS = {"video": "video_s3d", "audio": "audio_mel", "fmri": "fmri_mask"}
STEPS, WARM = 50, 3
OVERHEAD, DATA, DIFFERENCE = 1.03, 0.05, 1e-6
Loss = Callable[[Any], Tensor]


def bare_front_end(task: FrontEndTask) -> Loss:
    """The loss of a batch."""

    def loss(batch: FrontEndBatch) -> Tensor:
        x, mask = torch.from_numpy(batch.trs.x), torch.from_numpy(batch.trs.mask)
        return task.relative(task.nets.decoder(task.nets.encoder(x, mask)), x, mask)

    return loss


def bare_trunk(task: TrunkTask) -> Loss:
    """The same for everybody's scans in the windows of a step."""
    m, line = task.module, task.timelines[0]

    def loss(batch: TrunkBatch) -> Tensor:
        drive, places, found = run_drive(m, task.codes, 0), torch.from_numpy(batch.places), []
        for p in batch.people:
            late = person_drive(m, drive, line, p.subject).index_select(0, places.flatten()).unflatten(0, places.shape)
            guess = m.brain(late, p.subject)
            found.append(bold_loss(guess, torch.from_numpy(p.y), torch.from_numpy(p.valid), p.counted))
        return torch.stack(found).mean()

    return loss


def bare_decoders(task: DecoderTask) -> Loss:
    """The same for scans that are read back, and TRs of every modality that are made from them."""
    model, codes = task.model, task.codes

    def loss(batch: DecoderBatch) -> Tensor:
        read = [(torch.from_numpy(s.y)[None], torch.from_numpy(s.valid)[None], s.subject) for s in batch.scans]
        z = torch.cat([model.latent(y, valid, model.subjects.index(subject)) for y, valid, subject in read])
        guess, total = model.outputs(z), torch.zeros(())
        for n in task.nets:
            error = (guess[n.name] - torch.from_numpy(batch.codes[n.name].target)).square().mean((0, 1))
            made = batch.features[n.name]
            features = decode_code(n, codes, guess[n.name][made.windows, made.places])
            parts = [error[c].mean() for c in codes.projections[n.name].parts]
            x, there = torch.from_numpy(made.trs.x), torch.from_numpy(made.trs.mask)
            total = total + torch.stack(parts).sum() + task.relative[n.name](features, x, there)
        return total

    return loss


class Loops:
    """A stage under both loops, and its data alone: each call is a step."""

    def __init__(self, task: Task, loss: Loss, config: RunConfig, lr: float) -> None:
        schedule = Schedule.of(config, 10_000, lr)
        step = Step(task)
        self.engine = Engine(schedule, Ranks(), step, step)
        self.state = State.begin(task.module, task.parameter_groups(), lr, lambda s: learning_rate(s, 10_000), 0.0)
        self.task, self.loss, self.clip = task, loss, schedule.clip
        self.optimizer = torch.optim.AdamW(task.parameter_groups(), lr=lr)
        self.steps = 0

    def bare(self) -> None:
        """Read, forward, backward, clip, update."""
        loss = self.loss(self.data())
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.state.parameters, self.clip)
        self.optimizer.step()

    def giblet(self) -> None:
        """What the loop of `giblet train` does between two validations."""
        part, _ = advance(self.engine, self.state, measure=False)
        self.state.loss += self.engine.ranks.totals(part, False, time.monotonic() < 0)[0]
        silent(self.task.name, self.state.step, 1)

    def data(self) -> Any:
        """Drawing and reading."""
        self.steps += 1
        return self.task.read(self.steps, WHOLE)


def stages(inputs: Inputs, config: RunConfig) -> dict[str, Loops]:
    """The stages of a training, one after the other."""
    blueprint = blueprint_of(inputs)
    nets = build_nets(blueprint, config)
    losses, t = build_losses(nets, inputs), config.train
    found = {}
    for n in nets:
        task = FrontEndTask(n, losses[n.name], inputs.timelines, config)
        found[task.name] = Loops(task, bare_front_end(task), config, t.lr)
    codes = compute_codes(inputs.timelines, nets, inputs.modalities, config.model, silent)
    model = build_model(blueprint, nets, codes, config)
    trunk = TrunkTask(model, codes, inputs.timelines, config)
    found["trunk"] = Loops(trunk, bare_trunk(trunk), config, t.trunk_lr)
    predicted = predict_scans(model, codes, inputs.timelines)
    decoders = DecoderTask(model, nets, losses, codes, inputs.timelines, predicted, config)
    found["decoders"] = Loops(decoders, bare_decoders(decoders), config, t.decoder_lr)
    return found


def overheads(study: Path, repeats: int) -> dict[str, dict[str, Any]]:
    """Each stage under both loops in turns."""
    settings = {"fmri": {"mask": str(study.parent / "mask.nii")}, "split": {"gap_s": 60}, "train": {"readers": 0}}
    config = build_config(KINDS, settings, seed=0, plumbing=False)
    inputs = extract_study(load_study(study), config, Registry.discover(), silent)
    rows = {}
    for name, loops in stages(inputs, config).items():
        loops.task.module.train()
        turns = {"bare": [loops.bare], "giblet": [loops.giblet], "data": [loops.data]}
        rows[name] = against(interleaved(turns, repeats, time.process_time), "bare")
    return rows


def trained(study: Path, out: Path, launcher: list[str], *settings: str) -> dict[tuple[str, int], dict[str, Any]]:
    """The log of a training in processes of its own."""
    pairs = ["train.validate_every=1", "train.trunk_validate_every=1", "train.patience=999", "split.gap_s=60"]
    pairs += [f"train.{stage}_steps={STEPS}" for stage in ("front_end", "trunk", "decoder")]
    pairs += [f"fmri.mask={study.parent / 'mask.nii'}", *settings]
    flags = [part for pair in pairs for part in ("-o", pair)]
    command = [*launcher, "-m", "giblet", "train", str(study), "--audio", "mel", "--video", "none", "--quiet"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *flags, "--out", str(out)], check=True, capture_output=True, env=env)
    rows = map(json.loads, (out / "train.jsonl").read_text().splitlines())
    return {(r["stage"], r["step"]): r for r in rows}


def processes(study: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Seconds of each stage by one process and by two, and how far their losses are apart."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    one = trained(study, folder / "one", [sys.executable])
    parts = trained(study, folder / "parts", [sys.executable], "train.accumulate=2")
    two = trained(study, folder / "two", torchrun)
    rows: dict[str, dict[str, float]] = {}
    for key, row in one.items():
        so_far = rows.setdefault(key[0], {"difference": 0.0, "plain": 0.0})
        so_far["difference"] = max(so_far["difference"], apart(parts[key], two[key]))
        so_far["plain"] = max(so_far["plain"], apart(row, two[key]))
        so_far |= {"one_s": row["seconds"], "two_s": two[key]["seconds"]}
    return rows


def apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """The largest relative difference of the losses of two trainings at a step."""
    pairs = [(a[k], b[k]) for k in ("train", "validation") if a[k] is not None]
    return max(abs(x - y) / abs(x) for x, y in pairs)


def show(loops: Mapping[str, Any], ranks: Mapping[str, Any]) -> None:
    """Two tables."""
    print(f"{'a step':20}{'bare ms':>10}{'giblet':>10}{'quartiles':>16}{'data':>10}")
    for name, row in loops.items():
        low, high = row["giblet"]["quartiles"]
        print(
            f"{name:20}{1000 * row['bare']['step_s']:10.1f}{row['giblet']['ratio']:10.3f}{low:9.3f} -{high:6.3f}"
            f"{row['data']['ratio']:10.3f}"
        )
    print(f"{f'{STEPS} steps':20}{'one s':>10}{'two s':>10}{'speed-up':>16}{'losses differ by':>20}{'in one part':>16}")
    for name, row in ranks.items():
        up = row["one_s"] / max(row["two_s"], 1e-9)
        print(
            f"{name:20}{row['one_s']:10.1f}{row['two_s']:10.1f}{up:16.2f}{row['difference']:20.1e}{row['plain']:16.1e}"
        )


def misses(loops: Mapping[str, Any], ranks: Mapping[str, Any]) -> list[str]:
    """Which bars are missed."""
    out = [
        f"{n}: {r['giblet']['ratio']:.3f} of a bare step" for n, r in loops.items() if r["giblet"]["ratio"] > OVERHEAD
    ]
    out += [f"{n}: waits {r['data']['ratio']:.3f} of a step" for n, r in loops.items() if r["data"]["ratio"] > DATA]
    return out + [
        f"{n}: losses differ by {r['difference']:.1e}" for n, r in ranks.items() if r["difference"] > DIFFERENCE
    ]


def main() -> int:
    """Make the study, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        study = make_study(Path(folder) / "study", TRS, VOXELS, PEOPLE, film_s=FILM_S)
        loops = overheads(study, options.repeats)
        ranks = processes(study, Path(folder))
    print(json.dumps({"loops": loops, "processes": ranks}, indent=1)) if options.json else show(loops, ranks)
    missed = misses(loops, ranks)
    for line in missed:
        print(f"misses its bar: {line}", file=sys.stderr)
    return int(bool(missed) and options.check)


if __name__ == "__main__":
    sys.exit(main())
