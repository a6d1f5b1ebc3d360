"""Annotations word by word, and how many come in a second."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from giblet import Features, Source, TRGrid
from giblet.data.table import FeatureTable
from giblet.media import Annotations, read_series, read_table, spread_words, word_rate
from hypothesis import given
from hypothesis import strategies as st

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 20_000), st.integers(1, 5_000), st.text("ab cé", min_size=1).filter(lambda t: bool(t.split()))
    ),
    min_size=1,
    max_size=12,
)


def table(events):
    onset, length, text = zip(*sorted(events), strict=True)
    return Annotations(np.array(onset) / 1000, np.array(length) / 1000, list(text), {"row": list(range(len(text)))})


def test_words_follow_each_other_by_their_letters():
    t = spread_words(table([(1000, 4000, "a bbb cccc")]))
    assert t.text == ["a", "bbb", "cccc"]
    np.testing.assert_allclose(t.onset_s, [1, 1.5, 3])
    np.testing.assert_allclose(t.duration_s, [0.5, 1.5, 2])


@given(EVENTS)
def test_no_word_and_no_second_is_lost_and_onsets_do_not_go_back(events):
    whole = table(events)
    t = spread_words(whole)
    assert sorted(t.text) == sorted(w for text in whole.text for w in text.split())
    assert t.duration_s.sum() == pytest.approx(whole.duration_s.sum())
    assert (np.diff(t.onset_s) >= 0).all()
    for i, text in enumerate(whole.text):
        mine = [k for k, row in enumerate(t.columns["row"]) if row == i]
        assert [t.text[k] for k in mine] == text.split()
        assert (t.onset_s + t.duration_s)[mine[-1]] == pytest.approx((whole.onset_s + whole.duration_s)[i])


@given(EVENTS)
def test_words_of_single_words_are_the_table_itself(events):
    words = spread_words(table(events))
    again = spread_words(words)
    assert again.text == words.text
    np.testing.assert_allclose(again.onset_s, words.onset_s)


def test_the_rate_counts_onsets_a_second_and_silence_is_zero():
    t = table([(0, 2000, "one two"), (6000, 1000, "three"), (8000, 1, "at"), (11900, 100, "end")])
    assert word_rate(t, Fraction(2))[:, 0].tolist() == [1, 0, 0, 0.5, 0.5, 0.5]
    assert word_rate(t, Fraction(2), Fraction(-2))[:, 0].tolist() == [0, 1, 0, 0, 0.5, 0.5, 0.5]


@given(EVENTS, st.sampled_from(["0.72", "1.5", "2.0045"]))
def test_every_word_is_counted_once(events, tr_s):
    t, tr = table(events), Fraction(tr_s)
    assert word_rate(t, tr).sum() * float(tr) == pytest.approx(len(spread_words(t).text))


def test_subtitles_as_a_table_of_features_are_their_word_rate(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:02,000\nfour words are here\n\n", encoding="utf-8")
    f = Features.concat(FeatureTable(tr_s=1).extract(Source(path)))
    assert f.values.shape == (2, 1)
    assert f.values.sum() == 4
    aligned = FeatureTable(tr_s=1).align(f, TRGrid(Fraction(1), 2))
    assert aligned.valid.all()


@pytest.mark.real_data
def test_the_word_rate_of_alice_is_that_of_its_authors(test_data):
    """Their rate, sampled at each TR's beginning from the story's onset at 20 s on, is already under a response."""
    from giblet.alignment import canonical_hrf, convolve_hrf

    theirs = read_series(test_data / "fmri_alice/s18-rate.txt")[:, 0]
    ours = word_rate(read_table(test_data / "fmri_alice/DownTheRabbitHole.TextGrid"), Fraction(2))
    assert ours.sum() * 2 == 2127
    under = convolve_hrf(ours, canonical_hrf(2.0, model="spm", slice_time_ref=0.0))[10:, 0]
    assert len(under) == len(theirs) == 362
    assert np.corrcoef(under, theirs)[0, 1] == pytest.approx(0.973, abs=0.002)
    late = [np.corrcoef(under[:300], theirs[k : 300 + k])[0, 1] for k in range(6)]
    assert np.argmax(late) == 0
