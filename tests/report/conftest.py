from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from giblet.media import write_film, write_sound
from giblet.report import write_report

CONDITIONS = ["original", "roundtrip", "predicted", "measured"]
REGIONS = ["visual", "auditory", "language", "association", "other"]
EVIL = "sub-<script>alert(1)</script>"


def film_frames(seed: int, count: int = 30, noise: float = 0.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:90, 0:160]
    frames = []
    for k in range(count):
        ball = np.hypot(x - 20 - 4 * k, y - 45 - 20 * np.sin(k / 4)) < 14
        frame = np.stack([60 + x, 40 + 2 * y, np.full_like(x, 120)], -1) * 0.6
        frame[ball] = (240, 200, 60)
        frames.append((frame + noise * rng.normal(0, 40, frame.shape)).clip(0, 255).astype(np.uint8))
    return frames


def tone(seed: int, noise: float, rate_hz: int = 16000, length_s: float = 3.0) -> np.ndarray:
    t = np.arange(int(rate_hz * length_s)) / rate_hz
    wave = 0.3 * np.sin(2 * np.pi * (300 + 400 * t) * t) * (np.sin(2 * np.pi * 2 * t) > 0)
    return (wave + noise * np.random.default_rng(seed).normal(0, 0.1, len(t))).astype(np.float32)


def write_media(folder: Path) -> None:
    for k, condition in enumerate([*CONDITIONS, "lesion-visual"]):
        sound = tone(k, 0.3 * k)
        film = folder / "video" / f"{condition}.mp4"
        write_film(film, film_frames(k, noise=0.4 * k), Fraction(25, 2), sound[: int(16000 * 2.4)], 16000)
        write_sound(folder / "audio" / f"{condition}.wav", sound, 16000)
    words = folder / "text"
    words.mkdir(parents=True)
    for condition in ("predicted", "measured"):
        rows = [f"{120 + 3 * k}\t3.0\tAnna meets <b>Bob</b> {k}\tBob meets Anna {k}\t{k + 1}" for k in range(12)]
        head = "onset_s\tduration_s\toriginal\trecovered\trank"
        (words / f"{condition}.tsv").write_text("\n".join([head, *rows]), encoding="utf-8")


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
    if with_mask:
        return arrays | {"mask": mask, "affine": np.diag([-3.0, 3, 3, 1])}
    return {k: v[:200] if k != "region_names" else v for k, v in arrays.items()}


def scores(modality: str, metric: str, how: str) -> dict[str, object]:
    return {
        "modality": modality,
        "how": how,
        "loss": {"predicted": 0.5123456, "noisy": 0.55, "measured": 0.71, "permuted": 1.0312},
        **{
            c: {metric: v, "correlation": v / 2}
            for c, v in {"roundtrip": 0.98, "predicted": 0.74, "measured": 0.52, "training_mean": 0.1}.items()
        },
        "identification": {
            "two_way": 0.81,
            "top1": 0.24,
            "top5": 0.62,
            "chance_top1": 1 / 16,
            "chance_top5": 5 / 16,
            "set_size": 16,
            "p": 0.000999,
            "interval": [0.7, 0.9],
            "top1_interval": [0.2, 0.3],
            "people": {"n": 6, "two_way": 0.66, "two_way_interval": [0.6, 0.7], "top1": 0.11, "top5": 0.4},
        },
    }


