from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from giblet.errors import DataError
from giblet.media import read_series, read_table
from giblet.media.captions import plain_text


def put(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def sheet(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_a_bids_table_with_its_other_columns(tmp_path):
    t = read_table(
        put(tmp_path / "a_events.tsv", "onset\tduration\ttrial_type\tnote\n1.5\t2\tface\tx\n4\t0.5\thouse\ty\n")
    )
    np.testing.assert_array_equal(t.onset_s, [1.5, 4])
    np.testing.assert_array_equal(t.duration_s, [2, 0.5])
    assert t.text == ["face", "house"]
    assert t.columns["note"] == ["x", "y"]
    assert t.notes == []


@pytest.mark.parametrize(
    "header", ["Start Time (s) ,End Time (s),Text", "start_s,end_s,description", "START;Stop;label"]
)
def test_usual_names_are_found_and_ends_become_durations(tmp_path, header):
    body = "1,3.5,a dog\n4,4,a cat\n"
    t = read_table(
        put(tmp_path / "a.csv", f"{header}\n{body.replace(',', ';') if ';' in header else body}", "utf-8-sig")
    )
    np.testing.assert_array_equal(t.duration_s, [2.5, 0])
    assert t.text == ["a dog", "a cat"]


def test_named_columns_win(tmp_path):
    path = put(tmp_path / "a.csv", "onset,duration,text,t2,e2,other\n0,1,a,5,7,b\n")
    t = read_table(path, onset_column="T2", end_column="e2", text_column=" other ")
    assert (t.onset_s[0], t.duration_s[0], t.text) == (5, 2, ["b"])


def test_a_column_of_trs_is_not_taken_for_seconds(tmp_path):
    path = put(tmp_path / "a.csv", "Start Time (TRs),duration,text\n0,1,a\n")
    with pytest.raises(
        DataError, match=r"hold the onset; name one by onset_column, of: Start Time \(TRs\); duration; text"
    ):
        read_table(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no rows below a header"),
        ("onset,duration,text\n", "no rows below a header"),
        ("onset,duration,text\n0,1,\n", r"no event with a time and a text \(1 row without text left out\)"),
        ("onset,duration,text\n0,-1,a\n", "row 0 lasts -1 s"),
        ("onset,duration,text\n0,1,a\n1,,b\n", "row 1 has no finite onset and duration"),
        ("onset,duration,text\n0,inf,a\n", "row 0 has no finite"),
        ("onset,duration,text\n0,soon,a\n", "'duration' in row 0 is 'soon', not seconds"),
        ("onset,duration,text\n0,1\n", "row 0 has 2 cells where the header has 3"),
        ("onset,text\n0,a\n", "name one by end_column"),
        ("onset,duration\n0,1\n", "name one by text_column"),
        ("onset,duration,text\n0,1,a\n5,1,b\n0,1,c\n", r"from 5 to 0 s at row 2 .*rows=\(0, 2\) or rows=\(2, 3\)"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, content, said):
    with pytest.raises(DataError, match=said) as err:
        read_table(put(tmp_path / "a.csv", content))
    assert "\n" not in str(err.value)
    assert "a.csv" in str(err.value)


def test_rows_cut_out_one_run(tmp_path):
    path = put(tmp_path / "a.csv", "onset,duration,text\n0,1,a\n5,1,b\n0,1,c\n")
    assert read_table(path, rows=(0, 2)).text == ["a", "b"]
    assert read_table(path, rows=(2, 3)).text == ["c"]
    with pytest.raises(DataError, match=r"rows 0 to 3; rows=\(2, 9\) is not within"):
        read_table(path, rows=(2, 9))


def test_an_excel_sheet_with_a_footer_and_excel_times(tmp_path):
    rows = [
        ["onset", "end", "text"],
        [0, 1.5, "a"],
        [datetime.time(0, 1, 2), "0:01:04", "b"],
        [None, None, "made by us"],
    ]
    t = read_table(sheet(tmp_path / "a.xlsx", rows))
    np.testing.assert_array_equal(t.onset_s, [0, 62])
    np.testing.assert_array_equal(t.duration_s, [1.5, 2])
    assert t.notes == ["1 row without an onset left out"]
    with pytest.raises(DataError, match="no sheet 'x'; its sheets: Sheet"):
        read_table(tmp_path / "a.xlsx", "x")


def test_what_is_no_excel_sheet(tmp_path):
    with pytest.raises(DataError, match=r"a\.xlsx is not an Excel sheet"):
        read_table(put(tmp_path / "a.xlsx", "hello"))


def test_subtitles_keep_words_and_lose_marks(tmp_path):
    srt = "1\n00:00:05,000 --> 00:00:06,500\n<i>Tom &amp; I\nran</i\n\n"
    srt += "2\n00:00:01,000 --> 00:00:02,000\nfirst <b>now</b>\n"
    t = read_table(put(tmp_path / "a.srt", srt, "utf-8-sig"))
    assert t.text == ["first now", "Tom & I ran"]
    np.testing.assert_array_equal(t.onset_s, [1, 5])
    np.testing.assert_array_equal(t.duration_s, [1, 1.5])
    assert t.notes == ["1 times a caption stood after a later one; sorted by onset"]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        (r"{\i1}one\Ntwo{\i0}", "one two"),
        ("<i>open", "open"),
        ("shut</i>", "shut"),
        ("broken <font color", "broken"),
        ("I <3 you, 2 < 3", "I <3 you, 2 < 3"),
        ("<v Ann>hi <00:00:01.000>there", "hi there"),
        ("إلى الشمال", "إلى الشمال"),
    ],
)
def test_marks(marked, plain):
    assert plain_text(marked) == plain


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.ass", "a.TextGrid", "a.tsv", "a.csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x80 not text"])
def test_broken_files_of_every_kind(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"a\.\w+ ") as err:
        read_table(tmp_path / name)
    assert "\n" not in str(err.value)


def test_unknown_kinds_and_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"no known kind; legal: \.TextGrid, \.ass, \.csv"):
        read_table(put(tmp_path / "a.docx", "x"))
    with pytest.raises(DataError, match="there is no annotation file"):
        read_table(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="no columns to name"):
        read_table(put(tmp_path / "a.srt", "x"), text_column="text")
    with pytest.raises(DataError, match="leave the stream out"):
        read_table(put(tmp_path / "a.csv", "onset,duration,text\n0,1,a\n"), "1")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", "a,b\n1,2\n3,n/a\n", [[1, 2], [3, np.nan]]),
        ("a.tsv", "1\t2\n\t4\n", [[1, 2], [np.nan, 4]]),
        ("a.txt", "  1e0   2\n3 4\n\n", [[1, 2], [3, 4]]),
        ("a.txt", "# a comment\n5\n6\n", [[5], [6]]),
    ],
)
def test_tables_of_numbers(tmp_path, name, content, expected):
    path = put(tmp_path / name, content)
    np.testing.assert_array_equal(read_series(path), expected)
    np.testing.assert_array_equal(read_series(path, transpose=True), np.transpose(expected))


