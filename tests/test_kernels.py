"""When regions respond, as nets and closed forms have it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from giblet.alignment import canonical_hrf, convolve_hrf
from giblet.analysis.kernels import net_kernels, peak_s, person_delays, predicted_peaks, region_peaks, way_counts
from giblet.config import ModelConfig
from giblet.model import Autoencoder
from giblet.model.encoding import DELAYS_S, FEATURES, RANK
from giblet.pipeline.truth import hrf_errors
from giblet.training.closed_form import Choice, fit_encoding
from torch import nn

EARLY = np.arange(20) < 10
REGIONS = {"early": EARLY, "late": ~EARLY}
GLOVER_S = 5.0


class Head(nn.Linear):
    def forward(self, x, mask=None):
        return super().forward(x).unsqueeze(1) if mask is None else super().forward(x[:, 0])


def autoencoder(tr_s=1.5, people=("one",), applied=(), *, delayed=("film",), hemodynamics="learned", kernel_s=30.0):
    """A model of twenty voxels whose nets begin with the canonical response, and have learned nothing else yet."""
    config = ModelConfig(latent=4, hemodynamics=hemodynamics, basis=1, kernel_s=kernel_s)
    heads = (lambda s, d: Head(d, 20)), (lambda s, d: Head(20, d))
    sizes = dict.fromkeys([*delayed, *applied], 3)
    return Autoencoder(config, tr_s, sizes, sizes, list(people), *heads, applied=applied)


def halves(early, late, *, tr_s=1.5, counts=(0.0, 1.0), late_s=(0.0,), applied=()):
    """In closed form, one half of the voxels weighs features by delay as `early` [R] says, the other as `late` does."""
    model = autoencoder(tr_s, [f"sub-{k}" for k in range(len(late_s))], applied)
    encoding = model.encode([20] * len(late_s), dict.fromkeys(["film", *applied], 2))
    basis = torch.zeros(len(DELAYS_S), encoding.width, RANK)
    basis[:, 5, 0], basis[:, 7, 1] = torch.tensor(early), torch.tensor(late)
    basis[0, FEATURES:, 1] = 9.0  # what is under a response already says nothing of one
    encoding.put("basis", basis.flatten(0, 1))
    for k in range(len(late_s)):
        voxels = torch.zeros(RANK, 20)
        voxels[0, EARLY], voxels[1, ~EARLY] = -0.1, 3.0
        encoding.put(f"voxels_{k}", voxels)
    encoding.put("late_s", torch.tensor(late_s))
    encoding.put("counts", torch.tensor(counts))
    return model


@pytest.mark.parametrize("tr_s", [0.72, 1.5, 2.0])
def test_canonical_kernels_peak_five_seconds_after_their_stimulus(tr_s):
    """Glover's response peaks at 5.0 s; the stimulus is the whole TR, BOLD is read at its middle."""
    model = autoencoder(tr_s)
    assert region_peaks(model, {})["all"] == pytest.approx(GLOVER_S, abs=max(0.15, tr_s / 5))
    assert net_kernels(model, 0).shape == (20, model.hemodynamics.taps)


@pytest.mark.parametrize("tr_s", [0.72, 1.5, 2.0])
def test_a_region_peaks_as_late_as_its_weights_are(tr_s):
    peaks = region_peaks(halves((1.0, 0.0, 0.0), (0.0, 0.5, 0.5), tr_s=tr_s), REGIONS)
    near = max(0.15, tr_s / 5)
    assert peaks["early"] == pytest.approx(GLOVER_S - 1, abs=near)
    assert peaks["late"] == pytest.approx(GLOVER_S + 0.5, abs=near)
    assert peaks["all"] == pytest.approx(peaks["late"], abs=0.05), "who responds more strongly says more"


def test_peaks_are_means_over_people():
    alike = halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), late_s=(0.0, 0.0))
    apart = halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), late_s=(-0.6, 0.6))
    want, found = region_peaks(alike, REGIONS), region_peaks(apart, REGIONS)
    assert found == pytest.approx(want, abs=0.1)
    assert person_delays(apart) == pytest.approx({"sub-0": -0.6, "sub-1": 0.6})
    later = halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), late_s=(0.2, 1.4))
    assert person_delays(later) == pytest.approx({"sub-0": -0.6, "sub-1": 0.6}), "against each other"


