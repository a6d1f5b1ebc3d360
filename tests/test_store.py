"""Features on disk: whole or absent, found by what they were made from."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet import DataError, Features, GibletError, Modality, PluginError, Source, hookimpl, seconds, stages
from giblet.data.feature_files import read_features, write_features
from giblet.data.store import Store, StoreWriter, content_hash, features_folder
from giblet.plugins import Registry
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp


class Toy(Modality):
    """Counts how often it really extracts; `broken` fails in the middle."""

    name = "toy_one"
    kind = "toy"
    level: int = 3
    broken: bool = False

    def extract(self, source):
        CALLS.append(self.level)
        yield Features.regular(np.full((4, 2, 3), self.level, np.uint8), 25)
        if self.broken:
            raise OSError("the film broke")
        yield Features.regular(np.full((3, 2, 3), 9, np.uint8), 25, 4, n_samples=7)


CALLS = []


class Twin(Toy):
    name = "toy_two"


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "a film, ünïcode.mp4"
    path.write_bytes(b"film" * 100)
    return path


@pytest.fixture
def folder(tmp_path):
    CALLS.clear()
    return tmp_path / "cache é x" / "features"


def with_store(folder, version="1"):
    registry = Registry()
    store = Store(folder, lambda name: version)
    registry.pm.register(store)
    registry.pm.register(StoreWriter(store))
    return registry


def same(a, b):
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.ticks, b.ticks)
    assert a.values.dtype == b.values.dtype
    assert a.timebase == b.timebase
    assert (a.durations is None) == (b.durations is None)
    if a.durations is not None:
        np.testing.assert_array_equal(a.durations, b.durations)
    assert dict(a.attrs) == dict(b.attrs)


def test_the_second_extract_reads_the_same_from_disk(folder, film):
    plain = stages.extract(Registry(), Toy(), Source(film))
    for _ in range(2):
        stored = stages.extract(with_store(folder), Toy(), Source(film))
        assert isinstance(stored.values, np.memmap)
        assert not stored.values.flags.writeable
        same(stored, plain)
    assert CALLS == [3, 3]


def test_a_failure_in_the_middle_leaves_nothing_and_says_what_failed(folder, film):
    with pytest.raises(OSError, match="the film broke"):
        stages.extract(with_store(folder), Toy(broken=True), Source(film))
    assert list(folder.iterdir()) == []
    assert len(stages.extract(with_store(folder), Toy(), Source(film)).values) == 7


def key(modality, source, version="1"):
    return Store(Path(), lambda name: version).key(modality, source)


def test_the_key_changes_with_all_that_decides_the_features(film, tmp_path):
    other, subtitle = tmp_path / "other.mp4", film.with_suffix(".srt")
    other.write_bytes(b"film" * 99 + b"fiim")
    subtitle.write_bytes(film.read_bytes())
    state = np.arange(6.0)
    keys = [
        key(Toy(), Source(film)),
        key(Toy(level=4), Source(film)),
        key(Twin(), Source(film)),
        key(Toy(), Source(film), "2"),
        key(Toy(), Source(other)),
        key(Toy(), Source(subtitle)),
        key(Toy(), Source(film, stream="1")),
        key(Toy(), Source(film, start_s=seconds("0.5"))),
        key(Toy(), Source(film, stop_s=seconds("0.5"))),
        key(Toy().fitted(pca=state), Source(film)),
        key(Toy().fitted(pca=state + 1), Source(film)),
        key(Toy().fitted(pca=state.reshape(2, 3)), Source(film)),
        key(Toy().fitted(pca=state.view(np.int64)), Source(film)),
        key(Toy().fitted(mean=state), Source(film)),
    ]
    assert len(set(keys)) == len(keys)


def test_the_key_does_not_change_with_place_subject_or_process(film, tmp_path):
    copy = tmp_path / "copy.MP4"
    copy.write_bytes(film.read_bytes())
    sources = [Source(film), Source(copy), Source(film, subject="sub-1", run="2")]
    assert len({key(Toy(), s) for s in sources}) == 1


class Masked(Toy):
    """With settings that name files."""

    name = "toy_three"
    atlas: str | None = None
    masks: tuple[Path, ...] = ()


def test_files_in_settings_count_by_their_content(film, tmp_path):
    store = Store(tmp_path, lambda _: "1")
    files = [tmp_path / name for name in ("atlas.nii", "moved.nii", "mask.nii")]
    for path, text in zip(files, ("labels", "labels", "ones"), strict=True):
        path.write_text(text)
    atlas, moved, mask = files

    def key(labels, masks=()):
        return store.key(Masked(atlas=str(labels), masks=masks), Source(film))

    before = key(atlas, [mask])
    assert key(moved, [mask]) == before
    assert len({before, key(atlas), key(mask, [mask]), key("schaefer400"), key("schaefer100"), key("x" * 5000)}) == 6
    atlas.write_text("others")
    os.utime(atlas, ns=(1, 1))
    assert key(atlas, [mask]) not in (before, key(moved))


def test_a_file_that_changes_is_read_again(folder, film):
    registry = with_store(folder)
    stages.extract(registry, Toy(), Source(film))
    film.write_bytes(b"another film")
    stages.extract(registry, Toy(), Source(film))
    assert len(list(folder.iterdir())) == 2


def test_a_missing_file_is_one_line(folder, tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*gone"):
        stages.extract(with_store(folder), Toy(), Source(tmp_path / "gone.mp4"))
    with pytest.raises(DataError, match="cannot read"):
        content_hash(tmp_path)


def test_a_stream_without_chunks(folder):
    with pytest.raises(DataError, match="toy: the stream is empty"):
        write_features(folder, iter([]), "toy")
    assert not folder.exists()
    assert list(folder.parent.iterdir()) == []


TEXT = st.text(max_size=5)


@given(
    chunks=st.lists(hnp.arrays(np.int16, st.tuples(st.integers(0, 4), st.just(2))), min_size=1, max_size=4),
    texts=st.lists(TEXT, min_size=16, max_size=16),
    note=st.one_of(st.none(), st.integers(), TEXT, st.floats(allow_nan=False)),
)
@settings(max_examples=25, deadline=None)
def test_any_chunks_come_back_joined_with_texts_and_attributes(tmp_path_factory, chunks, texts, note):
    folder = tmp_path_factory.mktemp("store") / "key"
    parts, at = [], 0
    for values in chunks:
        onsets = np.arange(at, at + len(values)) / 3
        own = texts[at : at + len(values)]
        parts.append(Features.events(values, onsets, onsets + 1, texts=own, note=note))
        at += len(values)
    write_features(folder, iter(parts), "events")
    whole = Features.concat(parts)
    same(read_features(folder), whole)
    assert len(whole.attrs["texts"]) == at


def test_many_samples_fit_the_header(tmp_path):
    chunks = (Features.regular(np.zeros((50_000, 1), np.uint8), 1000, i * 50_000) for i in range(25))
    write_features(tmp_path / "x", chunks, "long")
    assert read_features(tmp_path / "x").values.shape == (1_250_000, 1)


def test_numpy_and_paths_in_attributes_become_plain(tmp_path):
    attrs = {"n": np.int64(3), "x": np.arange(2), "rate": Fraction(1, 3), "path": tmp_path}
    write_features(tmp_path / "x", iter([Features.regular(np.zeros((3, 0)), 1, **attrs)]), "toy")
    got = read_features(tmp_path / "x")
    assert got.attrs == {"n": 3, "x": [0, 1], "rate": "1/3", "path": str(tmp_path)}
    assert got.values.shape == (3, 0)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Features.regular(np.zeros((2, 3)), 1), r"must be alike, but float64 \[3\] came after float32 \[3\]"),
        (Features.regular(np.zeros((2, 4), np.float32), 1), r"must be alike, but float32 \[4\] came after"),
        (Features.regular(np.zeros((2, 3), np.float32), 1, net=object()), "attrs must hold plain values .*object"),
    ],
)
def test_chunks_that_cannot_be_one_stream(tmp_path, second, said):
    with pytest.raises(PluginError, match=f"toy: .*{said}"):
        write_features(tmp_path / "x", iter([Features.regular(np.zeros((2, 3), np.float32), 1), second]), "toy")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path, film):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(GibletError, match=r"cannot write to .*cache: .*GIBLET_CACHE") as error:
        stages.extract(with_store(tmp_path / "cache"), Toy(), Source(film))
    assert "\n" not in str(error.value)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GibletError, match="No space left on device; free space there"):
        write_features(tmp_path / "x", iter([Features.regular(np.zeros((2, 3)), 1)]), "toy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("harm", ["values.npy", "ticks.npy", "features.json"])
def test_stored_features_that_were_damaged_since_are_named(folder, film, harm):
    stages.extract(with_store(folder), Toy(), Source(film))
    (broken,) = folder.glob(f"*/{harm}")
    broken.write_bytes(broken.read_bytes()[:20])
    with pytest.raises(DataError, match="are damaged; delete that folder"):
        stages.extract(with_store(folder), Toy(), Source(film))


class Doubler:
    """A wrapper that changes what is extracted."""

    @hookimpl(wrapper=True)
    def extract(self):
        features = yield
        return features.with_values(features.values * 2)


@pytest.mark.parametrize("first", [True, False])
def test_what_a_wrapper_changes_is_seen_and_not_kept(folder, film, first):
    registry = Registry()
    if first:
        registry.pm.register(Doubler())
    store = Store(folder, lambda name: "1")
    registry.pm.register(store)
    registry.pm.register(StoreWriter(store))
    if not first:
        registry.pm.register(Doubler())
    for _ in range(2):
        assert stages.extract(registry, Toy(), Source(film)).values.max() == 18
    assert stages.extract(with_store(folder), Toy(), Source(film)).values.max() == 9


WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from giblet import Features
from giblet.data.feature_files import read_features, write_features

me, other = (Path(sys.argv[1]) / name for name in sys.argv[2:])

def chunks():
    yield Features.regular(np.full((1000, 50), 7), 1)
    me.touch()
    while not other.exists():  # both are in the middle of writing
        time.sleep(0.01)

write_features(me.parent / "cache" / "key", chunks(), "toy")
assert (read_features(me.parent / "cache" / "key").values == 7).all()
"""


def test_two_processes_write_the_same_key_at_once(tmp_path):
    both = [["a", "b"], ["b", "a"]]
    workers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), *names]) for names in both]
    assert [w.wait(60) for w in workers] == [0, 0]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["key"]


def test_where_features_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path))
    assert features_folder() == tmp_path / "features"
    monkeypatch.delenv("GIBLET_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert features_folder() == tmp_path / "giblet" / "features"


def test_a_disk_that_fails_while_more_is_made_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def fails_once(number):
        calls.append(number)
        if len(calls) == 1:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("giblet.data.feature_files.os.fsync", fails_once)
    chunks = [Features.regular(np.zeros((4, 2), np.float32), rate_hz=1) for _ in range(3)]
    with pytest.raises(GibletError, match="cannot write to"):
        write_features(tmp_path / "features", chunks, "made")
    assert not list(tmp_path.iterdir())
