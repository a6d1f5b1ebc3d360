"""The folder of an inverter: two networks in `inversion` and `corrector`, a T5's config and tokenizer in `t5`, and
`inverter.json`, which published checkpoints of vec2text lack.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from giblet.errors import WeightsError

from giblet_text_bge.inversion import record
from giblet_text_bge.inversion.inverter import Embed, Inverter
from giblet_text_bge.inversion.layout import STAGES, load_into, read_config, read_weights, sizes_of
from giblet_text_bge.inversion.t5 import build_t5, open_tokenizer, t5_folder

BUNDLED = Path(__file__).parent / "bundled"
WAYS_OUT = "`giblet train-inverter` makes one, docs/how-to/train-an-inverter.md tells how to take a published one"


def find(folder_or_name: str | Path) -> Path:
    """The folder of an inverter: itself, that of its training, or one that this package carries.

    Raises
    ------
    WeightsError
        If there is none.
    """
    folder = Path(folder_or_name).expanduser()
    for candidate in (folder, folder / "inverter", BUNDLED / str(folder_or_name)):
        if all((candidate / stage / "config.json").is_file() for stage in STAGES):
            return candidate
    needed = " and ".join(f"{stage}/config.json" for stage in STAGES)
    raise WeightsError(f"{folder_or_name} is no inverter: it lacks {needed}; {WAYS_OUT}")


def read_record(folder: Path) -> record.Record:
    """What the folder says of itself; of published checkpoints, what their configs say.

    Raises
    ------
    WeightsError
        If the two networks were made for different embedders.
    """
    names = {stage: record.published(read_config(folder, stage), 1).embedder for stage in STAGES}
    if len(set(names.values())) > 1:
        said = " and ".join(f"{stage} for {name}" for stage, name in names.items())
        raise WeightsError(f"{folder} joins networks of two embedders, {said}; take both from one training")
    found = record.read(folder)
    if found is not None:
        return found
    width = sizes_of(read_weights(folder, "inversion"), "embedding_transform", 1).width
    return record.published(read_config(folder, "inversion"), width)


def open_inverter(folder: Path, about: record.Record, embed: Embed) -> Inverter:
    """Build both networks and load their weights.

    Raises
    ------
    WeightsError
        If weights are missing, damaged, or do not fit each other.
    """
    from giblet_text_bge.inversion.networks import CorrectorNet, InversionNet

    inversion, corrector = _network(InversionNet, folder, "inversion"), _network(CorrectorNet, folder, "corrector")
    if inversion.sizes.width != corrector.sizes.width:
        widths = f"{inversion.sizes.width} and {corrector.sizes.width}"
        raise WeightsError(f"{folder}: its networks take embeddings of width {widths}; take both from one training")
    return Inverter(inversion, corrector, open_tokenizer(t5_folder(folder)), embed, about.max_tokens)


def _network(kind: Any, folder: Path, stage: str) -> Any:
    t5, weights = build_t5(t5_folder(folder)), read_weights(folder, stage)
    network = kind(t5, sizes_of(weights, kind.first, t5.config.d_model))
    load_into(network, weights, folder / stage)
    return network.eval()
