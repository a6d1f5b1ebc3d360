"""What of a sound is predicted: codes as classes, latents, numbers, or sound through a codec that trains on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch
from giblet.errors import ConfigError
from giblet.model import RelativeLoss, constant_prediction, to_features
from giblet.testing import Case, checks_for, run_checks
from giblet.types import Features, FeatureSpec, Source, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import load_codec
from giblet_audio_encodec.finetune import frame_loss
from giblet_audio_encodec.loudness import at_level, frame_power_db

RATE_HZ = 24_000
GRID = TRGrid(seconds("1.5"), 4)
CHECKS = [c for c in checks_for(AudioEncodec()) if c.__name__ != "check_extract_in_a_worker"]  # tried on codes
OTHERS = ("latents", "regression", "finetune")


@pytest.fixture(scope="module")
def encodec(weights: str) -> AudioEncodec:
    return AudioEncodec(weights=weights, bandwidth_kbps=3.0)


@pytest.fixture(scope="module")
def cases(weights, wav) -> dict[str, Case]:
    def case(target: str) -> Case:
        return Case(AudioEncodec(weights=weights, bandwidth_kbps=3.0, target=target), lambda: Source(wav), GRID)

    return {target: case(target) for target in ("codes", *OTHERS)}


@pytest.mark.parametrize("target", OTHERS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_conformance(check, target, cases):
    (outcome,) = run_checks(cases[target], [check])
    assert outcome.failure is None


def test_all_targets_sound_alike_before_anything_is_trained(cases, tmp_path):
    """Codes, their numbers and latents that are quantised again are the codec's round trip; sound is itself."""
    played = {}
    for target, case in cases.items():
        path = case.modality.reconstruct(case.features, tmp_path / target)
        played[target], _ = soundfile.read(path)
    original, _ = soundfile.read(case.make_source().path)
    np.testing.assert_array_equal(played["latents"], played["codes"])
    np.testing.assert_array_equal(played["regression"], played["codes"])
    np.testing.assert_allclose(played["finetune"], original, atol=1e-4)
    assert np.abs(played["codes"] - original).max() > 0.01


def test_summaries_are_of_latents_whatever_the_target(cases):
    """Of sound and of continuous latents they are alike; of codes, nearly so."""
    summary = {t: c.modality.summary(c.aligned) for t, c in cases.items()}
    np.testing.assert_array_equal(summary["codes"], summary["regression"])
    np.testing.assert_allclose(summary["finetune"], summary["latents"], atol=1e-4)
    assert np.corrcoef(summary["codes"].ravel(), summary["latents"].ravel())[0, 1] > 0.9


def test_a_film_without_sound_at_its_end_has_a_summary(cases):
    for case in cases.values():
        f = case.features
        late = case.modality.align(f, TRGrid(seconds("1.5"), 4, seconds("60")))
        np.testing.assert_array_equal(case.modality.summary(late), np.zeros((4, 86), np.float32))


def test_numbers_are_rounded_and_clipped_to_codes(cases):
    case = cases["regression"]
    assert case.spec.num_classes is None
    made = to_features(torch.tensor([-3.0, 0.4, 0.6, 1022.8]), case.spec)
    assert made.dtype == np.int16
    way = case.modality._target()
    codes = np.array([[0, 0, 1, 1023]], np.int16)
    np.testing.assert_array_equal(way.play(np.array([[-3, 0.4, 0.6, 2000.0]])), way.codec.decode(codes))


def test_the_best_constant_scores_one_for_every_target(cases):
    for case in cases.values():
        parts = [(case.aligned, np.arange(4))]
        loss = RelativeLoss(case.modality.loss, case.spec, constant_prediction(parts, case.spec)).calibrate(parts)
        x, mask = case.batch()
        assert abs(float(loss(loss.constant.expand(*mask.shape, *loss.constant.shape), x, mask)) - 1) < 1e-4


def test_a_codec_that_trains_on_learns_a_recording(weights, wav):
    """Option B: a few steps on short TRs make the loss smaller; the copies move, the frozen codec does not."""
    encodec = AudioEncodec(weights=weights, target="finetune")
    case = Case(encodec, lambda: Source(wav), TRGrid(seconds("0.4"), 4))
    (encoder, decoder), (x, mask) = case.build(), case.batch()
    frozen = load_codec(weights).model
    kept = [next(part.parameters()).clone() for part in (frozen.encoder, frozen.decoder)]
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 3e-4)
    losses = []
    for _ in range(30):
        loss = (encodec.loss(decoder(encoder(x, mask)), x) * mask).sum() / mask.sum()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    for before, part, copy in zip(kept, (frozen.encoder, frozen.decoder), (encoder, decoder), strict=True):
        torch.testing.assert_close(next(part.parameters()), before)
        assert not torch.equal(next(copy.codec.parameters()), before)


