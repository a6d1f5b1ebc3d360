"""The section on film: what is watched, and the tables that say what it is worth."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from giblet.media import write_film
from giblet.report.run_folder import RunFolder
from giblet.report.sections import video

VERSIONS = ("roundtrip", "predicted", "measured", "permuted", "training_mean")
PARTS = ("frame_r", "psnr_db", "ssim", "motion_r")


def scores(at_cuts: int = 2) -> dict[str, object]:
    made = {}
    for k, v in enumerate(VERSIONS):
        row = {f"{name}{s}": 0.111 * (k + 1) for name in PARTS for s in ("", "_at_cuts")}
        row |= {"ssim": None, "n_trs": 38, "n_moving_trs": 30, "n_trs_at_cuts": at_cuts, "n_moving_trs_at_cuts": 1}
        made[v] = row
    each = {"top1": 0.25, "top5": 0.5, "top1_interval": [0.1, 0.4], "top5_interval": [0.3, 0.7]}
    found = {"n_clips": 16, "set_size": 76.25, "clip_s": 9.0, "chance_top1": 0.0131, "chance_top5": 0.0656}
    sound = dict.fromkeys(VERSIONS, "reconstructed") | {"original": "original", "side_by_side": "original"}
    return made | {
        "reconstructed_s": 60.0,
        "reconstructed_from": {"run": "run-2", "start_s": 330.0},
        "permuted_by_s": 30.0,
        "retrieval": found | dict.fromkeys(VERSIONS, each),
        "sound": sound,
    }


def written(folder: Path, film: dict[str, object], films: bool = True) -> RunFolder:
    (folder / "metrics.json").write_text(json.dumps({"video": film}), encoding="utf-8")
    frames = [np.full((18, 32, 3), 20 * k, np.uint8) for k in range(6)]
    names = [f"video/{v}.mp4" for v in ("original", *VERSIONS)] + ["side_by_side.mp4"] if films else []
    for name in names:
        write_film(folder / "reconstructions" / name, frames, Fraction(5))
    return RunFolder.read(folder)


def section(folder: Path, film: dict[str, object], films: bool = True) -> str:
    shown = video.render(written(folder, film, films))
    assert shown is not None
    return shown.body


def test_the_side_by_side_film_comes_first_and_films_say_their_sound(tmp_path):
    body = section(tmp_path, scores())
    assert body.count("<video") == 1 + 5  # an older run has the shifted control as a film, too: it is not shown
    assert body.index("reconstructions side by side") < body.index('"Film, original"')
    assert body.count("with the sound read back in the same way") == 4
    assert body.count("with the original&#x27;s sound") == 2
    assert (tmp_path / "reconstructions/video/frames.png").is_file()


def test_scores_stand_beside_their_controls_and_cuts_apart(tmp_path):
    body = section(tmp_path, scores(), films=False)
    plain, cuts = (body.index(f"Quality of the film in TRs {w} a cut") for w in ("without", "with"))
    assert plain < cuts
    assert "38 of them, 30 with motion" in body[plain:cuts]
    assert "2 of them, 1 with motion" in body[cuts:]
    for column in ("round trip", "from the measured scan", "training mean", "permuted"):
        assert column in body[plain:cuts]
    assert "0.555" in body[plain:cuts]
    assert "its end put before its beginning" in body
    assert "here by 30 s." in body


def test_chance_and_set_size_stand_below_what_was_found(tmp_path):
    body = section(tmp_path, scores(), films=False)
    assert "16 clips of 9 s, 76.2 to choose from" in body
    assert body.index("0.100 to 0.400") < body.index("0.013")


def test_what_there_is_none_of_is_said(tmp_path):
    film = scores(at_cuts=0) | {"retrieval": {"note": "no test block is as long as one clip of 9 s"}}
    body = section(tmp_path, film, films=False)
    assert "TRs with a cut, from 60 s of a test block, from 330 s of run-2 on: none." in body
    assert "No clip was sought by its pictures: no test block is as long as one clip of 9 s." in body
    assert "<video" not in body


def test_a_broken_film_is_left_out(tmp_path):
    run = written(tmp_path, scores() | {"sound": {}})
    (tmp_path / "reconstructions/side_by_side.mp4").write_bytes(b"no film")
    shown = video.render(run)
    assert shown is not None
    assert shown.body.count("<video") == 5
    assert "the sound" not in shown.body


def test_why_there_is_no_sound_is_said(tmp_path):
    silent = dict.fromkeys([*VERSIONS, "original", "side_by_side"], "none") | {"note": "film.mp4 has no sound stream"}
    body = section(tmp_path, scores() | {"sound": silent})
    assert "The original&#x27;s sound could not be had: film.mp4 has no sound stream." in body
    assert "without sound" in body
