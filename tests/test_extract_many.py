"""Many films at once: the same features as one after the other, whatever film is broken and whatever process dies."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import wave
from dataclasses import asdict
from pathlib import Path

import giblet
import numpy as np
import pytest
from giblet.cli import main
from giblet.data.store import features_folder
from giblet.data.work import Place, Work, attempt_in_worker, extract
from giblet.errors import ConfigError, GibletError
from giblet.media.threads import most_threads

TOY = '''
"""Sound as its samples; what a file is called says what goes wrong with it."""

import os
import time

import numpy as np
from giblet import DataError, Features, Modality, hookimpl


class AudioToy(Modality):
    name = "audio_toy"
    kind = "audio"
    gain: int = 1
    learns: bool = False

    def fit(self, sources, train):
        if not self.learns:
            return self
        if any("unlearnable" in s.path.stem for s in sources):
            raise DataError("unlearnable.wav teaches nothing; give another")
        return self.fitted(sizes=np.array([s.path.stat().st_size for s in sources]))

    def extract(self, source):
        name = source.path.stem
        yield Features.regular(np.full((4, 1), self.gain, np.float32), 8)
        if "torn" in name:
            raise DataError(f"{source.path} ends in the middle; mend it")
        if "buggy" in name:
            raise ValueError("no such\\nthing")
        if "killer" in name or ("once" in name and not source.path.with_suffix(".flag").exists()):
            source.path.with_suffix(".flag").touch()
            os.kill(os.getpid(), 9)
        if "slow" in name:
            source.path.with_suffix(".begun").write_text(str(os.getpid()))
            time.sleep(30)
        threads = float(os.environ.get("GIBLET_THREADS", 0))
        yield Features.regular(np.full((4, 1), threads, np.float32), 8, 4)


@hookimpl
def register_modalities():
    return [AudioToy]
'''


@pytest.fixture(scope="module", autouse=True)
def toy(tmp_path_factory):
    """The plugin audio_toy, installed for this process and for those that it starts."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "giblet_audio_toy.py").write_text(TOY, encoding="utf-8")
    about = folder / "giblet_audio_toy-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: giblet-audio-toy\nVersion: 1.5\n", "utf-8")
    (about / "entry_points.txt").write_text("[giblet]\naudio_toy = giblet_audio_toy\n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", str(folder))
        yield folder


