"""Brain spaces in a run: learned from clean training TRs, mapped back for scores, maps and lesions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from giblet.analysis.bold import BoldScores
from giblet.analysis.ceilings import Ceiling, group_ceiling
from giblet.analysis.lesions import Voxels
from giblet.analysis.nulls import Null
from giblet.analysis.ridges import GROUP
from giblet.config import RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.data.study import Study
from giblet.errors import ConfigError, DataError
from giblet.pipeline.lesion_target import Wanted, find_target
from giblet.pipeline.lesions import space_of
from giblet.pipeline.maps import brain_maps, voxel_scores, weight_map
from giblet.pipeline.middle import build_middle
from giblet.pipeline.regions import Atlas, over_units, read_regions, unit_masks
from giblet.pipeline.spaces import AVERAGE, TrainingScans, averaged, build_brain, into_space, measured_voxels
from giblet.plugins import Registry
from giblet.types import TRGrid
from giblet_fmri_mask import FmriMask
from giblet_fmri_mask.atlas import chosen

SIDE, V, K, TRS = 3, 27, 4, 60
PEOPLE = [f"s{k}" for k in range(6)]
TRAIN, TEST = Block("train", 0, 30), Block("test", 40, 60)
MASK = {"mask": np.ones((SIDE,) * 3, bool), "affine": np.diag([3.0, 3.0, 3.0, 1.0])}
SLAB = np.repeat(np.arange(SIDE), SIDE * SIDE)
CELLS = FmriMask(space="parcels").fitted(**MASK, unit=np.array([0] * 5 + [1] * 4 + [2] * 9 + [3] * 9))


def timelines():
    grid = TRGrid(Fraction(2), TRS)
    return [Timeline(run, grid, (TRAIN, TEST), {}) for run in ("one", "two")]


def raw_scans(seed=0):
    """Everybody's scans share a response; the last person lacks the second run."""
    rng = np.random.default_rng(seed)
    shared = {run: rng.standard_normal((TRS, K)) for run in ("one", "two")}
    raw = {}
    for s in PEOPLE:
        basis = np.linalg.qr(rng.standard_normal((V, K)))[0] * 3
        for run, x in shared.items():
            y = (x @ basis.T + 0.3 * rng.standard_normal((TRS, V))).astype(np.float32)
            raw[s, run] = (y, np.ones(TRS, bool))
    del raw[PEOPLE[-1], "two"]
    return raw


@pytest.mark.parametrize("space", ["pca", "srm"])
def test_a_space_is_learned_from_training_trs_alone(space):
    raw, spoilt = raw_scans(), raw_scans()
    for y, _ in spoilt.values():
        y[30:] = 1e3 * np.random.default_rng(1).standard_normal((30, V))
    brain = FmriMask(space=space, components=K).fitted(**MASK)
    (one, placed), (two, _) = (into_space(brain, r, timelines(), learn=True) for r in (raw, spoilt))
    assert one.state.keys() == two.state.keys()
    for name in one.state:
        np.testing.assert_array_equal(one.state[name], two.state[name])
    assert {y.shape for y, _ in placed.values()} == {(TRS, K)}
    again, same = into_space(one, raw_scans(), timelines(), learn=False)
    assert again is one
    np.testing.assert_array_equal(same["s0", "one"][0], placed["s0", "one"][0])


def test_people_agree_in_a_shared_space_where_their_voxels_do_not():
    raw = raw_scans()
    _, placed = into_space(FmriMask(space="srm", components=K).fitted(**MASK), raw, timelines(), learn=True)
    here, there = (np.stack([r[s, "one"][0][40:] for s in PEOPLE]) for r in (raw, placed))
    assert group_ceiling(there).values.mean() > 0.95
    assert group_ceiling(here).values.mean() < 0.7


def test_training_scans_join_runs_and_leave_a_gap_for_those_who_were_not_there():
    raw = raw_scans()
    y, there = (TrainingScans(raw, timelines(), part) for part in (0, 1))
    assert list(y) == PEOPLE
    np.testing.assert_array_equal(y["s1"], np.concatenate([raw["s1", run][0][:30] for run in ("one", "two")]))
    assert there["s5"].tolist() == [True] * 30 + [False] * 30
    assert not y["s5"][30:].any()


