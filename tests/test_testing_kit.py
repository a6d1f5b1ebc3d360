"""The conformance kit: a small right modality passes, and every way to be wrong is caught by the check meant for it."""

import importlib
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet import Features, Modality, PluginError, Source, TRGrid, seconds, testing
from giblet.testing import Case, checks_for
from torch import nn

TINY = '''
import numpy as np
from giblet import Features, Modality, hookimpl


class Sensor(Modality):
    """Rows of a table, ten a second."""

    name = "sensor_table"
    kind = "sensor"
    gain: float = 1.0

    def extract(self, source):
        table = np.loadtxt(source.path, dtype=np.float32, ndmin=2) * np.float32(self.gain)
        for at in range(0, len(table), 1000):
            yield Features.regular(table[at : at + 1000], 10, at, gain=self.gain)

    def reconstruct(self, features, out):
        path = out.with_suffix(".txt")
        np.savetxt(path, features.values)
        return path


@hookimpl
def register_modalities():
    return [Sensor]
'''
GRID = TRGrid(seconds("1.5"), 4)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.txt"
    np.savetxt(path, np.random.default_rng(0).normal(size=(64, 3)))
    return Source(path)


@pytest.fixture
def module_of(tmp_path, monkeypatch):
    """Import a text as a module that other processes find, too."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return write


def test_a_small_right_modality_passes_everything(module_of, table):
    assert len(TINY.strip().splitlines()) <= 40
    modality = module_of("tiny_sensor", TINY).Sensor(gain=2)
    checks = checks_for(modality)
    assert testing.check_reconstruct_writes_a_file in checks
    case = Case(modality, lambda: table)
    for check in checks:
        check(case)


def test_a_heavy_import_is_caught(module_of, table):
    modality = module_of("heavy_sensor", f"import pandas\n{TINY}").Sensor()
    with pytest.raises(AssertionError, match=r"importing heavy_sensor also imports .*'pandas'"):
        testing.check_light_import(Case(modality, lambda: table))


class Good(Modality):
    """What the mutants are made from."""

    name = "good_one"
    kind = "good"

    def extract(self, source):
        yield Features.regular(np.loadtxt(source.path, dtype=np.float32), 10)

    def reconstruct(self, features, out):
        out.with_suffix(".txt").write_text("x")
        return out.with_suffix(".txt")


class BadName(Good):
    kind = "other"


class Loose(Good):
    model_config = {"extra": "ignore"}


class Forgetful(Good):
    rate: float = 1.0

    def settings(self):
        return {}


class Unpicklable(Good):
    def __getstate__(self):
        raise TypeError("cannot pickle this modality")


class Amnesiac(Good):
    """Loses what it learned on the way to a worker."""

    def __reduce__(self):
        return (Amnesiac, ())


class Random(Good):
    def extract(self, source):
        yield Features.regular(np.random.default_rng().normal(size=(60, 3)), 10)


class FloatTimes(Good):
    def extract(self, source):
        yield Features(np.zeros((60, 3)), np.arange(60) / 10, Fraction(1))


class Backwards(Good):
    def extract(self, source):
        yield Features(np.zeros((60, 3)), np.arange(60)[::-1].copy(), Fraction(1, 10))


class Holes(Good):
    def extract(self, source):
        yield Features.regular(np.full((60, 3), np.nan, np.float32), 10)


class Nothing(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((0, 3), np.float32), 10)


class Huge(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((65, 1 << 20), np.uint8), 10)


class Changing(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((30, 3), np.float32), 10)
        yield Features.regular(np.zeros((30, 3), np.float64), 10, 30)


class Attributed(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((60, 3)), 10, window=np.hanning)


class Tupled(Good):
    def extract(self, source):
        yield Features.regular(np.zeros((60, 3)), 10, size=(3, 4))


class Stretching(Good):
    """Fits the features to the grid whatever the time: the mistake that gave 45 s of drift."""

    def align(self, features, grid):
        edges = np.linspace(0, len(features.values), grid.n_trs + 1).astype(np.int64)
        return replace(super().align(features, grid), first=edges[:-1], count=np.diff(edges))


class Doubling(Good):
    def align(self, features, grid):
        aligned = super().align(features, grid)
        return replace(aligned, count=aligned.count + 1)


class FromZero(Good):
    """Begins at the first sample wherever the grid starts."""

    def align(self, features, grid):
        return super().align(features, TRGrid(grid.tr_s, grid.n_trs))


class OneFrame(Good):
    def spec(self, aligned):
        return replace(super().spec(aligned), frames=1)


class FewClasses(Good):
    def extract(self, source):
        yield Features.regular(np.arange(64).reshape(64, 1) % 8, 10)

    def spec(self, aligned):
        return replace(super().spec(aligned), num_classes=7)


class FloatClasses(Good):
    def spec(self, aligned):
        return replace(super().spec(aligned), num_classes=7)


class Net(nn.Module):
    """A linear map of all frames, with something added."""

    def __init__(self, spec, width, extra=None):
        super().__init__()
        self.linear = nn.Linear(spec.frames * spec.size, width)
        self.extra = extra

    def forward(self, x, mask):
        h = self.linear((x * mask[..., None]).flatten(1).float())
        return h if self.extra is None else self.extra(h)


class Ignoring(Net):
    def forward(self, x, mask):
        return self.linear(x.flatten(1).float())


class Averaging(Net):
    def forward(self, x, mask):
        h = super().forward(x, mask)
        return h - h.mean(0)


class Dividing(Net):
    def forward(self, x, mask):
        return super().forward(x, mask) / mask.sum(1, keepdim=True)


class Three(Net):
    def forward(self, x, mask):
        return super().forward(x, mask)[:, None]


class Summing(nn.Module):
    """A decoder whose rows run together."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, h):
        return self.inner(h.cumsum(0))


