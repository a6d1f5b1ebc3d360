"""EnCodec codes: the same whatever the pieces, exact lengths back, and nets that treat codes as classes."""

from __future__ import annotations

import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from giblet.errors import ConfigError, DataError, WeightsError
from giblet.testing import NETS, Case, checks_for, run_checks
from giblet.types import Features, FeatureSpec, Source, TRGrid, seconds
from giblet_audio_encodec import AudioEncodec
from giblet_audio_encodec.codec import Codec, load_codec
from giblet_audio_encodec.features import PIECE_FRAMES, decode_pieces, encode_stream
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("temporal", ["mean", "multiscale", "hierarchical", "multiscale+hierarchical"])
def test_nets_with_a_temporal_module_keep_the_laws_of_nets(temporal, weights, wav):
    case = Case(AudioEncodec(weights=weights, bandwidth_kbps=3.0, temporal=temporal), lambda: Source(wav), GRID)
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


@pytest.mark.parametrize(("kbps", "books"), [(1.5, 2), (3.0, 4), (6.0, 8)])
def test_the_number_of_codebooks_is_the_models(weights, wav, kbps, books):
    features = Features.concat(AudioEncodec(weights=weights, bandwidth_kbps=kbps).extract(Source(wav)))
    assert features.values.shape == (-(-soundfile.info(wav).frames // 320), books)


def test_ticks_and_attributes(encodec, wav):
    features = Features.concat(encodec.extract(Source(wav, start_s=seconds("2"))))
    n = soundfile.info(wav).frames - 2 * RATE_HZ
    assert [t * features.timebase for t in features.ticks[:2].tolist()] == [2, 2 + Fraction(1, 75)]
    assert features.attrs == {"n_samples": n, "rate_hz": RATE_HZ, "num_classes": 1024}
    assert np.all(np.diff(features.ticks) == 320)


def assert_same_codes(got: np.ndarray, want: np.ndarray, codec: Codec, sound: np.ndarray) -> None:
    """The same codes, but where two vectors are equally near to within the rounding of float32; that is rare."""
    assert got.shape == want.shape
    frames = np.flatnonzero((got != want).any(1))
    assert len(frames) <= 1e-3 * len(want)
    with torch.inference_mode():
        latents = codec.model.encoder(torch.from_numpy(sound)[None, None])[0].T.double()
    vectors = codec.vectors(want.shape[1]).double()
    for frame in frames:
        book = int(np.flatnonzero(got[frame] != want[frame])[0])
        residual = latents[frame] - sum(vectors[b, want[frame, b]] for b in range(book))
        one, other = ((residual - vectors[book, codes[frame, book]]).square().sum() for codes in (got, want))
        assert abs(one - other) < 1e-5 * (residual.square().sum() + vectors[book].square().sum(1).max())


def test_long_sound_in_pieces_gives_the_codes_of_the_whole(weights, melody):
    codec, sound = load_codec(weights), melody(31.3, seed=5)
    made = []
    for chunk in (7_000, 200_000):
        chunks = (sound[i : i + chunk] for i in range(0, len(sound), chunk))
        made.append(np.concatenate([c for c, _ in encode_stream(chunks, lambda s: codec.encode(s, 3.0), 320)]))
    np.testing.assert_array_equal(made[0], made[1])
    assert_same_codes(made[0], codec.encode(sound, 3.0), codec, sound)


def test_other_piece_sizes_give_the_same_codes(weights, melody):
    codec, sound = load_codec(weights), melody(10.0, seed=6)
    want = codec.encode(sound, 3.0)
    for piece in (151, 400):
        got = np.concatenate([c for c, _ in encode_stream([sound], lambda s: codec.encode(s, 3.0), 320, piece)])
        assert_same_codes(got, want, codec, sound)


def test_a_piece_without_warm_up_would_give_other_codes(weights, melody):
    """The check above can fail: a cut without context changes codes."""
    codec, sound = load_codec(weights), melody(4.0, seed=7)
    cold = codec.encode(sound[RATE_HZ * 2 :], 3.0)
    assert (cold != codec.encode(sound, 3.0)[150:]).any(1).sum() >= 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4000), min_size=1, max_size=12), st.integers(1, 9))
def test_no_frame_is_lost_or_doubled(lengths, piece):
    sound = np.arange(sum(lengths), dtype=np.float32)
    chunks = np.split(sound, np.cumsum(lengths)[:-1])
    got = list(encode_stream(chunks, lambda s: s[::320, None], 320, piece))
    codes = np.concatenate([c for c, _ in got]) if got else np.zeros((0, 1))
    np.testing.assert_array_equal(codes[:, 0], sound[::320])
    assert not got or got[-1][1] == len(sound)


