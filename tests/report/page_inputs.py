"""What an invented run was made of: scans, streams, plugins, maps and training."""

from __future__ import annotations

import numpy as np

REGIONS = ["visual", "auditory", "language", "association", "other"]
EVIL = "sub-<script>alert(1)</script>"
PEOPLE = (*(f"sub-{k:02}" for k in range(1, 6)), EVIL)


def maps(with_mask: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in (14, 16, 12)], indexing="ij"))
    mask = (grid**2).sum(0) < 0.95
    x, y, z = grid[:, mask]
    region = np.select([y < -0.4, np.abs(x) > 0.6, (z > 0.4) & (x < 0), z > 0.4], [0, 1, 2, 3], 4)
    ceiling = np.array([0.65, 0.55, 0.45, 0.4, 0.05])[region] + rng.normal(0, 0.05, len(region))
    r = 0.85 * ceiling + rng.normal(0, 0.04, len(region))
    arrays = {"r_group": r, "ceiling_group": ceiling, "ridge_group": r - 0.05 + rng.normal(0, 0.03, len(r))}
    arrays |= {"p_group": rng.random(len(r)), "region": region, "region_names": np.array(REGIONS)}
    arrays |= {f"variance_unique_{kind}": r**2 / (k + 2) for k, kind in enumerate(("video", "audio"))}
    if with_mask:
        return arrays | {"mask": mask, "affine": np.diag([-3.0, 3, 3, 1])}
    return {k: v[:200] if k != "region_names" else v for k, v in arrays.items()}


def inputs() -> dict[str, object]:
    scans = [
        {
            "subject": f"sub-{s:02}",
            "run": f"run-{r}",
            "clock": f"run-{r}",
            "stimulus": f"film{r}.mp4",
            "bold": f"sub-{s:02}_run-{r}.nii",
            "tr_s": 1.5,
            "offset_s": 6.0,
            "n_volumes": 320 if s < 6 else 330,
            "n_trs": 320,
            "cut_scan_s": 0.0,
            "cut_stimulus_s": 0.0,
        }
        for s in range(1, 7)
        for r in (1, 2)
    ]
    streams = [
        {
            "clock": f"run-{r}",
            "stimulus": f"film{r}.mp4",
            "kind": m.partition("_")[0],
            "signal": m.partition("_")[0],
            "modality": m,
            "start_s": 0.0,
            "stop_s": 500.0,
            "covered": [[0, c - 40], [c - 20, c]],
            "samples": n,
            "rate_hz": hz,
            "frames_per_tr": f,
            "covered_trs": c,
            "n_trs": 320,
        }
        for r in (1, 2)
        for m, n, hz, f, c in (("video_s3d", 6000, 12.5, 19, 320), ("text_bge", 96, None, 2, 288))
    ]
    split = {
        "run-1": [["train", 0, 320]],
        "run-2": [["train", 0, 84], ["validation", 124, 180], ["test", 220, 320]],
    }
    clocks = {f"run-{r}": {"start_s": 6.0, "tr_s": 1.5, "n_trs": 320} for r in (1, 2)}
    return {
        "clocks": clocks,
        "scans": scans,
        "streams": streams,
        "split": split,
        "notes": ["slice time reference 0.5"],
        "wrappers": [],
    }


def model() -> dict[str, object]:
    text = {"plugin": "text_bge", "distribution": "giblet-text-bge", "version": "0.1.0"}
    fmri = {"plugin": "fmri_mask", "distribution": "giblet-fmri-mask", "version": "0.1.0"}
    cited = (
        "@book{other,\n  author = {Doe, Jane},\n  title = {On masks},\n  year = {2020},\n  when = {settings.mask}\n}"
    )
    text |= {"settings": {"weights": "minilm"}, "citations": cited.replace("mask}", "weights=mini}")}
    fmri |= {"settings": {"mask": None, "high_pass_s": 128.0}, "citations": cited}
    return {"modalities": {"text": text, "fmri": fmri}}


def training() -> list[dict[str, object]]:
    stages = ["front-end video", "front-end audio", "trunk", "decoders"]
    return [
        {
            "stage": s,
            "step": k,
            "train": 0.4 + 0.6 * np.exp(-k / 80),
            "validation": 0.5 + 0.5 * np.exp(-k / 80) if k % 50 == 0 else None,
            "seconds": k * 0.05,
        }
        for s in stages
        for k in range(0, 400, 10)
    ]
