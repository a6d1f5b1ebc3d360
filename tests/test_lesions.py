"""Lesions: known answers of a brain in which one slab of voxels carries one modality, and laws of the statistics."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.decode import Reader
from giblet.analysis.lesions import (
    CEILING_TOLERANCE,
    SOURCES,
    Ablation,
    CodeLoss,
    Components,
    Draws,
    Lesions,
    NativeLoss,
    Plan,
    Space,
    Voxels,
    holm,
    interval,
    lesion_table,
    measure_effects,
    null_effects,
    parts_of,
    random_lesions,
    two_sided_p,
)
from giblet.analysis.lesions.bootstrap import LEAST_P, RESAMPLES, resample_sets, resampled
from giblet.analysis.lesions.effects import _influences
from giblet.analysis.lesions.table import NATIVE_TRS
from giblet.analysis.nulls import p_value
from giblet.cli import main
from giblet.cli.lesion import print_lesion
from giblet.config import ModelConfig, RunConfig
from giblet.data.dataset import Timeline
from giblet.data.split import Block
from giblet.errors import ConfigError, DataError
from giblet.model import Codes, ModalityNets, Projection, RelativeLoss, constant_prediction
from giblet.model.compressor import Components as Pca
from giblet.nn import MaskedFlatten, UnflattenFrame
from giblet.pipeline.lesion import _warnings
from giblet.pipeline.lesion_target import Target, Wanted, find_target, in_sphere
from giblet.pipeline.lesions import lesion_truth
from giblet.pipeline.regions import Atlas, read_regions
from giblet.training.front_ends import training_parts
from giblet.types import Aligned, Features, FeatureSpec, TRGrid
from giblet_fmri_mask import FmriMask
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

TRS, SIDE, PEOPLE, TR_S = 400, 4, ("a", "b", "c", "d"), 1.5
V = SIDE**3
SLAB = np.repeat(np.arange(SIDE), SIDE**2)
SIGHT, SOUND, SILENT = (np.equal(SLAB, k) for k in (0, 1, 3))
KINDS = {"sight": SIGHT, "sound": SOUND}
BLOCKS = (Block("train", 0, 200), Block("test", 200, 400))
GRID = TRGrid(Fraction(3, 2), TRS)
NOTHING = np.zeros(V, bool)


def squared(prediction, target):
    return (prediction - target).square().flatten(2).mean(-1)


def silent(*_):
    """No progress."""


class Toy:
    """Reads each modality's three numbers from its own slab of voxels, by least squares; nothing else is read."""

    subjects = list(PEOPLE)
    outputs = dict.fromkeys(KINDS)

    def __init__(self, readers):
        self.readers = readers

    def read(self, y, valid, subject):
        return y @ torch.from_numpy(self.readers[subject])

    def rebuild(self, z):
        return {"sight": z[..., :3], "sound": z[..., 3:]}


def toy_world(seed=0):
    rng = np.random.default_rng(seed)
    x = {k: rng.standard_normal((TRS, 3)).astype(np.float32) for k in KINDS}
    scans, clean, readers = {}, {}, []
    for person in PEOPLE:
        tuning = {k: rng.standard_normal((3, v.sum())) for k, v in KINDS.items()}
        y = np.zeros((TRS, V))
        for kind, slab in KINDS.items():
            y[:, slab] = x[kind] @ tuning[kind]
        weights = np.zeros((V, 6))
        weights[SIGHT, :3], weights[SOUND, 3:] = (np.linalg.pinv(tuning[k]) for k in KINDS)
        readers.append(weights.astype(np.float32))
        clean[person] = y.astype(np.float32)
        scans[person] = (y + 2 * rng.standard_normal(y.shape)).astype(np.float32)
    aligned = {
        k: Aligned(Features(v, np.arange(TRS), Fraction(3, 2)), GRID, np.arange(TRS), np.ones(TRS, np.int64))
        for k, v in x.items()
    }
    inside = np.ones(TRS, bool)
    timeline = Timeline("run-1", GRID, BLOCKS, aligned, scans, dict.fromkeys(PEOPLE, inside))
    return x, timeline, clean, readers


@pytest.fixture(scope="module")
def toy():
    x, timeline, clean, readers = toy_world()
    spec = FeatureSpec((3,), 1)
    nets = [ModalityNets(k, k, MaskedFlatten(), UnflattenFrame(spec), squared, spec, 3) for k in KINDS]
    codes = Codes.empty(1, {k: Projection(np.zeros(3), np.ones(3)) for k in KINDS})
    losses = {}
    for n in nets:
        codes.put(0, n.name, x[n.name], None, np.ones(TRS, bool))
        parts = training_parts([timeline], n.name)
        losses[n.name] = RelativeLoss(squared, spec, constant_prediction(parts, spec)).calibrate(parts)
    return Reader(Toy(readers), nets, losses, codes, [timeline], [clean], RunConfig())


def partly(reader, there):
    """The same, measured where `there` [T] says of each person; zeros elsewhere, as scans have."""
    t = reader.timelines[0]
    scans = {s: y * there[s][:, None] for s, y in t.scans.items()}
    return replace(reader, timelines=[replace(t, scans=scans, scanned=there)])


def holes():
    """Three of four people stop after a quarter of the test; a fifth of all else is censored, some TRs in everybody."""
    kept = np.random.default_rng(3).random((4, TRS)) < 0.8
    kept[:3, 250:] = False
    return dict(zip(PEOPLE, kept, strict=True))


def effects_of(reader, masks, condition="measured", draws=3, **ablation):
    lesions = Lesions(reader, Voxels(V), Ablation(**ablation), condition, draws)
    return measure_effects(lesions, np.atleast_2d(masks))


# What is lost


