"""What is embedded: texts with their context, spread over their time, and the corpus of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from giblet import DataError, Source, TRGrid, seconds
from giblet.alignment import bin_events
from giblet.types import Features
from giblet_text_bge.features import read_corpus, read_events, with_context
from hypothesis import given
from hypothesis import strategies as st


def put(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_context_is_what_was_said_before_the_end():
    words, onset, length = ["a", "b", "c", "d"], np.array([0.0, 1.0, 2.0, 5.0]), np.array([1.0, 1.0, 0.5, 1.0])
    assert with_context(words, onset, length, 2.0) == ["a", "b", "b c", "d"]
    assert with_context(words, onset, length, 2.1) == ["a", "a b", "b c", "d"]
    assert with_context(words, onset, length, 100.0) == ["a", "a b", "a b c", "a b c d"]
    assert with_context([" a\n b ", "c"], onset[:2], length[:2], 0.0) == ["a b", "c"]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2000)), min_size=1, max_size=30), st.integers(1, 5000))
def test_context_equals_its_definition(events, context_ms):
    events = sorted(events)
    onset, length = np.array(events).T / 1000
    words = [f"w{i}" for i in range(len(events))]
    expected = []
    for n, (start, duration) in enumerate(events):
        end = start + duration
        low = min(n, min((i for i, (o, _) in enumerate(events) if o > end - context_ms), default=n))
        heard = [w for i, (w, (o, _)) in enumerate(zip(words, events, strict=True)) if i >= low and (o < end or i <= n)]
        expected.append(" ".join(heard))
    assert with_context(words, onset, length, context_ms / 1000) == expected


def rows_of(path: Path, spread: str) -> list[str]:
    """The text of each TR of 1 s, the longest in it."""
    table = read_events(Source(path), spread, 0.0)
    values = np.arange(len(table.text), dtype=np.float32)[:, None]
    binned = bin_events(
        Features.events(values, table.onset_s, table.duration_s, texts=table.text), TRGrid(seconds(1), 4)
    )
    return binned.features.attrs["texts"]


def test_a_text_that_spans_trs_is_repeated_or_spread_word_by_word(tmp_path):
    path = put(tmp_path / "a.tsv", "onset\tduration\ttext\n0\t4\tfour tiny blue dogs\n")
    assert rows_of(path, "repeat") == ["four tiny blue dogs"] * 4
    assert rows_of(path, "words") == ["four", "tiny", "blue", "dogs"]
    said = read_events(Source(path), "words", 2.5).text
    assert said == ["four", "four tiny", "tiny blue", "blue dogs"]


def test_a_cut_of_spread_words_keeps_those_inside(tmp_path):
    path = put(tmp_path / "a.tsv", "onset\tduration\ttext\n0\t4\tfour tiny blue dogs\n")
    assert read_events(Source(path, start_s=seconds(1), stop_s=seconds(3)), "words", 0.0).text == ["tiny", "blue"]
    with pytest.raises(DataError, match="no annotation between"):
        read_events(Source(path, start_s=seconds(9)), "words", 0.0)


def test_what_a_table_left_out_is_still_said(tmp_path):
    path = put(tmp_path / "a.tsv", "onset\tduration\ttext\n0\t4\tone\n\t\tfooter\n")
    assert read_events(Source(path), "repeat", 0.0).notes == ["1 row without an onset left out"]


def test_a_corpus_of_lines_or_of_a_table(tmp_path):
    assert read_corpus(put(tmp_path / "a.txt", "one\n\n two  words \none\n")) == ["one", "two words"]
    assert read_corpus(put(tmp_path / "a.csv", "onset,duration,text\n0,1,b\n1,1,a\n2,1,b\n")) == ["b", "a"]


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_a_corpus_without_text_is_refused(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"text\.corpus: .*a\.txt"):
        read_corpus(tmp_path / "a.txt")
    with pytest.raises(DataError, match="there is no file"):
        read_corpus(tmp_path / "gone.txt")
