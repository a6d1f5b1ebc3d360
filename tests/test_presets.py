"""Presets: their layers are the published ones, all of them learn, and their decoders read brain space only."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from giblet.config import ModelConfig, RunConfig, TrainConfig, build_config
from giblet.errors import ConfigError
from giblet.model import (
    PRESETS,
    Autoencoder,
    Grid,
    Learned,
    bold_loss,
    build_compressor,
    predict_scans,
    read_block,
    run_drive,
)
from giblet.model.presets.describe import Sizes, build_meta, describe
from giblet.model.presets.layers import Painter, Seer, sides
from giblet.pipeline.blueprint import Blueprint
from giblet.pipeline.folder import RunFolder
from giblet.pipeline.middle import build_middle, fit_middle
from giblet.pipeline.networks import build_model, build_nets
from giblet.plugins import Registry
from giblet.training import DecoderTask, Schedule, TrunkTask, compute_codes, fit, training_volumes
from giblet.types import Aligned, Features, FeatureSpec
from hypothesis import given, settings
from hypothesis import strategies as st

LAYERED = ["conv", "dense", "grid", "two-stage"]
BRAIN_SHAPE, VOXELS = (4, 5, 3), 20


def quiet(*_):
    """No log, no progress."""


layers = cache(describe)


def shapes(preset, part):
    """The dense layers of one part of a preset, as `[in, out]`."""
    mine = [shape for name, shape, _ in layers(preset) if name.startswith(part) and "x" not in shape]
    return [shape.replace(",", "").split(" -> ") for shape in mine]


def total(preset):
    """All parameters of a preset at the reference sizes."""
    return sum(n for _, _, n in layers(preset))


# Layers and counts


def test_counts_at_the_reference_sizes():
    assert total("dense") == pytest.approx(1.06e9, rel=0.03)
    assert total("conv") == pytest.approx(119e6, rel=0.03)
    assert total("two-stage") == pytest.approx(1.0e9, rel=0.03)
    assert total("grid") > 1e9


def test_dense_has_the_published_layers_and_their_mirror_image():
    there = [["43240", "10000"], ["10000", "5000"], ["5000", "1000"], ["1000", "500"]]
    assert shapes("dense", "adapters") == there
    assert shapes("dense", "heads") == [["500", "83300"]]
    assert shapes("dense", "inverse_heads") == [["83300", "500"]]
    assert shapes("dense", "outputs") == [pair[::-1] for pair in there[::-1]]
    one_way = sum(n for name, _, n in layers("dense") if name.startswith(("adapters", "heads")))
    assert one_way == pytest.approx(529.6e6, abs=0.1e6)


def test_conv_and_grid_see_pictures_as_published():
    assert sides((90, 160, 3), 4)[-1] == (6, 10)
    assert shapes("conv", "adapters") == [["15360", "1024"], ["40", "256"], ["1280", "512"]]
    assert shapes("conv", "outputs") == [["512", "1280"], ["1024", "15360"], ["256", "40"]]
    assert shapes("grid", "adapters") == [["30720", "8000"], ["40", "256"], ["8256", "4000"], ["4000", "2000"]]
    assert shapes("grid", "heads") == [["2000", str(61 * 73 * 61 * 2)]]
    channels = [s.split(",")[0] for name, s, _ in layers("grid") if name.startswith("middle")]
    assert channels == ["2 -> 8", "8 -> 16", "16 -> 1", "1 -> 16", "16 -> 8", "8 -> 2"]


def test_two_stage_ends_in_the_components():
    assert shapes("two-stage", "adapters") == [["43240", "10000"], ["10000", "5000"]]
    assert shapes("two-stage", "heads") == [["5000", "5000"]]


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 4000), min_size=1),
    st.integers(1, 100_000),
    st.floats(0.5, 3),
)
@settings(max_examples=15, deadline=None)
def test_the_trunk_of_compact_stays_small(vectors, voxels, tr_s):
    sizes = Sizes(vectors=vectors, voxels=voxels, tr_s=tr_s)
    model = build_meta("compact", sizes, ModelConfig(hemodynamics="fir"))
    assert model.trunk_parameters() <= 5_000_000


def test_a_preset_refuses_what_it_does_not_read():
    def made(**model):
        return build_config({}, {"model": model}, seed=0, plumbing=False).model

    with pytest.raises(ConfigError, match=r"model\.latent = 64 is not possible: preset dense does not read it"):
        made(preset="dense", latent=64)
    with pytest.raises(ConfigError, match=r"model\.scale = 0\.1 .*only conv, dense, grid, two-stage"):
        made(scale=0.1)
    with pytest.raises(ConfigError, match=r"model\.preset = 'tiny'"):
        made(preset="tiny")
    config = made(preset="grid", grid_step=2)
    assert ModelConfig(**config.model_dump()) == config


# Pieces


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_what_a_picture_becomes_has_a_mirror_of_the_pictures_own_size(rows, columns, steps):
    picture, channels = (rows, columns, 3), (2, 3, 4)[:steps]
    x = torch.zeros(2, 5, rows * columns * 3)
    z = Seer(picture, channels, 6, 0.0)(x)
    assert z.shape == (2, 5, 6)
    assert Painter(picture, channels, 6, 0.0)(z).shape == x.shape


def test_a_picture_is_seen_upright():
    """The first convolution agrees with scipy's on the picture's own rows, columns and channels."""
    from scipy.signal import correlate

    net = Seer((5, 7, 3), (2,), 4, 0.0)
    x = np.random.default_rng(0).standard_normal((5, 7, 3)).astype(np.float32)
    got = net.convolutions[0](torch.from_numpy(x).permute(2, 0, 1)[None])[0].detach().numpy()
    w = net.convolutions[0].weight.detach().numpy()
    b = net.convolutions[0].bias.detach().numpy()
    seen = []
    net.convolutions.register_forward_hook(lambda m, i, o: seen.append(i[0]))
    net(torch.from_numpy(x).reshape(1, -1))
    assert torch.equal(seen[0][0], torch.from_numpy(x).permute(2, 0, 1))
    padded = np.pad(x.transpose(2, 0, 1), ((0, 0), (1, 1), (1, 1)))
    for k in range(2):
        whole = correlate(padded, w[k], mode="valid")[0] + b[k]
        assert np.allclose(whole[::2, ::2], got[k], atol=1e-5)


def test_the_grid_puts_each_voxel_where_it_is():
    """With kernels that pass one channel through, what the heads put in a cell is what its voxel shows."""
    mask = np.random.default_rng(0).random(BRAIN_SHAPE) < 0.5
    grid = Grid(mask)
    pass_through(grid.out)
    pass_through(grid.into)
    cells = torch.arange(10, 10 + 2 * mask.size, dtype=torch.float32)[None]  # far above 0, where GELU is the identity
    expected = (10 + np.arange(mask.size)).reshape(mask.shape)[mask]
    assert np.allclose(grid.outward(cells)[0].detach().numpy(), expected, atol=1e-3)
    back = grid.inward(torch.from_numpy(expected[None].astype(np.float32)))[0].detach().numpy()
    first = back[: mask.size].reshape(mask.shape)
    assert np.allclose(first[mask], expected, atol=1e-3)
    assert np.allclose(first[~mask], 0, atol=1e-3)


def pass_through(convolutions):
    for layer in convolutions:
        if isinstance(layer, torch.nn.Conv3d):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
            with torch.no_grad():
                layer.weight[0, 0, 1, 1, 1] = 1.0


def test_a_coarser_grid_has_fewer_cells_and_the_same_voxels():
    mask = np.ones((6, 7, 5), bool)
    grid = Grid(mask, 2)
    assert grid.units == 2 * 3 * 4 * 3
    assert grid.outward(torch.zeros(2, grid.units)).shape == (2, mask.sum())
    assert grid.inward(torch.zeros(2, int(mask.sum()))).shape == (2, grid.units)


def volumes(n=200, voxels=30, rank=6, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((n, rank)) * np.arange(rank, 0, -1) @ rng.standard_normal((rank, voxels))
    return (y + 0.1 * rng.standard_normal((n, voxels))).astype(np.float32)


def fitted(y, **settings):
    made = build_compressor(ModelConfig(preset="two-stage", **settings), y.shape[1], len(y))
    made.fit(y.copy(), 0)
    return made


def test_components_agree_with_the_singular_value_decomposition():
    y = volumes()
    made = fitted(y, components=4)
    _, _, basis = np.linalg.svd(y.astype(float) - y.mean(0, dtype=float), full_matrices=False)
    mine = made.weights.numpy() / np.linalg.norm(made.weights.numpy(), axis=1, keepdims=True)
    assert np.allclose(np.abs(np.sum(mine * basis[:4], 1)), 1, atol=1e-3)
    code = made.encode(torch.from_numpy(y))
    assert float(code.square().mean()) == pytest.approx(1, abs=0.02)
    spread = code.var(0).numpy()
    assert np.all(np.diff(spread) < 0)


def test_a_component_taken_out_leaves_everything_else():
    y = torch.from_numpy(volumes())
    made = fitted(y.numpy(), components=4)
    code = made.encode(y)
    without = code.clone()
    without[:, 1] = 0
    hurt = made.replace(y, without)
    assert torch.allclose(made.encode(hurt), without, atol=1e-4)
    assert torch.allclose(y - hurt, code[:, 1:2] * made.weights[1], atol=1e-4)
    assert torch.allclose(made.replace(y, code), y, atol=1e-5)


@pytest.mark.parametrize(("voxels", "volumes", "few"), [(30, 200, "voxels"), (300, 40, "training volumes")])
def test_fewer_components_than_asked_for_are_said(voxels, volumes, few):
    made = build_compressor(ModelConfig(preset="two-stage"), voxels, volumes)
    assert made.units == min(voxels, volumes)
    assert made.notes[0].endswith(f"there are no more {few}")


# Whole models


@pytest.fixture
def seen(world):
    """A run of pictures, sound and text; each drives the scans of two people through the canonical response."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    rng = np.random.default_rng(0)
    n, plain = world.grid.n_trs, world
    light, loud = rng.uniform(60, 200, (n, 2)), rng.standard_normal((n, 3))
    pictures = np.repeat(light, 3, 1)[:, None, :, None] + rng.normal(0, 5, (n, 4, 6, 3))
    sound = np.concatenate([loud, 0.1 * rng.standard_normal((n, 2))], 1)
    aligned = {
        "video": on_grid(np.repeat(pictures, 2, 0).clip(0, 255).astype(np.uint8), plain.grid, 2),
        "audio": on_grid(sound.astype(np.float32), plain.grid, 1),
        "text": plain.aligned["text"],
    }
    words = plain.aligned["text"].features.values
    x = np.concatenate([(light - 130) / 40, loud, words], 1)
    drive = convolve_hrf(x, canonical_hrf(1.5))
    inside = next(iter(plain.scanned.values()))
    scans = {}
    for s in plain.scans:
        y = drive @ rng.standard_normal((x.shape[1], VOXELS)) + 0.5 * rng.standard_normal((n, VOXELS))
        scans[s] = ((y - y[:120].mean(0)) / y[:120].std(0) * inside[:, None]).astype(np.float32)
    return replace(plain, aligned=aligned, scans=scans)