def test_920_trs_have_103500_frames_and_give_them_back():
    n, chunk = 920 * 36_000, 720_000
    chunks = (np.zeros(chunk, np.float32) for _ in range(n // chunk))
    codes = np.concatenate([c for c, _ in encode_stream(chunks, lambda s: s[::320, None].astype(np.int16), 320)])
    assert len(codes) == 103_500
    codes[:, 0] = np.arange(103_500) % 1024
    features = Features(codes, 320 * np.arange(103_500), Fraction(1, RATE_HZ))
    aligned = AudioEncodec().align(features, TRGrid(seconds("1.5"), 920))
    rows, mask = aligned.rows(slice(None))
    assert set(aligned.count) == {112, 113}
    np.testing.assert_array_equal(rows[mask], codes)


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


def test_long_codes_are_decoded_in_pieces(weights, melody):
    codec = load_codec(weights)
    codes = codec.encode(melody(12.0, seed=3), 3.0)
    pieces = list(decode_pieces(codes, codec.decode, codec.hop, 200))
    assert len(pieces) == 5
    np.testing.assert_allclose(np.concatenate(pieces), codec.decode(codes), atol=1e-5)


def test_a_gap_is_silent(encodec, wav, tmp_path):
    f = Features.concat(encodec.extract(Source(wav)))
    kept = np.r_[0:75, 225:300]
    made, _ = soundfile.read(encodec.reconstruct(Features(f.values[kept], f.ticks[kept], f.timebase), tmp_path / "gap"))
    assert len(made) == 300 * 320
    assert not made[75 * 320 : 225 * 320].any()
    assert made[: 75 * 320].any()


def test_codes_that_were_averaged_are_refused(encodec, wav, tmp_path):
    features = Features.concat(encodec.extract(Source(wav)))
    with pytest.raises(DataError, match="integer codes"):
        encodec.reconstruct(features.with_values(features.values.astype(np.float32)), tmp_path / "out")


def test_summary_is_of_the_codecs_latents(encodec, case):
    codes, mask = case.aligned.rows(slice(None))
    z = load_codec(encodec.weights).latents(codes[1][mask[1]])
    summary = encodec.summary(case.aligned)
    assert summary.shape == (4, 64)
    np.testing.assert_allclose(summary[1], np.concatenate([z.mean(0), z.std(0)]), atol=1e-5)


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


def test_later_books_depend_on_earlier_ones(encodec, case):
    _, decoder = case.build()
    h = torch.randn(2, 16)
    before = decoder(h)
    with torch.no_grad():
        decoder.prior[0, :10] += 50
    after = decoder(h)
    assert not torch.allclose(before[:, :, 1], after[:, :, 1])
    with torch.no_grad():
        decoder.prior[3, :10] += 50
    torch.testing.assert_close(after[:, :, :3], decoder(h)[:, :, :3])


WAYS_OUT = "hf download.*folder.*--audio mel"


@pytest.mark.parametrize("name", ["/no/such/folder", "./weights", "nonsense"])
def test_a_missing_folder_names_the_ways_out(name):
    with pytest.raises(WeightsError, match=WAYS_OUT) as error:
        load_codec(name)
    assert "\n" not in str(error.value)


def test_folders_that_hold_no_codec_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"no config\.json"):
        load_codec(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match=WAYS_OUT) as error:
        load_codec(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_codec_that_was_never_trained_is_refused(tmp_path):
    from transformers import EncodecConfig, EncodecModel

    EncodecModel(EncodecConfig(num_filters=2, hidden_size=8, target_bandwidths=[1.5])).save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="no trained EnCodec"):
        load_codec(str(tmp_path))


def test_offline_fails_at_once(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: pytest.fail("the hub was contacted"))
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        load_codec("giblet-tests/no-such-codec")


def test_an_unreachable_hub_fails_within_seconds(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(WeightsError, match=WAYS_OUT):
        load_codec("giblet-tests/no-such-codec")
    assert time.monotonic() - start < 10


def test_a_local_folder_never_asks_the_hub(weights, monkeypatch):
    import socket

    load_codec.cache_clear()
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a network was contacted"))
    assert load_codec(weights).num_classes == 1024


def test_a_bandwidth_that_the_codec_has_not_names_those_it_has(weights, wav):
    with pytest.raises(ConfigError, match=r"1\.5, 3\.0, 6\.0"):
        list(AudioEncodec(weights=weights, bandwidth_kbps=5.0).extract(Source(wav)))


def test_the_codec_is_loaded_once(weights):
    assert load_codec(weights) is load_codec(weights)


@pytest.mark.real_data
def test_real_speech_keeps_its_length(encodec, test_data: Path, tmp_path):
    features = Features.concat(encodec.extract(Source(test_data / "speech" / "jfk.flac")))
    assert len(features.values) > PIECE_FRAMES
    path = encodec.reconstruct(features, tmp_path / "jfk")
    assert soundfile.info(path).frames == features.attrs["n_samples"]
