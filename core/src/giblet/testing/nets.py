"""Checks of `spec`, `encode` and `decode`: modules that map one TR, each by itself."""

from __future__ import annotations

import numpy as np

from giblet.testing.case import Case
from giblet.testing.drawing import for_all
from giblet.testing.verdict import NothingTriedError, require, require_close


def check_spec_describes_the_features(case: Case) -> None:
    """The spec has the shape and the frames of the features, and room for every class."""
    aligned, spec = case.aligned, case.spec
    values = aligned.features.values
    require(spec.shape == values.shape[1:], f"spec.shape is {spec.shape}, a frame has {values.shape[1:]}")
    require(spec.frames >= aligned.frames, f"spec.frames is {spec.frames}, a TR has up to {aligned.frames}")
    if spec.num_classes is not None:
        whole = np.issubdtype(values.dtype, np.integer)
        require(whole, f"num_classes is set, but the values are {values.dtype}")
        low, high = int(values.min()), int(values.max())
        require(low >= 0, f"classes count from 0, but there is {low}")
        require(high < spec.num_classes, f"num_classes is {spec.num_classes}, but there is class {high}")


def check_encode_decode_shapes(case: Case) -> None:
    """Codes and predictions have their shapes and are finite, for any number of TRs and any frames that are there."""
    import torch
    from hypothesis import strategies as st

    spec, (encoder, decoder), (x, _) = case.spec, case.build(), case.batch()
    inner = spec.shape if spec.num_classes is None else (*spec.shape, spec.num_classes)

    @torch.no_grad()
    def law(n: int, seed: int) -> None:
        mask = torch.rand(n, spec.frames, generator=torch.Generator().manual_seed(seed)) < 0.7
        h = encoder(x[torch.arange(n) % len(x)], mask)
        require(h.ndim == 2, f"encode must give [n, width], not {tuple(h.shape)}")
        require(len(h) == n, f"encode gave {len(h)} rows for {n} TRs")
        require(h.shape[1] == case.width, f"encode gave codes of {h.shape[1]} numbers, asked for {case.width}")
        require(torch.isfinite(h).all(), "encode gave codes that are not finite")
        y = decoder(h)
        want = (n, spec.frames, *inner)
        require(tuple(y.shape) == want, f"decode gave {tuple(y.shape)} for {want}")
        require(torch.isfinite(y).all(), "decode gave values that are not finite")

    for_all(law, 6, n=st.integers(1, 7), seed=st.integers(0, 99))


def check_codes_follow_the_frames(case: Case) -> None:
    """Other frames give another code, wherever the TRs of the recording differ."""
    import torch

    (encoder, _), (x, mask) = case.build(), case.batch()
    other, there = x.flip(0), torch.ones_like(mask)
    if torch.equal(x, other):
        raise NothingTriedError("the TRs of the recording are all alike")
    encoder.eval()
    with torch.no_grad():
        for parameter in encoder.parameters():  # away from layers that begin at zero
            parameter.add_(0.02 * torch.randn_like(parameter))
        same = torch.equal(encoder(x, there), encoder(other, there))
    require(not same, "encode gives the same code for other frames; it must read x")


def check_rows_do_not_mix(case: Case) -> None:
    """Row t of an output depends on TR t alone; only the trunk crosses TRs."""
    import torch

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    norms = [n for net in (encoder, decoder) for n, m in net.named_modules() if "BatchNorm" in type(m).__name__]
    require(not norms, f"{', '.join(norms)}: BatchNorm mixes the rows of a batch; take LayerNorm or GroupNorm")
    encoder.eval(), decoder.eval()
    with torch.no_grad():
        h = encoder(x, mask)
        alone = torch.cat([encoder(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])
        require_close(h, alone, "rows of a batch influence each other in the encoder")
        each = torch.cat([decoder(h[i : i + 1]) for i in range(len(h))])
        require_close(decoder(h), each, "rows of a batch influence each other in the decoder")


def check_masked_frames_do_not_count(case: Case) -> None:
    """A frame that is not there changes nothing, and a TR without any still has a finite code."""
    import torch
    from hypothesis import strategies as st

    (encoder, _), (x, mask) = case.build(), case.batch()
    encoder.eval()

    @torch.no_grad()
    def law(seed: int) -> None:
        there = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.7)
        zeros, ones = x.clone(), x.clone()
        zeros[~there], ones[~there] = 0, 1
        require_close(encoder(zeros, there), encoder(ones, there), "a masked frame changes the code; use the mask")

    for_all(law, 5, seed=st.integers(0, 99))
    with torch.no_grad():
        empty = encoder(x, torch.zeros_like(mask))
    require(torch.isfinite(empty).all(), "a TR without frames must have a finite code; divide by at least 1")


def check_eval_is_deterministic(case: Case) -> None:
    """In evaluation the same input gives the same output, whatever was drawn before."""
    import torch

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    encoder.eval(), decoder.eval()
    with torch.no_grad():
        h = encoder(x, mask)
        require_close(encoder(x, mask), h, "the encoder draws in eval(); draw only where self.training")
        require_close(decoder(h), decoder(h), "the decoder draws in eval(); draw only where self.training")


def check_every_parameter_gets_a_gradient(case: Case) -> None:
    """Each parameter has a finite gradient that is not zero throughout: what has none never learns, and stops DDP."""
    import torch

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    named = [(n, p) for net in (encoder, decoder) for n, p in net.named_parameters() if p.requires_grad]
    if not named:  # features that are their own code
        return
    with torch.no_grad():
        for _, parameter in named:  # away from layers that begin at zero and hide what is before them
            parameter.add_(0.02 * torch.randn_like(parameter))
    case.fitted.loss(decoder(encoder(x, mask)), x).mean().backward()
    idle = [n for n, p in named if p.grad is None or not p.grad.any()]
    require(not idle, f"no gradient reaches {idle}; use them in forward, or take them out")
    wild = [n for n, p in named if p.grad is not None and not torch.isfinite(p.grad).all()]
    require(not wild, f"the gradient of {wild} is not finite")


def check_cuda_equals_cpu(case: Case) -> None:
    """On a GPU the nets and the loss give what they give on the CPU; offered where there is one."""
    import torch

    from giblet.testing.verdict import relative_error

    (encoder, decoder), (x, mask) = case.build(), case.batch()
    found = []
    for device in ("cpu", "cuda"):
        encoder.to(device).eval(), decoder.to(device).eval()
        with torch.no_grad():
            h = encoder(x.to(device), mask.to(device))
            y = decoder(h)
            loss = [case.fitted.loss(y, x.to(device))] if case.fitted.role == "stimulus" else []
        found.append([out.float().cpu().numpy() for out in (h, y, *loss)])
    for name, cpu, cuda in zip(("codes", "predictions", "losses"), *found, strict=False):
        error = relative_error(cuda, cpu, classes=False)
        require(error < 1e-4, f"{name} on the GPU differ from those on the CPU (relative error {error:.3g})")