def on_grid(values, grid, frames):
    n = grid.n_trs
    ticks = np.arange(n * frames, dtype=np.int64)
    features = Features(values, ticks, Fraction(3, 2) / frames)
    return Aligned(features, grid, np.arange(n) * frames, np.full(n, frames, np.int64))


def small_config(preset, **model):
    train = TrainConfig(windows=4, window_trs=40, validate_every=10, subjects=2, compressor_steps=60, weight_decay=0.1)
    sizes = {"compact": {"latent": 16, "hidden": 16}, "dense": {"scale": 0.02}, "conv": {"scale": 0.06}}
    sizes |= {"grid": {"scale": 0.01}, "two-stage": {"scale": 0.004, "components": 8}}
    return RunConfig(model=ModelConfig(preset=preset, kernel_s=24.0, **(sizes[preset] | model)), train=train)


def blueprint(world):
    registry = Registry.discover()
    mask = np.zeros(BRAIN_SHAPE, bool)
    mask.flat[5 : 5 + 2 * VOXELS : 2] = True
    brain = registry.modality("fmri_mask").fitted(mask=mask, affine=np.eye(4))
    kinds = {"video": "video_2dcnn", "audio": "features_table", "text": "features_table"}
    more = {"video": {}, "audio": {"label": "audio", "tr_s": 1.5}, "text": {"label": "text", "tr_s": 1.5}}
    modalities = {k: registry.modality(name, **more[k]) for k, name in kinds.items()}
    specs = {k: modalities[k].spec(world.aligned[k]) for k in kinds}
    found = sum(int(m[world.trs("train")].sum()) for m in world.scanned.values())
    return Blueprint(registry, modalities, brain, specs, dict.fromkeys(world.scans, VOXELS), Fraction(3, 2), 0.5, found)


