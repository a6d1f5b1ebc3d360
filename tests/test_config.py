"""The config: overrides, and one line for what cannot be meant."""

import pytest
from giblet.config import SECTIONS, RunConfig, build_config, parse_overrides, parse_value
from giblet.errors import ConfigError
from giblet.plugins import Registry
from pydantic import ValidationError

KINDS = ("video", "text")


def build(*pairs, modalities=None):
    return build_config(modalities or {}, parse_overrides(pairs, KINDS), seed=1, plumbing=False)


def test_overrides_reach_their_place_and_leave_the_rest():
    config = build(
        "train.lr=0.01", "model.hemodynamics=fir", "text.weights=minilm", "split.gap_s=null", "train.lr=2e-3"
    )
    assert (config.train.lr, config.model.hemodynamics, config.split.gap_s) == (2e-3, "fir", None)
    assert config.settings == {"text": {"weights": "minilm"}}
    assert config.train.windows == RunConfig().train.windows
    assert config.seed == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"3"', "3"),
        ("minilm", "minilm"),
        ("a/b=c.pt", "a/b=c.pt"),
        ("", ""),
    ],
)
def test_values_are_json_where_they_are_json(text, value):
    assert parse_value(text) == value
    assert parse_overrides([f"text.x={text}"], KINDS) == {"text": {"x": value}}


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("train.lr", "is not SECTION.KEY=VALUE, for example"),
        ("lr=3", "is not SECTION.KEY=VALUE"),
        ("train.=3", "is not SECTION.KEY=VALUE"),
        ("=", "is not SECTION.KEY=VALUE"),
        ("trian.lr=3", "no section 'trian'; did you mean 'train'\\? there are: model, train, .*, text"),
        ("zzz.lr=3", "no section 'zzz'; there are: model"),
        ("train.trunk_step=3", "no setting train.trunk_step; did you mean 'trunk_steps'\\? there are: front_end_steps"),
        ("train.lr=0", "train.lr = 0 is not possible: Input should be greater than 0"),
        ("train.lr=true", "train.lr = True is not possible: it is no switch"),
        ("train.windows=true", "train.windows = True is not possible: it is no switch"),
        ("split.gap_s=false", "split.gap_s = False is not possible: it is no switch"),
        ('train.weights={"text": true}', "train.weights = {'text': True} is not possible: it is no switch"),
        ("train.lr=fast", "train.lr = 'fast' is not possible: Input should be a valid number"),
        ("train.lr=Infinity", "train.lr = inf is not possible: Input should be a finite number"),
        ("train.lr=NaN", "train.lr = nan is not possible"),
        ("model.hemodynamics=hrf", "model.hemodynamics = 'hrf' is not possible: there are: learned, canonical, fir"),
        ("train.windows=2.5", "train.windows = 2.5 is not possible"),
    ],
)
def test_what_cannot_be_meant_is_one_line(pair, said):
    with pytest.raises(ConfigError, match=said) as error:
        build(pair)
    assert "\n" not in str(error.value)


def test_a_config_comes_back_from_its_file_and_cannot_change():
    config = build("train.lr=0.01", "video.size=[45, 80]", modalities={"video": "video_s3d"})
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3


@pytest.mark.parametrize("name", ["config", *SECTIONS])
def test_every_field_is_described(name):
    fields = SECTIONS.get(name, RunConfig).model_fields
    assert [k for k, f in fields.items() if not f.description] == []
    assert set(SECTIONS) <= set(RunConfig.model_fields)


def test_gradients_that_nobody_holds_are_not_balanced():
    with pytest.raises(
        ConfigError, match=r"train.parallel = 'fsdp' is not possible: sharded weights have no gradients"
    ):
        build_config({}, {"train": {"balance": "gradnorm", "parallel": "fsdp"}}, seed=0, plumbing=False)


def test_switches_and_their_absence_are_kept():
    settings = ("train.refit=false", "model.closed_form=true", 'train.weights={"text": 2}', "train.lr=1")
    config = build(*settings, modalities={"text": "text_bge"})
    assert (config.train.refit, config.model.closed_form) == (False, True)
    assert (config.train.weights, config.train.lr) == ({"text": 2.0}, 1.0)


def test_a_plugins_numbers_are_no_switches():
    with pytest.raises(ConfigError, match="start_s = True is not possible: it is no switch"):
        Registry.discover().modality("features_table", label="a", tr_s=1.5, start_s=True)
