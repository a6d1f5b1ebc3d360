"""Ready-made features as a modality of the core."""

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet import DataError, Features, Source, TRGrid, seconds
from giblet.data.table import CHUNK_BYTES, FeatureTable
from giblet.errors import ConfigError
from giblet.plugins import Registry
from giblet.testing import modality_checks

FOLDER = tempfile.TemporaryDirectory()


def make_source() -> Source:
    path = Path(FOLDER.name) / "motion.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 5)))
    return Source(path)


def read(modality: FeatureTable, source: Source) -> Features:
    return Features.concat(modality.extract(source))


@modality_checks(FeatureTable(tr_s=0.3), make_source)
def test_conformance(check):
    check()


def test_the_registry_knows_it():
    modality = Registry.discover().modality("features_table", tr_s=2.0, label="motion")
    assert isinstance(modality, FeatureTable)
    assert not modality.can_reconstruct()
    with pytest.raises(ConfigError, match="did you mean 'label'"):
        Registry.discover().modality("features_table", tr_s=2.0, lable="motion")


def test_rows_lie_at_their_exact_times(tmp_path):
    np.savetxt(tmp_path / "x.txt", np.arange(1000.0))
    features = read(FeatureTable(tr_s=2.0045, start_s=20), Source(tmp_path / "x.txt"))
    times = [int(t) * features.timebase for t in features.ticks]
    assert times == [20 + n * Fraction("2.0045") for n in range(1000)]
    aligned = FeatureTable(tr_s=2.0045).align(features, TRGrid(seconds("2.0045"), 900, seconds(20)))
    assert (aligned.count == 1).all()
    np.testing.assert_array_equal(FeatureTable(tr_s=2.0045).summary(aligned)[:, 0], np.arange(900))


def test_a_cut_is_exact_and_half_open(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(10))
    source = Source(tmp_path / "x.npy", start_s=seconds("0.3"), stop_s=seconds("0.6"))
    assert read(FeatureTable(tr_s=0.1), source).values.ravel().tolist() == [3, 4, 5]
    with pytest.raises(DataError, match="no row"):
        read(FeatureTable(tr_s=0.1), Source(tmp_path / "x.npy", start_s=Fraction(5)))


def test_the_code_is_the_mean_of_a_tr_and_as_wide_as_the_table():
    import torch

    modality = FeatureTable(tr_s=0.5, hemodynamics="applied")
    aligned = modality.align(read(modality, make_source()), TRGrid(seconds("1.5"), 13))
    spec = modality.spec(aligned)
    assert (spec.frames, modality.width(spec), spec.hemodynamics) == (3, 5, "applied")
    values, mask = map(torch.from_numpy, aligned.rows(slice(None)))
    code = modality.encode(spec, 5)(values, mask).numpy()
    table = np.load(make_source().path)
    np.testing.assert_allclose(code, table[:39].reshape(13, 3, 5).mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(modality.summary(aligned), code, rtol=1e-5, atol=1e-6)


def test_missing_rows_are_masked_and_half_rows_refused(tmp_path):
    table = np.ones((6, 2))
    table[2] = np.nan
    np.save(tmp_path / "x.npy", table)
    modality = FeatureTable(tr_s=1.0)
    aligned = modality.align(read(modality, Source(tmp_path / "x.npy")), TRGrid(Fraction(1), 6))
    assert aligned.valid.tolist() == [True, True, False, True, True, True]
    table[4, 1] = np.nan
    np.save(tmp_path / "x.npy", table)
    with pytest.raises(DataError, match="row 4 lacks a value in column 1"):
        read(modality, Source(tmp_path / "x.npy"))


def test_a_wide_table_comes_in_pieces(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((9, CHUNK_BYTES // 16), np.float16))
    sizes = [len(c.values) for c in FeatureTable(tr_s=1).extract(Source(tmp_path / "x.npy"))]
    assert sizes == [4, 4, 1]


@pytest.mark.real_data
def test_alice_predictors_under_an_hrf(test_data):
    modality = FeatureTable(tr_s=2.0, hemodynamics="applied", label="predictors")
    features = read(modality, Source(test_data / "fmri_alice" / "predictors-under-hrf.txt"))
    assert features.values.shape == (372, 12)
    aligned = modality.align(features, TRGrid(Fraction(2), 362, Fraction(20)))
    assert aligned.valid.all()
    assert aligned.first[0] == 10
