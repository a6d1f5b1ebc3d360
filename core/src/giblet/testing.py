"""The conformance kit: what every modality must keep, one check a law, for our plugins and for anybody's.

    from giblet.testing import modality_checks

    @modality_checks(MyModality(), make_source)
    def test_conformance(check):
        check()

`make_source` is called without arguments and returns a `Source` that is at least four TRs long.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from giblet.data.feature_files import read_features, write_features
from giblet.modality import Modality
from giblet.plugins import check_class
from giblet.types import Aligned, Features, FeatureSpec, Source, TRGrid, seconds

if TYPE_CHECKING:
    import pytest
    from torch import Tensor

GRID = TRGrid(seconds("1.5"), 4)
HEAVY = ("torch", "transformers", "librosa", "nilearn", "sklearn", "pandas")
CHUNK_BYTES = 64 << 20
Check = Callable[["Case"], None]


class Case:
    """One modality with its source; extraction is done once and shared by the checks."""

    def __init__(self, modality: Modality, make_source: Callable[[], Source], grid: TRGrid = GRID) -> None:
        self.modality, self.make_source, self.grid = modality, make_source, grid
        self._features: Features | None = None

    @property
    def features(self) -> Features:
        """What `extract` gives for the source."""
        if self._features is None:
            self._features = Features.concat(self.modality.extract(self.make_source()))
        return self._features

    @property
    def aligned(self) -> Aligned:
        """The features on the grid."""
        return self.modality.align(self.features, self.grid)

    def nets(self, width: int = 16) -> tuple[FeatureSpec, Any, Any, Any, Any]:
        """Spec, encoder, decoder, one batch of features and its mask."""
        import torch

        torch.manual_seed(0)
        spec = self.modality.spec(self.aligned)
        x, mask = self.aligned.rows(slice(None), spec.frames)
        width = self.modality.width(spec) if self.modality.width(spec) != 256 else width
        nets = self.modality.encode(spec, width), self.modality.decode(spec, width)
        return spec, *nets, torch.from_numpy(x), torch.from_numpy(mask)


def check_class_attributes(case: Case) -> None:
    """Name, kind and role are such that the class can be registered."""
    check_class(type(case.modality))


def check_settings_round_trip(case: Case) -> None:
    """Settings survive a config file."""
    again = type(case.modality)(**case.modality.settings())
    message = "Modality(**settings()) must equal the original"
    assert again.model_dump() == case.modality.model_dump(), message


def check_settings_forbid_unknown_keys(case: Case) -> None:
    """A misspelt setting is refused, not ignored."""
    from pydantic import ValidationError

    try:
        type(case.modality)(**{**case.modality.settings(), "no_such_setting": 1})
    except ValidationError:
        return
    raise AssertionError("an unknown setting was accepted; keep model_config extra='forbid'")


def check_picklable(case: Case) -> None:
    """Workers get the modality and its fitted state by pickle."""
    again = pickle.loads(pickle.dumps(case.modality))
    assert again == case.modality
    assert set(again.state) == set(case.modality.state)


def check_light_import(case: Case) -> None:
    """Importing the plugin must not import torch: listing and help stay fast."""
    module = type(case.modality).__module__
    code = f"import {module}, sys; print([m for m in {HEAVY} if m in sys.modules])"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, f"{module} cannot be imported by itself: {done.stderr.strip().splitlines()[-1]}"
    out = done.stdout.strip()
    assert out == "[]", f"importing {module} also imports {out}; import heavy libraries inside the methods"


def check_extract_is_deterministic(case: Case) -> None:
    """The same source gives the same features."""
    again = Features.concat(case.modality.extract(case.make_source()))
    _assert_same(again, case.features, "extract gave something else the second time")


def check_times_increase(case: Case) -> None:
    """Ticks are integers that never go back."""
    assert case.features.ticks.dtype == np.int64, f"ticks must be int64, not {case.features.ticks.dtype}"
    assert np.all(np.diff(case.features.ticks) >= 0), "presentation times go backwards"


def check_values_are_finite(case: Case) -> None:
    """Missing is a mask, never a NaN."""
    assert len(case.features.values), "the source gave no features"
    assert np.isfinite(case.features.values).all(), "features must be finite; leave missing samples out"


def check_chunks_are_small(case: Case) -> None:
    """Memory does not grow with the film: a chunk has at most 64 MB."""
    largest = max(chunk.values.nbytes for chunk in case.modality.extract(case.make_source()))
    assert largest <= CHUNK_BYTES, f"a chunk of {largest >> 20} MB; yield at most 64 MB at a time"


def check_features_survive_the_store(case: Case) -> None:
    """Features come back from disk as they were: chunks are alike, attributes are plain values."""
    with TemporaryDirectory() as tmp:
        folder = Path(tmp) / "features"
        write_features(folder, case.modality.extract(case.make_source()), case.modality.name)
        stored = read_features(folder)
        _assert_same(stored, case.features, "the stored features differ")
        assert dict(stored.attrs) == dict(case.features.attrs), "attrs must hold plain values: text, numbers, lists"


def _assert_same(a: Features, b: Features, message: str) -> None:
    np.testing.assert_array_equal(a.values, b.values, err_msg=message)
    np.testing.assert_array_equal(a.ticks, b.ticks, err_msg=message)
    assert a.timebase == b.timebase, message


def check_align_conserves_frames(case: Case) -> None:
    """Every native frame inside the grid lies in exactly one TR, and comes back once, in order."""
    from giblet.alignment import tr_index, unbin

    a = case.aligned
    x, _ = a.rows(slice(None))
    k = tr_index(a.features.ticks, a.features.timebase, a.grid)
    inside = a.features.values[(k >= 0) & (k < a.grid.n_trs)]
    np.testing.assert_array_equal(unbin(x, a.count), inside, err_msg="align lost, doubled or moved frames")


def check_shifting_the_clock_shifts_the_rows(case: Case) -> None:
    """A grid that starts one TR later gives the same rows, one TR earlier."""
    g = case.grid
    later = case.modality.align(case.features, TRGrid(g.tr_s, g.n_trs - 1, g.start_s + g.tr_s))
    np.testing.assert_array_equal(later.count, case.aligned.count[1:])
    np.testing.assert_array_equal(later.rows(slice(None), case.aligned.frames)[0], case.aligned.rows(slice(1, None))[0])


def check_spec_describes_the_features(case: Case) -> None:
    """The spec has the shape and the frames of the features, and room for every class."""
    aligned = case.aligned
    spec, values = case.modality.spec(aligned), aligned.features.values
    assert spec.shape == values.shape[1:], f"spec.shape is {spec.shape}, a frame has {values.shape[1:]}"
    assert spec.frames >= aligned.frames, f"spec.frames is {spec.frames}, a TR has up to {aligned.frames}"
    if spec.num_classes is not None:
        assert np.issubdtype(values.dtype, np.integer), f"num_classes is set, but the values are {values.dtype}"
        low, high = int(values.min()), int(values.max())
        assert low >= 0, f"classes count from 0, but there is {low}"
        assert high < spec.num_classes, f"num_classes is {spec.num_classes}, but there is class {high}"


def check_encode_decode_shapes(case: Case) -> None:
    """One TR in, one code out, and back, for any number of TRs."""
    import torch

    spec, encoder, decoder, x, mask = case.nets()
    for n in (1, len(x)):
        h = encoder(x[:n], mask[:n])
        assert h.ndim == 2, f"encode must give [n, width], not {tuple(h.shape)}"
        assert len(h) == n, f"encode gave {len(h)} rows for {n} TRs"
        y = decoder(h)
        want = (n, spec.frames, *spec.shape, *(() if spec.num_classes is None else (spec.num_classes,)))
        assert tuple(y.shape) == want, f"decode gave {tuple(y.shape)} for {want}"
        assert torch.isfinite(y).all(), "decode gave values that are not finite"


def check_rows_do_not_mix(case: Case) -> None:
    """Row t of an output depends on TR t alone; only the trunk crosses TRs."""
    import torch

    _, encoder, decoder, x, mask = case.nets()
    norms = [n for net in (encoder, decoder) for n, m in net.named_modules() if "BatchNorm" in type(m).__name__]
    assert not norms, f"{', '.join(norms)}: BatchNorm mixes the rows of a batch; take LayerNorm or GroupNorm"
    encoder.eval(), decoder.eval()
    with torch.no_grad():
        h = encoder(x, mask)
        alone = torch.cat([encoder(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])
        _assert_close(h, alone, "rows of a batch influence each other in the encoder")
        each = torch.cat([decoder(h[i : i + 1]) for i in range(len(h))])
        _assert_close(decoder(h), each, "rows of a batch influence each other in the decoder")


def check_masked_frames_do_not_count(case: Case) -> None:
    """A frame that is not there changes nothing, and a TR without any still has a finite code."""
    import torch

    _, encoder, _, x, mask = case.nets()
    encoder.eval()
    hidden, one, other = mask.clone(), x.clone(), x.clone()
    hidden[:, -1] = False
    one[:, -1], other[:, -1] = 0, 1
    with torch.no_grad():
        _assert_close(encoder(one, hidden), encoder(other, hidden), "a masked frame changes the code")
        empty = encoder(x, torch.zeros_like(mask))
    assert torch.isfinite(empty).all(), "a TR without frames must have a finite code; divide by at least 1"


def _assert_close(a: Tensor, b: Tensor, message: str) -> None:
    np.testing.assert_allclose(a.float().numpy(), b.float().numpy(), rtol=1e-4, atol=1e-4, err_msg=message)


def check_every_parameter_gets_a_gradient(case: Case) -> None:
    """A parameter without gradient makes distributed training fail."""
    _, encoder, decoder, x, mask = case.nets()
    named = [*encoder.named_parameters(), *decoder.named_parameters()]
    if not named:  # features that are their own code
        return
    case.modality.loss(decoder(encoder(x, mask)), x).mean().backward()
    idle = [n for n, p in named if p.requires_grad and p.grad is None]
    assert not idle, f"no gradient reaches {idle}"


def check_loss_contract(case: Case) -> None:
    """The loss is unreduced `[n, F]`, finite and not negative."""
    import torch

    _, encoder, decoder, x, mask = case.nets()
    with torch.no_grad():
        loss = case.modality.loss(decoder(encoder(x, mask)), x)
    assert tuple(loss.shape) == tuple(mask.shape), f"loss must be [n, F] = {tuple(mask.shape)}, not {tuple(loss.shape)}"
    assert torch.isfinite(loss).all(), "the loss is not finite"
    assert (loss >= 0).all(), "a loss is never negative"


def check_summary_contract(case: Case) -> None:
    """The plain summary for the linear baselines is finite, `[T, P]`."""
    s = case.modality.summary(case.aligned)
    assert s.ndim == 2, f"summary must be [T, P], not {s.shape}"
    assert len(s) == case.grid.n_trs, f"summary has {len(s)} rows for {case.grid.n_trs} TRs"
    assert np.isfinite(s).all(), "summary must be finite"


def check_reconstruct_writes_a_file(case: Case) -> None:
    """What `reconstruct` names is there, is not empty, and is called `out` plus a suffix."""
    with TemporaryDirectory() as tmp:
        path = case.modality.reconstruct(case.features, Path(tmp) / "made")
        assert path.is_file(), f"reconstruct wrote no file {path.name}"
        assert path.stat().st_size > 0, f"{path.name} is empty"
        assert path.name.startswith("made."), f"reconstruct wrote {path.name}; put a suffix to {Path(tmp) / 'made'}"


ALWAYS: list[Check] = [
    check_class_attributes,
    check_settings_round_trip,
    check_settings_forbid_unknown_keys,
    check_picklable,
    check_light_import,
    check_extract_is_deterministic,
    check_times_increase,
    check_values_are_finite,
    check_chunks_are_small,
    check_features_survive_the_store,
]
NETS: list[Check] = [
    check_spec_describes_the_features,
    check_encode_decode_shapes,
    check_rows_do_not_mix,
    check_masked_frames_do_not_count,
    check_every_parameter_gets_a_gradient,
]
STIMULUS: list[Check] = [
    check_align_conserves_frames,
    check_shifting_the_clock_shifts_the_rows,
    check_loss_contract,
    check_summary_contract,
]


def checks_for(modality: Modality) -> list[Check]:
    """The checks that fit a modality: its role, and whether it overrides `reconstruct`."""
    chosen = ALWAYS + NETS + (STIMULUS if modality.role == "stimulus" else [])
    return chosen + ([check_reconstruct_writes_a_file] if modality.can_reconstruct() else [])


def modality_checks(modality: Modality, make_source: Callable[[], Source], grid: TRGrid = GRID) -> pytest.MarkDecorator:
    """Decorate a test that takes `check`: one pytest id a check."""
    import pytest

    case = Case(modality, make_source, grid)
    params = [pytest.param(partial(c, case), id=f"{modality.name}-{c.__name__}") for c in checks_for(modality)]
    return pytest.mark.parametrize("check", params)
