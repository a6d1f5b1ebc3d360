"""The benchmark on real scans: its arithmetic on made-up studies, and agreement between people on the real ones."""

import sys
from pathlib import Path

import numpy as np
import pytest
from giblet.analysis.ceilings import loo_isc
from giblet.data.study import study_from_flags
from giblet.media import read_series

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RNG = np.random.default_rng(0)
PEOPLE, TRS, REGIONS = 8, 300, 4
QUICK = [
    *("train.trunk_steps=20", "train.validate_every=10", "model.latent=8", "model.hidden=8", "model.kernel_s=12"),
    *("evaluate.banded_candidates=4", "evaluate.null_shifts=40"),
]


@pytest.fixture
def real_scans(monkeypatch):
    """The benchmark as a module, imported as a script imports it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import real_scans

    yield real_scans
    for name in ("real_scans", "real_studies", "paired"):
        sys.modules.pop(name, None)


@pytest.fixture
def paired(real_scans):
    """What the benchmark makes of predictions."""
    return sys.modules["paired"]


def scans_of(target, noise):
    return target + noise * RNG.standard_normal((PEOPLE, *target.shape))


def fold_of(paired, ours, ridge, noise=0.5):
    """A fold whose group prediction correlates with the truth as much as is said."""
    truth = RNG.standard_normal((60, REGIONS))
    fold = paired.Fold(scans_of(truth, noise).astype(np.float32))
    for name, share in (
        ("ours 0", ours),
        ("ours", ours),
        *zip(paired.RIDGES.values(), (ridge, *[0.0] * 5), strict=True),
    ):
        guess = share * truth + (1 - share**2) ** 0.5 * RNG.standard_normal(truth.shape)
        fold.group[name], fold.people[name] = guess, np.stack([guess] * PEOPLE)
    return fold


def table_study(real_studies, folder, trs=TRS):
    """People who share a response, two seconds late, to two columns of features."""
    x = RNG.standard_normal((trs, 2)).astype(np.float32)
    np.save(folder / "x.npy", x)
    late = np.concatenate([np.zeros((2, 2)), x[:-2]]) @ RNG.standard_normal((2, REGIONS))
    for k, y in enumerate(scans_of(late, 1.0)):
        np.save(folder / f"sub-{k:02}.npy", y.astype(np.float32))
    flags = {"features": [("x", folder / "x.npy")], "bold": [str(folder / "sub-*.npy")], "tr_s": 2}
    return real_studies.RealStudy(study_from_flags(**flags), "two columns", {}, folds=2, gap_s=24)


def test_the_benchmark_runs_from_files_to_figures(real_scans, paired, tmp_path, monkeypatch, capsys):
    import real_studies

    monkeypatch.setattr(real_scans, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(real_scans, "MODALITIES", {"fmri": "fmri_mask"})
    monkeypatch.setitem(real_scans.STUDIES, "made-up", lambda data, folder: table_study(real_studies, folder))
    overrides = [part for pair in QUICK for part in ("-o", pair)]
    arguments = ["--study", "made-up", "--seeds", "0", "1", "--draws", "20", *overrides]
    monkeypatch.setattr(sys, "argv", ["real_scans.py", *arguments])
    assert real_scans.main() == 0
    shown = capsys.readouterr().out
    assert "made-up: 8 people; two columns" in shown
    for method in (*paired.RIDGES.values(), "ours", "ceiling"):
        assert f"\n{method} " in shown
    ridge = float(shown.split("\nbanded ridge ")[1].split()[0])
    assert ridge > 0.3  # a linear world that ridge must see through


def test_r_of_a_fold_is_the_mean_correlation_with_the_group_mean(paired):
    fold = fold_of(paired, 0.8, 0.2)
    r = [np.corrcoef(fold.group["ours"][:, v], fold.scans.mean(0)[:, v])[0, 1] for v in range(REGIONS)]
    assert fold.r("ours") == pytest.approx(np.mean(r))
    each = [np.corrcoef(fold.people["ours"][s][:, v], fold.scans[s, :, v])[0, 1] for s in range(8) for v in range(4)]
    assert fold.r_people("ours") == pytest.approx(np.mean(each))
    who = [1, 1, 3]
    r = [np.corrcoef(fold.group["ours"][:, v], fold.scans[who].mean(0)[:, v])[0, 1] for v in range(REGIONS)]
    assert fold.r("ours", who) == pytest.approx(np.mean(r))


def test_bars_are_missed_one_by_one(paired):
    def missed(pairs):
        folds = [fold_of(paired, *pair) for pair in pairs]
        return paired.misses(paired.summary("a", folds, [0], 200) | {"has_bar": True})

    assert missed([(0.8, 0.3)] * 5) == []
    low, few, wide = missed([(0.1, 0.6)] * 5)
    assert "not 0.25" in low
    assert "of the blocks only" in few
    assert "begins at -" in wide
    far = missed([(0.95, 0.3)] * 2 + [(0.3, 0.8)] * 3)
    assert any("40% of the blocks" in line for line in far)


def test_the_interval_of_no_difference_holds_zero(paired):
    folds = [fold_of(paired, 0.5, 0.5) for _ in range(5)]
    low, high = paired.interval(folds, ["ours 0"], "FIR ridge", draws=300)
    assert low < 0 < high
    assert paired.interval(folds, ["FIR ridge"], "FIR ridge", draws=20) == [0, 0]


def test_without_data_the_exit_code_is_two(real_scans, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GIBLET_TEST_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "argv", ["real_scans.py"])
    assert real_scans.main() == 2
    assert "set GIBLET_TEST_DATA" in capsys.readouterr().err


def isc_of(paths):
    scans = np.stack([read_series(p) for p in paths]).astype(np.float64)
    scans = (scans - scans.mean(1, keepdims=True)) / scans.std(1, keepdims=True)
    return loo_isc(scans).values


@pytest.mark.real_data
def test_alice_agrees_as_published(test_data):
    folder = test_data / "fmri_alice"
    people = [p for p in sorted(folder.glob("s*-timecourses.txt")) if not p.name.startswith("s33")]
    values = isc_of(people).mean(0)
    np.testing.assert_allclose(values, [0.28, 0.14, 0.38, 0.27, 0.19, 0.12], atol=0.006)


@pytest.mark.real_data
def test_partly_cloudy_agrees_as_measured(test_data):
    by_parcel = isc_of(sorted((test_data / "fmri_partly_cloudy").glob("sub-*.npy"))).mean(0)
    assert np.median(by_parcel) == pytest.approx(0.207, abs=0.001)
    assert by_parcel.mean() == pytest.approx(0.234, abs=0.001)


@pytest.mark.real_data
def test_the_word_rate_is_that_of_the_published_predictor(real_scans, test_data, tmp_path):
    """Under SPM's HRF the words of the TextGrid give the word rate that came with the scans, sampled as TRs begin."""
    import real_studies
    from giblet.alignment import canonical_hrf, convolve_hrf

    real = real_studies.alice(test_data, tmp_path)
    assert len(real.study.subjects) == 27
    hrf = canonical_hrf(2.0, model="spm", slice_time_ref=0.0)
    made = convolve_hrf(np.load(tmp_path / "word_rate.npy"), hrf)[:, 0]
    theirs = np.loadtxt(test_data / "fmri_alice" / "s18-rate.txt")
    assert np.corrcoef(made, theirs)[0, 1] > 0.95