def assembled(world, config, path):
    """Model, codes and nets of a preset, its middle fitted."""
    plan = blueprint(world)
    nets = build_nets(plan, config)
    codes = compute_codes([world], nets, plan.modalities, config.model, quiet)
    model = build_model(plan, nets, codes, config)
    path.mkdir(exist_ok=True)
    (path / "checkpoints").mkdir(exist_ok=True)
    fit_middle(model.middle, [world], config, RunFolder(path), quiet)
    return model, codes, nets


def schedule(steps, config, lr=4e-3):
    return Schedule(steps, lr, 1.0, 99, config.train.validate_every, 0)


def trained(world, config, path):
    model, codes, nets = assembled(world, config, path)
    rows = []
    fit(TrunkTask(model, codes, [world], config), schedule(50, config), path / "t.pt", rows.append, quiet)
    predicted = predict_scans(model, codes, [world])
    task = DecoderTask(model, nets, {}, codes, [world], predicted, config)
    fit(task, schedule(50, config), path / "d.pt", rows.append, quiet)
    return model, codes, rows


@pytest.mark.parametrize("preset", LAYERED)
def test_a_gradient_reaches_every_parameter(seen, preset, tmp_path):
    world, config = seen, small_config(preset, dropout=0.0, latent_dropout=0.0, modality_dropout=0.0)
    model, codes, _ = assembled(world, config, tmp_path)
    h = {n: torch.from_numpy(codes.inputs[0][n][None, :60]) for n in model.names}
    present = {n: torch.from_numpy(codes.present[0][n][None, :60]) for n in model.names}
    drive = model.drive(h, {}, present)
    for k, s in enumerate(model.subjects):
        y, valid = torch.from_numpy(world.scans[s][None, :60]), torch.ones(1, 60, dtype=torch.bool)
        bold_loss(model.brain(model.late(drive, k), k), y, valid).backward(retain_graph=True)
        guess = model.rebuild(model.read(y, valid, k))
        sum(g.sub(h[n]).square().mean() for n, g in guess.items()).backward()
    dead = [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().any())]
    assert not dead