def test_numpy_tables(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32))
    assert read_series(tmp_path / "a.npy").shape == (6, 1)
    assert read_series(tmp_path / "a.npy").dtype == np.float32
    for bad in (np.zeros((2, 2, 2)), np.zeros((0, 3)), np.array(["x"]), np.array([1j]), np.array([[1, np.inf]])):
        np.save(tmp_path / "b.npy", bad)
        with pytest.raises(DataError, match=r"b\.npy"):
            read_series(tmp_path / "b.npy")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "x,y\n", "is empty"),
        ("a.csv", "1,2\n3\n", "line 2 has 1 values where the first row has 2"),
        ("a.tsv", "a\tb\n1\t2\n3\tfour\n", "'four' in line 3, column 2 is not a number"),
        ("a.npy", "no array", "is no NumPy array"),
        ("a.xyz", "1", "legal: .npy, .txt, .tsv, .csv"),
        ("a.txt", "1 inf", "row 0 holds an infinite"),
    ],
)
def test_broken_tables_of_numbers(tmp_path, name, content, said):
    with pytest.raises(DataError, match=said) as err:
        read_series(put(tmp_path / name, content))
    assert "\n" not in str(err.value)


@pytest.mark.real_data
def test_the_sherlock_sheet(test_data):
    path, text = test_data / "annotations" / "sherlock_segments.xlsx", "Scene Details - A Level"
    with pytest.raises(DataError, match=r"from 1420 to 0 s at row 482 .*rows=\(0, 482\) or rows=\(482, 1000\)"):
        read_table(path, text_column=text)
    runs = [read_table(path, text_column=text, rows=r) for r in ((0, 482), (482, 1000))]
    assert [len(r.text) for r in runs] == [482, 518]
    assert [(r.onset_s + r.duration_s)[-1] for r in runs] == [1426, 1544]
    assert runs[0].text[0].startswith("People in popcorn")
    trs = read_table(path, text_column=text, onset_column="Start Time (TRs, 1.5s)", end_column="End Time (TRs, 1.5s)")
    assert trs.onset_s[-1] == 1976
    assert trs.notes == ["2 rows without an onset left out"]


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "kwargs", "n", "last_s", "first"),
    [
        ("annotations/elephants_dream.descriptions.en.vtt", {}, 63, 653, "The orange open movie project presents"),
        (
            "annotations/elephants_dream.captions.ar.vtt",
            {},
            77,
            540,
            "...إلى... إلى الشمال يمكن أن نرى ...يمكن أن نرى الـ",
        ),
        ("film/popeye_1.srt", {}, 14, 60.268, "[barking and roaring]"),
        ("film/popeye_2.srt", {}, 16, 60.684, "[laughing]"),
        (
            "film/nasa_webb_13s.mp4",
            {"stream": "embedded"},
            4,
            16.57,
            "NAR: This is the optical and science segment of the Webb",
        ),
        ("fmri_alice/DownTheRabbitHole.TextGrid", {}, 2127, 743.335, "Alice"),
        ("speech/acoustic_corpus.TextGrid", {}, 58, 25.25, "this"),
        ("speech/acoustic_corpus.TextGrid", {"stream": "phones"}, 203, 25.25, "DH"),
        ("fmri_partly_cloudy/events.tsv", {}, 19, 292, "Storks flying"),
        (
            "annotations/studyforrest_locations_run-1_events.tsv",
            {"text_column": "setting"},
            84,
            886.08,
            "mountain logo",
        ),
        ("annotations/studyforrest_audio_run-1_events.tsv", {"text_column": "rms"}, 22653, 906.12, "0.00008489"),
    ],
)
def test_real_annotations(test_data, name, kwargs, n, last_s, first):
    t = read_table(test_data / name, **kwargs)
    assert len(t.text) == len(t.onset_s) == len(t.duration_s) == n
    assert (t.onset_s + t.duration_s)[-1] == pytest.approx(last_s, abs=1e-3)
    assert t.text[0] == first
    assert not any("<" in x or "{" in x for x in t.text)


@pytest.mark.real_data
def test_captions_of_a_film_say_which_they_are(test_data):
    assert read_table(test_data / "film/nasa_webb_13s.mp4", "1").notes == ["captions from stream 1 of 2 (mov_text)"]
    with pytest.raises(DataError, match=r"pictures \(pgssub\)"):
        read_table(test_data / "film/popeye_1.mkv", "embedded")
    with pytest.raises(DataError, match="no caption stream; its streams: 1 video, 1 sound"):
        read_table(test_data / "film/big_buck_bunny_5s.mp4")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fmri_alice/s18-timecourses.txt", (362, 6)),
        ("fmri_alice/s33-timecourses.txt", (362, 6)),
        ("fmri_alice/predictors-under-hrf.txt", (372, 12)),
        ("fmri_partly_cloudy/sub-0001.npy", (380, 293)),
        ("annotations/studyforrest_audio_run-1_events.tsv", (22653, 4)),
    ],
)
def test_real_tables_of_numbers(test_data, name, shape):
    assert read_series(test_data / name).shape == shape
