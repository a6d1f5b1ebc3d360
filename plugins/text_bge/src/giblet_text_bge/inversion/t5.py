"""The T5 within an inverter: its config, its tokenizer, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from giblet.errors import WeightsError

from giblet_text_bge.inversion.layout import brief, read_config

WAYS_OUT = "put the T5's config.json and tokenizer files into the folder `t5` beside the two networks"


def t5_folder(folder: Path) -> str:
    """Where the T5's config and tokenizer are: beside the networks, else where the published config says."""
    if (folder / "t5" / "config.json").is_file():
        return str(folder / "t5")
    return str(read_config(folder, "inversion").get("model_name_or_path", folder / "t5"))


def open_tokenizer(where: str) -> Any:
    """The tokenizer of a T5.

    Raises
    ------
    WeightsError
        If it cannot be had, as in the other two.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(where)
    except Exception as error:  # whatever the libraries below raise, the tokenizer cannot be had
        raise WeightsError(f"{where} has no tokenizer of a T5 that opens ({brief(error)}); {WAYS_OUT}") from error


def build_t5(where: str) -> Any:
    """A T5 of random weights from its config."""
    from transformers import AutoConfig, T5ForConditionalGeneration

    try:
        return T5ForConditionalGeneration(AutoConfig.from_pretrained(where))
    except Exception as error:  # as above
        raise WeightsError(f"{where} has no config of a T5 that opens ({brief(error)}); {WAYS_OUT}") from error


def open_t5(folder: str) -> Any:
    """A T5 with its weights, from a folder."""
    from transformers import T5ForConditionalGeneration
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # giblet shows its own, and none in a pipe
    try:
        return T5ForConditionalGeneration.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # as above
        raise WeightsError(f"{folder} is no folder with a T5 ({brief(error)}); leave --t5 out to begin anew") from error