@pytest.mark.parametrize("condition", ["measured", "noisy"])
def test_a_lesion_takes_what_its_region_carries_and_nothing_else(toy, condition):
    found = effects_of(toy, [SIGHT, SOUND, SILENT], condition)
    assert found["sight"].effect()[0] > 0.8
    assert found["sound"].effect()[1] > 0.8
    for kind, row in (("sight", 1), ("sight", 2), ("sound", 0), ("sound", 2)):
        assert found[kind].effect()[row] == pytest.approx(0, abs=1e-9)


def test_losses_are_those_of_the_mean_latent(toy):
    """Computed again from the arrays: people's least-squares readings, averaged, against what was shown."""
    test = slice(200, 400)
    t, x = toy.timelines[0], toy.codes.targets[0]["sight"]
    read = np.mean([t.scans[s][test] @ toy.model.readers[i] for i, s in enumerate(PEOPLE)], 0)[:, :3]
    expected = np.mean((read - x[test]) ** 2) / np.mean(x[:200] ** 2)
    assert effects_of(toy, SIGHT)["sight"].intact_loss() == pytest.approx(expected, rel=1e-5)
    zeroed = np.mean(x[test] ** 2) / np.mean(x[:200] ** 2)
    assert effects_of(toy, SIGHT, how="zero")["sight"].hurt_loss()[0] == pytest.approx(zeroed, rel=1e-5)


def test_decoded_losses_agree_with_codes_where_the_decoder_is_the_identity(toy):
    lesions = Lesions(toy, Voxels(V), Ablation(), "measured", 1)
    masks = np.stack([NOTHING, SIGHT])
    latents = [lesions.mean_latents(p, masks, 0) for p in toy.places()]
    native, code = NativeLoss(toy, 10_000).mean(latents), CodeLoss(toy).per_tr(latents[0], toy.places()[0])
    for kind in KINDS:
        x = toy.codes.targets[0][kind][:200]
        ratio = np.mean(x**2) / np.mean((x - x.mean(0)) ** 2)  # the constant is the mean, the code's is 0
        np.testing.assert_allclose(native[kind], code[kind].mean(1) * ratio, rtol=1e-4)


def test_a_code_counts_as_much_as_the_plain_features_behind_it(toy):
    """One column of code and two of plain features: the loss is the mean of the parts', not of the columns'."""
    plain = Projection(np.zeros(1), np.ones(1), np.eye(3), np.zeros(2), np.ones(2), np.eye(2))
    both = replace(toy.codes, projections=dict.fromkeys(KINDS, plain))
    place, target = toy.places()[0], toy.codes.targets[0]["sight"]
    z = torch.from_numpy(np.random.default_rng(0).standard_normal((200, 6)).astype(np.float32))
    error, size = (np.square(a).mean(0) for a in (z.numpy()[:, :3] - target[200:], target[:200]))
    parts = [np.mean([a[0], a[1:].mean()]) for a in (error, size)]
    found = CodeLoss(replace(toy, codes=both)).per_tr(z, place)["sight"].mean()
    assert found == pytest.approx(parts[0] / parts[1], rel=1e-5)


def test_what_was_not_measured_counts_in_no_loss(toy):
    """Computed again TR by TR: the mean over those who were measured there, and no TR at which nobody was."""
    there = holes()
    t, x, sums = toy.timelines[0], toy.codes.targets[0]["sight"], []
    for tr in range(200, 400):
        read = [t.scans[s][tr] @ toy.model.readers[i] for i, s in enumerate(PEOPLE) if there[s][tr]]
        sums += [np.square(np.mean(read, 0)[:3] - x[tr])] if read else []
    expected = np.mean(sums) / np.mean(x[:200] ** 2)
    reader = partly(toy, there)
    found = effects_of(reader, [SIGHT, NOTHING])["sight"]
    assert found.intact_loss() == pytest.approx(expected, rel=1e-5)
    assert found.effect()[1] == 0
    assert found.present.sum() == len(sums) < 200
    lesions = Lesions(reader, Voxels(V), Ablation(), "measured", 3)
    null = null_effects(lesions, SIGHT[None], silent)
    np.testing.assert_allclose(null["sight"], found.effect()[:1], atol=1e-6)
    latents = [lesions.mean_latents(p, NOTHING[None], 0) for p in reader.places()]
    constant = np.mean(x[:200] ** 2) / np.mean((x[:200] - x[:200].mean(0)) ** 2)
    assert NativeLoss(reader, 10_000).mean(latents)["sight"][0] == pytest.approx(expected * constant, rel=1e-4)


def test_who_is_hardly_measured_is_in_no_lesion(toy):
    there = dict.fromkeys(PEOPLE, np.ones(TRS, bool))
    nearly = partly(toy, there | {"d": np.arange(TRS) < 219})
    gone = partly(toy, there | {"d": np.arange(TRS) < 200})
    found, expected = (effects_of(reader, SIGHT)["sight"] for reader in (nearly, gone))
    np.testing.assert_array_equal(found.hurt, expected.hurt)
    assert found.influence.shape == (1, 3, 200)


def test_a_persons_influence_is_on_the_trs_where_they_were_measured(toy):
    """At each TR the jackknife of those there, as large as their share of all who are drawn; nobody alone has one."""
    there, lesions = holes(), Lesions(toy, Voxels(V), Ablation(how="zero"), "measured", 1)
    found = effects_of(partly(toy, there), SIGHT, how="zero", draws=1)["sight"]
    place, masks = toy.places()[0], np.stack([NOTHING, SIGHT])
    each = torch.stack([lesions.latents(place, s, masks, 0) for s in PEOPLE])
    loss = CodeLoss(toy)
    moved = found.influence[0] - (found.hurt[0] - found.intact)
    many = [[i for i, s in enumerate(PEOPLE) if there[s][200 + tr]] for tr in range(200)]
    assert {len(who) for who in many} == {0, 1, 2, 3, 4}
    for tr, who in enumerate(many):
        expected, n = np.zeros(4), len(who)
        if n > 1:
            without = [loss.per_tr(each[[j for j in who if j != i]].mean(0), place)["sight"][:, tr] for i in who]
            effect = np.array([hurt - intact for intact, hurt in without])
            expected[who] = (n * (n - 1)) ** 0.5 * (effect.mean() - effect) * 4 / n
        assert moved[:, tr] == pytest.approx(expected, abs=1e-5)


