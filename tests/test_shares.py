"""A step in shares: whatever the number of processes, their losses and gradients add up to the step's."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from giblet.config import ModelConfig
from giblet.model import RelativeLoss, bold_loss, constant_prediction, predict_scans
from giblet.model.losses import Counted
from giblet.nn import Dropout
from giblet.nn.dropout import rows_of_batch
from giblet.training import DecoderTask, FrontEndTask, Schedule, TrunkTask, checkpoint, fit
from giblet.training.balance import Losses
from giblet.training.batch import each_array
from giblet.training.engine import step_seed
from giblet.training.front_ends import training_parts
from giblet.training.share import WHOLE, Share, own_draws
from giblet.types import silent
from hypothesis import given
from hypothesis import strategies as st
from torch import nn


@given(st.integers(0, 30), st.integers(1, 9))
def test_shares_are_disjoint_and_together_all(n, count):
    parts = [Share(k, count).of(n) for k in range(count)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))


@given(st.integers(1, 12), st.integers(1, 15))
def test_a_share_without_rows_computes_one_for_nothing(n, count):
    rows = [Share(k, count).rows(n) for k in range(count)]
    assert all(r.mine for r in rows)
    assert sum(len(r.mine) * r.weight for r in rows) == n
    assert sum(r.all for r in rows) == (count == 1 or n == 1)


def test_dropout_of_shares_is_that_of_the_batch():
    drop, x = Dropout(0.5), torch.ones(6 * 4, 3)
    torch.manual_seed(5)
    whole = drop(x).unflatten(0, (6, 4))
    for mine in ([0, 2, 4], [5]):
        torch.manual_seed(5)
        with rows_of_batch(mine, 6):
            part = drop(x[: len(mine) * 4])
        assert torch.equal(part.unflatten(0, (-1, 4)), whole[mine])
    assert {0.0, 2.0} == set(whole.unique().tolist())
    with rows_of_batch([0], 6):
        assert torch.equal(drop.eval()(x), x)


def test_draws_of_a_place_are_its_own_and_leave_the_others_alone():
    def draws(places):
        torch.manual_seed(3)
        found = {}
        for place in places:
            with own_draws(place, torch.device("cpu")):
                found[place] = torch.rand(2)
        return found, torch.rand(1)

    (a, after_a), (b, after_b) = draws([0, 1, 2]), draws([2])
    assert torch.equal(a[2], b[2])
    assert not torch.equal(a[1], a[2])
    assert torch.equal(after_a, after_b)


@given(st.integers(1, 5), st.integers(0, 1000))
def test_bold_losses_of_shares_add_up(count, seed):
    rng = np.random.default_rng(seed)
    a, y = rng.standard_normal((2, 5, 30, 4)).astype(np.float32)
    valid = rng.random((5, 30)) < rng.uniform(0.3, 1, (5, 1))
    whole = bold_loss(*(torch.from_numpy(x) for x in (a, y, valid)))
    parts = [Share(k, count).rows(5).mine for k in range(count)]
    each = [bold_loss(*(torch.from_numpy(x[p]) for x in (a, y, valid)), Counted.of(valid)) for p in parts]
    assert float(torch.stack(each).sum()) == pytest.approx(float(whole), abs=1e-5)


class Coder(nn.Linear):
    """[n, F, *S] and its mask to a code, or a code back to features, with dropout on the way."""

    def __init__(self, back=False):
        super().__init__(6, 6)
        self.drop, self.back = Dropout(0.3), back

    def forward(self, x, mask=None):
        h = super().forward(self.drop(x.flatten(1)))
        return h.unflatten(1, (1, 6)) if self.back else h


@pytest.fixture
def tasks(build, world, quick_config):
    """The three stages of a small world, with dropout everywhere and networks of one modality to train."""

    def make(**train):
        t = quick_config.train.model_copy(update={"windows": 5, "front_end_batch": 7, "brain_grad": 0.5, **train})
        drops = {"dropout": 0.3, "latent_dropout": 0.5, "modality_dropout": 0.5}
        config = quick_config.model_copy(
            update={"train": t, "model": ModelConfig(**quick_config.model.model_dump() | drops)}
        )
        model, codes, nets = build(world, config)
        torch.manual_seed(1)
        trained = [replace(nets[0], encoder=Coder(), decoder=Coder(back=True))]
        parts = training_parts([world], "text")
        loss = RelativeLoss(nets[0].loss, nets[0].spec, constant_prediction(parts, nets[0].spec)).calibrate(parts)
        predicted = predict_scans(model, codes, [world])
        return {
            "front end": FrontEndTask(trained[0], loss, [world], config),
            "trunk": TrunkTask(model, codes, [world], config),
            "decoders": DecoderTask(model, trained, {"text": loss}, codes, [world], predicted, config),
        }

    return make


def computed(task, share, step=3):
    """Losses and gradients of a share of a step."""
    torch.manual_seed(step_seed(0, task.name, step))
    task.module.train()
    task.module.zero_grad()
    found = task.loss(task.read(step, share))
    parts = found.parts if isinstance(found, Losses) else {"all": found}
    torch.stack(list(parts.values())).sum().backward()
    gradients = [None if p.grad is None else p.grad.clone() for p in task.module.parameters()]
    return {name: float(v.detach()) for name, v in parts.items()}, gradients


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("augment", [0.0, 0.2])
@pytest.mark.parametrize("stage", ["front end", "trunk", "decoders"])
def test_losses_and_gradients_of_shares_add_up(tasks, stage, augment, count):
    task = tasks(augment=augment)[stage]
    losses, gradients = computed(task, WHOLE)
    shares = [computed(task, Share(k, count)) for k in range(count)]
    for name, loss in losses.items():
        assert sum(found[name] for found, _ in shares) == pytest.approx(loss, rel=1e-5), name
    for k, whole in enumerate(gradients):
        parts = [found[k] for _, found in shares if found[k] is not None]
        assert bool(parts) == (whole is not None)  # AdamW leaves a weight alone that has no gradient, not one of zeros
        if parts:
            torch.testing.assert_close(torch.stack(parts).sum(0), whole, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("stage", ["front end", "trunk", "decoders"])
def test_scores_of_shares_add_up(tasks, stage):
    task = tasks()[stage]
    task.module.eval()
    with torch.no_grad():
        whole, *parts = (task.validate(share) for share in (WHOLE, *(Share(k, 3) for k in range(3))))
    if isinstance(whole, dict):
        whole, parts = whole["text"], [part["text"] for part in parts]
    assert sum(parts) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("stage", ["front end", "trunk", "decoders"])
def test_what_is_read_draws_nothing_from_torch_and_knows_no_weights(tasks, stage):
    task = tasks(augment=0.2)[stage]

    def read():
        found = []
        each_array(task.read(2, Share(1, 3)), found.append)
        return found

    before, first = torch.get_rng_state(), read()
    assert torch.equal(torch.get_rng_state(), before)
    for p in task.module.parameters():
        torch.nn.init.zeros_(p)
    assert first
    assert all(np.array_equal(a, b) for a, b in zip(first, read(), strict=True))


@pytest.mark.parametrize("stage", ["front end", "trunk", "decoders"])
def test_readers_change_no_bit_also_where_a_stage_goes_on(tasks, stage, tmp_path):
    def stop_at_7(name, step, total):
        if step == 7:
            raise KeyboardInterrupt

    def trained(folder, *ways):
        rows = []
        for readers, progress in ways:
            task = tasks()[stage]
            times = Schedule(10, 1e-3, 1.0, 99, 5, 0, accumulate=2, readers=readers, save_every_s=0.0)
            with suppress(KeyboardInterrupt):
                fit(task, times, tmp_path / folder, rows.append, progress)
        return [(r["step"], r["train"], r["validation"]) for r in rows], task.module.state_dict()

    rows, weights = trained("in turn", (0, silent))
    for folder, ways in {"one": [(1, silent)], "broken": [(3, stop_at_7), (2, silent)]}.items():
        others, theirs = trained(folder, *ways)
        assert others == rows
        assert all(torch.equal(weights[k], theirs[k]) for k in weights)


def test_every_share_validates_in_as_many_batches(tasks, monkeypatch):
    """Weights that are spread over processes are gathered batch by batch: one batch less, and the others wait."""
    task, calls = tasks(front_end_batch=4)["front end"], []
    monkeypatch.setattr(task, "relative", lambda *_: calls.append(1) or torch.zeros(()))
    for count in (1, 2, 7, 100):
        each = []
        for k in range(count):
            calls.clear()
            task.validate(Share(k, count))
            each.append(len(calls))
        assert len(set(each)) == 1


@pytest.mark.parametrize("stage", ["front end", "decoders"])
def test_recomputed_activations_change_nothing(tasks, stage):
    kept, again = (computed(tasks(recompute=flag)[stage], Share(1, 2)) for flag in (False, True))
    assert kept[0] == again[0]
    pairs = [(a, b) for a, b in zip(kept[1], again[1], strict=True) if a is not None]
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)


def test_bf16_computes_the_same_more_coarsely_and_keeps_float_weights(tasks, tmp_path):
    def losses(*, bf16):
        rows = []
        schedule = Schedule(8, 1e-3, 1.0, 99, 2, 0, bf16=bf16)
        fit(tasks()["trunk"], schedule, tmp_path / str(bf16), rows.append, silent)
        return np.array([r["train"] for r in rows])

    fine, coarse = losses(bf16=False), losses(bf16=True)
    np.testing.assert_allclose(coarse, fine, rtol=0.02)
    assert not np.array_equal(coarse, fine)
    tensors, _ = checkpoint.load(checkpoint.newest(tmp_path / "True"))
    assert {t.dtype for t in tensors.values()} == {torch.float32}
