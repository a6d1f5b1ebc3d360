"""Batches that are read while the step before them is computed."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from giblet.errors import DataError
from giblet.training import Schedule, fit
from giblet.training.ahead import Ahead
from giblet.training.batch import each_array
from giblet.training.trunk import TrunkTask
from giblet.types import silent
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 5), st.integers(0, 6))
def test_every_batch_is_read_once_and_comes_in_its_turn(threads, parts, first, steps):
    read = []
    ahead = Ahead(lambda *place: read.append(place) or place, parts, first + steps, threads)
    wanted = [(step, part) for step in range(first, first + steps) for part in range(parts)]
    assert [ahead.take(*place) for place in wanted] == wanted
    ahead.close()
    assert sorted(read) == wanted


def test_the_next_batch_is_read_while_this_one_is_used():
    read = {step: threading.Event() for step in range(4)}
    ahead = Ahead(lambda step, part: read[step].set(), 1, 4, 2)
    ahead.take(0, 0)
    assert read[1].wait(10)
    assert read[2].wait(10)
    assert not read[3].is_set()
    ahead.close()


def test_what_reading_raises_is_raised_where_the_batch_is_taken():
    def read(step, part):
        if step == 1:
            raise DataError("the disk is gone")
        return step

    ahead = Ahead(read, 1, 3, 1)
    assert ahead.take(0, 0) == 0
    with pytest.raises(DataError, match="the disk is gone"):
        ahead.take(1, 0)
    ahead.close()


def test_steps_cannot_be_taken_out_of_turn():
    ahead = Ahead(lambda *place: place, 1, 9, 2)
    ahead.take(0, 0)
    with pytest.raises(ValueError, match="out of turn"):
        ahead.take(5, 0)
    ahead.close()


def test_every_array_of_a_batch_is_changed_and_nothing_else():
    @dataclass(frozen=True)
    class Batch:
        x: np.ndarray
        parts: list
        named: dict
        rows: list

    batch = Batch(np.ones(2), [Batch(np.ones(3), [], {}, [])], {"text": np.ones(4)}, [1, 2])
    found = each_array(batch, torch.from_numpy)
    assert torch.equal(found.x, torch.ones(2, dtype=torch.float64))
    assert isinstance(found.parts[0].x, torch.Tensor)
    assert isinstance(found.named["text"], torch.Tensor)
    assert found.rows == [1, 2]
    assert isinstance(batch.x, np.ndarray)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_readers_change_no_bit_of_a_training(build, world, quick_config, tmp_path, accumulate):
    def trained(readers):
        torch.manual_seed(0)
        model, codes, _ = build(world, quick_config)
        task, rows = TrunkTask(model, codes, [world], quick_config), []
        schedule = Schedule(12, 1e-3, 1.0, 99, 4, 0, accumulate=accumulate, readers=readers)
        fit(task, schedule, tmp_path / str(readers), rows.append, silent)
        return [r["train"] for r in rows], model.state_dict()

    (losses, weights), *others = (trained(readers) for readers in (0, 1, 3))
    assert len(losses) == 3
    for other, those in others:
        assert other == losses
        assert all(torch.equal(weights[k], those[k]) for k in weights)