def test_keeping_a_region_alone_is_losing_all_else(toy):
    plan = Plan(Voxels(V), Space(), Ablation(), only=True)
    np.testing.assert_array_equal(plan.ablated(SIGHT[None]), ~SIGHT[None])
    alone = effects_of(toy, plan.ablated(SIGHT[None]))
    assert alone["sight"].effect()[0] == pytest.approx(0, abs=1e-9)
    assert alone["sound"].effect()[0] == pytest.approx(effects_of(toy, SOUND)["sound"].effect()[0])


def test_strength_goes_from_nothing_to_all(toy):
    effect = [effects_of(toy, SIGHT, how="zero", strength=s)["sight"].effect()[0] for s in (0.0, 0.5, 1.0)]
    assert effect[0] == 0.0
    assert 0 < effect[1] < effect[2]
    assert effect[2] == pytest.approx(effects_of(toy, SIGHT, how="zero")["sight"].effect()[0])


def test_what_stands_in_the_place_of_the_ablated():
    y = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32))
    everywhere = torch.ones(40, dtype=torch.bool)
    turned = Ablation("resample").instead(y, everywhere, 0, 0)
    by = Ablation("resample").shift(40, 0, 0)
    assert 10 <= by <= 30
    torch.testing.assert_close(turned[by:], y[:-by])
    torch.testing.assert_close(Ablation("mean").instead(y, everywhere, 0, 0)[7], y.mean(0))
    assert not Ablation("zero").instead(y, everywhere, 0, 0).any()
    shifts = {Ablation("resample").shift(400, draw, person) for draw in range(4) for person in range(4)}
    assert len(shifts) > 8, "people and draws have moments of their own"


def test_only_what_was_measured_stands_in_the_place_of_the_ablated():
    """Turned among measured TRs, each value stays once; the mean is theirs."""
    valid = torch.from_numpy(np.random.default_rng(1).random(40) < 0.6)
    y = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)) * valid[:, None]
    turned = Ablation("resample").instead(y, valid, 0, 0)[valid]
    by = Ablation("resample").shift(int(valid.sum()), 0, 0)
    torch.testing.assert_close(turned, y[valid].roll(by, 0))
    torch.testing.assert_close(Ablation("mean").instead(y, valid, 0, 0)[valid][7], y[valid].mean(0))


def test_components_are_taken_out_of_the_code_and_the_rest_stays():
    rng = np.random.default_rng(0)
    volumes = (rng.standard_normal((300, 6)) @ rng.standard_normal((6, 12)) + 0.1).astype(np.float32)
    code = Pca(ModelConfig(preset="two-stage", components=3), 12, 300)
    code.fit(volumes.copy(), 0)
    y = torch.from_numpy(volumes[:50])
    units = Components(code)
    first = torch.tensor([[True, False, False]])
    hurt = units.write(y, Ablation("zero").apply(units.read(y), torch.ones(50, dtype=torch.bool), first, 0, 0))[
        0
    ].numpy()
    direction = np.linalg.svd(volumes - volumes.mean(0), full_matrices=False)[2][0]
    expected = volumes[:50] - ((volumes[:50] - volumes.mean(0)) @ direction)[:, None] * direction
    np.testing.assert_allclose(hurt, expected, atol=1e-3)


# Random lesions


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25))
def test_random_lesions_are_as_large_and_connected_and_do_not_overlap(seed, size):
    rng = np.random.default_rng(seed)
    mask = np.zeros((7, 6, 5), bool)
    mask[:, :, :] = rng.random((7, 6, 5)) < 0.9
    space = Space.of_mask(mask)
    region = np.zeros(mask.sum(), bool)
    region[rng.choice(len(region), size, replace=False)] = True
    found = random_lesions(region, space, 5, seed)
    assert not (found.masks & region).any()
    for one in [region, *found.masks]:
        assert one.sum() == size
    volume = np.zeros(mask.shape, int)
    volume[mask] = region
    labels, n = ndimage.label(volume)
    assert parts_of(region, space.neighbours) == sorted(np.bincount(labels.ravel())[1:], reverse=True)
    if n == 1:
        for one in found.masks:
            volume[mask] = one
            assert ndimage.label(volume)[1] == 1


def test_random_lesions_match_the_ceiling_of_the_region():
    mask = np.ones((12, 12, 8), bool)
    rng = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(rng.standard_normal(mask.shape), 1.5)[mask]
    ceiling = stats.rankdata(rough) / mask.sum()
    region = ceiling > np.quantile(ceiling, 0.97)
    found = random_lesions(region, Space.of_mask(mask, ceiling * 0.9 - region * 0.2), 50, 0)
    assert found.within == 1.0
    assert np.abs(found.ceilings - found.region_ceiling).max() <= CEILING_TOLERANCE
    np.testing.assert_allclose(found.masks @ (ceiling * 0.9) / region.sum(), found.ceilings)
    plain = random_lesions(region, Space.of_mask(mask), 50, 0)
    assert (plain.masks @ (ceiling * 0.9) / region.sum()).mean() < found.region_ceiling - 0.1
    assert any("not matched in ceiling" in note for note in plain.notes)


def test_units_without_places_give_random_sets_and_say_so():
    region = np.arange(30) < 5
    found = random_lesions(region, Space(None, np.linspace(0, 1, 30)), 40, 0)
    assert (found.masks.sum(1) == 5).all()
    assert len({tuple(m) for m in found.masks.tolist()}) > 20
    assert any("no places" in note for note in found.notes)


def test_a_random_lesion_counts_once():
    """Five sets of one of the five other parcels exist, however many are drawn."""
    found = random_lesions(np.arange(6) < 1, Space(None, None), 1000, 0)
    assert found.matching()["n"] == 5
    assert len(np.unique(found.masks, axis=0)) == 5
    assert "no p: 5 different random lesions, at least 40 are needed" in found.notes


