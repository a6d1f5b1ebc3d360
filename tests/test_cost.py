"""What training costs is foretold: tensors are counted, sizes are those of training, and nothing is trained."""

from __future__ import annotations

import copy
import json
import mmap

import numpy as np
import pytest
import torch
from giblet.api.request import Request, registry_of_run
from giblet.cli.main import main
from giblet.data.study import load_study
from giblet.model import placed
from giblet.pipeline import cost
from giblet.pipeline.cost import Costs, StageCost, training_costs
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.prepare import extract_study
from giblet.pipeline.train import train_trunk
from giblet.training import TrunkTask
from giblet.training import trunk as trunk_stage
from giblet.training.footprint import Living, bytes_of, bytes_read, footprint
from torch import nn

T, V, MEGA = 260, 30, 10**6


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_are_counted_while_they_live(device):
    with Living() as living:
        a = torch.zeros(1000, device=device)
        b = a + 1
        assert (living.now, living.peak) == (8000, 8000)
        view = b.view(10, 100)
        del a, b
        assert living.now == 4000, "a view keeps what it looks at"
        view += 1
        assert (living.now, living.peak) == (4000, 8000)
        del view
    assert (living.now, living.peak) == (0, 8000)


class Product:
    """A stage that trains y = relu(x W) to be 0: 50 rows, 20 columns in, 10 out."""

    name = "product"

    def __init__(self, device):
        self.module = nn.Linear(20, 10, bias=False, device=device)
        self.networks = [self.module]

    def parameter_groups(self):
        return [{"params": list(self.module.parameters())}]

    def read(self, step, share):
        return [np.ones((50 // share.count, 20), np.float32)]

    def loss(self, batch):
        return self.module(placed(batch[0], self.module)).relu().sum()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_step_is_counted_by_hand(device):
    """W has 200 numbers. x (1,000) is kept for the gradient of W, and x W (500) and its relu (500) are both there."""
    found = footprint(Product(device), 1)
    assert (found.parameters, found.gradients) == (200, 800)
    assert found.optimizer == 2 * 800 + 4
    assert found.flops == 2 * 2 * 50 * 20 * 10
    kept = 4 * (1000 + 500 + 500)
    assert kept <= found.passing + found.gradients <= kept + 4 * 500 + 2 * 800


def test_what_readers_hold_is_counted_by_hand():
    assert [bytes_read(Product("cpu"), parts) for parts in (1, 2)] == [4 * 50 * 20, 4 * 25 * 20]


def hollow(model):
    return copy.deepcopy(model).to("meta")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_empty_model_foretells_the_step_of_a_full_one(world, quick_config, build, accumulate):
    model, codes, _ = build(world, quick_config)
    full = footprint(TrunkTask(copy.deepcopy(model), codes, [world], quick_config), accumulate)
    empty = footprint(TrunkTask(hollow(model), codes, [world], quick_config), accumulate)
    assert empty.parameters == full.parameters
    assert empty.flops == full.flops
    for name in ("gradients", "optimizer", "passing"):
        assert getattr(empty, name) == pytest.approx(getattr(full, name), rel=0.01, abs=100)


def test_parts_of_a_step_take_less_than_the_whole(world, quick_config, build):
    model, codes, _ = build(world, quick_config)
    one, four = (footprint(TrunkTask(hollow(model), codes, [world], quick_config), n).passing for n in (1, 4))
    assert four < one


def test_what_networks_share_counts_once():
    a = nn.Linear(9, 1, bias=False)
    assert bytes_of([a, nn.Sequential(a), nn.BatchNorm1d(3, affine=False)]) == 4 * 9 + 2 * 4 * 3 + 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two people, one run, 12 features a TR."""
    place, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    text = '[study]\nname = "s"\ntr_s = 2\n[[stimulus]]\nname = "film"\nfeatures = { motion = "motion.npy" }\n'
    np.save(place / "motion.npy", rng.standard_normal((T, 12)))
    for person in "12":
        np.save(place / f"{person}.npy", rng.standard_normal((T, V)))
        text += f'[[scan]]\nsubject = "{person}"\nrun = "1"\nstimulus = "film"\nbold = "{person}.npy"\n'
    (place / "study.toml").write_text(text)
    return place


SETTINGS = {"split.gap_s": 48, "model.kernel_s": 24, "model.latent": 16, "train.trunk_steps": 2}


def inputs_of(folder, **settings):
    request = Request.of({}, SETTINGS | settings)
    study, config = request.of_study(load_study(folder))
    return extract_study(study, config, registry_of_run(), lambda *_: None), config


def test_more_trs_are_foretold_more_steps(folder, monkeypatch):
    inputs, config = inputs_of(folder, **{"train.trunk_steps": None, "train.refit": False})
    few = training_costs(inputs, config).stages[0]
    monkeypatch.setattr(trunk_stage, "FEW_TRS", 20)
    trs = sum(len(t.trs("train")) for t in inputs.timelines)
    more = training_costs(inputs, config).stages[0]
    assert (few.stage, few.steps) == ("trunk", 100)
    assert more.steps == 100 + round(10 * (trs - 20)) > 100


@pytest.mark.parametrize("preset", ["compact", "dense", "two-stage"])
def test_foretold_sizes_are_those_of_training(folder, tmp_path, preset):
    scale = {} if preset == "compact" else {"model.scale": 0.01}
    some = {k: v for k, v in SETTINGS.items() if preset == "compact" or k != "model.latent"}
    request = Request.of({}, some | scale | {"model.preset": preset})
    study, config = request.of_study(load_study(folder))
    inputs = extract_study(study, config, registry_of_run(), lambda *_: None)
    costs = training_costs(inputs, config)
    trained = train_trunk(inputs, config, RunFolder(tmp_path), lambda *_: None)
    trunk, decoders = costs.stages
    assert (trunk.stage, trunk.steps, decoders.stage, decoders.steps) == ("trunk", 4, "decoders", 300)
    everything = [trained.model, *(m for n in trained.nets for m in (n.encoder, n.decoder))]
    closed = [m for m in [trained.model.encoding] if m]
    assert bool(closed) is (preset == "compact")
    assert (trunk.weights, decoders.weights) == (bytes_of(everything) - bytes_of(closed), bytes_of(everything))
    groups = TrunkTask(trained.model, trained.codes, inputs.timelines, config).parameter_groups()
    assert trunk.parameters == sum(p.numel() for g in groups for p in g["params"])
    tables = (trained.codes.inputs, trained.codes.targets, trained.codes.summaries)
    assert costs.tables == sum(x.nbytes for table in tables for run in table for x in run.values())
    assert costs.mapped == 2 * 4 * T * V + 4 * T * 12


def test_a_trunk_that_trains_on_beside_a_closed_form_is_foretold(folder):
    apart, together = (training_costs(*inputs_of(folder, **{"train.brain_grad": share})) for share in (0.0, 1.0))
    assert together.stages[-1].parameters > apart.stages[-1].parameters


def test_the_peak_is_what_all_hold_and_the_largest_stage():
    stages = [StageCost("a", 3, 1, 10, 20, 30, 40, 50, 2 * MEGA), StageCost("b", 2, 1, 1, 1, 1, 1, 1, MEGA, 0.25)]
    costs = Costs(stages, 1000, 5, 77, float(MEGA))
    assert (stages[0].peak, costs.peak) == (150, 1155)
    assert [costs.seconds(s) for s in stages] == [6, 0.5]
    assert costs.as_dict()["stages"][1]["peak"] == 5
    assert Costs(stages, None, 5, 77, 1.0).peak == 155


def test_private_memory_grows_with_what_is_held():
    before = cost.private_bytes()
    with mmap.mmap(-1, 30 * MEGA, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as held:  # no memory that was there before
        held.write(b"1" * (30 * MEGA))
        assert cost.private_bytes() - before > 25 * MEGA


def test_a_dry_run_says_what_training_takes_and_trains_nothing(folder, tmp_path, capsys):
    flags = [x for k, v in SETTINGS.items() for x in ("-o", f"{k}={v}")]
    call = ["run", str(folder), *flags, "--dry-run", "--quiet", "--out", str(tmp_path / "out")]
    said = []
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as end:
            main([*call, *more])
        assert not end.value.code
        said.append(capsys.readouterr().out)
    assert not (tmp_path / "out").exists()
    for word in ("trunk", "decoders", "GFLOP/step", "at its peak", "stay on the disk", "at least"):
        assert word in said[0]
    made = json.loads(said[1])
    assert made["peak"] > made["stages"][0]["peak"] > made["stages"][0]["weights"] > 0


def test_a_dry_run_of_folds_counts_the_first(folder, tmp_path, capsys):
    flags = [x for k, v in SETTINGS.items() for x in ("-o", f"{k}={v}")]
    call = ["run", str(folder), *flags, "--dry-run", "--quiet", "--json", "--out", str(tmp_path / "out")]
    found = []
    for folds in (["--folds", "2"], ["-o", "split.folds=2"], ["-o", "split.folds=2", "-o", "split.fold=1"]):
        with pytest.raises(SystemExit) as end:
            main([*call, *folds])
        said = capsys.readouterr()
        assert not end.value.code, said.err
        note = "each of the 2 folds is a training of its own; these are the costs of the first"
        assert (note in said.err) == ("split.fold=1" not in folds)
        made = json.loads(said.out)
        found.append([(s["steps"], s["passing"]) for s in made["stages"]] + [made["tables"], made["mapped"]])
    assert found[0] == found[1] == found[2]
    for folds in (["--folds", "60"], ["-o", "split.folds=60"]):
        with pytest.raises(SystemExit) as end:
            main([*call, *folds])
        assert end.value.code == 2
        assert "60 folds are not possible" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_all_folds_are_more_than_one_training(folder, tmp_path, capsys, more):
    with pytest.raises(SystemExit) as end:
        main(["train", str(folder), "-o", "split.folds=2", *more, "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    assert capsys.readouterr().err == "giblet: one call trains one model; say which fold with -o split.fold=K\n"
