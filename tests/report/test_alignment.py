from __future__ import annotations

import re
from importlib.resources import files

import pytest
from giblet.report import figures
from giblet.report.alignment import Clock, Row, alignment_plot, rows_of, splits_of


def stream(clock: str, modality: str, start_s: float, stop_s: float, *covered: list[int]) -> dict:
    kind = modality.partition("_")[0]
    told = {"clock": clock, "stimulus": "Alice", "kind": kind, "signal": kind, "modality": modality}
    return told | {"start_s": start_s, "stop_s": stop_s, "covered": list(covered)}


def inputs(offset_s: float = 20.0) -> dict:
    scan = {"clock": "run-1", "n_volumes": 100}
    return {
        "clocks": {"run-1": {"start_s": offset_s, "tr_s": 2.0, "n_trs": 90}},
        "streams": [
            stream("run-1", "video_s3d", 0.0, 200.0, [0, 40], [50, 90]),
            stream("run-1", "features_table", 30.0, 90.0, [5, 35]) | {"signal": "text"},
            stream("run-2", "text_bge", 0.0, 9.0),
        ],
        "scans": [scan | {"subject": "a"}, scan | {"subject": "b"}, scan | {"subject": "c", "n_volumes": 80},
                  {"clock": "run-2", "n_volumes": 4, "subject": "a"}],
        "split": {"run-1": [["train", 0, 50], ["test", 70, 90]], "run-2": [["train", 0, 4]]},
    }  # fmt: skip


def test_everything_lies_on_the_clock_of_the_stimulus() -> None:
    assert rows_of(inputs(), "run-1") == [
        Row("video_s3d", (0.0, 200.0), [(20.0, 100.0), (120.0, 200.0)]),
        Row("text: features_table", (30.0, 90.0), [(30.0, 90.0)]),
        Row("scans of 2 people", (20.0, 220.0), [(20.0, 200.0)]),
        Row("scan of c", (20.0, 180.0), [(20.0, 180.0)]),
    ]


def test_what_is_between_blocks_is_a_gap() -> None:
    blocks = [("train", 0, 50), ("gap", 50, 70), ("test", 70, 90)]
    assert splits_of(inputs()["split"], "run-1", 90) == {"split": blocks}
    assert splits_of({"run-1": [["train", 10, 80]]}, "run-1", 90) == {
        "split": [("gap", 0, 10), ("train", 10, 80), ("gap", 80, 90)]
    }


def test_folds_have_a_line_each_and_labels_that_overlap_too() -> None:
    folds = {"fold 1: run-1": [["test", 0, 30]], "fold 2: run-1": [["train", 0, 30]], "fold 1: run-10": []}
    assert splits_of(folds, "run-1", 30) == {"fold 1": [("test", 0, 30)], "fold 2": [("train", 0, 30)]}
    same = splits_of({"run-1": [["train", 0, 30], ["test", 0, 30]]}, "run-1", 30)
    assert same == {"split: train": [("train", 0, 30)], "split: test": [("test", 0, 30)]}


def test_no_blocks_at_all_is_no_gap() -> None:
    assert splits_of({"run-1": []}, "run-1", 30) == {"split": []}


def test_the_scale_of_trs_stands_over_the_scale_of_seconds() -> None:
    fig = alignment_plot(inputs(), ["run-1"])
    seconds, trs = fig.axes
    clock = Clock(20.0, 2.0, 90)
    assert [clock.at_s(tr) for tr in trs.get_xlim()] == pytest.approx(seconds.get_xlim())
    assert seconds.get_title(loc="left") == "run-1: 90 TRs of 2 s, the first at 20 s of Alice"
    assert seconds.get_xlim()[0] <= 0
    assert seconds.get_xlim()[1] >= 220


def brightness(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a: str, b: str) -> float:
    low, high = sorted((brightness(a), brightness(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_colours_of_drawings_stand_out_on_both_papers() -> None:
    css = files("giblet.report").joinpath("style.css").read_text("utf-8")
    papers = re.findall(r"--paper: (#\w{6})", css)
    assert len(papers) == 2
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert min(contrast(c, paper) for c in figures.COLOURS for paper in papers) >= 3