def test_a_region_that_leaves_no_room_has_no_random_lesions():
    found = random_lesions(np.arange(10) < 6, Space(None, None), 5, 0)
    assert len(found.masks) == 0
    assert any("fits beside" in note for note in found.notes)


def test_p_is_uniform_for_a_region_that_carries_nothing():
    """Voxels of random worth; the region is one more random lesion."""
    mask = np.ones((8, 8, 6), bool)
    space = Space.of_mask(mask)
    rng = np.random.default_rng(0)
    ps = []
    for seed in range(150):
        worth = ndimage.gaussian_filter(rng.standard_normal(mask.shape), 1)[mask]
        seedling = np.zeros(mask.sum(), bool)
        seedling[rng.choice(mask.sum(), 12, replace=False)] = True
        (region,) = random_lesions(np.arange(mask.sum()) < 12, space, 1, seed).masks
        null = random_lesions(region, space, 39, seed).masks @ worth
        ps.append(p_value(float(worth[region].sum()), null))
    assert stats.kstest(ps, stats.uniform(0, 1).cdf).pvalue > 1e-3
    assert np.mean(np.array(ps) <= 0.05) < 0.12


def test_null_effects_are_measured_like_effects(toy):
    lesions = Lesions(toy, Voxels(V), Ablation(), "measured", 2)
    masks = np.stack([SIGHT, SOUND, SILENT])
    null, observed = null_effects(lesions, masks, silent, batch=2), measure_effects(lesions, masks)
    for kind in KINDS:
        np.testing.assert_allclose(null[kind], observed[kind].effect(), atol=1e-6)


# How sure


def test_people_vary_as_the_jackknife_says():
    """For a mean over people, the bootstrap of the influences has the variance of a mean."""
    x = np.random.default_rng(0).standard_normal(5)
    without = [np.array([[(x.sum() - one) / 4]]) for one in x]
    influence = _influences(without, np.ones((5, 1), bool))[0, :, 0]
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert np.mean(influence**2) / 5 == pytest.approx(x.var(ddof=1) / 5)
    draws = Draws.of(5, 1, TR_S, 0).people @ influence
    assert draws.var() == pytest.approx(x.var(ddof=1) / 5, rel=0.1)


def test_resamples_draw_as_many_people_and_trs_as_there_are():
    draws = Draws.of(6, 43, TR_S, 0, n=50)
    np.testing.assert_allclose(draws.people.sum(1), 1)
    np.testing.assert_allclose(draws.trs.sum(1), 43)
    runs = draws.trs[0] > 0
    assert 0 < (~runs).sum() < 43


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """White series of known mean 0: the interval of the mean over TRs."""
    rng = np.random.default_rng(0)
    held = []
    for seed in range(200):
        series = rng.standard_normal(200)
        effects = SimpleNamespace(influence=series[None, None], present=np.ones(200, bool))
        low, high = interval(Draws.means(Draws.of(1, 200, TR_S, seed, n=300), effects)[0])
        held.append(low <= 0 <= high)
    assert 0.85 <= np.mean(held) <= 0.99


def drawn(series, present=None):
    """The interval of one person's effect, from what it is at each TR."""
    present = np.ones(len(series), bool) if present is None else present
    effects = SimpleNamespace(influence=series[None, None], present=present)
    low, high = interval(Draws.means(Draws.of(1, len(series), TR_S, 0), effects)[0])
    return low, high


def test_neighbouring_trs_are_drawn_together():
    """Blocks of 10 TRs: of what changes every minute they are alike, of what changes every TR they know the mean."""
    low, high = drawn(np.repeat([1.0, -1.0, 1.0, -1.0, 1.0], 40))
    variance = (31 + 2 * sum((1 - k / 5) ** 2 for k in range(1, 5))) / 40 - 0.2**2  # of a block's mean, any start
    assert high - low == pytest.approx(2 * 1.96 * (variance / 20) ** 0.5, rel=0.15)
    low, high = drawn(np.resize([1.0, -1.0], 200))
    assert high - low < 0.01


def test_an_interval_is_over_trs_that_have_the_modality():
    series, present = np.random.default_rng(0).standard_normal(200), np.arange(200) % 4 > 0
    assert drawn(np.where(present, series, 1e6), present) == drawn(np.where(present, series, 0), present)


def test_two_sided_p_and_holm_have_their_known_values():
    assert two_sided_p(np.array([1.0, 2.0, 3.0, -1.0])) == pytest.approx(2 * 2 / 5)
    assert two_sided_p(np.ones(999)) == pytest.approx(2 / 1000)
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])  # R's p.adjust
    assert holm([0.5, 0.01]) == pytest.approx([0.5, 0.02])
    assert holm([]) == []


# The table


@pytest.fixture(scope="module")
def table(toy):
    mask = np.ones((SIDE,) * 3, bool)
    plan = Plan(Voxels(V), Space.of_mask(mask), Ablation(), draws=2, random=40)
    regions = {"sight": SIGHT, "sound": SOUND, "silent": SILENT}
    return lesion_table(toy, regions, plan, silent)


@pytest.mark.parametrize("source", ["from_measured", "from_predicted"])
def test_the_table_finds_what_carries_what(table, source):
    rows = table["regions"]
    own = rows["sight"]["sight"][source]
    assert own["effect"] > 0.5
    assert own["lesion"] - own["intact"] == pytest.approx(own["effect"])
    assert own["code_interval"][0] > 0.5
    assert own["p"] == pytest.approx(1 / 41)
    assert rows["silent"]["sight"][source]["p"] > 0.05
    assert rows["silent"]["sight"][source]["code_interval"] == pytest.approx([0, 0], abs=1e-6)
    assert table["matching"]["sight"]["n"] == 40


