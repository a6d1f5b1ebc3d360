"""A whole training: embed, learn to guess, guess, learn to correct, measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from giblet.types import Progress
from numpy.typing import NDArray

from giblet_text_bge.inversion import record
from giblet_text_bge.inversion.checkpoint import open_inverter
from giblet_text_bge.inversion.inverter import Embed, Inverter
from giblet_text_bge.inversion.layout import save_network
from giblet_text_bge.inversion.train import beginning
from giblet_text_bge.inversion.train.evaluation import Evaluation, evaluate
from giblet_text_bge.inversion.train.lines import Lines, read_lines, split
from giblet_text_bge.inversion.train.settings import Training, claim
from giblet_text_bge.inversion.train.shards import in_shards

if TYPE_CHECKING:
    from giblet_text_bge.inversion.networks import CorrectorNet, InversionNet
    from giblet_text_bge.inversion.train.stages import Guesses, Material

PRODUCT = "inverter"
TRIAL_TEXTS = 16
SLACK = 0.8
"""The check at opening asks for this share of the token F1 that the training reached on the same texts."""


@dataclass(frozen=True)
class Job:
    """What both stages of a training share."""

    out: Path
    settings: Training
    lines: Lines
    vectors: NDArray[Any]
    embed: Embed
    progress: Progress

    @property
    def t5(self) -> Path:
        """Where the T5's config and tokenizer are."""
        return self.out / PRODUCT / "t5"


def train_inverter(
    texts: Path, out: Path, settings: Training, progress: Progress, embed: Embed | None = None
) -> Evaluation:
    """Train an inverter on the lines of a file, into out/inverter, and measure it on lines that it never saw.

    The same call again goes on where it was stopped. `embed` takes the place of the SentenceTransformer that the
    settings name.

    Raises
    ------
    ConfigError
        If `out` holds another training.
    DataError
        If the file cannot be read or holds too little.
    WeightsError
        If the embedder or the T5 to begin from cannot be had.
    """
    lines = split(read_lines(texts), settings.held_out, settings.seed)
    claim(out, settings, lines.texts)
    embed = embed or _embedder(settings)
    vectors = in_shards(out / "vectors", "embed", len(lines.texts), lambda part: embed(lines.texts[part]), progress)
    job = Job(out, settings, lines, vectors, embed, progress)
    about = _write(out / PRODUCT, _learn(job), lines.of(lines.validation[:TRIAL_TEXTS]), settings)
    written = open_inverter(out / PRODUCT, about, embed)  # in half precision
    result = evaluate(written, lines, vectors, settings, progress)
    (out / "evaluation.json").write_text(result.as_json(), encoding="utf-8")
    return result


def _learn(job: Job) -> Inverter:
    import torch

    from giblet_text_bge.inversion.train.stages import Material, guess_all

    settings = job.settings
    tokenizer = beginning.prepare(job.t5, job.lines.of(job.lines.train), settings)
    ids = torch.from_numpy(beginning.token_ids(tokenizer, job.lines.texts, settings.max_tokens))
    material = Material(torch.from_numpy(job.vectors), ids, settings.noise)
    inversion = _guesser(job, material)
    guesses = guess_all(inversion, material, tokenizer, job.embed, job.out / "guesses", job.progress)
    return Inverter(inversion, _corrector(job, material, inversion, guesses), tokenizer, job.embed, settings.max_tokens)


def _guesser(job: Job, material: Material) -> InversionNet:
    from giblet_text_bge.inversion.networks import InversionNet, Sizes
    from giblet_text_bge.inversion.train.stage import Stage, train
    from giblet_text_bge.inversion.train.stages import inversion_loss

    settings, width = job.settings, job.vectors.shape[1]
    sizes = Sizes(width, settings.bottleneck or width, settings.repeats)
    with beginning.seeded(settings.seed):
        net = InversionNet(beginning.begin(job.t5, settings), sizes)
    stage = Stage.open(net, settings, job.out / "inversion.ckpt")
    rows, loss = (job.lines.train, job.lines.validation), inversion_loss(net, material)
    train(stage, "learn to guess", loss, rows, settings.epochs_inversion, job.progress)
    return net


def _corrector(job: Job, material: Material, inversion: InversionNet, guesses: Guesses) -> CorrectorNet:
    from giblet_text_bge.inversion.networks import CorrectorNet
    from giblet_text_bge.inversion.train.stage import Stage, train
    from giblet_text_bge.inversion.train.stages import corrector_loss

    with beginning.seeded(job.settings.seed):
        net = CorrectorNet(beginning.begin(job.t5, job.settings), inversion.sizes)
    net.encoder_decoder.load_state_dict(inversion.encoder_decoder.state_dict())  # it can write already
    net.embedding_transform_1.load_state_dict(inversion.embedding_transform.state_dict())
    stage = Stage.open(net, job.settings, job.out / "corrector.ckpt")
    rows, loss = (job.lines.train, job.lines.validation), corrector_loss(net, material, guesses)
    train(stage, "learn to correct", loss, rows, job.settings.epochs_corrector, job.progress)
    return net


def _write(folder: Path, inverter: Inverter, trial_texts: Sequence[str], settings: Training) -> record.Record:
    """Write the product, with a check of its own on texts that it was not trained on."""
    from giblet.words import token_f1

    config: dict[str, Any] = {
        "embedder_model_name": settings.embedder,
        "max_seq_length": settings.max_tokens,
        "num_repeat_tokens": settings.repeats,
        "model_name_or_path": "t5",
    }
    save_network(folder, "inversion", inverter.inversion, config)
    save_network(folder, "corrector", inverter.corrector, config)
    vectors = inverter.embed(list(trial_texts))
    reached = token_f1(inverter.invert(vectors, settings.check_steps), trial_texts)
    about = record.Record(
        embedder=settings.embedder,
        width=vectors.shape[1],
        max_tokens=settings.max_tokens,
        prefix=settings.prefix,
        probe=tuple(round(float(x), 6) for x in vectors[0]),
        trial=record.Trial(texts=tuple(trial_texts), steps=settings.check_steps, floor=round(SLACK * reached, 3)),
    )
    record.write(folder, about)
    return about


def _embedder(settings: Training) -> Embed:
    from giblet_text_bge.embedder import Embedder

    return Embedder(settings.embedder, settings.prefix).fresh
