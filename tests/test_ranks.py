"""`giblet train` by several processes: the same losses as by one, and nothing lost when one is stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

TRS, PEOPLE = 300, 3
SMALL = ["model.latent=16", "model.input_components=4", "train.trunk_steps=50", "train.decoder_steps=10"]
SMALL += ["train.validate_every=5", "train.trunk_validate_every=5", "train.patience=99", "train.save_every_s=0"]
SMALL += ["train.windows=5", "train.window_trs=40"]
ALONE = [sys.executable, "-m", "giblet"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Ready-made features, and three people's tables of parcels."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    x = rng.standard_normal((TRS, 6))
    np.savetxt(folder / "x.tsv", x, delimiter="\t")
    drive = convolve_hrf(x, canonical_hrf(1.5)) @ rng.standard_normal((6, 8))
    for person in range(PEOPLE):
        y = drive + rng.standard_normal((TRS, 8))
        np.savetxt(folder / f"sub-{person}.tsv", y, delimiter="\t")
    return folder


def command(study, out, *settings, launcher=ALONE):
    program = launcher if launcher == ALONE else [*launcher, "-m", "giblet"]
    files = ["--features", f"x={study / 'x.tsv'}", "--bold", str(study / "sub-*.tsv"), "--tr", "1.5"]
    pairs = [part for setting in (*SMALL, *settings) for part in ("-o", setting)]
    return [*program, "train", *files, *pairs, "--out", str(out), "--quiet"]


def environment(folder):
    return os.environ | {"OMP_NUM_THREADS": "1", "GIBLET_CACHE": str(folder / "cache")}


def train(study, out, *settings, launcher=ALONE):
    call = command(study, out, *settings, launcher=launcher)
    done = subprocess.run(call, capture_output=True, text=True, check=False, env=environment(study))
    assert done.returncode == 0, done.stderr
    return losses(out)


def losses(out):
    """Training and validation loss of each validation; what was done twice counts once."""
    rows = [json.loads(line) for line in (Path(out) / "train.jsonl").read_text().splitlines()]
    return {(r["stage"], r["step"]): (r["train"], r["validation"]) for r in rows}


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    return train(study, tmp_path_factory.mktemp("two") / "run", launcher=TWO)


def assert_close(a, b, rel):
    assert a.keys() == b.keys()
    for key, (fitted, held_out) in a.items():
        assert fitted == pytest.approx(b[key][0], rel=rel), key
        assert held_out == (None if b[key][1] is None else pytest.approx(b[key][1], rel=rel)), key


def test_one_process_in_two_parts_is_two_processes(study, undisturbed, tmp_path):
    assert {stage for stage, _ in undisturbed} == {"trunk", "trunk refit", "decoders"}
    assert_close(train(study, tmp_path / "run", "train.accumulate=2"), undisturbed, 1e-6)


def test_one_process_is_two_processes_but_for_rounding(study, undisturbed, tmp_path):
    """Sums of other lengths are rounded otherwise, and AdamW makes more of it from step to step."""
    assert_close(train(study, tmp_path / "run"), undisturbed, 1e-4)


def test_sharded_weights_learn_the_same(study, undisturbed, tmp_path):
    assert_close(train(study, tmp_path / "run", "train.parallel=fsdp", launcher=TWO), undisturbed, 1e-6)


def began(out, step):
    """Wait until the trunk has come so far."""
    for _ in range(600):
        if (out / "train.jsonl").exists() and ("trunk", step) in losses(out):
            return
        time.sleep(0.1)
    raise AssertionError(f"no step {step} within a minute")


def workers_of(launcher):
    """The processes that a launcher started."""
    found = subprocess.run(["pgrep", "-P", str(launcher)], capture_output=True, text=True, check=True)
    return list(map(int, found.stdout.split()))


def test_a_killed_worker_is_started_again_and_loses_nothing(study, undisturbed, tmp_path):
    launcher = [*TWO, "--max-restarts", "1"]
    with subprocess.Popen(command(study, tmp_path / "run", launcher=launcher), env=environment(study)) as process:
        began(tmp_path / "run", 10)
        os.kill(max(workers_of(process.pid)), signal.SIGKILL)
        assert process.wait() == 0
    assert losses(tmp_path / "run") == undisturbed


def test_one_process_goes_on_where_two_were_told_to_stop(study, undisturbed, tmp_path):
    launcher = [*TWO, "--signals-to-handle", "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"]
    call = command(study, tmp_path / "run", "train.save_every_s=1000000", launcher=launcher)
    with subprocess.Popen(call, env=environment(study)) as process:
        began(tmp_path / "run", 10)
        process.send_signal(signal.SIGUSR1)
        assert process.wait() != 0
    (saved,) = (tmp_path / "run" / "checkpoints" / "trunk").iterdir()
    assert 10 <= int(saved.name.removeprefix("step-")) < 50
    assert_close(train(study, tmp_path / "run", "train.accumulate=2"), undisturbed, 1e-6)