def test_a_wave_in_another_phase_is_nearer_than_silence():
    t = torch.arange(320) / RATE_HZ
    wave, late = (0.1 * torch.sin(2 * torch.pi * 600 * t + phase)[None, None] for phase in (0.0, 1.0))
    assert frame_loss(wave, wave).item() == 0
    assert frame_loss(late, wave).item() < frame_loss(torch.zeros_like(wave), wave).item()


def test_a_codec_of_chunks_is_not_trained_on(stereo_weights, stereo_wav):
    with pytest.raises(ConfigError, match="mono"):
        next(AudioEncodec(weights=stereo_weights, target="finetune").extract(Source(stereo_wav)))


def rows_of(encodec: AudioEncodec, melody, n: int, seed: int) -> tuple[FeatureSpec, torch.Tensor, torch.Tensor]:
    codec = load_codec(encodec.weights)
    codes = codec.encode(melody(n * 1.5, seed), encodec.bandwidth_kbps)
    features = Features(codes, 320 * np.arange(len(codes)), Fraction(1, RATE_HZ), attrs={"num_classes": 1024})
    aligned = encodec.align(features, TRGrid(seconds("1.5"), n))
    rows, mask = aligned.rows(slice(None), 113)
    return encodec.spec(aligned), torch.from_numpy(rows), torch.from_numpy(mask)


def test_training_beats_the_training_mean(weights, melody):
    """Better on unseen TRs than the frequencies of the training codes, the best constant there is."""
    encodec = AudioEncodec(weights=weights, bandwidth_kbps=1.5)
    torch.manual_seed(0)
    spec, x, mask = rows_of(encodec, melody, 40, 1)
    _, xt, maskt = rows_of(encodec, melody, 10, 2)
    encoder, decoder = encodec.encode(spec, 64), encodec.decode(spec, 64)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], 3e-3)

    def loss(logits, target, there):
        return (encodec.loss(logits, target) * there).sum() / there.sum()

    counts = torch.stack([torch.bincount(x[..., c][mask].long(), minlength=1024) for c in range(spec.size)]) + 0.1
    constant = (counts / counts.sum(1, keepdim=True)).log().expand(*xt.shape, 1024)
    control = float(loss(constant, xt, maskt))
    for _ in range(60):
        rows = torch.randint(len(x), (8,))
        optimizer.zero_grad()
        loss(decoder(encoder(x[rows], mask[rows])), x[rows], mask[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        assert float(loss(decoder(encoder(xt, maskt)), xt, maskt)) < 0.97 * control


def test_later_books_depend_on_earlier_ones(cases):
    _, levelled = cases["codes"].build()
    decoder = levelled.codes
    h = torch.randn(2, 16)
    before = decoder(h)
    with torch.no_grad():
        decoder.prior[0, :10] += 50
    after = decoder(h)
    assert not torch.allclose(before[:, :, 1], after[:, :, 1])
    with torch.no_grad():
        decoder.prior[3, :10] += 50
    torch.testing.assert_close(after[:, :, :3], decoder(h)[:, :, :3])


@pytest.mark.parametrize("target", ["codes", "latents"])
def test_loudness_goes_through_untrained_nets(target, weights, wav):
    """48 of 256 numbers a TR are its slow waves, so that what is played is as loud as the original, frame by frame."""
    case = Case(AudioEncodec(weights=weights, target=target), lambda: Source(wav), GRID)
    encoder, decoder = (build(case.spec, 256) for build in (case.modality.encode, case.modality.decode))
    x, mask = case.batch()
    with torch.no_grad():
        made = to_features(decoder(encoder(x, mask)), case.spec)
    way = case.modality._target()
    want, got = (way.without_level(v[mask.numpy()])[1] for v in (x.numpy(), made))
    assert np.std(want) > 3, "the sound of this test is steady"
    assert np.corrcoef(want, got)[0, 1] > 0.95
    sound = way.play(made[mask.numpy()])
    heard = frame_power_db(sound, way.codec.hop)
    assert np.corrcoef(want, heard)[0, 1] > 0.9


def test_frames_are_played_at_their_level_and_no_louder_than_they_may_be():
    noise = 0.1 * np.random.default_rng(0).standard_normal((320 * 6, 1)).astype(np.float32)
    level_db = np.array([-20.0, -20.0, -30.0, -25.0, -25.0, 40.0])
    made = frame_power_db(at_level(noise, level_db, 320), 320)
    np.testing.assert_allclose(made[:5], level_db[:5], atol=2.0)
    np.testing.assert_allclose(made[:2], level_db[:2], atol=0.05)
    assert made[5] < -20 + 20 + 0.5