@pytest.fixture
def films(tmp_path):
    """A function that writes films (here: sounds) of these names, each with other samples, in a folder "Films é"."""

    def write(*names):
        folder = tmp_path / "Films é"
        folder.mkdir(exist_ok=True)
        for name in names:
            with wave.open(str(folder / f"{name}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(np.random.default_rng(len(name)).bytes(1600) + name.encode().ljust(40))
        return [folder / f"{name}.wav" for name in names]

    return write


def study_of(paths, **more):
    return giblet.study_from_files([str(p) for p in paths], tr_s=1.5, **more)


def many(paths, **more):
    return giblet.extract_many(study_of(paths), audio="toy", quiet=True, **more)


def kept():
    """What the cache holds, whole or not."""
    return sorted(p.name for p in features_folder().iterdir()) if features_folder().is_dir() else []


def call(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in args])
    said = capsys.readouterr()
    return stop.value.code or 0, said.out, said.err


# In this process


def test_a_second_time_and_a_run_find_everything(films):
    paths = films("one", "two", "three is longer")
    first = many(paths)
    assert [(i.cached, i.error) for i in first] == [(False, None)] * 3
    assert {i.file for i in first} == set(paths)
    folders = kept()
    assert len(folders) == 3
    assert all(i.n_bytes > 0 for i in first)
    second = many(paths)
    assert [i.cached for i in second] == [True] * 3
    extracted = giblet.extract(study_of(paths), audio="toy", quiet=True)
    assert kept() == folders
    np.testing.assert_array_equal(extracted["one"]["audio"].features.values[:4], 1)


def test_what_is_learned_before_extracting_is_what_a_run_learns(films):
    paths = films("one", "two")
    settings = {"audio.learns": True}
    many(paths, settings=settings)
    folders = kept()
    giblet.extract(study_of(paths), audio="toy", settings=settings, quiet=True)
    assert kept() == folders
    failed = many(films("one", "unlearnable"), settings=settings)
    assert [(i.name, i.error) for i in failed] == [
        ("audio_toy of the study one+unlearnable", "unlearnable.wav teaches nothing; give another")
    ]


def test_studies_that_share_a_film_extract_it_once(films):
    one, two, three = films("one", "two", "three")
    studies = [study_of([one, two]), study_of([two, three])]
    done = giblet.extract_many(studies, audio="toy", quiet=True)
    assert sorted(i.file.stem for i in done) == ["one", "three", "two"]


def test_a_broken_film_is_named_and_the_others_are_done(films, tmp_path, capsys):
    good, torn, buggy = films("good", "torn", "buggy")
    noise = tmp_path / "noise.wav"
    noise.write_bytes(b"no sound at all\n" * 50)
    flags = [a for p in (torn, good, buggy, noise) for a in ("--film", p)]
    code, out, err = call(capsys, "extract", *flags, "--audio", "toy", "--video", "none", "--quiet")
    assert code == 1  # of a bug another try may be worth it
    assert len(kept()) == 1
    lines = err.splitlines()
    assert f"giblet: audio_toy of torn.wav: {torn} ends in the middle; mend it" in lines
    assert "giblet: audio_toy of buggy.wav: unexpected ValueError: no such thing" in lines
    assert any(re.match(r"giblet: audio_toy of noise\.wav: .* cannot be read as a film or sound", x) for x in lines)
    assert lines[-1].startswith("giblet: 3 of 4 failed; the others are done")
    assert "good.wav" in out
    assert "1 extracted" in out
    code, _, err = call(capsys, "extract", "--film", torn, "--audio", "toy", "--video", "none")
    assert code == 2
    assert len(err.splitlines()) == 2


def test_json_says_what_was_done(films, capsys):
    (path,) = films("one")
    code, out, _ = call(capsys, "extract", "--film", path, "--audio", "toy", "--video", "none", "--json", "--quiet")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["modality"], row["file"], row["cached"], row["error"]) == ("audio_toy", str(path), False, None)
    assert row["seconds"] > 0
    assert row["n_bytes"] == sum(p.stat().st_size for p in features_folder().rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ([], "there is nothing to extract"),
        (["--backend", "dask"], "need each other"),
        (["--scheduler", "tcp://127.0.0.1:1"], "need each other"),
        (["nowhere.toml"], "nowhere.toml"),
        (["--film", "nowhere.wav", "--audio", "toi"], "did you mean"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(capsys, flags, why):
    code, _, err = call(capsys, "extract", *flags)
    assert code == 2
    assert why in err
    assert len(err.splitlines()) == 1


def test_jobs_and_a_scheduler_exclude_each_other(films):
    for wrong in ({"jobs": 0}, {"jobs": 2, "scheduler": "tcp://127.0.0.1:1"}):
        with pytest.raises(ConfigError, match="jobs"):
            many(films("one"), **wrong)


def test_a_cache_that_cannot_be_written_ends_it_in_a_line_and_one_that_is_full_of_answers_does_not(
    films, tmp_path, monkeypatch
):
    paths = films("one", "two")
    many(paths)
    mkdir = type(tmp_path).mkdir

    def read_only(self, *args, **more):
        if features_folder() in (self, *self.parents):
            raise OSError(30, "Read-only file system")
        mkdir(self, *args, **more)

    monkeypatch.setattr(type(tmp_path), "mkdir", read_only)
    assert [i.cached for i in many(paths)] == [True, True]
    with pytest.raises(GibletError, match=r"cannot write .*Read-only file system.*GIBLET_CACHE"):
        many(films("three"))


def test_a_cache_that_cannot_be_there_is_said_by_workers_too(films, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GIBLET_CACHE", str(tmp_path / "file" / "cache"))
    for jobs in (1, 2):
        with pytest.raises(GibletError, match=r"cannot write to .*; free space there, or name another folder"):
            many(films("one", "two"), jobs=jobs)


# In processes of their own


def test_two_processes_extract_the_same_and_share_the_processors(films, monkeypatch):
    from joblib import cpu_count

    paths = films("one", "two", "three")
    done = many(paths, jobs=2)
    assert [(i.cached, i.error) for i in done] == [(False, None)] * 3
    assert len(kept()) == 3
    extracted = giblet.extract(study_of(paths), audio="toy", quiet=True)
    threads = extracted["two"]["audio"].features.values[4:]
    np.testing.assert_array_equal(threads, max(1, cpu_count() // 2))


def test_processes_of_earlier_work_are_not_used(films, toy, monkeypatch):
    """joblib keeps its processes, which know nothing of a plugin that was installed since."""
    from joblib import Parallel, delayed

    with monkeypatch.context() as patch:
        patch.delenv("PYTHONPATH")
        patch.setattr(sys, "path", [p for p in sys.path if p != str(toy)])
        list(Parallel(2, "loky", "generator_unordered", batch_size=1)(delayed(os.getpid)() for _ in range(4)))
    assert [i.error for i in many(films("one", "two"), jobs=2)] == [None, None]


@pytest.mark.slow
def test_a_killed_process_costs_no_finished_film(films, caplog):
    paths = films("once", *(f"film {i}" for i in range(5)))
    with caplog.at_level("WARNING", logger="giblet"):
        done = many(paths, jobs=2)
    assert [i.error for i in done] == [None] * 6
    said = [r.getMessage() for r in caplog.records if "killed" in r.getMessage()]
    assert len(said) == 1
    assert re.fullmatch(r"a process was killed; going on with the \d that are not finished", said[0])
    assert len(kept()) == 6


@pytest.mark.slow
def test_a_film_that_kills_every_process_is_named_and_the_others_are_done(films):
    done = many(films("killer", *(f"film {i}" for i in range(4))), jobs=2)
    assert {i.file.stem: i.error for i in done if i.error} == {
        "killer": "killed its process 3 times; is there enough memory?"
    }
    assert len(kept()) == 4


def begin(paths, tmp_path, *flags):
    """`giblet extract` in a process of its own."""
    command = [sys.executable, "-m", "giblet", "extract", "--audio", "toy", "--video", "none", *flags]
    films = [a for p in paths for a in ("--film", str(p))]
    return subprocess.Popen(
        [*command, *films],
        env=os.environ | {"GIBLET_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, seconds=60):
    """Until a film was begun; who reads it."""
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)
    return int(path.read_text())


def is_gone(pid, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_stops_at_once_and_leaves_nothing_half_written(films, tmp_path, jobs):
    paths = films("slow", "one")
    process = begin(paths, tmp_path, "--jobs", jobs)
    reader = wait_for(paths[0].with_suffix(".begun"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "giblet: stopped; the same command goes on from here"
    assert is_gone(reader)
    assert [name for name in kept() if name.startswith(".")] == []


@pytest.mark.slow
def test_no_process_outlives_a_command_that_was_killed(films, tmp_path):
    paths = films("slow", "one", "two")
    process = begin(paths, tmp_path, "--jobs", "2")
    reader = wait_for(paths[0].with_suffix(".begun"))
    process.kill()
    process.communicate()
    assert is_gone(reader)
    paths[0].with_suffix(".begun").unlink()
    assert [i.error for i in many(paths[1:], jobs=2)] == [None, None]


# On a cluster


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two workers on this machine."""
    import dask
    from distributed import LocalCluster

    # A local cluster gives up a worker that has died, although its nanny starts it again; `dask worker` does not.
    patient = {"distributed.deploy.lost-worker-timeout": "1h", "distributed.scheduler.allowed-failures": 1}
    local = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    before = dict(os.environ)
    with dask.config.set(patient), LocalCluster(n_workers=2, **local) as made:
        yield made.scheduler_address
    os.environ.clear()  # its nannies limit the threads of whatever this process starts from here on
    os.environ.update(before)


@pytest.mark.slow
def test_a_cluster_extracts_the_same(films, cluster):
    paths = films("one", "two", "torn")
    done = many(paths, scheduler=cluster)
    assert {i.file.stem: i.error is None for i in done} == {"one": True, "two": True, "torn": False}
    folders = kept()
    assert len(folders) == 2
    giblet.extract(study_of(paths[:2]), audio="toy", quiet=True)
    assert kept() == folders
    assert [i.cached for i in many(paths[:2], scheduler=cluster)] == [True, True]


@pytest.mark.slow
def test_a_lost_worker_of_a_cluster_costs_no_film(films, cluster):
    done = many(films("once", "killer", "one", "two"), scheduler=cluster)
    assert {i.file.stem: i.error for i in done} == {
        "once": None,
        "one": None,
        "two": None,
        "killer": "killed every worker that it was given; is there enough memory?",
    }


def abroad(tmp_path, **changed):
    """What a worker on another machine makes of a piece of work."""
    work = Work(**({"plugin": "audio_toy", "version": "1.5", "settings": {}, "state": {}, "sources": ()} | changed))
    return attempt_in_worker(extract, 0, work, Place(tmp_path / "shared", None, 1, None))[1]


def test_a_worker_with_another_disk_or_another_version_ends_it(tmp_path, monkeypatch):
    for name in ("GIBLET_CACHE", "GIBLET_THREADS"):
        monkeypatch.setenv(name, "1")  # what a worker sets is put back
    found = abroad(tmp_path)
    assert found.ours
    assert re.search(r"does not see .*shared; name a folder in GIBLET_CACHE that all machines share", found.error)
    (tmp_path / "shared").mkdir()
    found = abroad(tmp_path, version="2.0")
    assert found.ours
    assert re.search(r"has version 1\.5 of audio_toy, this command 2\.0; install the same", found.error)


def test_threads_that_are_no_number_are_refused(monkeypatch):
    monkeypatch.setenv("GIBLET_THREADS", "many")
    with pytest.raises(ConfigError, match="GIBLET_THREADS=many is no number"):
        most_threads()


@pytest.mark.slow
def test_a_cluster_without_workers_is_said(films, monkeypatch):
    from distributed import LocalCluster
    from giblet.pipeline import cluster

    monkeypatch.setattr(cluster, "WORKERS_S", 0.5)
    empty = LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0")
    with empty, pytest.raises(GibletError, match=r"has no workers; start `dask worker tcp://"):
        many(films("one"), scheduler=empty.scheduler_address)


def test_a_scheduler_that_is_not_there_is_said(films, monkeypatch):
    from giblet.pipeline import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    with pytest.raises(GibletError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:1 .*dask scheduler"):
        many(films("one"), scheduler="tcp://127.0.0.1:1")


def test_without_dask_its_extra_is_named(films, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'giblet\[dask\]'"):
        many(films("one"), scheduler="tcp://127.0.0.1:1")


def test_an_item_is_plain(films):
    json.dumps([asdict(i) for i in many(films("one"))], default=str)


# The benchmark


@pytest.fixture
def benchmark(monkeypatch):
    """`benchmarks/extract_scale.py`, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    yield __import__("extract_scale")
    for name in ("extract_scale", "video_extract"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("seconds", "missed"),
    [
        ({"plain": 10.0, "jobs 1": 12.0, "half": 20.0, "jobs 2": 11.0}, []),
        ({"plain": 10.0, "jobs 1": 14.0, "half": 20.0, "jobs 2": 15.0}, ["jobs 1 / plain", "half / jobs 2"]),
    ],
)
def test_the_benchmark_misses_what_is_too_slow(benchmark, seconds, missed):
    rows = benchmark.rows_of({way: [s, 2 * s, 3 * s] for way, s in seconds.items()})
    assert [r["what"] for r in rows if r["missed"]] == missed
    assert rows[2]["ratio"] == pytest.approx(seconds["jobs 1"] / seconds["jobs 2"])


@pytest.mark.slow
def test_the_benchmark_times_what_a_user_calls(benchmark, tmp_path):
    films = benchmark.make_films(1, 0.05, tmp_path / "films")
    assert benchmark.once("jobs 1", films, 2, tmp_path) > 0
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == ["films"]
