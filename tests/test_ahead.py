"""Batches that are read while the step before them is computed."""

import threading
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from giblet.errors import DataError
from giblet.training.ahead import Ahead
from giblet.training.batch import each_array
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(st.integers(0, 4), st.integers(1, 3), st.integers(0, 5), st.integers(0, 6))
def test_every_batch_is_read_once_and_comes_in_its_turn(threads, parts, first, steps):
    read = []
    wanted = [(step, part) for step in range(first, first + steps) for part in range(parts)]
    with closing(Ahead(lambda *place: read.append(place) or place, parts, first + steps, threads)) as ahead:
        assert [ahead.take(*place) for place in wanted] == wanted
    assert sorted(read) == wanted


def test_the_next_batch_is_read_while_this_one_is_used():
    read = {step: threading.Event() for step in range(4)}
    with closing(Ahead(lambda step, part: read[step].set(), 1, 4, 2)) as ahead:
        ahead.take(0, 0)
        assert read[1].wait(10)
        assert read[2].wait(10)
        assert not read[3].is_set()


def test_what_reading_raises_is_raised_where_the_batch_is_taken():
    def read(step, part):
        if step == 1:
            raise DataError("the disk is gone")
        return step

    with closing(Ahead(read, 1, 3, 1)) as ahead:
        assert ahead.take(0, 0) == 0
        with pytest.raises(DataError, match="the disk is gone"):
            ahead.take(1, 0)


def test_steps_cannot_be_taken_out_of_turn():
    with closing(Ahead(lambda *place: place, 1, 9, 2)) as ahead:
        ahead.take(0, 0)
        with pytest.raises(ValueError, match="out of turn"):
            ahead.take(5, 0)


def test_threads_begin_as_they_are_told_and_keep_nothing_behind():
    begun, batches = [], []
    ahead = Ahead(lambda *place: batches.append(np.ones(3)) or batches[-1], 1, 9, 2, lambda: begun.append(1))
    ahead.take(0, 0)
    ahead.close()
    assert 1 <= len(begun) <= 2
    assert not ahead.waiting


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
