"""The scripts that made the bundled codec: same seed, same sound; interrupted, same weights; exported, same codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

TRAINING = Path(__file__).parents[1] / "training"
BUNDLED = Path(__file__).parents[1] / "src/giblet_audio_encodec/bundled"
RATE_HZ = 24_000
SMALL = {"num_filters": 4, "hidden_size": 16, "codebook_size": 32, "num_lstm_layers": 1, "pad_mode": "constant"}
SMALL |= {"upsampling_ratios": [2, 4, 5, 8], "target_bandwidths": [1.5, 3.0], "sampling_rate": RATE_HZ}


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import each other by name, as when one of them is called."""
    names = {path.stem for path in TRAINING.glob("*.py")}
    for name in names & set(sys.modules):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(TRAINING)


@pytest.fixture
def sound(tmp_path: Path, melody) -> Path:
    folder = tmp_path / "sound"
    folder.mkdir()
    for seed, kind in enumerate(("speech", "other")):
        np.save(folder / f"{kind}_000.npy", np.round(melody(8.0, seed) * 32767).astype(np.int16))
    return folder


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As `train.main` does: each of its workers would else wait for the other's threads at every operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def options(tmp_path: Path, one_thread) -> argparse.Namespace:
    return argparse.Namespace(
        folder=tmp_path,
        until=8,
        cool=3,
        quantise_from=2,
        batch=4,
        crop_samples=3200,
        rate=1e-3,
        threads=2,
        seed=0,
        stop=Event(),
    )


def test_a_part_of_sound_comes_from_its_seed_and_is_made_once(tmp_path, monkeypatch):
    import make_sound

    monkeypatch.setattr(make_sound, "PART_S", 6)
    first, second, again = tmp_path / "a", tmp_path / "b", tmp_path / "a"
    first.mkdir(), second.mkdir()
    one, two = make_sound.make_part(first, "other", 3), make_sound.make_part(second, "other", 3)
    assert one.read_bytes() == two.read_bytes()
    assert np.load(one).shape == (6 * RATE_HZ,)
    assert np.load(one).std() > 100
    written = one.stat().st_mtime_ns
    assert make_sound.make_part(again, "other", 3).stat().st_mtime_ns == written
    assert not list(first.glob("*.half"))


def test_no_training_voice_is_held_out():
    import voices

    rng = np.random.default_rng(0)
    assert not {voices.train_voice(rng) for _ in range(3000)} & set(voices.HELD_OUT)


def test_sentences_have_as_many_words_as_asked():
    from words import sentence

    rng = np.random.default_rng(1)
    assert [len(sentence(rng, n).split()) for n in (1, 5, 14)] == [1, 5, 14]


def test_the_batch_of_a_step_is_always_the_same(sound):
    from crops import Crops

    crops = Crops(sound, 1000, seed=3)
    batch = crops.batch(7, 5)
    assert batch.shape == (5, 1000)
    assert np.abs(batch).max() <= 1
    np.testing.assert_array_equal(batch, Crops(sound, 1000, seed=3).batch(7, 5))
    assert not np.array_equal(batch, crops.batch(8, 5))
    with pytest.raises(FileNotFoundError, match=r"run make_sound\.py first"):
        Crops(sound.parent, 1000, seed=3)


def test_distances_are_nought_for_the_same_sound_and_blind_to_loudness(melody):
    from losses import distances, total

    x = torch.from_numpy(np.stack([melody(0.5, seed) for seed in range(3)]))
    assert float(total(distances(x, x))) == 0
    later = torch.roll(x, 24, 1)
    near, far = distances(x + 0.01 * later, x), distances(later, x)
    assert all(near[name] < far[name] for name in near)
    for name, value in distances(0.3 * later, 0.3 * x).items():
        torch.testing.assert_close(value, far[name], rtol=1e-4, atol=1e-5)


def test_k_means_finds_clusters():
    from rvq import k_means

    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    rng = torch.Generator().manual_seed(1)
    found = k_means(centres.repeat(200, 1) + 0.1 * torch.randn(800, 2, generator=rng), 4, rng)
    assert float(torch.cdist(centres, found).min(1).values.max()) < 0.1


def test_quantised_latents_are_those_of_the_model_and_pass_gradients_on():
    from rvq import learn_books, quantise, start_books
    from state import State

    quantizer = State(0, SMALL).model.quantizer
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(3, 16, 50, generator=rng).requires_grad_()
    vectors = z.detach().transpose(1, 2).flatten(0, 1)
    start_books(quantizer, vectors, rng)
    books = torch.tensor([0, 1, len(quantizer.layers)])
    made, commitment = quantise(quantizer, z, books)
    torch.testing.assert_close(made[0], z[0])
    codes = quantizer.encode(z[1:].detach(), None)
    torch.testing.assert_close(made[1], quantizer.decode(codes[:1])[0])
    torch.testing.assert_close(made[2], quantizer.decode(codes)[1])
    (gradient,) = torch.autograd.grad(made.sum(), z, retain_graph=True)
    torch.testing.assert_close(gradient, torch.ones_like(z))
    assert float(commitment.detach()) > 0

    def left() -> float:
        return float((quantise(quantizer, z.detach() + 3, books[2:].repeat(3))[0] - z - 3).detach().square().mean())

    before = left()
    for _ in range(300):
        learn_books(quantizer, vectors + 3, rng)
    assert left() < 0.5 * before


