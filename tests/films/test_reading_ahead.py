"""Items made in a thread beforehand are the same items."""

from __future__ import annotations

import threading

import pytest
from giblet.media.ahead import ahead


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_order_and_number_are_kept(depth):
    assert list(ahead(iter(range(10)), depth)) == list(range(10))
    assert list(ahead(iter([None, 0, False]), depth)) == [None, 0, False]
    assert list(ahead(iter([]), depth)) == []


def test_an_error_comes_where_its_item_would_have_come():
    def broken():
        yield 1
        yield 2
        raise OSError("gone")

    items = ahead(broken(), 4)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="gone"):
        next(items)


def test_no_more_than_asked_for_is_made_and_no_thread_is_left():
    made = []

    def count():
        for i in range(1000):
            made.append(i)
            yield i

    before = threading.active_count()
    items = ahead(count(), 3)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert len(made) <= 5
    assert threading.active_count() == before