def test_net_and_closed_form_say_as_much_as_they_count():
    """The net has the canonical response everywhere."""
    weights = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    net, closed, both = (
        region_peaks(halves(*weights, counts=c), REGIONS) for c in ((1.0, 0.0), (0.0, 0.7), (0.25, 0.75))
    )
    assert net["early"] == pytest.approx(net["late"], abs=0.01)
    assert closed["late"] - closed["early"] == pytest.approx(2, abs=0.3)
    assert both["early"] == pytest.approx(0.25 * net["early"] + 0.75 * closed["early"])


def test_a_region_without_a_response_has_no_peak():
    assert set(region_peaks(halves((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)), REGIONS)) == {"all", "late"}


def test_a_region_that_is_not_predicted_has_no_peak():
    """Whatever its weights respond to, it is not in the scans."""
    peaks = region_peaks(halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), REGIONS)
    fmri = {"r": 0.15, "null_p95": 0.02, "regions": {"early": {"r": 0.3}, "late": {"r": 0.018}}}
    assert predicted_peaks(peaks, fmri) == {k: peaks[k] for k in ("all", "early")}
    assert predicted_peaks(peaks, fmri | {"null_p95": 0.2}) == {"early": peaks["early"]}
    assert predicted_peaks(peaks, fmri | {"null_p95": 0.3}) == {}


def test_peaks_of_regions_are_true_or_not_without_one_of_the_brain():
    truth = {"subjects": {"a": {"hrf_peak_s": {"early_1": 5.0, "late_1": 7.0}}}}
    found = hrf_errors(truth, {"early": 5.5})
    assert found == {"hrf_error_s": {"early": 0.5}, "hrf_error_one_peak_s": {}}
    assert hrf_errors(truth, {"early": 5.5, "all": 6.0})["hrf_error_one_peak_s"] == {"early": 1.0}


@pytest.mark.parametrize("hemodynamics", ["none", "shift", "canonical"])
def test_a_fixed_response_has_no_learned_peak(hemodynamics):
    assert region_peaks(autoencoder(hemodynamics=hemodynamics), REGIONS) == {}


@pytest.mark.parametrize("hemodynamics", ["learned", "fir"])
def test_a_kernel_that_delays_nothing_has_no_peak(hemodynamics):
    assert region_peaks(autoencoder(delayed=(), applied=["table"], hemodynamics=hemodynamics), REGIONS) == {}


def test_a_kernel_may_peak_at_either_end():
    assert peak_s(np.array([3.0, 2.0, 1.0]), 2.0) == 0
    assert peak_s(np.array([1.0, 2.0, 3.0]), 2.0) == 4
    assert peak_s(np.array([2.0, 1.0]), 2.0) == 0


@pytest.mark.parametrize("kernel_s", [0.5, 1.5, 2.0])
def test_kernels_as_short_as_a_tr_have_a_peak(kernel_s):
    assert 0 <= region_peaks(autoencoder(kernel_s=kernel_s), {})["all"] <= 3


def test_what_is_under_a_response_already_says_nothing_of_one():
    weights = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    alone, beside = halves(*weights), halves(*weights, applied=["table"])
    assert region_peaks(beside, REGIONS) == pytest.approx(region_peaks(alone, REGIONS))


def test_fitted_peaks_are_those_of_the_scans(build, world, quick_config):
    """Two halves of a brain hear the same; one responds 2 s later than the other, and as much longer."""
    rng = np.random.default_rng(3)
    heard, weights, scans = world.aligned["text"].features.values, rng.standard_normal((6, 20)), {}
    for s in ("a", "b"):
        early, late = (convolve_hrf(heard, canonical_hrf(1.5, stretch=stretch)) for stretch in (0.8, 1.2))
        y = np.where(EARLY, early @ weights, late @ weights)
        y = y / y[:120].std(0) + 0.5 * rng.standard_normal(y.shape)
        scans[s] = (y * world.scanned[s][:, None]).astype(np.float32)
    model, codes, _ = build(world, quick_config)
    model.encode([20, 20], codes.plain_sizes)
    fit_encoding(model, codes, [replace(world, scans=scans)], ("train", "validation"), Choice(0.2, 0.0, 1.0))
    peaks, canonical = region_peaks(model, REGIONS), region_peaks(autoencoder(), {})["all"]
    assert peaks["early"] == pytest.approx(canonical - 1, abs=0.15)
    assert peaks["late"] == pytest.approx(canonical + 1, abs=0.15)
    assert peaks["early"] < peaks["all"] < peaks["late"]


def test_a_report_says_what_both_count():
    model = halves((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), counts=(0.25, 0.5))
    assert way_counts(model) == {"net": 0.25, "closed": 0.5}
    model.encoding = None
    assert way_counts(model) == {"net": 1.0}
