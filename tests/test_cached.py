"""The cache of features: what is listed, what is deleted, and what never is."""

import json
import os
import time

import numpy as np
import pytest
from giblet.cli.main import main
from giblet.data.cached import ABANDONED, list_cached, prune, to_prune
from giblet.data.feature_files import mark_used, read_features, write_features
from giblet.data.store import features_folder
from giblet.types import Features
from hypothesis import given
from hypothesis import strategies as st

DAY_S = 86_400


def key(name):
    """A key as the store gives it."""
    return name.encode().hex().rjust(32, "0")


def keep(folder, name, days=0.0, samples=100):
    """Features in the cache, last used so many days ago."""
    write_features(folder / key(name), [Features.regular(np.zeros((samples, 250), np.float32), 4)], f"toy of {name}")
    age(folder / key(name) / "features.json", days)
    return folder / key(name)


def age(path, days):
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


@pytest.fixture
def features():
    return features_folder()


@pytest.fixture
def three(features):
    return [keep(features, name, days) for name, days in (("new", 0), ("old", 40), ("older", 50))]


def killed(features, days):
    """What a run that was killed while it wrote leaves behind."""
    folder = features / f".{key('killed')}-{key('x')}"
    folder.mkdir(parents=True)
    (folder / "values.npy").write_bytes(bytes(1000))
    age(folder / "values.npy", days)
    age(folder, days)
    return folder


def test_the_longest_unused_comes_first_with_its_size_on_disk(three, features):
    found = list_cached(features)
    assert [c.label for c in found] == ["toy of older", "toy of old", "toy of new"]
    assert [round(c.days) for c in found] == [50, 40, 0]
    assert found[0].n_bytes == sum(f.stat().st_size for f in three[2].iterdir()) > 100_000


def test_reading_counts_as_use(three, features):
    mark_used(three[2])
    assert list_cached(features)[-1].folder in (three[0], three[2])
    assert list_cached(features)[0].label == "toy of old"


def test_no_folder_holds_nothing(tmp_path):
    assert list_cached(tmp_path / "none") == []


def test_what_is_older_goes_and_the_rest_stays_readable(three, features):
    assert prune(to_prune(list_cached(features), older_days=45)) > 100_000
    assert sorted(p.name for p in features.iterdir()) == sorted(map(key, ["new", "old"]))
    assert len(read_features(three[1]).values) == 100


def test_a_run_that_reads_keeps_what_it_opened(three, features):
    values = read_features(three[2]).values
    prune(to_prune(list_cached(features), older_days=0))
    assert not list(features.iterdir())
    assert values.sum() == 0


@pytest.mark.parametrize(("days", "goes"), [(0, False), (0.9, False), (1.1, True)])
def test_what_a_killed_run_left_goes_when_nobody_writes_to_it(features, days, goes):
    folder = killed(features, days)
    (entry,) = list_cached(features)
    assert (entry.label, entry.whole) == (ABANDONED, False)
    for choice in ({}, {"older_days": 0}, {"keep_bytes": 0}):
        assert ([c.folder for c in to_prune([entry], **choice)] == [folder]) == goes


@given(st.lists(st.integers(1, 50), max_size=6), st.integers(0, 200))
def test_no_more_is_left_than_asked_for_and_no_more_is_deleted_than_needed(sizes, limit):
    from pathlib import Path

    from giblet.data.cached import Cached

    found = [Cached(Path(str(i)), "", size, float(i), True) for i, size in enumerate(sizes)]
    gone = to_prune(found, keep_bytes=limit)
    left = sum(sizes) - sum(c.n_bytes for c in gone)
    assert left <= limit
    assert gone == found[: len(gone)]
    assert not gone or left + gone[-1].n_bytes > limit


def test_what_giblet_did_not_write_is_neither_listed_nor_deleted(three, features):
    mine = features / "my_own"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    age(mine, 500)
    assert mine not in [c.folder for c in list_cached(features)]
    prune(to_prune(list_cached(features), older_days=0))
    assert [p.name for p in features.iterdir()] == ["my_own"]


def test_a_damaged_entry_is_listed_and_deleted(three, features):
    (three[1] / "features.json").write_text("{")
    age(three[1] / "features.json", 60)
    assert list_cached(features)[0].label == "damaged"
    prune(to_prune(list_cached(features), older_days=55))
    assert not three[1].exists()


def call(capsys, *args):
    with pytest.raises(SystemExit) as done:
        main(["cache", *args])
    return done.value.code, capsys.readouterr()


def test_the_command_lists_and_counts(three, capsys):
    code, said = call(capsys, "list")
    assert not code
    assert "toy of older" in said.out.splitlines()[0]
    assert said.out.splitlines()[-1].startswith("3 in ")
    code, said = call(capsys, "list", "--json")
    assert [e["whole"] for e in json.loads(said.out)] == [True] * 3


def test_the_command_deletes_only_what_it_was_told_to(three, features, capsys):
    assert call(capsys, "prune")[1].out == "0 deleted, 0.00 GB\n"
    assert "2 would go" in call(capsys, "prune", "--older-than", "30", "--dry-run")[1].out
    assert len(list(features.iterdir())) == 3
    assert "toy of older" in call(capsys, "prune", "--to", "0.00021")[1].out
    assert len(list(features.iterdir())) == 2
    assert "2 deleted" in call(capsys, "prune", "--all")[1].out
    code, said = call(capsys, "prune", "--all", "--to", "3")
    assert (code, said.err.count("\n")) == (2, 1)
    assert "give one or the other" in said.err