class Idle(nn.Linear):
    def forward(self, h):
        return h


def with_encoder(build):
    class Mutant(Good):
        def encode(self, spec, width):
            return build(spec, width)

    return Mutant


class LeakyDecoder(Good):
    def decode(self, spec, width):
        return Summing(super().decode(spec, width))


class OneClassShort(Good):
    def decode(self, spec, width):
        return super().decode(replace(spec, frames=spec.frames - 1), width)


class Reduced(Good):
    def loss(self, prediction, target):
        return super().loss(prediction, target).mean()


class Negative(Good):
    def loss(self, prediction, target):
        return -super().loss(prediction, target)


class Flat(Good):
    def summary(self, aligned):
        return super().summary(aligned)[:, 0]


class Short(Good):
    def summary(self, aligned):
        return super().summary(aligned)[1:]


class Empty(Good):
    def reconstruct(self, features, out):
        out.with_suffix(".txt").touch()
        return out.with_suffix(".txt")


class Gone(Good):
    def reconstruct(self, features, out):
        return out.with_suffix(".txt")


class Renamed(Good):
    def reconstruct(self, features, out):
        path = out.with_name("mine.txt")
        path.write_text("x")
        return path


MUTANTS = [
    (BadName, "class_attributes", "a name begins with its kind: 'other_...'"),
    (Loose, "settings_forbid_unknown_keys", "an unknown setting was accepted"),
    (Unpicklable, "picklable", "cannot pickle this modality"),
    (Random, "extract_is_deterministic", "something else the second time"),
    (FloatTimes, "times_increase", "ticks must be int64, not float64"),
    (Backwards, "times_increase", "go backwards"),
    (Holes, "values_are_finite", "features must be finite"),
    (Nothing, "values_are_finite", "the source gave no features"),
    (Huge, "chunks_are_small", "a chunk of 65 MB"),
    (Changing, "features_survive_the_store", "must be alike"),
    (Attributed, "features_survive_the_store", "attrs must hold plain values"),
    (Tupled, "features_survive_the_store", "attrs must hold plain values"),
    (Stretching, "align_conserves_frames", "align lost, doubled or moved frames"),
    (Doubling, "align_conserves_frames", "align lost, doubled or moved frames"),
    (FromZero, "shifting_the_clock_shifts_the_rows", ""),
    (OneFrame, "spec_describes_the_features", "spec.frames is 1, a TR has up to 15"),
    (FewClasses, "spec_describes_the_features", "num_classes is 7, but there is class 7"),
    (FloatClasses, "spec_describes_the_features", "num_classes is set, but the values are float32"),
    (with_encoder(Three), "encode_decode_shapes", "encode must give [n, width], not (1, 1, 16)"),
    (OneClassShort, "encode_decode_shapes", "decode gave (1, 14, 3) for (1, 15, 3)"),
    (with_encoder(Averaging), "rows_do_not_mix", "rows of a batch influence each other in the encoder"),
    (with_encoder(lambda s, w: Net(s, w, nn.BatchNorm1d(w))), "rows_do_not_mix", "BatchNorm mixes the rows"),
    (LeakyDecoder, "rows_do_not_mix", "rows of a batch influence each other in the decoder"),
    (with_encoder(Ignoring), "masked_frames_do_not_count", "a masked frame changes the code"),
    (with_encoder(Dividing), "masked_frames_do_not_count", "a TR without frames must have a finite code"),
    (
        with_encoder(lambda s, w: Net(s, w, Idle(w, w))),
        "every_parameter_gets_a_gradient",
        "['extra.weight', 'extra.bias']",
    ),
    (Reduced, "loss_contract", "loss must be [n, F] = (4, 15), not ()"),
    (Negative, "loss_contract", "a loss is never negative"),
    (Flat, "summary_contract", "summary must be [T, P], not (4,)"),
    (Short, "summary_contract", "summary has 3 rows for 4 TRs"),
    (Empty, "reconstruct_writes_a_file", "made.txt is empty"),
    (Gone, "reconstruct_writes_a_file", "reconstruct wrote no file made.txt"),
    (Renamed, "reconstruct_writes_a_file", "reconstruct wrote mine.txt; put a suffix to"),
]


