"""A flash and a click, through reader, clock, code and hemodynamics: the predicted response peaks where it must."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from giblet import Modality, Source, TRGrid, hookimpl, seconds, stages
from giblet.config import ModelConfig
from giblet.media import read_frames, read_sound, write_film
from giblet.model import Autoencoder
from giblet.plugins import Plugin, Registry
from scipy.interpolate import CubicSpline
from torch import nn

SUBSTEPS = 4
FPS = 20
TRS = ["0.72", "1.0", "1.5", "2.0", "2.0045"]
ONSETS = [60.0, 60.3, 61.1]


class Substeps(nn.Module):
    """Identity front end: the energy in each quarter of a TR, [n, F, ...] -> [n, 4]."""

    def forward(self, x, mask):
        energy = x.float().flatten(2).square().mean(-1) * mask
        place = (torch.arange(x.shape[1]) + 0.5) / mask.sum(1, keepdim=True) * SUBSTEPS
        return torch.stack([(energy * (place.floor() == i)).sum(1) for i in range(SUBSTEPS)], 1)


class Flash(Modality):
    name = "video_flash"
    kind = "video"

    def extract(self, source):
        return read_frames(source.path, 16, 16)

    def encode(self, spec, width):
        return Substeps()


class Click(Flash):
    name = "audio_click"
    kind = "audio"

    def extract(self, source):
        return read_sound(source.path, 1000)


class Plug:
    @hookimpl
    def register_modalities(self):
        return [Flash, Click]


@pytest.fixture(scope="module", params=ONSETS)
def film(request, tmp_path_factory):
    onset = request.param
    frames = (np.full((32, 32, 3), 255 * (i == round(onset * FPS)), np.uint8) for i in range(84 * FPS))
    sound = np.zeros((84 * 8000, 1), np.float32)
    sound[round(onset * 8000) : round(onset * 8000) + 80] = 0.9
    path = tmp_path_factory.mktemp("impulse") / "flash.mp4"
    return onset, write_film(path, frames, Fraction(FPS), sound, 8000)


def registry():
    r = Registry()
    plug = Plug()
    r.add(Plugin("video_flash", "test", "0", lambda: plug))
    r.load("video_flash")
    return r


def predicted_peak_s(path, modality, tr_s, slice_time_ref=0.5):
    r = registry()
    grid = TRGrid(seconds(tr_s), int(82 / float(tr_s)))
    aligned = stages.align(r, modality, stages.extract(r, modality, Source(path)), grid)
    values, mask = (torch.from_numpy(a) for a in aligned.rows(slice(None)))
    code = stages.encode(r, modality, modality.spec(aligned), SUBSTEPS)(values, mask)
    config = ModelConfig(latent=SUBSTEPS, substeps=SUBSTEPS, hemodynamics="canonical", dropout=0.0, kernel_s=32.0)
    heads = [lambda subject, width: Sum()] * 2
    model = Autoencoder(config, float(grid.tr_s), {"x": SUBSTEPS}, {"x": SUBSTEPS}, ["one"], *heads, slice_time_ref)
    adapter = model.adapters.adapters["x"]
    with torch.no_grad():
        adapter.linear.weight.copy_(torch.eye(SUBSTEPS))
        for p in (adapter.linear.bias, *adapter.bend[-1].parameters()):
            p.zero_()
        drive = model.eval().drive({"x": code[None]}, {}, {"x": mask.any(1)[None]})
        bold = model.brain(drive, 0)[0, :, 0].numpy()
    times = grid.onsets_s() + 0.5 * float(grid.tr_s)
    fine = np.arange(times[0], times[-1], 0.005)
    return fine[CubicSpline(times, bold)(fine).argmax()]


class Sum(nn.Module):
    def forward(self, z, mask=None):
        return z.sum(1, keepdim=True).unsqueeze(1)


def glover_peak_s():
    from nilearn.glm.first_level import glover_hrf

    return glover_hrf(t_r=32.0, oversampling=32_000, time_length=32.0).argmax() / 1000


def bound_s(tr_s):
    return 0.25 if float(tr_s) <= 1 else float(tr_s) / 4


@pytest.mark.parametrize("modality", [Flash(), Click()], ids=["flash", "click"])
@pytest.mark.parametrize("tr_s", TRS)
def test_response_peaks_where_the_analytic_one_does(film, modality, tr_s):
    onset, path = film
    error = predicted_peak_s(path, modality, tr_s) - (onset + glover_peak_s())
    assert abs(error) <= bound_s(tr_s), f"peak is {error:+.3f} s off at TR {tr_s}"


@pytest.mark.parametrize("tr_s", TRS)
def test_half_a_tr_of_shift_would_be_noticed(film, tr_s):
    onset, path = film
    early = predicted_peak_s(path, Flash(), tr_s, slice_time_ref=0.0) - (onset + glover_peak_s())
    late = predicted_peak_s(path, Flash(), tr_s, slice_time_ref=1.0) - (onset + glover_peak_s())
    assert max(abs(early), abs(late)) > bound_s(tr_s)