def test_a_region_that_is_kept_alone_is_special_if_it_loses_little(toy):
    plan = Plan(Voxels(V), Space.of_mask(np.ones((SIDE,) * 3, bool)), Ablation(), random=40, only=True)
    rows = lesion_table(toy, {"sight": SIGHT, "silent": SILENT}, plan, silent)["regions"]
    own, other = (rows[region]["sight"]["from_measured"] for region in ("sight", "silent"))
    assert own["code_effect"] == pytest.approx(0, abs=1e-6)
    assert own["p"] == pytest.approx(1 / 41)
    assert other["code_effect"] > 0.5
    assert other["p"] > 0.3


def test_every_figure_of_a_row_is_a_mean_over_the_draws(table, toy):
    lesions = Lesions(toy, Voxels(V), Ablation(), "measured", 2)
    masks, loss = np.stack([NOTHING, SIGHT]), NativeLoss(toy, NATIVE_TRS)
    each = [loss.mean([lesions.mean_latents(p, masks, draw) for p in toy.places()])["sight"][1] for draw in range(2)]
    assert each[0] != pytest.approx(each[1], rel=1e-3)
    assert table["regions"]["sight"]["sight"]["from_measured"]["lesion"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("source", ["from_measured", "from_predicted"])
def test_interactions_exclude_zero_where_there_is_one(table, source):
    rows = {tuple(r["regions"]): r for r in table["interactions"][source]}
    assert rows["sight", "sound"]["interval"][0] > 1
    assert rows["sight", "sound"]["p_holm"] < 0.01
    assert rows["sound", "silent"]["interval"][1] < 0
    assert len(rows) == 3
    assert table["settings"]["resamples"][source] == 4999
    for r in rows.values():
        a, b = (table["regions"][k] for k in r["regions"])
        m, n = r["modalities"]
        by_hand = [row[m][source]["code_effect"] - row[n][source]["code_effect"] for row in (a, b)]
        assert r["estimate"] == pytest.approx(by_hand[0] - by_hand[1])


def test_many_regions_can_still_differ(toy):
    """Of 8 regions 28 pairs are compared: 4,999 resamples could give no p below 0.0112."""
    halves = {f"{slab}{side}": (slab == SLAB) & (np.arange(V) % 2 == side) for slab in range(4) for side in (0, 1)}
    found = lesion_table(toy, halves, Plan(Voxels(V), Space(), Ablation()), silent)
    sure = {tuple(r["regions"]): r["p_holm"] for r in found["interactions"]["from_measured"]}
    assert len(sure) == 28
    assert sure["00", "10"] <= 0.01
    assert found["settings"]["resamples"] == {"from_measured": 9998, "from_predicted": 9998}


@given(st.integers(0, 500))
def test_resamples_are_as_many_as_a_family_needs(family):
    n = RESAMPLES * resample_sets(family)
    assert family * 2 / (n + 1) <= LEAST_P
    assert n == RESAMPLES or family * 2 / (n - RESAMPLES + 1) > LEAST_P


def test_further_resamples_leave_the_first_as_they_were():
    rng = np.random.default_rng(0)
    effects = {"sight": SimpleNamespace(influence=rng.standard_normal((2, 3, 30)), present=np.ones(30, bool))}
    one, two = (resampled(effects, TR_S, 0, sets)["sight"] for sets in (1, 2))
    np.testing.assert_array_equal(one, Draws.of(3, 30, TR_S, 0).means(effects["sight"]))
    np.testing.assert_array_equal(two[:, :RESAMPLES], one)
    assert two.shape == (2, 2 * RESAMPLES)
    assert abs(np.corrcoef(two[0, RESAMPLES:], one[0])[0, 1]) < 0.05


def test_what_cannot_be_decoded_leaves_the_table_by_name(toy):
    class Deaf(Toy):
        def rebuild(self, z):
            made = super().rebuild(z)
            return made | {"sound": 3 * made["sound"].roll(7, -2)}

    reader = Reader(Deaf(toy.model.readers), *(getattr(toy, f) for f in list(toy.__dataclass_fields__)[1:]))
    found = lesion_table(reader, {"sight": SIGHT, "sound": SOUND}, Plan(Voxels(V), Space(), Ablation()), silent)
    assert set(found["not_decodable"]["from_measured"]) == {"sound"}
    assert found["not_decodable"]["from_measured"]["sound"]["intact"] > 0.9
    row = found["regions"]["sound"]["sound"]["from_measured"]
    assert not row["decodable"]
    assert "p" not in row
    assert found["interactions"]["from_measured"] == []


def test_one_lesion_is_compared_with_each_other_region(toy):
    regions = {"mine": SIGHT, "sound": SOUND, "silent": SILENT}
    plan = Plan(Voxels(V), Space(), Ablation(), random=5)
    found = lesion_table(toy, regions, plan, silent, against="mine")
    assert [r["regions"][0] for r in found["interactions"]["from_measured"]] == ["mine", "mine"]
    assert list(found["matching"]) == ["mine"]
    assert found["regions"]["sound"]["sight"]["from_measured"]["p"] is None
    assert found["regions"]["mine"]["sight"]["from_measured"]["p"] is None, "five are too few"


def test_the_same_seed_gives_the_same_table(toy, table):
    plan = Plan(Voxels(V), Space.of_mask(np.ones((SIDE,) * 3, bool)), Ablation(), draws=2, random=40)
    again = lesion_table(toy, {"sight": SIGHT, "sound": SOUND, "silent": SILENT}, plan, silent)
    assert again == table


def test_the_order_is_compared_with_the_truth(tmp_path):
    truth = {"effect": {"a": {"video": 0.6}, "b": {"video": 0.4}, "c": {"video": 0.0}}, "first": {"a": "video"}}
    (tmp_path / "truth.json").write_text(json.dumps({"lesions": truth}))

    def said(**effects):
        known = {r: {"decodable": True, "effect": e, "code_effect": -e} for r, e in effects.items()}
        rows = {r: {"video": {"from_measured": v, "from_predicted": {"decodable": False}}} for r, v in known.items()}
        for row in rows.values():
            row["audio"] = {
                s: {"decodable": s == "from_measured", "effect": 0.1, "code_effect": 0.1} for s in row["video"]
            }
        return lesion_truth(tmp_path / "truth.json", {"regions": rows})

    right, wrong = said(a=0.2, b=0.1, c=0.0), said(a=0.05, b=0.1, c=0.0)
    assert right["lesion_order_matches"] == {"from_measured": {"video": True}, "from_predicted": {}}
    assert right["lesion_code_pairs_in_order"] == {"from_measured": {"video": 0}, "from_predicted": {}}
    assert right["lesion_first_matches"] == {"from_measured": {"a": True}, "from_predicted": {}}
    assert wrong["lesion_pairs_in_order"]["from_measured"]["video"] == pytest.approx(2 / 3)
    assert not wrong["lesion_order_matches"]["from_measured"]["video"]
    assert not wrong["lesion_first_matches"]["from_measured"]["a"]
    assert lesion_truth(tmp_path / "truth.json", {}) == {}


def test_one_decodable_modality_alone_does_not_suffer_most(tmp_path):
    truth = {"effect": {"a": {"video": 0.6}}, "first": {"a": "video"}}
    (tmp_path / "truth.json").write_text(json.dumps({"lesions": truth}))
    row = {
        k: {s: {"decodable": k == "video", "effect": 0.1, "code_effect": 0.1} for s in SOURCES}
        for k in ("video", "audio")
    }
    found = lesion_truth(tmp_path / "truth.json", {"regions": {"a": row}})
    assert found["lesion_first_matches"] == {s: {} for s in SOURCES}


# What was asked for

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-6, -6, -6)


