"""An invented run, written as a real one is: the files of its folder, films and sounds among them."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
from giblet.media import write_film, write_sound
from page_inputs import inputs, maps, model, training
from page_metrics import metrics

CONDITIONS = ["original", "roundtrip", "predicted", "measured", "training_mean"]


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
    for k, condition in enumerate(CONDITIONS):
        sound = tone(k, 0.3 * k)
        film = folder / "video" / f"{condition}.mp4"
        write_film(film, film_frames(k, noise=0.4 * k), Fraction(25, 2), sound[: int(16000 * 2.4)], 16000)
        write_sound(folder / "audio" / f"{condition}.wav", sound, 16000)
    write_sound(folder / "audio" / "features.wav", tone(9, 0.1), 16000)
    joined = [np.concatenate([frame] * 3, axis=1) for frame in film_frames(0)]
    write_film(folder / "side_by_side.mp4", joined, Fraction(25, 2), tone(0, 0.0)[: int(16000 * 2.4)], 16000)
    words = folder / "text"
    words.mkdir(parents=True)
    for condition in ("predicted", "measured"):
        rows = [f"{120 + 3 * k}\t3.0\tAnna meets <b>Bob</b> {k}\tBob meets Anna {k}\t{k + 1}" for k in range(12)]
        head = "onset_s\tduration_s\toriginal\trecovered\trank"
        (words / f"{condition}.tsv").write_text("\n".join([head, *rows]), encoding="utf-8")


def json_lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


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
    for k in (1, 2):
        (folder / f"fold-{k}").mkdir()
        (folder / f"fold-{k}" / "report.html").write_text("a fold's own page", encoding="utf-8")
    if media is not None:
        shutil.copytree(media, folder / "reconstructions")
    return folder
