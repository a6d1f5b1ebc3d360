"""What makes two runs the same: everything that decides their results, and not where files lie."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from giblet.config import RunConfig, TrainConfig
from giblet.data.study import load_study
from giblet.errors import ConfigError, DataError
from giblet.pipeline.run import open_run
from giblet.pipeline.study_record import record, require_files

INPUTS = SimpleNamespace(keys=["film"], described={"split": {}})


@pytest.fixture
def study(tmp_path):
    """One person's table of three parcels, with their names."""
    folder = tmp_path / "here"
    folder.mkdir()
    np.savetxt(folder / "scan.tsv", np.random.default_rng(0).standard_normal((30, 3)), delimiter="\t")
    np.save(folder / "x.npy", np.zeros((30, 1)))
    (folder / "labels.tsv").write_text("index\tname\n1\tone\n2\ttwo\n3\tthree\n")
    (folder / "study.toml").write_text(
        '[study]\nname = "s"\ntr_s = 1.5\nlabels = "labels.tsv"\n[[stimulus]]\nname = "film"\n'
        'features.x = {path = "x.npy", tr_s = 1.5}\n'
        '[[scan]]\nsubject = "a"\nrun = "r"\nstimulus = "film"\nbold = "scan.tsv"\n'
    )
    return load_study(folder)


def reopened(study, out):
    folder = open_run(out, study, RunConfig(), INPUTS)
    folder.log({"stage": "trunk"})
    return folder


def test_a_folder_with_features_alone_is_open_to_any_run(study, tmp_path):
    open_run(tmp_path / "out", study, RunConfig(), INPUTS)
    other = replace(study, scans=tuple(replace(s, offset_s=Fraction(12)) for s in study.scans))
    open_run(tmp_path / "out", other, RunConfig(seed=3), INPUTS)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["seed"] == 3


def test_how_a_machine_computes_a_step_makes_no_other_run(study, tmp_path):
    """Whoever runs out of memory, or goes on elsewhere, may change it; what a step is, not."""
    reopened(study, tmp_path / "out")
    ways = {"accumulate": 4, "device": "cuda", "parallel": "fsdp", "readers": 0, "recompute": True, "save_every_s": 1.0}
    for name, value in ways.items():
        open_run(tmp_path / "out", study, RunConfig(train=TrainConfig(**{name: value})), INPUTS)
    with pytest.raises(ConfigError, match="holds another run"):
        open_run(tmp_path / "out", study, RunConfig(train=TrainConfig(windows=3)), INPUTS)


@pytest.mark.parametrize(
    "changed",
    [{"offset_s": Fraction(12)}, {"tr_s": Fraction(2)}, {"slice_time_ref": 0.0}, {"stimulus": "other"}],
)
def test_scans_at_another_time_or_of_another_film_are_another_run(study, tmp_path, changed):
    reopened(study, tmp_path / "out")
    reopened(study, tmp_path / "out")
    other = replace(study, scans=tuple(replace(s, **changed) for s in study.scans))
    with pytest.raises(ConfigError, match="holds another run"):
        reopened(other, tmp_path / "out")


def test_other_labels_are_another_run_and_another_place_is_not(study, tmp_path):
    reopened(study, tmp_path / "out")
    shutil.copytree(study.folder, tmp_path / "there")
    moved = load_study(tmp_path / "there")
    reopened(moved, tmp_path / "out")
    moved.labels.write_text("index\tname\n1\tuno\n2\tdue\n3\ttre\n")
    with pytest.raises(ConfigError, match="holds another run"):
        reopened(moved, tmp_path / "out")
    with pytest.raises(ConfigError, match="holds another run"):
        reopened(replace(study, labels=None), tmp_path / "out")


def test_an_atlas_named_by_a_setting_counts_by_its_content(study, tmp_path):
    atlas, moved = tmp_path / "atlas.nii", tmp_path / "moved.nii"
    for path in (atlas, moved):
        path.write_text("labels")

    def reopen_with(path):
        config = RunConfig.model_validate({"settings": {"fmri": {"atlas": str(path)}}})
        open_run(tmp_path / "out", study, config, INPUTS).log({"stage": "trunk"})

    reopen_with(atlas)
    reopen_with(moved)
    moved.write_text("others")
    with pytest.raises(ConfigError, match="holds another run"):
        reopen_with(moved)


def test_changed_labels_are_noticed_when_a_run_is_opened_again(study, tmp_path):
    kept = record(study, tmp_path / "run")
    require_files(study, kept, tmp_path / "run")
    study.labels.write_text("index\tname\n1\tuno\n")
    with pytest.raises(DataError, match=r"labels\.tsv has changed since the run"):
        require_files(study, kept, tmp_path / "run")
