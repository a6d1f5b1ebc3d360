"""One object describes a run: it comes from flags and `key=value` overrides, and goes whole into the run's folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

from giblet.errors import ConfigError, did_you_mean


def keep_truth_values(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Refuse true and false where a setting makes something else of them, as numbers do."""
    found = validate(value)
    named = isinstance(value, dict) and isinstance(found, dict)
    pairs = zip(value.values(), found.values(), strict=True) if named else [(value, found)]
    if any(isinstance(given, bool) and not isinstance(made, bool) for given, made in pairs):
        raise PydanticCustomError("truth_value", "it is no switch; give a value other than true and false")
    return found


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    _switches = field_validator("*", mode="wrap")(keep_truth_values)


LAYERED = ("conv", "dense", "grid", "two-stage")
ONLY_IN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("latent", "hidden", "basis", "input_components", "closed_form"), ("compact",)),
    "scale": LAYERED,
    **dict.fromkeys(("components", "compressor"), ("two-stage",)),
    "grid_step": ("grid",),
}
"""The presets that read a setting of the model, where not all do."""


class ModelConfig(Section):
    """The autoencoder through brain space."""

    preset: Literal["compact", "conv", "dense", "grid", "two-stage"] = Field(
        "compact", description="the layers between features and brain space"
    )
    scale: float = Field(
        1.0, gt=0, description="widths of conv, dense, grid and two-stage, as a share of the published ones"
    )
    components: int = Field(
        5000, ge=1, description="most components of the brain in two-stage; no more than training volumes or voxels"
    )
    compressor: Literal["pca", "linear", "nonlinear"] = Field(
        "pca", description="what finds the components of two-stage: PCA, or an autoencoder that is trained"
    )
    grid_step: int = Field(1, ge=1, description="voxels, each way, that a cell of the 3-D grid of grid stands for")
    latent: int = Field(192, ge=4, description="D, size of the shared latent")
    hidden: int = Field(128, ge=4, description="units of the hidden layer that each modality has before the latent")
    hemodynamics: Literal["learned", "canonical", "fir", "shift", "none"] = Field(
        "learned", description="what joins latent and BOLD in time"
    )
    kernel_s: float = Field(
        30.0, gt=0, description="length of the hemodynamic kernels, each way; 24-30 s under an hour of data"
    )
    basis: int = Field(
        3, ge=1, le=7, description="kernels a latent unit; more than 1 lets a voxel choose its own delay"
    )
    closed_form: bool = Field(
        True,
        description="predict scans in closed form, too, beside the net: ridges by their evidence; "
        "with a learned or canonical response",
    )
    substeps: int = Field(
        1, ge=1, le=16, description="parts of a TR that latent units stand for, for timing below the TR"
    )
    shift_s: float = Field(5.0, ge=0, description="the delay of hemodynamics=shift")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout on each modality's code")
    latent_dropout: float = Field(0.7, ge=0, lt=1, description="dropout between hemodynamics and brain heads")
    modality_dropout: float = Field(0.1, ge=0, lt=1, description="chance to leave a modality out of a window")
    input_components: int = Field(32, ge=1, description="principal components of each modality that the trunk reads")
    summary_components: int = Field(100, ge=1, description="principal components of each summary that join its code")

    @field_validator(*ONLY_IN)
    @classmethod
    def _has_an_effect(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a setting that the preset does not read, unless it is left as it is."""
        name, preset = str(info.field_name), info.data.get("preset")
        if value != cls.model_fields[name].default and preset is not None and preset not in ONLY_IN[name]:
            raise PydanticCustomError("no_effect", f"preset {preset} does not read it, only {', '.join(ONLY_IN[name])}")
        return value


class TrainConfig(Section):
    """How long and how carefully each stage trains."""

    front_end_steps: int = Field(300, ge=1, description="most steps that a modality's own encoder and decoder train")
    front_end_batch: int = Field(16, ge=1, description="TRs a step")
    front_end_decay: float = Field(0.01, ge=0, description="weight decay of the front ends")
    compressor_steps: int = Field(600, ge=1, description="most steps of a compressor of two-stage that is trained")
    compressor_batch: int = Field(64, ge=1, description="volumes a step of that compressor")
    trunk_steps: int | None = Field(
        None,
        ge=1,
        description="most steps of the trunk, from features to BOLD; default 100, and 200 more for every 512 "
        "training TRs beyond the first 512",
    )
    trunk_validate_every: int = Field(
        10, ge=1, description="steps of the trunk between validations; a twentieth of its most steps where that is more"
    )
    refit: bool = Field(
        True, description="train the trunk again on training and validation blocks, for as many steps as were best"
    )
    ensemble: int = Field(1, ge=1, description="trunks that are trained from different seeds and averaged")
    decoder_steps: int = Field(300, ge=1, description="most steps of the decoders on brain input")
    windows: int = Field(8, ge=1, description="B, windows a step")
    window_trs: int = Field(64, ge=20, description="W, supervised TRs a window")
    subjects: int = Field(8, ge=1, description="most people a step")
    decoded_trs: int = Field(16, ge=1, description="TRs a step that the decoders make in full")
    lr: float = Field(1e-3, gt=0, description="largest learning rate; it warms up and falls as a cosine")
    trunk_lr: float = Field(5e-4, gt=0, description="largest learning rate of the trunk")
    weight_decay: float = Field(3.0, ge=0, description="weight decay of trunk and decoders")
    head_weight_decay: float = Field(10.0, ge=0, description="weight decay of each person's own brain heads")
    decoder_lr: float = Field(3e-4, gt=0, description="largest learning rate of the decoders on brain input")
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    average: float = Field(
        0.0, ge=0, lt=1, description="decay a step of the averaged weights that are validated and kept; 0 averages none"
    )
    weights: dict[str, NonNegativeFloat] = Field(
        default_factory=dict,
        description='weight of each kind\'s reconstruction, for example {"video": 2}; 1 if not named',
    )
    balance: Literal["none", "gradnorm"] = Field(
        "none", description="gradnorm scales the decoders' losses until their gradients on shared layers are as long"
    )
    brain_grad: float = Field(
        0.0, ge=0, le=1, description="share of the reconstruction gradient that reaches the predicted scan; 1 is all"
    )
    augment: float = Field(
        0.0, ge=0, lt=1, description="noise (in SDs) and share of dropped frames that front ends train on; 0 adds none"
    )
    accumulate: int = Field(
        1, ge=1, description="parts that each process computes its share of a step in, one after the other"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16 computes losses and gradients in bfloat16 where that is safe; weights stay float32"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="where the stages train; all else is done on the CPU")
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="several processes hold all weights each (ddp), or a part of them each (fsdp)"
    )
    readers: int = Field(
        1, ge=0, description="threads that each read the batch of a later step while one is computed; 0 reads in turn"
    )
    recompute: bool = Field(
        False, description="compute what front ends and decoders make twice a step, and keep none of it in between"
    )
    save_every_s: float = Field(20.0, ge=0, description="seconds between checkpoints, at least; a stage's end has one")
    patience: int = Field(8, ge=1, description="validations without a better score before a stage stops")
    validate_every: int = Field(25, ge=1, description="steps between validations")

    @field_validator("parallel")
    @classmethod
    def _has_gradients(cls, value: str, info: ValidationInfo) -> str:
        """Refuse to balance by gradients that no process holds."""
        if value == "fsdp" and info.data.get("balance") == "gradnorm":
            raise PydanticCustomError(
                "no_effect", "sharded weights have no gradients to balance; use ddp, or balance=none"
            )
        return value


class SplitConfig(Section):
    """One split in contiguous blocks with a gap."""

    train: float = Field(0.7, gt=0, lt=1, description="share of the TRs between the gaps")
    validation: float = Field(0.1, gt=0, lt=1, description="share of the TRs between the gaps; the rest is the test")
    gap_s: float | None = Field(
        None, ge=0, description="seconds between blocks; default max(60 s, both kernels and context), least the latter"
    )
    folds: int = Field(1, ge=1, description="test blocks that together cover the data, each with a training of its own")
    fold: int | None = Field(None, ge=1, description="the only one of the folds to do, counted from 1; default all")

    @property
    def all_folds(self) -> bool:
        """Whether there are several folds and each is done, one after the other."""
        return self.folds > 1 and self.fold is None


class EvaluateConfig(Section):
    """Tests and controls."""

    null_shifts: int = Field(1000, ge=40, description="most shifts of the prediction against the scan for the null")
    noise_draws: int = Field(1, ge=1, description="draws of residual noise a person for decode(y_hat + noise)")
    random_lesions: int = Field(
        200,
        ge=0,
        description="matched random lesions to compare each region's lesion with; 0 for none, under 40: no p",
    )
    lesion_draws: int = Field(
        1,
        ge=1,
        description="moments of the block that ablated voxels are taken from; effects on codes are means over them",
    )
    banded_candidates: int = Field(20, ge=1, description="random weightings of the modalities that banded ridge tries")
    variance_candidates: int = Field(
        8, ge=1, description="random weightings of the modalities that each ridge of variance partitioning tries"
    )
    reconstruct_s: float = Field(60.0, gt=0, description="seconds of the test block that are written as film and sound")
    film_sound: Literal["reconstructed", "original", "none"] = Field(
        "reconstructed",
        description="what reconstructed films sound like: as read back too, where the run has sound that plays, or the "
        "original film",
    )
    asr: str | None = Field(
        None,
        description="speech recogniser (folder or hub name, transformers) for a word error rate of reconstructed sound",
    )


SECTIONS: dict[str, type[Section]] = {
    "model": ModelConfig,
    "train": TrainConfig,
    "split": SplitConfig,
    "evaluate": EvaluateConfig,
}


class RunConfig(Section):
    """Everything that decides what a run computes."""

    seed: int = Field(0, description="everything that is drawn follows from it")
    modalities: dict[str, str] = Field(default_factory=dict, description="kind -> plugin, e.g. video -> video_s3d")
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict, description="kind -> settings of its plugin")
    model: ModelConfig = Field(ModelConfig(), description="the autoencoder")
    train: TrainConfig = Field(TrainConfig(), description="its training")
    split: SplitConfig = Field(SplitConfig(), description="which TRs train, validate and test")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="tests and controls")
    plumbing: bool = Field(False, description="train and score on the same TRs, labelled so")


def parse_value(text: str) -> Any:
    """A value as typed: JSON where it is JSON (numbers, true, null, lists), else the text itself."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def parse_override(pair: str, option: str = "-o") -> tuple[str, Any]:
    """Turn `section.key=value`, given to an option, into a setting's name and its value.

    Raises
    ------
    ConfigError
        If it has another form.
    """
    path, equals, value = pair.partition("=")
    section, dot, key = path.partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"{option} {pair!r} is not SECTION.KEY=VALUE, for example {option} train.trunk_steps=500")
    return path, parse_value(value)