def fitted(space="voxels", **state):
    return FmriMask(space=space).fitted(**state)


BRAIN = fitted(mask=np.ones((SIDE,) * 3, bool), affine=AFFINE)
TABLES = fitted(columns=np.array([V]))
ATLAS = Atlas(SLAB + 1, {"v_1": [1], "a_1": [2], "a_2": [3]}, {"visual": [1], "auditory": [2, 3]})
PLAIN = SimpleNamespace(middle=None)


def target(atlas=ATLAS, brain=BRAIN, model=PLAIN, **wanted):
    return find_target(Wanted(**wanted), atlas, brain, model, V)


def test_regions_are_found_by_name_and_by_network():
    np.testing.assert_array_equal(target(regions=["a_1"]).chosen, SLAB == 1)
    np.testing.assert_array_equal(target(regions=["auditory"]).chosen, np.isin(SLAB, (1, 2)))
    both = target(networks=["visual", "auditory"])
    assert both.name == "visual+auditory"
    assert both.chosen.sum() == 48


def test_a_sphere_is_in_millimetres_of_world_space():
    inside = in_sphere((-6.0, -3.0, 0.0, 3.1), BRAIN)
    at = np.argwhere(np.ones((SIDE,) * 3))[inside]
    assert {tuple(p) for p in at.tolist()} == {(0, 1, 2), (1, 1, 2), (0, 0, 2), (0, 2, 2), (0, 1, 1), (0, 1, 3)}


