"""Scans stay on the disk: what is read of them is to the last bit what it was in memory, and nothing else is held."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from giblet import DataError, GibletError
from giblet.alignment import clean
from giblet.data.cached import list_cached
from giblet.data.dataset import Cleaning, Timeline
from giblet.data.scratch import on_scratch, parts_of, row_slabs
from giblet.data.split import Block
from giblet.data.store import features_folder
from giblet.data.study import Scan
from giblet.folders import cache_folder
from giblet.model import person_drive, placed, predict_block, predict_scans, run_drive
from giblet.pipeline import cleaned
from giblet.pipeline.cleaned import Part, clean_person
from giblet.pipeline.spaces import averaged
from giblet.training import training_volumes
from giblet.types import Aligned, Features, Nuisance, TRGrid
from giblet_fmri_mask import FmriMask

T, V = 90, 11
BLOCKS = (Block("train", 0, 36), Block("validation", 40, 61), Block("test", 64, 90))


def part(run="one", volumes=T, seed=0, voxels=V, confounds=True):
    """One scan of one person; it may end before its last block does."""
    rng = np.random.default_rng([seed, len(run)])
    values = (100 + rng.standard_normal((volumes, voxels)).cumsum(0)).astype(np.float32)
    values[:, -1] = 7
    grid, k = TRGrid(Fraction(2), T), np.arange(T)
    features = Features(values, np.arange(volumes), Fraction(2))
    aligned = Aligned(features, grid, k, (k < volumes).astype(np.int64))
    censored = np.isin(np.arange(volumes), (0, 1, 50))
    nuisance = Nuisance(rng.standard_normal((volumes, 2)), ("a", "b"), censored) if confounds else None
    scan = Scan("p", run, "film", Path("p.nii"), Fraction(2), volumes)
    return Part.of(scan, Timeline(run, grid, BLOCKS, {}), aligned, nuisance)


def other_blocks(one, *blocks):
    return replace(one, timeline=replace(one.timeline, blocks=blocks))


def in_memory(parts, nuisance=True):
    """All at once: each scan cleaned whole, then divided by the SD over all training TRs."""
    made = []
    for p in parts:
        values = np.zeros((T, p.aligned.features.values.shape[1]), np.float32)
        n = len(p.aligned.features.values)
        values[:n] = p.aligned.features.values
        blocks = [slice(b.start, min(b.stop, n)) for b in BLOCKS]
        y = FmriMask().clean(values, blocks, 2.0, p.confounds)
        inside = np.zeros(T, bool)
        for b in blocks:
            inside[b] = True
        if p.confounds is not None:
            inside[[0, 1, 50]] = False
        made.append(((y * inside[:, None]).astype(np.float32), inside))
    sd = np.concatenate([y[np.flatnonzero(m[:36])] for y, m in made]).std(0)
    return [np.divide(y, sd, out=np.zeros_like(y), where=sd > 0) for y, _ in made], sd


@pytest.mark.parametrize("confounds", [False, True])
def test_scans_cleaned_on_the_disk_equal_those_in_memory(confounds):
    parts = [part("one", confounds=confounds), part("second", volumes=86, confounds=confounds)]
    found = clean_person(FmriMask(), "1", parts)
    runs, sd = in_memory(parts)
    for mine, theirs in zip(found.runs, runs, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert not mine.flags.writeable
        assert not mine[:, -1].any(), "what does not vary is 0"
    np.testing.assert_array_equal(found.sd, sd)


def test_a_few_voxels_at_a_time_give_the_same(monkeypatch):
    parts = [part("one"), part("second")]
    whole = clean_person(FmriMask(), "1", parts)
    monkeypatch.setattr(cleaned, "COLUMNS_AT_ONCE", 4)
    monkeypatch.setattr(cleaned, "LAYOUT", "another")
    found = clean_person(FmriMask(), "1", parts)
    for mine, theirs in zip([*found.runs, found.sd], [*whole.runs, whole.sd], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_only_some_voxels_are_in_memory(monkeypatch):
    """12 MB of scans are cleaned with 1 MB at a time; Python and BLAS make a few copies of that."""
    monkeypatch.setattr(cleaned, "SLAB_BYTES", 1 << 20)
    parts = [part("one", voxels=16_000), part("second", voxels=16_000)]
    tracemalloc.start()
    found = clean_person(FmriMask(), "1", parts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(y.nbytes for y in found.runs) > 11e6
    assert peak < 9e6


def counted(monkeypatch):
    """How many columns are cleaned, the probes left out."""
    seen = []
    clean = FmriMask.clean

    def counting(self, y, *rest):
        seen.append(y.shape[1] if y.shape[1] != cleaned.PROBES else 0)
        return clean(self, y, *rest)

    monkeypatch.setattr(FmriMask, "clean", counting)
    return lambda: sum(seen)


def test_scans_are_cleaned_again_only_where_that_gives_another_scan(monkeypatch):
    n = counted(monkeypatch)
    clean_person(FmriMask(), "1", [part()])
    assert n() == V
    clean_person(FmriMask(head_dropout=0.5, components=3), "1", [part()])
    assert n() == V, "what cleaning does not read changes nothing"
    changed = [
        (FmriMask(high_pass_s=60), "1", part()),
        (FmriMask(detrend=False), "1", part()),
        (FmriMask(), "2", part()),
        (FmriMask(), "1", part(seed=1)),
        (FmriMask(), "1", part(confounds=False)),
        (FmriMask(), "1", other_blocks(part(), Block("train", 0, 34), *BLOCKS[1:])),
    ]
    for k, (brain, version, one) in enumerate(changed):
        clean_person(brain, version, [one])
        assert n() == V * (k + 2)


def test_a_killed_cleaning_leaves_no_scans(monkeypatch):
    clean = FmriMask.clean

    def killed(self, y, *rest):
        if y.shape[1] != cleaned.PROBES:
            raise KeyboardInterrupt
        return clean(self, y, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(FmriMask, "clean", killed)
        with pytest.raises(KeyboardInterrupt):
            clean_person(FmriMask(), "1", [part()])
    assert list(features_folder().iterdir()) == []
    assert clean_person(FmriMask(), "1", [part()]).runs[0].any()


def test_cleaned_scans_are_in_the_cache_and_say_whose_they_are():
    clean_person(FmriMask(), "1", [part()])
    (one,) = list_cached(features_folder())
    assert one.label == "cleaned scans of p"
    assert one.n_bytes > 4 * T * V
    (one.folder / "values.npy").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"the cleaned scans in .* are damaged; delete that folder"):
        clean_person(FmriMask(), "1", [part()])


def test_nobody_is_scaled_without_training_trs():
    late = other_blocks(part(), *BLOCKS[1:])
    with pytest.raises(DataError, match="p has no training TRs; leave them out with --exclude p"):
        clean_person(FmriMask(), "1", [late])


def test_rows_on_scratch_are_the_pieces_and_leave_no_file():
    pieces = [np.random.default_rng(k).standard_normal((n, 3)).astype(np.float32) for k, n in enumerate((4, 0, 2))]
    made = on_scratch(iter(pieces))
    np.testing.assert_array_equal(made, np.concatenate(pieces))
    assert [p.tolist() for p in parts_of(made, [4, 0, 2])] == [p.tolist() for p in pieces]
    assert list(cache_folder().iterdir()) == []
    assert on_scratch([np.zeros((0, 3), np.float32)]).shape == (0, 3)


@pytest.fixture
def full(monkeypatch):
    """A disk without room: what is opened for writing is /dev/full."""
    opened, taken = Path.open, Path("/dev/full")
    monkeypatch.setattr("giblet.data.scratch.tempfile.TemporaryFile", lambda **_: opened(taken, "wb", buffering=0))
    monkeypatch.setattr(Path, "open", lambda p, *a, **k: opened(taken if p.name == "values.npy" else p, *a, **k))


@pytest.mark.usefixtures("full")
def test_a_disk_without_room_says_so():
    words = r"cannot write to .*cache.*: No space left on device; free space there, or .*GIBLET_CACHE"
    with pytest.raises(GibletError, match=words):
        on_scratch([np.ones((2, 3), np.float32)])
    with pytest.raises(GibletError, match=words):
        clean_person(FmriMask(), "1", [part()])
    assert list(features_folder().iterdir()) == []


def test_slabs_cover_all_rows_once():
    slabs = list(row_slabs(100_000, 4096))
    assert [s.start for s in slabs[1:]] == [s.stop for s in slabs[:-1]]
    assert (slabs[0].start, slabs[-1].stop) == (0, 100_000)
    assert list(row_slabs(260, 20)) == [slice(0, 260)]


@pytest.mark.parametrize("n", [30, 400])
@pytest.mark.parametrize("high_pass_s", [None, 12.0, 128.0])
def test_cleaning_in_few_columns_is_the_whole_matrix(n, high_pass_s):
    """With a cosine every 12 s there are more of them than are tried first."""
    matrix = clean(np.eye(n), [slice(0, n)], 1.5, high_pass_s)
    made = Cleaning.of(matrix)
    np.testing.assert_allclose(np.eye(n) - made.out @ made.into, matrix, atol=1e-5)
    columns = 2 + (0 if high_pass_s is None else int(2 * n * 1.5 / high_pass_s))
    assert made.into.shape == made.out.T.shape == (columns, n)


@pytest.mark.parametrize("matrix", [np.eye(9), np.zeros((9, 9)), np.diag([1.0, 0.5, 0, 1, 1, 1, 1, 1, 1])])
def test_any_linear_cleaning_has_that_form(matrix):
    made = Cleaning.of(matrix)
    np.testing.assert_allclose(np.eye(9) - made.out @ made.into, matrix, atol=1e-6)


# Predictions


@pytest.fixture
def model(world, quick_config, build):
    made, codes, _ = build(world, quick_config)
    return made.eval(), codes, replace(world, cleaning={(0, 120): Cleaning.of(np.eye(120) - 1 / 120)})


def test_predictions_on_the_disk_equal_those_in_memory(model):
    model, codes, world = model
    found = predict_scans(model, codes, [world])[0]
    with torch.no_grad():
        drive = run_drive(model, codes, 0)
        for k, s in enumerate(world.scans):
            whole = model.brain(person_drive(model, drive, world, k)[None], k)[0].numpy()
            np.testing.assert_array_equal(found[s], whole)
            block = predict_block(model, drive, world, s, world.blocks[1])
            np.testing.assert_array_equal(block, whole[world.blocks[1].trs])


def test_a_few_rows_at_a_time_predict_the_same(model, monkeypatch):
    model, codes, world = model
    whole = predict_scans(model, codes, [world])[0]
    monkeypatch.setattr("giblet.data.scratch.SLAB_BYTES", 7 * 4 * 20)
    few = predict_scans(model, codes, [world])[0]
    drive = run_drive(model, codes, 0)
    for s in world.scans:
        np.testing.assert_allclose(few[s], whole[s], rtol=1e-5, atol=1e-6)
        block = predict_block(model, drive, world, s, world.blocks[1])
        np.testing.assert_array_equal(block, few[s][world.blocks[1].trs])


def test_training_volumes_are_everybodys(world):
    some = replace(world, scanned={"a": world.scanned["a"], "b": world.scanned["b"] & (np.arange(260) > 50)})
    wanted = np.concatenate([world.scans["a"][:120], world.scans["b"][51:120]])
    np.testing.assert_array_equal(training_volumes([some]), wanted)


def test_what_is_read_only_is_copied_for_a_network():
    locked = np.arange(3.0)
    locked.flags.writeable = False
    made = placed(locked, torch.nn.Identity())
    made += 1
    assert locked.tolist() == [0, 1, 2]


def test_means_over_people_do_not_depend_on_how_many_rows_are_made_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    raw = {(s, "one"): (rng.standard_normal((T, V)).astype(np.float32), rng.random(T) < 0.7) for s in "abc"}
    whole = averaged(raw)["average", "one"]
    monkeypatch.setattr("giblet.data.scratch.SLAB_BYTES", 100)
    few = averaged(raw)["average", "one"]
    np.testing.assert_array_equal(few[0], whole[0])
    np.testing.assert_array_equal(few[1], whole[1])
