"""`giblet ablate`: what varies, what is compared, and that a finished cell is not done again."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from giblet import ConfigError
from giblet.analysis.scores import pearson
from giblet.cli import main
from giblet.data.study import load_study
from giblet.errors import DataError
from giblet.media import write_film
from giblet.pipeline import ablate as pipeline
from giblet.pipeline.held_out import held_out_r
from giblet.pipeline.step_cost import against, interleaved
from giblet.pipeline.variants import TEMPORAL, cell_config, folder_name, grid_of, label, parse_axis, temporal_axis
from giblet.plugins import Registry

TRS, TR_S, FPS = 200, 1.5, 4
KINDS = ("video", "audio", "text", "fmri")
STEPS = ["-o", "train.front_end_steps=3", "-o", "train.trunk_steps=6", "-o", "train.decoder_steps=3"]
SMALL = ["-o", "model.latent=8", "-o", "model.hidden=8", "-o", "train.validate_every=3", "-o", "model.kernel_s=24"]
NET = ["-o", "video.net_frames=4", "-o", "video.net_width=16", "-o", "video.net_height=16", "-o", "video.channels=[4]"]
SPLIT = ["-o", "split.train=0.5", "-o", "split.validation=0.25"]
ALONE = ["--video", "2dcnn", "--audio", "none", "--text", "none", "--seeds", "1"]
OPTIONS = [*STEPS, *SMALL, *NET, *SPLIT, *ALONE]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A film whose brightness drives two people's tables of four parcels."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    light, per_tr = rng.uniform(0, 1, TRS), int(TR_S * FPS)
    frames = (np.full((16, 32, 3), 255 * light[i // per_tr], np.uint8) for i in range(TRS * per_tr))
    write_film(folder / "film.mp4", frames, Fraction(FPS))
    drive = convolve_hrf(light[:, None] - 0.5, canonical_hrf(TR_S))
    lines = ['[study]\nname = "tiny"\ntr_s = 1.5\n\n[[stimulus]]\nname = "film"\nfilm = "film.mp4"\n']
    for person in ("sub-1", "sub-2"):
        y = drive @ rng.standard_normal((1, 4)) + 0.05 * rng.standard_normal((TRS, 4))
        np.savetxt(folder / f"{person}.tsv", y, delimiter="\t")
        lines.append(f'[[scan]]\nsubject = "{person}"\nrun = "film"\nstimulus = "film"\nbold = "{person}.tsv"\n')
    (folder / "study.toml").write_text("\n".join(lines))
    return folder


def call(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main(["ablate", *map(str, args)])
    said = capsys.readouterr()
    return stop.value.code or 0, said.out, said.err


@pytest.mark.slow
def test_an_interrupted_ablation_goes_on_where_it_stopped(study, tmp_path, capsys, monkeypatch):
    trained, train, scores = [], pipeline.train, pipeline.scores

    def counted(inputs, config, folder, progress):
        trained.append(folder.path.name)
        return train(inputs, config, folder, progress)

    def stopped(*args):
        if len(trained) > 1:
            raise KeyboardInterrupt
        return scores(*args)

    monkeypatch.setattr(pipeline, "train", counted)
    monkeypatch.setattr(pipeline, "scores", stopped)
    wanted = [study, *OPTIONS, "--modules", "mean,multiscale", "--out", tmp_path / "out"]
    code, _, err = call(capsys, *wanted)
    assert code == 130
    assert "goes on from here" in err
    first = (tmp_path / "out" / "mean_seed-0" / "cell.json").read_bytes()
    monkeypatch.setattr(pipeline, "scores", scores)
    code, out, err = call(capsys, *wanted)
    assert code == 0, err
    assert trained == ["mean_seed-0", "multiscale_seed-0", "multiscale_seed-0"]
    assert (tmp_path / "out" / "mean_seed-0" / "cell.json").read_bytes() == first
    check_result(tmp_path / "out", out)


def check_result(folder, printed):
    result = json.loads((folder / "ablate.json").read_text())
    assert result["reference"] == "mean"
    assert [v["name"] for v in result["variants"]] == ["mean", "multiscale"]
    mean, multi = (v["cost"] for v in result["variants"])
    assert mean["ratio"] == 1
    assert multi["parameters"] - mean["parameters"] == 1_053_568  # the module itself at D = 256
    assert multi["memory_bytes"] > mean["memory_bytes"] + 16 * 1_053_568
    for v, cell in zip(result["variants"], result["cells"], strict=True):
        for name, value in cell["scores"].items():
            assert v["scores"][name]["mean"] == value
            assert v["scores"][name]["sd"] is None  # one seed has no spread
    assert {"fmri r", "video loss", "video 2-way", "video round trip"} <= result["cells"][0]["scores"].keys()
    assert (folder / "ablate.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.rglob("*.pt"))
    assert "multiscale" in printed
    assert "fmri r" in printed


def test_what_steps_are_compared_with_is_written_out(capsys):
    """Also where its name is longer than the column."""
    from giblet.cli.ablate import _print

    cost = {"parameters": 1, "trunk_parameters": 1, "memory_bytes": 1, "ratio": 1.0, "quartiles": (1.0, 1.0)}
    score = {"fmri r": {"mean": 0.1, "sd": None, "low": 0.1, "high": 0.1}}
    names = [f"train.trunk_validate_every={n}" for n in (5, 10)]
    rows = [{"name": name, "cost": cost, "scores": score} for name in names]
    _print({"variants": rows, "seeds": [0], "reference": names[0]})
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("step /"))
    assert line.startswith(f"step / {names[0]} ")
    assert len({len(line) for line in lines}) == 1, "columns stand below each other"


@pytest.mark.slow
def test_who_was_not_measured_in_the_test_ends_no_ablation(tmp_path, capsys):
    """Somebody who lacks the run with the test block is trained on, and not scored."""
    lines, rng = ['[study]\nname = "tables"\ntr_s = 1.5'], np.random.default_rng(0)
    for run in ("one", "two"):
        np.savetxt(tmp_path / f"{run}.tsv", rng.standard_normal((TRS, 3)), delimiter="\t")
        lines.append(f'[[stimulus]]\nname = "{run}"\nfeatures.x = {{path = "{run}.tsv", tr_s = 1.5}}')
    for person, run in (("sub-1", "one"), ("sub-1", "two"), ("sub-2", "one")):
        np.savetxt(tmp_path / f"{person}-{run}.tsv", rng.standard_normal((TRS, 4)), delimiter="\t")
        scan = f'run = "{run}"\nstimulus = "{run}"\nbold = "{person}-{run}.tsv"'
        lines.append(f'[[scan]]\nsubject = "{person}"\n{scan}')
    lines.append('[split]\none = [["train", 0, 100], ["validation", 150, 200]]\ntwo = [["test", 0, 200]]')
    (tmp_path / "study.toml").write_text("\n\n".join(lines))
    none = ["--video", "none", "--audio", "none", "--text", "none", "--seeds", "1", *STEPS, *SMALL]
    code, _, err = call(capsys, tmp_path, *none, "--vary", "train.lr=0.01", "--out", tmp_path / "out")
    assert code == 0, err
    (cell,) = json.loads((tmp_path / "out" / "ablate.json").read_text())["cells"]
    assert np.isfinite(cell["scores"]["fmri r"])


def test_a_cell_that_could_not_be_scored_is_refused_before_it_is_trained(tmp_path, monkeypatch, world):
    nowhere = replace(world, scanned={s: np.arange(260) < 225 for s in world.scans})
    inputs = SimpleNamespace(timelines=[nowhere], subjects=["a", "b"])
    monkeypatch.setattr(pipeline, "extract_study", lambda *_: inputs)
    monkeypatch.setattr(pipeline, "train", lambda *_: pytest.fail("it was trained"))
    chosen = {"video": "video_2dcnn", "fmri": "fmri_mask"}
    ablation = pipeline.Ablation(None, chosen, {}, [{TEMPORAL: "mean"}], [0], tmp_path)
    with pytest.raises(DataError, match="of nobody 20 test TRs or more were measured"):
        pipeline.run_cell(ablation, ablation.variants[0], 0, [], lambda *_: None)


def test_a_cell_scores_whom_a_report_scores(world):
    few = replace(world, scanned=world.scanned | {"b": world.scanned["b"] & (np.arange(260) < 225)})
    noise = np.random.default_rng(0).standard_normal((2, 260, 20))
    guess = {s: y + e for (s, y), e in zip(world.scans.items(), noise, strict=True)}
    alone = pearson(guess["a"][210:260], world.scans["a"][210:260]).mean()
    assert held_out_r([few], ["a", "b"], [guess]) == pytest.approx(alone)


@pytest.mark.slow
def test_a_cell_of_other_settings_is_not_taken_for_this_one(study, tmp_path, capsys):
    wanted = [study, *OPTIONS, "--modules", "own", "--out", tmp_path / "out"]
    assert call(capsys, *wanted)[0] == 0
    code, _, err = call(capsys, *wanted, "-o", "train.trunk_steps=7")
    assert code == 2
    assert "holds another run" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--modules", "mean,multi"], "did you mean 'multiscale'"),
        (["--modules", "mean,mean"], "each value once"),
        (["--vary", "train.brain_grad"], "--vary 'train.brain_grad' is not SECTION.KEY=VALUE"),
        (["--vary", "trian.lr=1,2"], "no section 'trian'; did you mean 'train'"),
        (["--vary", "model.hemodynamics=learned,cannonical"], "model.hemodynamics"),
        (["--vary", "train.lr=0.1", "--vary", "train.lr=0.2"], "varies twice"),
        (
            ["--vary", "train.trunk_steps=2,2.0"],
            "train.trunk_steps=2 and train.trunk_steps=2.0 come to the same settings",
        ),
        (["--vary", "video.width_px=80,80.0"], "video.width_px=80 and video.width_px=80.0 come to the same settings"),
        (["--vary", "text.context_s=5,10", "--text", "none"], "come to the same settings; leave one of them out"),
        (["--vary", "train.lr=0.1,0.2", "-o", "train.lr=0.3"], "train.lr varies, and is set to 0.3 as well"),
        (["--modules", "mean,own", "-o", "video.temporal=own"], 'video.temporal varies, and is set to "own" as well'),
        (["--video", "none", "--audio", "none", "--modules", "mean"], "has temporal modules"),
        (["--study", "a", "b"], "say the same thing twice"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(args, said, tmp_path, capsys):
    code, _, err = call(capsys, *args, "--out", tmp_path / "out")
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("model.kernel_s=24,500", "giblet: model.kernel_s=500: too short to hold out a test block: 200 TRs leave"),
        ("split.folds=1,2", "giblet: split.folds=2: a cell is one training; say which fold with -o split.fold=K"),
        ("split.gap_s=60,10", "giblet: split.gap_s=10: split.gap_s = 10 is too small"),
    ],
)
def test_a_value_that_leaves_no_split_is_named_before_anything_is_trained(
    vary, said, study, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(pipeline, "run_cell", lambda *_: pytest.fail("a cell was begun"))
    code, _, err = call(capsys, study, *NET, *SPLIT, *ALONE, "--vary", vary, "--quiet", "--out", tmp_path / "out")
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_settings_that_the_demo_brings_may_vary(study, tmp_path, capsys, monkeypatch):
    def stopped(ablation, *_):
        raise DataError(f"{ablation.overrides} {[dict(v) for v in ablation.variants]}")

    monkeypatch.setattr("giblet.api.studies.demo_study", lambda *_, **__: load_study(study))
    monkeypatch.setattr(pipeline, "ablate", stopped)
    code, _, err = call(capsys, "--vary", "text.weights=minilm,large", "--out", tmp_path / "out")
    assert "{} [{'text.weights': 'minilm'}, {'text.weights': 'large'}]" in err
    assert code == 2


def test_axes_make_a_grid():
    axes = [
        temporal_axis(["mean", "own"]),
        parse_axis("train.lr=0.1,1e-3", KINDS),
        parse_axis("video.channels=[[4], [8, 8]]", KINDS),
    ]
    grid = grid_of(axes)
    assert len(grid) == 8
    assert grid[1] == {"temporal": "mean", "train.lr": 0.1, "video.channels": [8, 8]}
    assert len({folder_name(v, 0) for v in grid}) == 8
    assert label({"temporal": "mean"}) == "mean"


def test_the_temporal_axis_reaches_every_plugin_that_has_one():
    chosen = {"video": "video_s3d", "audio": "audio_mel", "text": "text_bge", "fmri": "fmri_mask"}
    overrides = {"text": {"weights": "minilm"}, "train": {"lr": 0.01}}
    variant = {"temporal": "mean", "model.latent": 12}
    config = cell_config(chosen, overrides, variant, 3, Registry.discover())
    mean = {"temporal": "mean"}
    assert config.settings == {"text": {"weights": "minilm"}, "video": mean, "audio": mean}
    assert (config.train.lr, config.model.latent, config.seed) == (0.01, 12, 3)
    assert "latent" not in overrides.get("model", {})


def test_changing_a_net_does_not_extract_again(tmp_path):
    from giblet.data.store import Store
    from giblet.types import Source

    (tmp_path / "film.mp4").write_bytes(b"film")
    store, registry = Store(tmp_path, lambda _: "1"), Registry.discover()
    keys = [
        store.key(registry.modality("video_s3d", **settings), Source(tmp_path / "film.mp4"))
        for settings in ({}, {"temporal": "mean", "net_frames": 6}, {"width_px": 80})
    ]
    assert keys[0] == keys[1] != keys[2]


def test_costs_take_turns_and_are_compared_turn_by_turn():
    order = []
    steps = {name: [lambda name=name: order.append(name)] for name in "ab"}
    interleaved(steps, 2)
    assert order == ["a", "b", "a", "b", "b", "a"]  # one turn to warm up, then there and back
    cost = against({"a": [1.0, 2.0, 4.0], "b": [2.0, 4.0, 12.0]}, "a")
    assert cost["b"] == {"step_s": 4.0, "ratio": 2.0, "quartiles": [2.0, 2.5]}
    assert cost["a"]["ratio"] == 1


def test_a_bad_module_name_is_an_error_in_python_too():
    with pytest.raises(ConfigError, match="there are: own, mean"):
        temporal_axis(["max"])


def test_memory_counts_weights_four_times_and_what_is_kept():
    from giblet.pipeline.step_cost import Stepper
    from giblet.types import FeatureSpec

    registry, spec = Registry.discover(), FeatureSpec((80,), 130, tr_s=TR_S)
    modality = registry.modality("audio_mel", temporal="mean")
    x, mask = torch.randn(4, 130, 80), torch.ones(4, 130, dtype=torch.bool)
    stepper = Stepper(modality.encode(spec, 64), modality.decode(spec, 64), modality.loss, (x, mask))
    weights = 16 * stepper.parameters
    kept = stepper.memory_bytes() - weights
    stepper.batch = (x[:2], mask[:2])
    half = stepper.memory_bytes() - weights
    assert kept > x.nbytes
    assert half == pytest.approx(kept / 2, rel=0.1)
