"""EnCodec codes of one stream of sound: those of the model, at exact times, with exact lengths back."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from giblet.errors import DataError
from giblet.testing import NETS, Case, checks_for, run_checks
from giblet.types import Features, Source, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import load_codec
from giblet_audio_encodec.pieces import PIECE_FRAMES

RATE_HZ = 24_000
GRID = TRGrid(seconds("1.5"), 4)


@pytest.fixture(scope="module")
def encodec(weights: str) -> AudioEncodec:
    return AudioEncodec(weights=weights, bandwidth_kbps=3.0)


@pytest.fixture(scope="module")
def case(encodec, wav) -> Case:
    return Case(encodec, lambda: Source(wav), GRID)


@pytest.mark.parametrize("check", checks_for(AudioEncodec()), ids=lambda c: c.__name__)
def test_conformance(check, case):
    (outcome,) = run_checks(case, [check])
    assert outcome.failure is None


@pytest.mark.parametrize(
    "settings",
    [{"temporal": t} for t in ("mean", "multiscale", "hierarchical", "multiscale+hierarchical")]
    + [{"net": "full"}, {"net": "full", "temporal": "multiscale"}],
    ids=str,
)
def test_nets_of_other_settings_keep_the_laws_of_nets(settings, weights, wav):
    case = Case(AudioEncodec(weights=weights, bandwidth_kbps=3.0, **settings), lambda: Source(wav), GRID)
    for check in NETS:
        check(case)


def test_codes_are_those_of_the_model(encodec, wav):
    """One call of the model's own `encode` on the whole sound gives the same codes."""
    from transformers import EncodecModel

    features = Features.concat(encodec.extract(Source(wav)))
    sound, _ = soundfile.read(wav, dtype="float32")
    model = EncodecModel.from_pretrained(encodec.weights).eval()
    with torch.no_grad():
        want = model.encode(torch.from_numpy(sound)[None, None], bandwidth=3.0).audio_codes[0, 0].T
    np.testing.assert_array_equal(features.values, want.numpy())
    assert features.values.dtype == np.int16
    assert min(len(np.unique(book)) for book in features.values.T) > 100, (
        "the codec of this test hardly uses its codebooks"
    )


@pytest.mark.parametrize(("kbps", "books"), [(1.5, 2), (3.0, 4), (6.0, 8), (12.0, 16), (24.0, 32)])
def test_the_number_of_codebooks_is_the_models(weights, wav, kbps, books):
    features = Features.concat(AudioEncodec(weights=weights, bandwidth_kbps=kbps).extract(Source(wav)))
    assert features.values.shape == (-(-soundfile.info(wav).frames // 320), books)


def test_ticks_and_attributes(encodec, wav):
    features = Features.concat(encodec.extract(Source(wav, start_s=seconds("2"))))
    n = soundfile.info(wav).frames - 2 * RATE_HZ
    assert [t * features.timebase for t in features.ticks[:2].tolist()] == [2, 2 + Fraction(1, 75)]
    assert len(features.attrs["level_db"]) == len(features.values)
    plain = {k: v for k, v in features.attrs.items() if k != "level_db"}
    assert plain == {"n_samples": n, "rate_hz": RATE_HZ, "num_classes": 1024}
    assert np.all(np.diff(features.ticks) == 320)


@pytest.mark.parametrize("n", [1, 319, 320, 321, 24_000 * 3 + 7])
def test_exact_lengths_come_back(encodec, melody, tmp_path, n):
    path = tmp_path / "in.wav"
    soundfile.write(path, melody(4.0)[:n], RATE_HZ, subtype="FLOAT")
    features = Features.concat(encodec.extract(Source(path)))
    assert len(features.values) == -(-n // 320)
    made = encodec.reconstruct(features, tmp_path / "out.v2")
    assert made.name == "out.v2.wav"
    assert (soundfile.info(made).frames, soundfile.info(made).samplerate) == (n, RATE_HZ)


def test_reconstruct_is_the_models_own_decoding(encodec, wav, tmp_path):
    from transformers import EncodecModel

    features = Features.concat(encodec.extract(Source(wav)))
    made, _ = soundfile.read(encodec.reconstruct(features, tmp_path / "out"))
    model = EncodecModel.from_pretrained(encodec.weights).eval()
    with torch.no_grad():
        codes = torch.from_numpy(features.values.T.astype(np.int64))[None, None]
        want = model.decode(codes, [None]).audio_values[0, 0, : len(made)].numpy()
    np.testing.assert_allclose(made, want.clip(-1, 1), atol=2e-4)


def test_a_gap_is_silent(encodec, wav, tmp_path):
    f = Features.concat(encodec.extract(Source(wav)))
    kept = np.r_[0:75, 225:300]
    made, _ = soundfile.read(encodec.reconstruct(Features(f.values[kept], f.ticks[kept], f.timebase), tmp_path / "gap"))
    assert len(made) == 300 * 320
    assert not made[75 * 320 : 225 * 320].any()
    assert made[: 75 * 320].any()


def test_a_single_frame_is_played(encodec, wav, tmp_path):
    f = Features.concat(encodec.extract(Source(wav)))
    one = Features(f.values[:1], f.ticks[:1], f.timebase)
    assert soundfile.info(encodec.reconstruct(one, tmp_path / "one")).frames == 320


def test_codes_that_were_averaged_are_refused(encodec, wav, tmp_path):
    features = Features.concat(encodec.extract(Source(wav)))
    with pytest.raises(DataError, match="integer codes"):
        encodec.reconstruct(features.with_values(features.values.astype(np.float32)), tmp_path / "out")


def test_summary_is_of_the_codecs_latents(encodec, case):
    codes, mask = case.aligned.rows(slice(None))
    z = load_codec(encodec.weights).latents(codes[1][mask[1], 1:])
    summary = encodec.summary(case.aligned)
    assert summary.shape == (4, 64 + 22)
    np.testing.assert_allclose(summary[1, :64], np.concatenate([z.mean(0), z.std(0)]), atol=1e-5)


def test_a_cut_of_half_frames_is_as_long_as_it_was(encodec, wav, tmp_path):
    """TR 1 of 1.5 s has 112 frames, half a frame less than it lasts."""
    aligned = encodec.align(Features.concat(encodec.extract(Source(wav))), GRID)
    rows = aligned.places(slice(1, 2))
    f = aligned.features
    cut = Features(f.values[rows], f.ticks[rows], f.timebase, attrs={**f.attrs, "n_samples": 36_000})
    assert len(cut.values) == 112
    assert soundfile.info(encodec.reconstruct(cut, tmp_path / "cut")).frames == 36_000


@pytest.mark.real_data
def test_real_speech_keeps_its_length(encodec, test_data: Path, tmp_path):
    features = Features.concat(encodec.extract(Source(test_data / "speech" / "jfk.flac")))
    assert len(features.values) > PIECE_FRAMES
    path = encodec.reconstruct(features, tmp_path / "jfk")
    assert soundfile.info(path).frames == features.attrs["n_samples"]
