"""What an invented run says of itself: every key of metrics.json that the page has a place for."""

from __future__ import annotations

from page_inputs import PEOPLE, REGIONS

VERSIONS = ("roundtrip", "predicted", "measured", "training_mean", "permuted")


def metrics() -> dict[str, object]:
    row = {"r": 0.4412345, "ridge_r": 0.3912, "banded_r": 0.4023, "ceiling": 0.5211}
    subjects = dict.fromkeys(PEOPLE, row)
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
            "interval": [0.41, 0.47],
            "gain": 0.039,
            "gain_interval": [0.01, 0.06],
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
        "video": scores("video_s3d", "ssim", "a light separable 3D net") | film(),
        "variance": variance(),
        "folds": folds(),
        "audio": scores("audio_mel", "mel_r", "Griffin-Lim") | sound(),
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


def scores(modality: str, metric: str, how: str) -> dict[str, object]:
    return {
        "modality": modality,
        "how": how,
        "loss": {"predicted": 0.5123456, "noisy": 0.55, "measured": 0.71, "permuted": 1.0312},
        **{c: {metric: v, "correlation": v / 2} for c, v in zip(VERSIONS, (0.98, 0.74, 0.52, 0.1, 0.02), strict=True)},
        "identification": {
            "two_way": 0.81,
            "top1": 0.24,
            "top5": 0.62,
            "chance_top1": 1 / 16,
            "chance_top5": 5 / 16,
            "set_size": 16,
            "n_clips": 16,
            "p": 0.000999,
            "interval": [0.7, 0.9],
            "top1_interval": [0.2, 0.3],
            "people": {"n": 6, "two_way": 0.66, "two_way_interval": [0.6, 0.7], "top1": 0.11, "top5": 0.4},
        },
    }


def film() -> dict[str, object]:
    names = ("frame_r", "psnr_db", "ssim", "motion_r")
    row = {f"{name}{where}": 0.321 for name in names for where in ("", "_at_cuts")}
    row |= {"n_trs": 36, "n_moving_trs": 30, "n_trs_at_cuts": 4, "n_moving_trs_at_cuts": 3}
    each = {"top1": 0.25, "top5": 0.5, "top1_interval": [0.1, 0.4], "top5_interval": [0.3, 0.7]}
    found = {"n_clips": 16, "set_size": 76.25, "clip_s": 9.0, "chance_top1": 0.0131, "chance_top5": 0.0656}
    sound = dict.fromkeys(VERSIONS[:4], "reconstructed") | {"original": "original", "side_by_side": "original"}
    return dict.fromkeys(VERSIONS, row) | {
        "reconstructed_s": 60.0,
        "reconstructed_from": {"run": "run-2", "start_s": 330.0},
        "permuted_by_s": 30.0,
        "retrieval": found | dict.fromkeys(VERSIONS, each),
        "sound": sound,
    }


def sound() -> dict[str, object]:
    names = ("snr_db", "si_sdr_db", "mel_r", "envelope_r", "pesq_wb", "stoi")
    row = {f"{name}{sd}": 0.321 for name in names for sd in ("", "_sd")} | {"n_pieces": 6}
    lacking = row | {"pesq_wb": None, "pesq_wb_sd": None, "stoi": None, "stoi_sd": None}
    short = "shorter than 0.25 s (6 of 6 pieces)"
    heard = {"original": "ask not", "measured": "ask", "training_mean": ""}
    return dict.fromkeys(("features", *VERSIONS), row) | {
        "training_mean": lacking,
        "unscored": {"training_mean": {"pesq_wb": short, "stoi": short}},
        "scored_hz": 16_000,
        "reconstructed_s": 60.0,
        "reconstructed_from": {"run": "run-2", "start_s": 330.0},
        "words": {"asr": "some/recogniser", "wer": {"measured": 0.5, "training_mean": None}, "texts": heard},
    }


def variance() -> dict[str, object]:
    of = {"unique": 0.04, "split": 0.06, "people": dict(zip(PEOPLE, (0.01, 0.02, 0.03, 0.04, 0.05, 0.09), strict=True))}
    kinds = dict.fromkeys(("video", "audio", "text"), of | {"p": 0.0156, "p_corrected": 0.0312})
    row = {"full": 0.19, "shared": 0.07, "modalities": kinds, "voxels": 120}
    return {"n_people": 6, "least_p": 1 / 64, "note": "words are few", "regions": dict.fromkeys((*REGIONS, "all"), row)}


def folds() -> dict[str, object]:
    each = {"n": 2, "r": [0.44, 0.42], "ridge_r": [0.4, 0.39], "best_ridge": ["hrf_banded_r", "banded_r"]}
    each |= {"gains": [0.04, 0.03], "mean_r": 0.43, "sd_r": 0.01, "interval": [0.4, 0.46]}
    return each | {"gain": 0.035, "gain_interval": [0.01, 0.06], "null_p95": 0.03, "p": 0.001}


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