@pytest.mark.parametrize(("mutant", "check", "said"), MUTANTS, ids=[f"{m.__name__}-{c}" for m, c, _ in MUTANTS])
def test_a_mutant_is_caught_by_its_check(mutant, check, said, table):
    chosen = {c.__name__: c for c in checks_for(mutant())}[f"check_{check}"]
    chosen(Case(Good(), lambda: table))
    with pytest.raises((AssertionError, PluginError, TypeError)) as error:
        chosen(Case(mutant(), lambda: table))
    assert said in str(error.value)


def test_settings_and_state_that_get_lost(table):
    with pytest.raises(AssertionError, match="must equal the original"):
        testing.check_settings_round_trip(Case(Forgetful(rate=2), lambda: table))
    with pytest.raises(AssertionError):
        testing.check_picklable(Case(Amnesiac().fitted(mean=np.ones(3)), lambda: table))


def test_every_check_has_a_mutant():
    alone = {"settings_round_trip", "light_import"}
    caught = {f"check_{c}" for _, c, _ in MUTANTS} | {f"check_{c}" for c in alone}
    assert {c.__name__ for c in checks_for(Good())} == caught


def test_a_modality_that_only_encodes_and_a_brain_are_not_asked_for_more():
    class Silent(Good):
        reconstruct = Modality.reconstruct

    class Brain(Good):
        role = "brain"

    assert testing.check_reconstruct_writes_a_file not in checks_for(Silent())
    assert testing.check_loss_contract not in checks_for(Brain())
    assert testing.check_rows_do_not_mix in checks_for(Brain())


def test_one_pytest_id_a_check(table):
    mark = testing.modality_checks(Good(), lambda: table)
    assert mark.args[1][0].id == "good_one-check_class_attributes"
    assert len(mark.args[1]) == len(checks_for(Good()))
    assert torch.is_tensor(Case(Good(), lambda: table, GRID).nets()[3])