def test_voxels_are_kept_where_a_space_is_learned():
    raw = raw_scans()
    assert measured_voxels(FmriMask(), raw) == {}
    assert measured_voxels(FmriMask(space="pca"), raw) is raw
    mean = measured_voxels(FmriMask(space="pca", subjects="average"), raw)
    np.testing.assert_array_equal(mean[AVERAGE, "two"][0], averaged(raw)[AVERAGE, "two"][0])


def test_the_average_person_is_the_mean_of_those_who_were_there():
    raw = raw_scans()
    raw["s0", "one"][1][3] = False
    made = averaged(raw)
    assert list(made) == [(AVERAGE, "one"), (AVERAGE, "two")]
    y, there = made[AVERAGE, "one"]
    np.testing.assert_allclose(y[4], np.mean([raw[s, "one"][0][4] for s in PEOPLE], 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[3], np.mean([raw[s, "one"][0][3] for s in PEOPLE[1:]], 0), rtol=1e-4, atol=1e-5)
    assert there.all()
    brain, placed = into_space(FmriMask(subjects="average").fitted(**MASK), raw, timelines(), learn=True)
    assert {s for s, _ in placed} == {AVERAGE}
    assert brain.averages


# Where units lie


def test_a_unit_is_where_more_than_half_of_its_voxels_are():
    chosen = np.zeros(V, bool)
    chosen[:3] = chosen[5:7] = True
    assert over_units(chosen, CELLS).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(over_units(chosen, FmriMask().fitted(**MASK)), chosen)
    places = {"front": SLAB == 0, "back": SLAB > 0}
    found = unit_masks(places, CELLS)
    assert {k: v.tolist() for k, v in found.items()} == {
        "front": [True, True, False, False],
        "back": [False, False, True, True],
    }
    assert unit_masks(places, FmriMask(space="pca")) == {}


def test_regions_of_columns_skip_those_without_a_scan(tmp_path):
    (tmp_path / "labels.csv").write_text("index,name\n1,one\n2,two\n3,three\n")
    brain = FmriMask().fitted(columns=np.array([2]), kept=np.array([True, False, True]))
    found = read_regions(None, tmp_path / "labels.csv", brain)
    assert {k: v.tolist() for k, v in found.items()} == {
        "one": [True, False],
        "three": [False, True],
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as a table: No columns"),
        ("index,name\n", "no row below the header"),
        ("index,name\n1,one\nV1,two\n", "have the index 'V1'; give whole numbers"),
        ("index,name\n1.5,one\n", "have the index '1.5'; give whole numbers"),
        ("index,name\n,one\n", "have the index 'nan'; give whole numbers"),
        ('index,name\n1,one,a,b\n2,"two\n', "cannot be read as a table"),
        ("number,name\n1,one\n", "must have the columns index and name"),
    ],
)
def test_broken_tables_of_labels_are_one_line(tmp_path, text, words):
    (tmp_path / "labels.csv").write_text(text)
    brain = FmriMask().fitted(columns=np.array([2]))
    with pytest.raises(DataError, match=words) as core:
        read_regions(None, tmp_path / "labels.csv", brain)
    with pytest.raises(DataError, match=words) as plugin:
        chosen(np.array([1, 2]), ["one"], tmp_path / "labels.csv")
    assert str(core.value) == str(plugin.value)
    assert "\n" not in str(core.value)


PLAIN = SimpleNamespace(middle=None)
ATLAS = Atlas(SLAB + 1, {"a": [1], "b": [2], "c": [3]}, {})


def test_a_lesion_of_parcels_takes_their_voxels():
    found = find_target(Wanted(regions=["a"]), ATLAS, CELLS, PLAIN, 4)
    assert found.chosen.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(found.weights, SLAB == 0)
    with pytest.raises(DataError, match=r"holds no unit \(more than half of its voxels\)"):
        find_target(Wanted(sphere=(0.0, 0.0, 0.0, 1.0)), ATLAS, CELLS, PLAIN, 4)


def test_a_lesion_of_components_maps_back_to_voxels():
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((V, K)))[0].T
    brain = FmriMask(space="pca").fitted(**MASK, basis=basis, size=np.array([2.0]))
    found = find_target(Wanted(components=[1, 3]), None, brain, PLAIN, K)
    assert (found.name, found.chosen.tolist(), found.of_voxels) == ("component 1+3", [False, True, False, True], False)
    np.testing.assert_allclose(found.weights, 2 * np.abs(basis[[1, 3]]).sum(0), rtol=1e-6)
    assert isinstance(found.units, Voxels)
    with pytest.raises(ConfigError, match="the components 0 to 3"):
        find_target(Wanted(components=[4]), None, brain, PLAIN, K)
    with pytest.raises(ConfigError, match="has 4 components, which have no places; give --component"):
        find_target(Wanted(regions=["a"]), ATLAS, brain, PLAIN, K)