def save(path, values, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def test_a_mask_on_the_same_grid_is_used_and_another_is_refused(tmp_path):
    values = np.zeros((SIDE,) * 3, np.uint8)
    values[2] = 1
    found = target(mask=save(tmp_path / "one.nii", values))
    np.testing.assert_array_equal(found.chosen, SLAB == 2)
    with pytest.raises(DataError, match="not on the grid of the scans: its affine differs"):
        target(mask=save(tmp_path / "moved.nii", values, np.eye(4)))
    with pytest.raises(DataError, match="it has 5 x 4 x 4 voxels, not 4 x 4 x 4"):
        target(mask=save(tmp_path / "large.nii", np.zeros((5, 4, 4), np.uint8)))
    (tmp_path / "text.nii").write_text("no image")
    with pytest.raises(DataError, match="cannot be read"):
        target(mask=tmp_path / "text.nii")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"regions": ["v1"]}, "did you mean 'v_1'"),
        ({"networks": ["a_1"]}, "--network 'a_1' is not in the study's atlas"),
        ({"networks": ["auditry"]}, "did you mean 'auditory'"),
        ({"sphere": (500.0, 0.0, 0.0, 5.0)}, "holds no voxel"),
        ({"sphere": (0.0, 0.0, 0.0, 500.0)}, "every voxel"),
        ({"sphere": (0.0, 0.0, 0.0, -1.0)}, "radius of -1 mm"),
        ({"components": [0]}, "model.preset=two-stage"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(wanted, said):
    with pytest.raises((ConfigError, DataError), match=said):
        target(**wanted)


def test_studies_without_atlas_or_space_say_what_to_give():
    with pytest.raises(ConfigError, match="no atlas"):
        target(atlas=None, regions=["x"])
    with pytest.raises(ConfigError, match="no column network"):
        target(atlas=Atlas(SLAB, {"x": [1]}, {}), networks=["x"])
    with pytest.raises(ConfigError, match=r"tables of parcels.*name parcels with --region"):
        target(brain=TABLES, sphere=(0.0, 0.0, 0.0, 1.0))
    for wanted in ({"sphere": (0.0, 0.0, 0.0, 1.0)}, {"regions": ["x"]}):
        with pytest.raises(ConfigError, match=r"tables of parcels.*add labels = FILE .* name it with --study$"):
            target(atlas=None, brain=TABLES, **wanted)


def test_components_are_counted_from_zero():
    code = Pca(ModelConfig(preset="two-stage", components=3), V, 300)
    code.fit(np.random.default_rng(0).standard_normal((300, V)).astype(np.float32), 0)
    model = SimpleNamespace(middle=code)
    found = target(model=model, components=[2])
    assert found.chosen.tolist() == [False, False, True]
    assert not found.of_voxels
    np.testing.assert_allclose(found.weights, np.abs(code.weights[2].numpy()), rtol=1e-5)
    with pytest.raises(ConfigError, match="the components 0 to 2"):
        target(model=model, components=[3])
    with pytest.raises(ConfigError, match="every component"):
        target(model=model, components=[0, 1, 2])


def test_components_of_parcels_lie_where_the_parcels_do():
    code = Pca(ModelConfig(preset="two-stage", components=2), SIDE, 300)
    code.fit(np.random.default_rng(0).standard_normal((300, SIDE)).astype(np.float32), 0)
    brain = fitted("parcels", **BRAIN.state, unit=SLAB)
    found = find_target(Wanted(components=[1]), ATLAS, brain, SimpleNamespace(middle=code), SIDE)
    np.testing.assert_allclose(found.weights, np.abs(code.weights[1].numpy())[SLAB], rtol=1e-5)


def test_tables_of_parcels_take_their_regions_from_the_labels(tmp_path):
    (tmp_path / "labels.tsv").write_text("index\tname\tnetwork\n1\tone\tfirst\n2\ttwo\tfirst\n3\tthree\tlast\n")
    brain = fitted(columns=np.array([3]))
    found = read_regions(None, tmp_path / "labels.tsv", brain)
    assert {k: v.tolist() for k, v in found.items()} == {"first": [True, True, False], "last": [False, False, True]}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "one of --region"),
        (["--region", "visual", "--component", "1"], "one of --region"),
        (["--sphere", "1,2,3"], "--sphere '1,2,3' is not X,Y,Z,R"),
        (["--region", "visual"], "is not the folder of a run"),
        (["--strength", "2", "--region", "visual"], "0<=x<=1"),
    ],
)
def test_a_wrong_command_is_one_line(tmp_path, capsys, args, said):
    with pytest.raises(SystemExit) as stopped:
        main(["lesion", str(tmp_path), *args, "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# A whole run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run of two people: region A follows the ratings `sight`, B `sound`, C and D nothing; words drive none."""
    folder = tmp_path_factory.mktemp("läsion")
    rng = np.random.default_rng(0)
    ratings = rng.standard_normal((2, 500, 3))
    for name, x in zip(KINDS, ratings, strict=True):
        np.savetxt(folder / f"{name}.tsv", x, delimiter="\t")
    rows = [f"{i * 6}\t6\t{rng.choice(['a dog runs', 'the sea is calm', 'two men argue'])} {i}" for i in range(125)]
    (folder / "words.tsv").write_text("onset\tduration\ttext\n" + "\n".join(rows), "utf-8")
    for person in ("anna", "bö"):
        y = rng.normal(100, 1, (V, 500))
        for slab, x in zip((SIGHT, SOUND), ratings, strict=True):
            y[slab] += 3 * (convolve_hrf(x, canonical_hrf(TR_S)) @ rng.standard_normal((3, slab.sum()))).T
        image = nibabel.Nifti1Image(y.reshape(SIDE, SIDE, SIDE, 500).astype(np.float32), AFFINE)
        image.header.set_xyzt_units("mm", "sec")
        image.header.set_zooms((3, 3, 3, TR_S))
        nibabel.save(image, folder / f"{person}.nii")
    save(folder / "mask.nii", np.ones((SIDE,) * 3, np.uint8))
    save(folder / "atlas.nii", (SLAB + 1).reshape((SIDE,) * 3).astype(np.uint8))
    (folder / "atlas.tsv").write_text("index\tname\tnetwork\n1\tone\tA\n2\ttwo\tB\n3\tthree\tC\n4\tfour\tD\n")
    scans = [f'[[scan]]\nsubject="{s}"\nrun="r"\nstimulus="s"\nbold="{s}.nii"\n' for s in ("anna", "bö")]
    study = '[study]\nname="words"\natlas="atlas.nii"\nlabels="atlas.tsv"\n[[stimulus]]\nname="s"\n'
    study += 'annotations="words.tsv"\n' + "".join(f'features.{k}={{path="{k}.tsv",tr_s={TR_S}}}\n' for k in KINDS)
    (folder / "study.toml").write_text(study + "".join(scans), "utf-8")
    few = ["train.trunk_steps=120", "train.decoder_steps=120", "train.validate_every=10", "evaluate.random_lesions=40"]
    few += ["evaluate.null_shifts=40", "evaluate.banded_candidates=2", "model.latent=32", "text.weights=minilm"]
    few += ["model.kernel_s=15", "split.gap_s=30"]
    options = [part for key in [*few, f"fmri.mask={folder / 'mask.nii'}"] for part in ("-o", key)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIBLET_CACHE", str(folder / "cache"))
        with pytest.raises(SystemExit) as stop:
            main(["run", str(folder), *options, "--out", str(folder / "run")])
    assert not stop.value.code
    return folder / "run"


@pytest.fixture
def lesion(run, tmp_path, monkeypatch, capsys):
    """`giblet lesion RUN ...`: exit code, what was printed, and lesion.json."""
    monkeypatch.setenv("GIBLET_CACHE", str(run.parent / "cache"))

    def call(*args):
        with pytest.raises(SystemExit) as stop:
            main(["lesion", str(run), *map(str, args), "--out", str(tmp_path / "out")])
        path = tmp_path / "out" / "lesion.json"
        told = json.loads(path.read_text("utf-8")) if path.exists() else None
        return stop.value.code or 0, capsys.readouterr(), told

    return call


@pytest.mark.slow
def test_a_run_has_its_lesions_in_metrics_and_page(run):
    found = json.loads((run / "metrics.json").read_text("utf-8"))["lesions"]
    assert list(found["regions"]) == ["A", "B", "C", "D"]
    assert set(found["regions"]["A"]["text"]) == {"from_measured", "from_predicted"}
    assert found["matching"]["A"]["n"] == 40
    assert "is not decodable" in (run / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_a_run_finds_which_region_carries_what(run):
    """On codes, each modality loses by its own region, and by that more than by any other."""
    regions = json.loads((run / "metrics.json").read_text("utf-8"))["lesions"]["regions"]
    for kind, own in (("sight", "A"), ("sound", "B")):
        effects = {region: row[kind]["from_measured"]["code_effect"] for region, row in regions.items()}
        assert regions[own][kind]["from_measured"]["code_interval"][0] > 0
        assert all(effects[own] > 2 * abs(e) for region, e in effects.items() if region != own)


@pytest.mark.slow
def test_an_atlas_that_breaks_off_is_named_before_training(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIBLET_CACHE", str(run.parent / "cache"))
    study = Path(shutil.copytree(run.parent, tmp_path / "study", ignore=shutil.ignore_patterns("run", "cache")))
    (study / "atlas.nii").write_bytes((study / "atlas.nii").read_bytes()[:-20])
    with pytest.raises(SystemExit) as stop:
        main(["run", str(study), "-o", "text.weights=minilm", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("giblet: ")]
    assert "atlas.nii breaks off" in line
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.slow
def test_giblet_lesion_writes_table_map_and_files(run, lesion, tmp_path):
    code, said, told = lesion("--network", "A", "--random", 20, "--draws", 2)
    assert code == 0, said.err
    assert (told["lesion"], told["n_units"], told["of_units"]) == ("A", 16, 64)
    row = told["modalities"]["text"]
    assert row["lesion"] - row["intact"] == pytest.approx(row["effect"])
    assert told["matching"]["n"] == 20
    assert list(told["others"]) == ["B", "C", "D"]
    assert told["compared_units"] == {"B": 16, "C": 16, "D": 16}
    assert not any("other sizes" in warning for warning in told["warnings"])
    assert (tmp_path / "out" / "lesion.png").stat().st_size > 5000
    image, atlas = (nibabel.load(path) for path in (tmp_path / "out" / "lesion.nii.gz", run.parent / "atlas.nii"))
    np.testing.assert_array_equal(image.get_fdata(), atlas.get_fdata() == 1)
    np.testing.assert_array_equal(image.affine, atlas.affine)
    assert set(told["files"]["text"]) == {"original", "intact", "without", "alone"}
    text = json.loads((run / "metrics.json").read_text("utf-8"))["text"]
    assert told["files_from"] == text["reconstructed_from"]
    block = next(b for b in json.loads((run / "inputs.json").read_text("utf-8"))["split"]["r"] if b[0] == "test")
    assert told["files_from"] == {"run": "r", "start_s": block[1] * TR_S}
    for name in told["files"]["text"].values():
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert "not decodable" in said.out
    assert "against random lesions" not in said.out
    assert told["modalities"]["sight"]["p"] is None
    assert "no p: 20 different random lesions, at least 40 are needed" in said.out


def told_of(p, only, n):
    """A `lesion.json` of one modality, as far as it is printed."""
    m = {"intact": 0.5, "lesion": 0.6, "effect": 0.1, "decodable": True, "code_effect": 0.1}
    m |= {"code_interval": [0.0, 0.2], "p": p}
    ceilings = {"region_ceiling": 0.5, "random_ceiling": 0.4, "within_tolerance": 0.8, "tolerance": 0.05}
    told = {"lesion": "A", "n_units": 1, "of_units": 9, "units": "voxels", "settings": {"only": only}}
    told |= {"modalities": {"text": m | {"from_predicted": m}}, "matching": {"n": n, **ceilings}}
    return told | {"interactions": {"from_measured": [], "from_predicted": []}, "warnings": [], "notes": []}


def test_what_p_is_against_is_printed_where_there_is_one(capsys):
    print_lesion(told_of(None, only=False, n=37))
    assert "random lesions" not in capsys.readouterr().out
    print_lesion(told_of(0.02, only=False, n=60))
    said = capsys.readouterr().out
    assert "p is against random lesions: 60 different ones, as large, as connected, beside it\n   ceiling 0.400" in said
    print_lesion(told_of(0.02, only=True, n=60))
    assert "beside it, each kept alone too: p counts those at most as costly\n" in capsys.readouterr().out


@pytest.mark.parametrize("p", [None, 0.02])
def test_a_poor_match_is_a_warning_where_there_is_a_p(p):
    region = np.arange(9) < 1
    target = Target("A", region, Voxels(9), region.astype(float))
    rows = {"text": {"from_measured": {"decodable": True, "p": p}, "from_predicted": {"decodable": False}}}
    table = {"regions": {"A": rows}, "not_decodable": {"from_measured": {}, "from_predicted": {}}}
    table["matching"] = {"A": {"within_tolerance": 0.84, "notes": ["no p: too few"]}}
    said = ["only 84% of the random lesions are as reliable as A: p is hard to read"] if p else []
    assert _warnings(table, target, {}) == [*said, "no p: too few"]


@pytest.mark.slow
def test_regions_of_other_sizes_are_compared_with_a_warning(lesion):
    code, said, told = lesion("--sphere", "0,0,0,1", "--random", 0, "--draws", 1)
    assert code == 0, said.err
    assert told["n_units"] == 1
    assert "sphere 0,0,0,1 has 1 units and is compared with regions of other sizes (" in said.out
    assert told["compared_units"] == dict.fromkeys(told["others"], 16)


@pytest.mark.slow
def test_what_giblet_lesion_refuses_leaves_nothing_and_reads_no_data(lesion, tmp_path, monkeypatch):
    monkeypatch.setattr("giblet.pipeline.reopen.extract_study", None)
    moved = save(tmp_path / "moved.nii", np.ones((SIDE,) * 3, np.uint8), np.eye(4))
    for args, text in (
        (["--region", "onne"], "did you mean 'one'?"),
        (["--mask", moved], "its affine differs"),
        (["--component", 1], "model.preset=two-stage"),
    ):
        code, said, told = lesion(*args)
        assert (code, told) == (2, None)
        assert text in said.err
        assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    code, said, told = lesion("--region", "one")
    assert (code, told) == (2, None)
    assert "is not empty" in said.err
