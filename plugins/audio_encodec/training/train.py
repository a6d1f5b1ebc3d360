"""Train the bundled codec, or go on training it.

    ./do python plugins/audio_encodec/training/train.py --until 12000 --cool 3000

Needs the sound that `make_sound.py` makes. After a warm-up the learning rate stays as it is, until it falls to nothing
over the last --cool steps; `before_cooling.pt` is kept, so that a later call can go on from there with a larger
--until. Ctrl-C saves; the same call goes on from `last.pt` with the same
numbers; `--from before_cooling.pt --until MORE` trains longer.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import torch
from crops import Crops
from losses import distances, total
from rvq import learn_books, quantise, start_books
from start import start_linear
from state import State
from torch import Tensor

FOLDER = Path("out/codec")
WARM_UP = 200
BOOK_NUMBERS, BOOK_SHARES = (0, 1, 2, 4, 8), (0.15, 0.05, 0.15, 0.15, 0.5)
"""How many codebooks an item uses (0: latents as they are), and how often."""
COMMITMENT = 0.1
LARGEST_GRADIENT = 10.0
START_BATCHES = 40
REPORT, SAVE = 50, 250


def rate(step: int, options: argparse.Namespace) -> float:
    """Learning rate of a step: warm-up, plateau, straight line to zero."""
    left = min(1.0, (options.until - step) / max(options.cool, 1))
    return float(options.rate * min(1.0, (step + 1) / WARM_UP) * left)


def books_of(state: State, size: int, quantise_from: int) -> Tensor:
    """How many codebooks each item of the batch uses, [B]."""
    if state.step < quantise_from:
        return torch.zeros(size, dtype=torch.long)
    chosen = torch.multinomial(torch.tensor(BOOK_SHARES), size, replacement=True, generator=state.rng)
    return torch.tensor(BOOK_NUMBERS)[chosen]


def learn(state: State, sound: Tensor, options: argparse.Namespace, workers: ThreadPoolExecutor) -> dict[str, float]:
    """One step on sound [B, N], a part of it in each thread; what it measured."""
    books = books_of(state, len(sound), options.quantise_from)
    halves = workers.map(partial(gradients, state.model), sound.chunk(options.threads), books.chunk(options.threads))
    grads, latents, seen = zip(*halves, strict=True)
    parameters = list(state.model.parameters())
    for parameter, *parts in zip(parameters, *grads, strict=True):
        parameter.grad = torch.stack(parts).mean(0)
    norm = torch.nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)
    for group in state.adam.param_groups:
        group["lr"] = rate(state.step, options)
    state.adam.step()
    if state.step >= options.quantise_from:
        learn_books(state.model.quantizer, torch.cat(latents), state.rng)
    state.step += 1
    state.follow()
    means = {name: sum(one[name] for one in seen) / len(seen) for name in seen[0]}
    return {**means, "gradient": float(norm), "spread": float(torch.cat(latents).std())}


def gradients(model: Any, sound: Tensor, books: Tensor) -> tuple[tuple[Tensor, ...], Tensor, dict[str, float]]:
    """Gradient of every parameter, latents [n, D] and losses of sound [B, N]."""
    latents = model.encoder(sound[:, None])
    made, commitment = quantise(model.quantizer, latents, books)
    parts = distances(model.decoder(made)[:, 0], sound)
    loss = total(parts) + COMMITMENT * commitment
    seen = {"loss": loss, "commitment": commitment, **parts}
    vectors = latents.detach().transpose(1, 2).flatten(0, 1)
    grads = torch.autograd.grad(loss, list(model.parameters()))
    return grads, vectors, {name: float(value.detach()) for name, value in seen.items()}


@torch.no_grad()
def fill_books(state: State, crops: Crops, size: int) -> None:
    """Codebooks from the latents of some batches."""
    batches = [torch.from_numpy(crops.batch(state.step + k, size)) for k in range(START_BATCHES)]
    vectors = torch.cat([state.model.encoder(x[:, None]).transpose(1, 2).flatten(0, 1) for x in batches])
    start_books(state.model.quantizer, vectors, state.rng)


def begin(crops: Crops, options: argparse.Namespace) -> State:
    """A state whose model is the linear codec of the sound."""
    state = State(options.seed)
    start_linear(state.model, torch.from_numpy(crops.batch(0, START_BATCHES)))
    return state


def run(state: State, crops: Crops, options: argparse.Namespace, workers: ThreadPoolExecutor) -> None:
    """Steps until `options.until`, a line of means every 50."""
    seen, started, done = list[dict[str, float]](), time.monotonic(), state.step
    before = state.seconds
    while state.step < options.until and not options.stop.is_set():
        if state.step == options.until - options.cool:
            state.save(options.folder / "before_cooling.pt")
        if state.step == options.quantise_from:
            fill_books(state, crops, options.batch)
        seen.append(learn(state, torch.from_numpy(crops.batch(state.step, options.batch)), options, workers))
        state.seconds = before + time.monotonic() - started
        if state.step % REPORT == 0:
            left_s = (time.monotonic() - started) / (state.step - done) * (options.until - state.step)
            report(state, seen, left_s, options.folder / "log.jsonl")
            seen.clear()
        if state.step % SAVE == 0:
            state.save(options.folder / "last.pt")


def report(state: State, seen: list[dict[str, float]], left_s: float, log: Path) -> None:
    """One line to the screen and to `log.jsonl`."""
    means = {name: sum(one[name] for one in seen) / len(seen) for name in seen[0]}
    with log.open("a") as file:
        file.write(json.dumps({"step": state.step, "seconds": round(state.seconds, 1), **means}) + "\n")
    numbers = "  ".join(f"{name} {value:.3f}" for name, value in means.items())
    print(f"step {state.step}  {numbers}  {left_s / 60:.0f} min left", flush=True)


def main() -> None:
    """Read the options, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where sound/ is, and where the checkpoints go")
    parser.add_argument("--from", dest="start", type=Path, help="a checkpoint to begin from, in the place of last.pt")
    parser.add_argument("--until", type=int, default=12_000, help="the last step")
    parser.add_argument("--cool", type=int, default=3_000, help="steps over which the learning rate falls to zero")
    parser.add_argument("--quantise-from", type=int, default=150, help="the step at which codes replace latents")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop-samples", type=int, default=12_800)
    parser.add_argument("--rate", type=float, default=4.5e-4, help="learning rate of the plateau")
    parser.add_argument("--threads", type=int, default=2, help="parts of a batch that are computed side by side")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # between two steps, so that none is half done
        signal.signal(number, lambda *_: options.stop.set())
    torch.set_num_threads(1)
    last = options.folder / "last.pt"
    crops = Crops(options.folder / "sound", options.crop_samples, options.seed)
    source = options.start or last
    state = State.load(source) if source.exists() else begin(crops, options)
    workers = ThreadPoolExecutor(options.threads, initializer=partial(torch.set_flush_denormal, True))
    run(state, crops, options, workers)
    state.save(last)
    if options.stop.is_set():
        print("stopped; the same call (without --from) goes on", flush=True)


if __name__ == "__main__":
    main()
