"""Columns and rows of a spreadsheet of annotations, named in a study file: several runs in one sheet."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from giblet import ConfigError, DataError, Features, Source, TRGrid, load_study
from giblet.alignment import bin_events
from giblet.data.store import Store
from giblet.media import read_annotations
from giblet.pipeline.study_record import record, restored
from giblet.types import TableChoice

SHEET = "Begin (s),End (s),Note,Scene\n0,4,a,one\n4,6,b,two\n0,3,c,three\n3,9,d,four\n,,,footer\n"
STUDY = """
[study]
name = "two runs in one sheet"
tr_s = 1.5

[[stimulus]]
name = "run-1"
annotations = {path = "scenes.csv", text = "Scene", rows = [0, 2]}

[[stimulus]]
name = "run-2"
annotations = {path = "scenes.csv", text = "Note", onset = "Begin (s)", end = "End (s)", rows = [2, 5]}
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "scenes.csv").write_text(SHEET, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    return load_study(tmp_path)


def test_each_stimulus_reads_its_rows_and_columns(study):
    first, second = (read_annotations(s.source("text")) for s in study.stimuli)
    assert (first.text, first.onset_s.tolist(), first.notes) == (["one", "two"], [0, 4], [])
    assert (second.text, second.duration_s.tolist()) == (["c", "d"], [3, 6])
    assert second.notes == ["1 row without an onset left out"]
    assert study.stimuli[0].source("text").table == TableChoice(text="Scene", rows=(0, 2))


def test_runs_of_one_sheet_have_features_of_their_own(study, tmp_path):
    from giblet_text_bge import TextBge

    store = Store(tmp_path, lambda name: "1")
    keys = {store.key(TextBge(), s.source("text")) for s in study.stimuli}
    keys.add(store.key(TextBge(), Source(tmp_path / "scenes.csv")))
    assert len(keys) == 3


def test_a_run_finds_them_again(study, tmp_path):
    again = restored(json.loads(json.dumps(record(study, tmp_path))), tmp_path)
    assert {s.source("text") for s in again.stimuli} == {s.source("text") for s in study.stimuli}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("{path = 'scenes.csv', rowz = [0, 2]}", "did you mean 'rows'"),
        ("{path = 'scenes.csv', rows = [0]}", "rows"),
        ("{text = 'Scene'}", "lacks the key 'path'"),
        ("{path = 'gone.csv'}", "there is no file"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path, wrong, said):
    (tmp_path / "scenes.csv").write_text(SHEET, encoding="utf-8")
    text = STUDY.replace('{path = "scenes.csv", text = "Scene", rows = [0, 2]}', wrong)
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    with pytest.raises((ConfigError, DataError), match=said) as error:
        load_study(tmp_path)
    assert "\n" not in str(error.value)


def test_errors_name_the_key_of_the_study_file(tmp_path):
    (tmp_path / "a.csv").write_text(SHEET, encoding="utf-8")
    with pytest.raises(DataError, match=r"in a study.toml: annotations = \{path = ..., text = ...\}"):
        read_annotations(Source(tmp_path / "a.csv"))
    with pytest.raises(DataError, match=r"in a study.toml annotations = \{path = ..., rows = \[0, 2\]\}"):
        read_annotations(Source(tmp_path / "a.csv", table=TableChoice(text="Scene")))


@pytest.mark.real_data
def test_every_tr_of_the_sherlock_sheet_has_the_segment_that_covers_it(test_data):
    """As docs/how-to/annotations-from-a-spreadsheet.md says: 1,974 by overlap, 2 in a hole of the sheet."""
    path, text = test_data / "annotations/sherlock_segments.xlsx", "Scene Details - A Level"
    covered, differ, base = [], [], 0
    for rows, n_trs in (((0, 482), 946), ((482, 1000), 1030)):
        t = read_annotations(Source(path, table=TableChoice(text=text, rows=rows)))
        values = np.arange(len(t.text), dtype=np.int64)[:, None]
        events = Features.events(values, t.onset_s, t.duration_s)
        grid = TRGrid(Fraction(3, 2), n_trs)
        covered += bin_events(events, grid).valid.tolist()
        ours = bin_events(events, grid, gap="forward").features.values[:, 0]
        first, last = (t.columns[f"{end} Time (TRs, 1.5s)"] for end in ("Start", "End"))
        theirs = [set() for _ in range(n_trs)]
        for segment, (a, b) in enumerate(zip(first, last, strict=True)):
            for tr in range(int(a) - 1 - base, int(b) - base) if a is not None else ():
                theirs[tr].add(segment)
        assert all(theirs)
        differ += [base + k + 1 for k in range(n_trs) if ours[k] not in theirs[k]]
        base += n_trs
    assert len(covered) == 1976
    assert [i + 1 for i, c in enumerate(covered) if not c] == [1739, 1740]
    assert differ == [663, 697, 827]