def nested(settings: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Settings `{"section.key": value}` by section; sections are the config's own or a modality's kind.

    Raises
    ------
    ConfigError
        If a name has another form or an unknown section.
    """
    known = [*SECTIONS, *kinds]
    sections: dict[str, dict[str, Any]] = {}
    for path, value in settings.items():
        section, dot, key = path.partition(".")
        if not (dot and key):
            raise ConfigError(f"setting {path!r} is not SECTION.KEY, for example train.trunk_steps")
        if section not in known:
            raise ConfigError(f"setting {path!r}: no section {section!r}; {did_you_mean(section, known)}")
        sections.setdefault(section, {})[key] = value
    return sections


def parse_overrides(pairs: Iterable[str], kinds: Iterable[str], option: str = "-o") -> dict[str, dict[str, Any]]:
    """Turn `section.key=value`, given to an option, into nested settings.

    Raises
    ------
    ConfigError
        As `parse_override` and `nested`.
    """
    return nested(dict(parse_override(pair, option) for pair in pairs), kinds)


def build_config(
    modalities: dict[str, str], overrides: dict[str, dict[str, Any]], *, seed: int, plumbing: bool
) -> RunConfig:
    """The run's config; overrides of sections that are not the config's own are the modalities' settings.

    Raises
    ------
    ConfigError
        If a value is not possible, naming the setting and what it may be.
    """
    try:
        config = RunConfig(
            seed=seed,
            modalities=modalities,
            settings={k: v for k, v in overrides.items() if k not in SECTIONS},
            plumbing=plumbing,
            **{k: cls(**overrides.get(k, {})) for k, cls in SECTIONS.items()},
        )
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    for kind in config.train.weights:
        if kind not in modalities:
            raise ConfigError(f"train.weights names {kind!r}; {did_you_mean(kind, modalities)}")
    return config


def _explain(error: ValidationError) -> str:
    """One line for the first thing that is wrong: the setting, its value, what it may be."""
    first = error.errors()[0]
    section = next((name for name, cls in SECTIONS.items() if cls.__name__ == error.title), "config")
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        legal = SECTIONS.get(section, RunConfig).model_fields
        return f"no setting {section}.{key}; {did_you_mean(key, legal)}"
    return f"{section}.{key} = {first['input']!r} is not possible: {what_is_wrong(first)}"


def what_is_wrong(problem: Mapping[str, Any]) -> str:
    """What pydantic says of a value; of a word that is none of the legal ones, the nearest and all of them."""
    if problem["type"] != "literal_error":
        return str(problem["msg"])
    return did_you_mean(str(problem["input"]), re.findall(r"'([^']+)'", problem["ctx"]["expected"]))