def metrics() -> dict[str, object]:
    row = {"r": 0.4412345, "ridge_r": 0.3912, "banded_r": 0.4023, "ceiling": 0.5211}
    subjects = {f"sub-{k:02}": row for k in range(1, 6)} | {EVIL: row}
    return {
        "summary": "The model predicts held-out scans better than both ridges (r 0.441 against 0.391 and 0.402).",
        "warnings": ["Words are hardly decodable: relative loss 0.97."],
        "study": "demo (seed 0)",
        "command": "giblet run --out out/demo",
        "seed": 0,
        "machine": {"Python": "3.11.7", "processor": "x86_64, 2 cores", "accelerator": "none"},
        "versions": {"giblet": "0.1.0", "torch": "2.14.1", "numpy": "2.4.0"},
        "fmri": {
            **row,
            "summary_ridge_r": 0.3,
            "training_mean_r": 0.0,
            "ceiling_kind": "agreement between people, not a bound",
            "ceiling_ratio": 0.8467,
            "null_p95": 0.0312,
            "null_kind": "circular shifts",
            "p": 0.000999,
            "lag_s": 0.0,
            "lag_flag": False,
            "hrf_peak_s": {"visual": 5.1, "auditory": 4.9},
            "group": {"r": 0.61, "ridge_r": 0.55, "banded_r": 0.57, "ceiling": 0.75},
            "subjects": subjects,
            "regions": {name: {**row, "voxels": 120 + k} for k, name in enumerate(REGIONS)},
        },
        "video": scores("video_s3d", "ssim", "a light separable 3D net"),
        "audio": scores("audio_mel", "mel_correlation", "Griffin-Lim"),
        "text": scores("text_bge", "top_five", "nearest neighbour"),
        "smuggling": {
            "hidden": {"video": 0.04, "audio": 0.02},
            "excess": {"video": -0.1, "audio": 0.0},
            "flag": False,
            "text": "Nothing is hidden.",
        },
        "lesions": lesions(),
        "truth": {"ceiling": 0.55, "ratio_to_ceiling": 0.82, "oracle_r": 0.56, "fir_r": 0.41},
    }


def lesions() -> dict[str, object]:
    row = {"intact": 0.8, "lesion": 0.85, "effect": 0.05, "decodable": True}
    row |= {"code_intact": 0.7, "code_lesion": 0.8, "code_effect": 0.1, "code_interval": [0.02, 0.18], "p": 0.004975}
    lost = {"intact": 0.95, "lesion": 0.95, "effect": 0.0, "decodable": False}
    sources = ("from_measured", "from_predicted")
    pair = {"regions": ["visual", "auditory"], "modalities": ["video", "audio"], "estimate": 0.07}
    match = {"n": 200, "region_ceiling": 0.7, "random_ceiling": 0.69, "random_ceiling_sd": 0.01, "notes": []}
    return {
        "regions": {
            r: {k: dict.fromkeys(sources, row) for k in ("video", "audio")} | {"text": dict.fromkeys(sources, lost)}
            for r in REGIONS[:3]
        },
        "not_decodable": {s: {"text": {"intact": 0.95, "code_intact": 0.97}} for s in sources},
        "interactions": {s: [pair | {"interval": [0.03, 0.11], "p": 0.001, "p_holm": 0.003}] for s in sources},
        "matching": {r: match | {"within_tolerance": 0.99, "tolerance": 0.05} for r in REGIONS[:2]},
        "settings": {"how": "resample", "draws": 1, "random": 200, "level": 0.95},
        "notes": [],
    }


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


def json_lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_media(folder)
    return folder


def fabricate(folder: Path, media: Path | None, with_mask: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in (
        ("metrics", metrics()),
        ("inputs", inputs()),
        ("config", {"seed": 0, "video": {"name": "s3d"}}),
        ("model/model", model()),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    log = [{"stage": s, "seconds": 12.3456} for s in ("demo", "extract", "train", "evaluate")]
    (folder / "log.jsonl").write_text(json_lines(log), encoding="utf-8")
    (folder / "train.jsonl").write_text(json_lines(training()), encoding="utf-8")
    np.savez(folder / "maps.npz", **maps(with_mask))
    if media is not None:
        shutil.copytree(media, folder / "reconstructions")
    return folder


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Path:
    """A whole run with its report."""
    folder = fabricate(tmp_path_factory.mktemp("run") / "läuft", media)
    write_report(folder)
    return folder


@pytest.fixture
def light_folder(tmp_path: Path, media: Path) -> Path:
    """A run of its own for each test, without the maps and curves that take long to draw."""
    folder = fabricate(tmp_path / "run", media)
    (folder / "maps.npz").unlink()
    (folder / "train.jsonl").unlink()
    return folder


@pytest.fixture
def numbers_only(tmp_path: Path) -> Path:
    """A run without maps, curves, films and sounds."""
    folder = fabricate(tmp_path / "run", None)
    (folder / "maps.npz").unlink()
    (folder / "train.jsonl").unlink()
    return folder


@pytest.fixture
def bare_folder(tmp_path: Path) -> Callable[[dict[str, object]], Path]:
    def write(metrics: dict[str, object]) -> Path:
        (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
        return tmp_path

    return write