def test_only_voxels_have_neighbours():
    for brain, known in (
        (FmriMask().fitted(**MASK), True),
        (CELLS, False),
        (FmriMask(space="srm").fitted(**MASK), False),
    ):
        assert (space_of(SimpleNamespace(brain=brain), None).neighbours is not None) == known


@pytest.mark.parametrize(
    "brain", [CELLS, FmriMask(space="pca").fitted(**MASK), FmriMask().fitted(columns=np.array([3]))]
)
def test_the_grid_preset_needs_voxels(brain):
    config = RunConfig.model_validate({"model": {"preset": "grid"}})
    with pytest.raises(ConfigError, match=r"units have no places on a grid; take fmri\.space=grid"):
        build_middle(SimpleNamespace(brain=brain), config)
    grid = build_middle(SimpleNamespace(brain=FmriMask(space="grid").fitted(**MASK)), config)
    assert grid.shape == (SIDE,) * 3


# Maps


def learned_inputs():
    raw = raw_scans()
    brain, placed = into_space(FmriMask(space="srm", components=K).fitted(**MASK), raw, timelines(), learn=True)
    told = [
        replace(
            t,
            scans={s: placed[s, t.run][0] for s in PEOPLE[:5]},
            scanned={s: placed[s, t.run][1] for s in PEOPLE[:5]},
            voxels={s: raw[s, t.run][0] for s in PEOPLE[:5]},
        )
        for t in timelines()
    ]
    return SimpleNamespace(brain=brain, timelines=told, subjects=PEOPLE[:5])


def test_scores_of_components_are_scores_of_measured_voxels():
    inputs = learned_inputs()
    predicted = [{s: y + 0.5 * np.roll(y, 7, 0) for s, y in t.scans.items()} for t in inputs.timelines]
    found = voxel_scores(inputs, predicted)
    s, v = "s2", 11
    y = np.concatenate([t.voxels[s][40:60] for t in inputs.timelines])[:, v]
    guess = np.concatenate([inputs.brain.from_space(p[s][40:60], s) for p in predicted])[:, v]
    assert found.people[s]["r"][v] == pytest.approx(np.corrcoef(y, guess)[0, 1], abs=1e-5)
    assert found.group.shape == (V,)
    assert found.group_ceiling is None, "five people have no ceiling"
    told = found.metrics({"a": SLAB == 0})
    assert told["regions"]["a"]["voxels"] == 9
    assert told["voxel_r"] == pytest.approx(np.mean([row["r"] for row in found.people.values()]))
    np.testing.assert_allclose(
        weight_map(inputs, predicted),
        np.mean(
            [
                inputs.brain.from_space(np.concatenate([p[q][40:60] for p in predicted]), q).std(0)
                for q in inputs.subjects
            ],
            0,
        ),
        rtol=1e-5,
    )


def test_maps_of_parcels_lie_on_their_voxels():
    r = {"r": np.arange(4.0), "ridge_r": np.ones(4)}
    null = Null(0.0, np.zeros(3), 1.0, 0.0, np.full(4, 0.5), "circular shift")
    nothing = Ceiling("none", None, "")
    scores = BoldScores({"s0": r, GROUP: r}, {"people": nothing, GROUP: nothing}, null, null, None, [], {})
    told = [replace(t, scans={"s0": np.ones((TRS, 4))}, scanned={"s0": np.ones(TRS, bool)}) for t in timelines()]
    inputs = SimpleNamespace(brain=CELLS, timelines=told, subjects=["s0"])
    maps = brain_maps(inputs, scores, [t.scans for t in told], None, {"variance_full": np.arange(4.0)})
    unit = CELLS.state["unit"]
    np.testing.assert_array_equal(maps["r_group"], unit)
    np.testing.assert_array_equal(maps["variance_full"], unit)
    np.testing.assert_array_equal(maps["unit"], unit)
    assert maps["p_group"].shape == maps["weight_group"].shape == (V,)


def test_scans_are_read_by_a_brain(tmp_path):
    config = RunConfig.model_validate({"modalities": {"fmri": "audio_mel"}})
    with pytest.raises(ConfigError, match="audio_mel is no brain that scans could be read by; choose another plugin"):
        build_brain(Registry.discover(), config, Study("s", tmp_path, (), ()))
