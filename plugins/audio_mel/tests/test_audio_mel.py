"""Mel spectrograms: librosa's values, whatever the pieces; sound back; nets that learn what a mean cannot say."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import torch
from giblet.errors import DataError
from giblet.testing import NETS, Case, modality_checks
from giblet.types import Features, Source, TRGrid, seconds
from giblet_audio_mel import AudioMel
from giblet_audio_mel.features import MODULATION_HZ, band_summary, mel_stream
from hypothesis import given, settings
from hypothesis import strategies as st

RATE_HZ = 22_050


def babble(duration_s: float, seed: int = 0) -> np.ndarray:
    """Syllables of harmonics at changing pitch and loudness, [n] at 22,050 Hz."""
    rng = np.random.default_rng(seed)
    out = []
    while sum(map(len, out)) < duration_s * RATE_HZ:
        t = np.arange(int(rng.uniform(0.1, 0.5) * RATE_HZ)) / RATE_HZ
        pitch, formant = rng.choice([110, 165, 220]), rng.choice([400, 1200, 2500])
        harmonics = np.arange(1, int(7000 / pitch)) * pitch
        gain = 1 / (1 + ((harmonics - formant) / 300) ** 2) + 0.01
        tone = (np.sin(2 * np.pi * np.outer(t, harmonics) + harmonics) * gain).sum(1)
        out.append(rng.choice([0.02, 0.1, 0.3]) * tone / np.abs(tone).max() * np.hanning(len(t)))
    x = np.concatenate(out)[: int(duration_s * RATE_HZ)]
    return (x + 1e-3 * rng.standard_normal(len(x))).astype(np.float32)


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mel") / "babble.wav"
    soundfile.write(path, babble(6.6), RATE_HZ, subtype="FLOAT")
    return path


def whole(sound: np.ndarray, mel: AudioMel) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=sound, sr=mel.rate_hz, n_fft=mel.n_fft, hop_length=mel.hop, n_mels=mel.n_mels, fmin=0, fmax=8000, center=True
    )
    return librosa.power_to_db(power, ref=1.0, top_db=None).T


_made: list[Path] = []


def make_source() -> Source:
    """A source for the conformance checks, written once."""
    import tempfile

    if not _made:
        _made.append(Path(tempfile.mkdtemp()) / "babble.wav")
        soundfile.write(_made[0], babble(6.6), RATE_HZ, subtype="FLOAT")
    return Source(_made[0])


@modality_checks(AudioMel(), make_source)
def test_conformance(check):
    check()


@modality_checks(AudioMel(n_mels=128), make_source)
def test_conformance_128(check):
    check()


@pytest.mark.parametrize("temporal", ["mean", "multiscale", "hierarchical", "multiscale+hierarchical"])
def test_nets_with_a_temporal_module_keep_the_laws_of_nets(temporal):
    case = Case(AudioMel(temporal=temporal), make_source)
    for check in NETS:
        check(case)


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("n", [1, 255, 256, 1023, 12_345, 2 * RATE_HZ])
def test_values_are_librosas(n, n_mels):
    mel = AudioMel(n_mels=n_mels)
    sound = babble(2.0)[:n]
    got = np.concatenate([v for v, _ in mel_stream([sound], mel.mel)])
    want = librosa.power_to_db(
        librosa.feature.melspectrogram(
            S=np.abs(librosa.stft(np.pad(sound, 512), n_fft=1024, hop_length=256, center=False)) ** 2,
            sr=RATE_HZ, n_mels=n_mels, fmax=8000,
        ), top_db=None,
    ).T if n < 1024 else whole(sound, mel)  # fmt: skip
    assert got.shape == (1 + n // 256, n_mels)
    np.testing.assert_allclose(got, want, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=8), st.integers(0, 5))
def test_pieces_equal_the_whole(lengths, seed):
    mel = AudioMel().mel
    sound = babble(3.4, seed)[: sum(lengths)]
    pieces = np.split(sound, np.cumsum(lengths)[:-1])
    got = list(mel_stream(pieces, mel))
    want = np.concatenate([v for v, _ in mel_stream([sound], mel)])
    np.testing.assert_allclose(np.concatenate([v for v, _ in got]), want, atol=1e-3)
    assert got[-1][1] == len(sound)


def test_ticks_and_attributes(wav):
    features = Features.concat(AudioMel().extract(Source(wav)))
    n = soundfile.info(wav).frames
    np.testing.assert_array_equal(features.ticks, 256 * np.arange(1 + n // 256))
    assert (features.timebase.denominator, features.values.dtype) == (RATE_HZ, np.float32)
    assert (features.attrs["n_samples"], features.attrs["rate_hz"]) == (n, RATE_HZ)


def test_a_cut_keeps_stimulus_time(wav):
    features = Features.concat(AudioMel().extract(Source(wav, start_s=seconds("2"), stop_s=seconds("5"))))
    assert features.ticks[0] == 2 * RATE_HZ
    assert features.attrs["n_samples"] == 3 * RATE_HZ
    want = whole(soundfile.read(wav, dtype="float32")[0][2 * RATE_HZ : 5 * RATE_HZ], AudioMel())
    np.testing.assert_allclose(features.values, want, atol=1e-3)


def test_no_frame_is_lost_over_920_trs():
    n = 920 * 3 // 2 * RATE_HZ
    features = Features.regular(np.zeros((1 + n // 256, 1), np.uint8), 1)
    features = Features(features.values, features.ticks * 256, seconds("1") / RATE_HZ)
    aligned = AudioMel().align(features, TRGrid(seconds("1.5"), 920))
    assert aligned.count.sum() == -(-n // 256)
    assert set(aligned.count) == {129, 130}


def test_a_file_without_sound_is_refused(tmp_path):
    path = tmp_path / "not.wav"
    path.write_text("no sound")
    with pytest.raises(DataError):
        list(AudioMel().extract(Source(path)))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_griffin_lim_gives_the_sound_back(wav, tmp_path):
    mel = AudioMel()
    features = Features.concat(mel.extract(Source(wav)))
    path = mel.reconstruct(features, tmp_path / "sound.v1")
    assert path.name == "sound.v1.wav"
    assert (soundfile.info(path).frames, soundfile.info(path).samplerate) == (soundfile.info(wav).frames, RATE_HZ)
    again = Features.concat(mel.extract(Source(path)))
    assert correlation(again.values, features.values) > 0.9
    assert np.abs(again.values - features.values).mean() < 6


def test_seams_between_pieces_are_not_heard(monkeypatch):
    from giblet_audio_mel import inversion

    mel, sound = AudioMel(), babble(4.0)
    db = whole(sound, mel)
    monkeypatch.setattr(inversion, "PIECE", 64)
    made = inversion.griffin_lim(db, mel.mel, len(sound))
    assert len(made) == len(sound)
    assert correlation(whole(made, mel), db) > 0.9
    seams = np.arange(1, len(db) // 64) * 64
    error = np.abs(whole(made, mel) - db).mean(1)
    assert error[seams].mean() < 1.5 * error.mean() + 0.5


def test_a_part_and_a_gap_are_put_where_their_times_say(wav, tmp_path):
    mel = AudioMel(n_iter=4)
    f = Features.concat(mel.extract(Source(wav)))
    kept = np.r_[100:150, 250:300]
    part = Features(f.values[kept], f.ticks[kept], f.timebase, attrs=f.attrs)
    sound, _ = soundfile.read(mel.reconstruct(part, tmp_path / "part"))
    assert len(sound) == 200 * 256
    middle, start = sound[60 * 256 : 140 * 256], sound[: 40 * 256]
    assert np.abs(middle).max() < 1e-3 < np.abs(start).max()


def test_summary_hears_the_rhythm():
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    carrier = np.random.default_rng(0).standard_normal(len(t))
    rows = []
    for rhythm_hz in MODULATION_HZ:
        sound = (0.1 * carrier * (1 + 0.9 * np.sin(2 * np.pi * rhythm_hz * t))).astype(np.float32)
        db = whole(sound, AudioMel())[None]
        summary = band_summary(db, np.ones(db.shape[:2], bool), 256 / RATE_HZ)
        assert summary.shape == (1, 57)
        rows.append(summary[0, 32:].reshape(5, -1)[:, 0])
    assert list(np.argmax(rows, axis=1)) == list(range(5))


def test_summary_ignores_frames_that_are_not_there():
    db = whole(babble(1.5), AudioMel())[None]
    mask = np.ones(db.shape[:2], bool)
    mask[:, -20:] = False
    junk = db.copy()
    junk[:, -20:] = 77
    np.testing.assert_allclose(band_summary(db, mask, 0.0116), band_summary(junk, mask, 0.0116), atol=1e-3)


def relative_loss(mel: AudioMel, train, test, steps: int) -> tuple[float, float]:
    """Loss on unseen TRs over that of the training mean, before and after training 16 TRs a step."""
    torch.manual_seed(0)
    (x, mask), (xt, maskt) = train, test
    spec = mel.spec(mel.align(Features.regular(x.flatten(0, 1).numpy(), 86), TRGrid(seconds("1.5"), 1)))
    spec = type(spec)((mel.n_mels,), x.shape[1])
    encoder, decoder = mel.encode(spec, 256), mel.decode(spec, 256)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, 1e-3)

    def loss(prediction, target, there):
        return (mel.loss(prediction, target) * there).sum() / there.sum()

    control = loss((x * mask[..., None]).sum((0, 1)).div(mask.sum()).expand_as(xt), xt, maskt)

    def score() -> float:
        with torch.no_grad():
            return float(loss(decoder(encoder(xt, maskt)), xt, maskt) / control)

    before = score()
    for _ in range(steps):
        rows = torch.randint(len(x), (16,))
        optimizer.zero_grad()
        loss(decoder(encoder(x[rows], mask[rows])), x[rows], mask[rows]).backward()
        optimizer.step()
    return before, score()


def rows_of(sound_features: Features, n: int) -> list[torch.Tensor]:
    aligned = AudioMel().align(sound_features, TRGrid(seconds("1.5"), n))
    return [torch.from_numpy(a) for a in aligned.rows(slice(None), 130)]


def test_training_beats_the_training_mean():
    mel = AudioMel()
    train, test = (
        rows_of(Features.concat([_features(babble(n * 1.5, seed), mel)]), n) for seed, n in ((1, 80), (2, 20))
    )
    before, after = relative_loss(mel, train, test, 60)
    assert after < 0.4
    assert after < 0.9 * before


def _features(sound: np.ndarray, mel: AudioMel) -> Features:
    values = np.concatenate([v for v, _ in mel_stream([sound], mel.mel)])
    return Features(values, 256 * np.arange(len(values)), seconds("1") / RATE_HZ)


@pytest.mark.real_data
@pytest.mark.parametrize("file", ["speech/jfk.flac", "speech/librispeech_198-209-0000.ogg"])
def test_real_speech_comes_back(test_data, tmp_path, file):
    mel = AudioMel()
    features = Features.concat(mel.extract(Source(test_data / file)))
    path = mel.reconstruct(features, tmp_path / "speech")
    assert soundfile.info(path).frames == features.attrs["n_samples"]
    again = Features.concat(mel.extract(Source(path)))
    assert correlation(again.values, features.values) > 0.95
