"""The same command again makes what was taken out of a run's folder."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.cli import main

pytestmark = pytest.mark.slow

QUICK = ["-o", "train.trunk_steps=10", "-o", "train.decoder_steps=4", "-o", "model.latent=16", "-o", "train.windows=2"]
QUICK += ["-o", "evaluate.null_shifts=50", "-o", "evaluate.banded_candidates=2", "-o", "evaluate.random_lesions=0"]
QUICK += ["-o", "model.kernel_s=15", "-o", "split.gap_s=30", "--quiet"]


def write_study(folder):
    """A table of three columns, and two people's tables of six parcels that follow it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 3))
    np.save(folder / "motion.npy", x)
    lines = ['[study]\nname = "small"\ntr_s = 1.5\n[[stimulus]]\nname = "film"\nfeatures = {motion = "motion.npy"}\n']
    for s in range(2):
        y = convolve_hrf(x, canonical_hrf(1.5)) @ rng.standard_normal((3, 6)) + 0.5 * rng.standard_normal((300, 6))
        np.savetxt(folder / f"sub-{s}.tsv", y, delimiter="\t")
        lines.append(f'[[scan]]\nsubject = "sub-{s}"\nrun = "run-1"\nstimulus = "film"\nbold = "sub-{s}.tsv"\n')
    (folder / "study.toml").write_text("\n".join(lines))
    return folder / "study.toml"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"))


def run(study, out, *more):
    with pytest.raises(SystemExit) as stop:
        main(["run", str(study), *QUICK, "--out", str(out), *more])
    assert not stop.value.code


@pytest.fixture(scope="module")
def out(study, tmp_path_factory):
    place = tmp_path_factory.mktemp("runs") / "run"
    run(study, place)
    return place


def stages(out):
    return [json.loads(line)["stage"] for line in (out / "log.jsonl").read_text().splitlines()]


def contents(path):
    """What a file holds; of an archive, whose entries are dated, its arrays."""
    if path.suffix != ".npz":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with np.load(path) as archive:
        return {name: archive[name].tolist() for name in archive.files}


def test_metrics_name_the_files_that_were_written_with_them(out):
    files = json.loads((out / "metrics.json").read_text())["files"]
    scans = [f"predictions/sub-{s}_run-1_predicted.tsv" for s in range(2)]
    assert files == ["draws.npz", "maps.npz", *scans]


@pytest.mark.parametrize("name", ["maps.npz", "draws.npz", "predictions/sub-1_run-1_predicted.tsv"])
def test_a_file_of_the_evaluation_that_is_gone_is_made_again(out, study, name):
    before, metrics = contents(out / name), json.loads((out / "metrics.json").read_text())
    trained = (out / "train.jsonl").read_text()
    (out / name).unlink()
    run(study, out)
    assert contents(out / name) == before
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert (out / "report.html").is_file()
    assert (out / "train.jsonl").read_text() == trained, "nothing is trained again"


@pytest.mark.parametrize("name", ["weights.safetensors", "arrays.npz", "model.json"])
@pytest.mark.parametrize("kept", [None, 0, 0.5, 0.99])
def test_a_model_that_is_not_whole_is_written_again(out, study, name, kept):
    path = out / "model" / name
    whole, held = contents(path), path.read_bytes()
    done = stages(out).count("lesions")
    if kept is None:
        path.unlink()
    else:
        path.write_bytes(held[: int(kept * len(held))])
    run(study, out)
    assert contents(path) == whole
    assert stages(out).count("lesions") == done, "nothing is evaluated again"


def test_nothing_is_made_again_where_nothing_is_gone(out, study):
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and p.suffix not in (".jsonl", ".json")}
    run(study, out)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_fold_gets_back_what_it_lost(study, tmp_path):
    out = tmp_path / "folds"
    run(study, out, "--folds", "2")
    pooled = json.loads((out / "metrics.json").read_text())
    once = stages(out / "fold-1")
    weights = out / "fold-2/model/weights.safetensors"
    held = weights.read_bytes()
    for path in (out / "metrics.json", out / "fold-2/draws.npz"):
        path.unlink()
    run(study, out, "--folds", "2")
    weights.write_bytes(held[:-1])
    run(study, out, "--folds", "2")
    assert json.loads((out / "metrics.json").read_text()) == pooled
    assert weights.read_bytes() == held
    assert stages(out / "fold-1") == once


def test_a_torn_file_of_a_fold_is_named(study, tmp_path, capsys):
    out = tmp_path / "folds"
    run(study, out, "--folds", "2")
    torn = out / "fold-2/draws.npz"
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(SystemExit):
        main(["run", str(study), *QUICK, "--folds", "2", "--out", str(out)])
    assert f"{torn} is damaged" in capsys.readouterr().err