@pytest.mark.parametrize("preset", LAYERED)
def test_every_preset_learns_and_its_decoders_read_brain_space_and_nothing_else(seen, preset, tmp_path):
    """Both losses fall. Another film changes the prediction but not what is read from a scan; another scan does."""
    world, config = seen, small_config(preset)
    model, codes, rows = trained(world, config, tmp_path)
    for stage in ("trunk", "decoders"):
        train = [r["train"] for r in rows if r["stage"] == stage]
        assert train[-1] < 0.95 * train[0], (stage, train)
    valid, s = np.ones(50, bool), model.subjects[0]
    y, other = world.scans[s][210:260], world.scans[s][:50]
    before = model.rebuild(read_block(model, y, valid, s))
    drive = run_drive(model, codes, 0)
    for x in codes.inputs[0].values():
        x[:] = np.random.default_rng(1).standard_normal(x.shape)
    assert not torch.allclose(drive, run_drive(model, codes, 0))
    again = model.rebuild(read_block(model, y, valid, s))
    elsewhere = model.rebuild(read_block(model, other, valid, s))
    assert all(torch.equal(before[n], again[n]) for n in model.names)
    assert all(not torch.allclose(before[n], elsewhere[n], atol=1e-3) for n in model.names)


@pytest.mark.parametrize("preset", LAYERED)
def test_what_a_missing_modality_holds_does_not_matter(seen, preset, tmp_path):
    model, codes, _ = assembled(seen, small_config(preset), tmp_path)
    model.eval()
    h = {n: torch.from_numpy(codes.inputs[0][n][None, :60]) for n in model.names}
    present = {n: torch.ones(1, 60, dtype=torch.bool) for n in model.names} | {"video": torch.zeros(1, 60) > 0}
    full = model.drive(h, {}, present)
    assert torch.equal(full, model.drive(h | {"video": h["video"] + 7}, {}, present))
    assert not torch.allclose(full, model.drive(h | {"audio": h["audio"] + 7}, {}, present))


@pytest.mark.parametrize("preset", ["compact", "dense", "conv"])
def test_features_under_an_hrf_pass_the_kernel_by(preset):
    """What is said at one TR moves only that TR's drive; a feature that is not under an HRF moves later ones too."""
    model = small_model(preset, applied=["text"]).eval()
    h = {n: torch.zeros(1, 40, size) for n, size in {"text": 6, "sound": 5}.items()}
    present = dict.fromkeys(h, torch.ones(1, 40, dtype=torch.bool))
    for name, reach in (("text", 1), ("sound", model.hemodynamics.taps)):
        said = {n: x.clone() for n, x in h.items()}
        said[name][0, 10] = 3.0
        moved = (model.drive(said, {}, present) - model.drive(h, {}, present)).abs().amax(-1)[0] > 1e-7
        rows = torch.nonzero(moved).flatten().tolist()
        assert rows[0] >= 10
        assert rows[-1] < 10 + reach
        assert (len(rows) == 1) == (reach == 1)