def test_training_begins_as_a_linear_codec(sound, melody):
    from crops import Crops
    from start import start_linear
    from state import State

    model = State(0, {**SMALL, "num_filters": 16, "hidden_size": 64}).model
    start_linear(model, torch.from_numpy(Crops(sound, 9600, 0).batch(0, 16)))
    x = 0.2 * torch.from_numpy(melody(0.8, 5))[None, None]
    with torch.no_grad():
        made = model.decoder(model.encoder(x))
    assert float(10 * torch.log10(x.square().sum() / (made - x).square().sum())) > 5


def test_interrupted_training_ends_where_uninterrupted_training_does(sound, options, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    import train
    from crops import Crops
    from state import State

    monkeypatch.setattr(train, "SAVE", 4)
    monkeypatch.setattr(train, "REPORT", 4)
    crops, workers, whole = Crops(sound, options.crop_samples, options.seed), ThreadPoolExecutor(2), State(0, SMALL)
    options.until = 7
    train.run(whole, crops, options, workers)
    stopped = State(0, SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(train, "report", lambda *_: options.stop.set())  # as Ctrl-C does
        train.run(stopped, crops, options, workers)
    assert stopped.step == 4
    stopped.save(options.folder / "last.pt")
    options.stop.clear()
    rest = State.load(options.folder / "last.pt")
    train.run(rest, crops, options, workers)
    assert rest.step == whole.step == 7
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], value, rtol=0, atol=1e-6)
    assert (options.folder / "before_cooling.pt").is_file()


def test_the_learning_rate_rises_stays_and_falls(options):
    import train

    options.until, options.cool = 1000, 200
    rates = [train.rate(step, options) for step in (0, train.WARM_UP, 800, 900, 1000)]
    assert rates == pytest.approx([1e-3 / train.WARM_UP, 1e-3, 1e-3, 5e-4, 0])


def test_what_is_exported_loads_as_floats_and_does_what_the_average_does(tmp_path, melody):
    """But for the level: what is exported hears its sound turned down."""
    from export import GAIN, export
    from rvq import start_books
    from state import State
    from transformers import EncodecModel

    state, x = State(0, SMALL), torch.from_numpy(melody(1.0))[None, None]
    with torch.no_grad():
        z = state.model.encoder(GAIN * x)
        start_books(state.model.quantizer, z[0].T, torch.Generator().manual_seed(0))
    state.follow()
    state.save(tmp_path / "last.pt")
    assert export(tmp_path / "last.pt", tmp_path / "codec") < 8e6
    loaded = EncodecModel.from_pretrained(tmp_path / "codec", local_files_only=True).eval()
    assert {value.dtype for value in loaded.state_dict().values() if value.is_floating_point()} == {torch.float32}
    with torch.no_grad():
        torch.testing.assert_close(loaded.encoder(x), z, rtol=1e-2, atol=1e-2)
        made = state.model.decoder(z)
        assert float((GAIN * loaded.decoder(z) - made).norm() / made.norm()) < 1e-2
        again = loaded.quantizer.decode(loaded.quantizer.encode(z, 3.0))
        want = state.model.quantizer.decode(state.model.quantizer.encode(z, 3.0))
    assert float((again - want).norm()) < 0.02 * float(want.norm())


def test_weights_that_are_too_large_to_ship_are_refused(tmp_path, monkeypatch):
    import export
    from state import State

    State(0, SMALL).save(tmp_path / "last.pt")
    monkeypatch.setattr(export, "LARGEST_BYTES", 1000)
    with pytest.raises(ValueError, match="train a smaller model"):
        export.export(tmp_path / "last.pt", tmp_path / "codec")


def test_mel_means_keep_the_length_and_lose_the_waveform(melody):
    from evaluate import mel_means, scores

    x = melody(3.1)
    assert mel_means(x).shape == x.shape
    assert scores(x, x)["si_sdr_db"] == 100
    assert scores(mel_means(x), x)["si_sdr_db"] < 0


def test_the_bundled_codec_adds_no_delay(melody):
    """The decoded sound lies under the sound itself, to the sample."""
    from evaluate import load, through

    x = melody(3.0, 11)
    made = through(load(BUNDLED), 6.0, x)
    assert made.shape == x.shape
    likeness = np.fft.irfft(np.fft.rfft(made, 2 * len(x)) * np.conj(np.fft.rfft(x, 2 * len(x))))
    assert int(np.argmax(likeness)) == 0
    assert (BUNDLED / "model.safetensors").stat().st_size < 8e6