def small_model(preset, applied):
    sizes, config = {"text": 6, "sound": 5}, small_config(preset).model
    head, back = (lambda s, d: torch.nn.Linear(d, 7)), (lambda s, d: torch.nn.Linear(7, d))
    return Autoencoder(config, 1.5, sizes, sizes, ["a"], head, back, applied=applied)


@pytest.mark.parametrize(("preset", "more"), [(p, {}) for p in LAYERED] + [("two-stage", {"compressor": "linear"})])
def test_weights_alone_bring_a_model_back(seen, preset, more, tmp_path):
    """Built again from its blueprint, without data, it predicts the same scans."""
    config = small_config(preset, **more)
    model, codes, _ = assembled(seen, config, tmp_path)
    plan = blueprint(seen)
    again = build_model(plan, build_nets(plan, config), codes, config.model_copy(update={"seed": 1}))
    assert not np.allclose(predict_scans(again, codes, [seen])[0]["a"], predict_scans(model, codes, [seen])[0]["a"])
    again.load_state_dict(model.state_dict())
    assert np.array_equal(predict_scans(again, codes, [seen])[0]["a"], predict_scans(model, codes, [seen])[0]["a"])


def test_test_scans_never_reach_the_components(seen, tmp_path):
    world, config = seen, small_config("two-stage")
    noisy = {}
    for s, y in world.scans.items():
        noisy[s] = y.copy()
        noisy[s][180:] = np.random.default_rng(9).standard_normal(y[180:].shape)
        noisy[s][120:150] = 7.0
    a = trained(world, config, tmp_path / "a")[0].state_dict()
    b = trained(replace(world, scans=noisy), config, tmp_path / "b")[0].state_dict()
    assert any(name.startswith("middle") for name in a)
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_a_learned_compressor_comes_near_pca(seen, kind, tmp_path):
    """On validation volumes, which a linear one cannot explain better than PCA does on training volumes."""
    world = seen
    config = small_config("two-stage", compressor=kind)
    config = config.model_copy(update={"train": config.train.model_copy(update={"compressor_steps": 800, "lr": 5e-3})})
    model = assembled(world, config, tmp_path)[0]
    pca = assembled(world, small_config("two-stage"), tmp_path / "pca")[0]
    held = torch.from_numpy(training_volumes([world], "validation"))
    left = {m: float((m.decode(m.encode(held)) - held).square().mean()) for m in (model.middle, pca.middle)}
    assert isinstance(model.middle, Learned)
    assert left[model.middle] < 1.15 * left[pca.middle] < 0.8 * float(held.square().mean())
    assert not any(p.requires_grad for p in model.middle.parameters())
    train = torch.from_numpy(training_volumes([world]))
    assert float(model.middle.encode(train).square().mean()) == pytest.approx(1, abs=1e-3)


def test_discrete_features_are_never_averaged(seen):
    plan = blueprint(seen)
    codec = plan.registry.modality("audio_mel")
    specs = plan.specs | {"audio": FeatureSpec((4,), 3, "int16", num_classes=8)}

    class Discrete(type(codec)):
        def encode(self, spec, width):
            from giblet.nn import FrameEncoder

            return FrameEncoder(spec, width)

        def decode(self, spec, width):
            from giblet.nn import FrameDecoder

            return FrameDecoder(spec, width)

    changed = replace(plan, modalities=plan.modalities | {"audio": Discrete()}, specs=specs)
    nets = {n.name: n for n in build_nets(changed, small_config("conv"))}
    assert (nets["video"].plain, nets["audio"].plain) == (True, False)
    assert not nets["audio"].frozen


def test_scans_without_places_have_no_grid(seen):
    plan = blueprint(seen)
    tables = replace(plan, brain=plan.registry.modality("fmri_mask").fitted(columns=np.array([VOXELS])))
    with pytest.raises(ConfigError, match="needs scans as images"):
        build_middle(tables, small_config("grid"))
    uneven = replace(plan, voxels={"a": 20, "b": 21})
    with pytest.raises(ConfigError, match="needs the same voxels in everybody"):
        build_middle(uneven, small_config("two-stage"))


def test_every_preset_is_a_choice_of_the_config():
    assert {*PRESETS} == {*ModelConfig.model_fields["preset"].annotation.__args__}
    assert all(p.name == name for name, p in PRESETS.items())
