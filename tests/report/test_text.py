"""The section on words: the nearest text and its rank, words by inversion where there are some, and scores."""

from __future__ import annotations

import json
import re
from pathlib import Path

from giblet.report.run_folder import RunFolder
from giblet.report.sections import text

SCORES = {"cosine": 0.3, "top1": 0.25, "median_rank": 3.5, "chance_median_rank": 20.5, "set_size": 40, "token_f1": 0.41}


def section(folder: Path, header: str, *rows: str, scores: dict[str, float] = SCORES) -> str:
    words = folder / "reconstructions" / "text"
    words.mkdir(parents=True)
    (words / "measured.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    found = {"modality": "text_bge", "how": "the nearest of 40 texts by centred cosine", "measured": scores}
    (folder / "metrics.json").write_text(json.dumps({"text": found}), encoding="utf-8")
    shown = text.render(RunFolder.read(folder))
    assert shown is not None
    return shown.body


def cells(body: str) -> list[str]:
    first = body[body.index("<tbody>") : body.index("</tbody>")]
    return [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[dh][^>]*>.*?</t[dh]>", first)]


def test_the_nearest_text_stands_with_the_rank_of_the_right_one(tmp_path):
    body = section(tmp_path, "onset_s\trecovered\toriginal\trank", "0\tA dog\tA cat\t4.5", "2\tA cow\tA cow\t1")
    assert cells(body) == ["0:00.0", "A cat", "A dog", "4.50", "0:02.0", "A cow", "A cow", "1"]
    assert "inversion" not in body
    assert "the nearest of 40 texts by centred cosine" in body


def test_words_by_inversion_stand_beside_the_nearest_whichever_was_asked_for(tmp_path):
    header = "onset_s\trecovered\tnearest\tinverted\toriginal\trank"
    body = section(tmp_path, header, "0\tdog runs\tA dog\tdog runs\tA cat\tn/a")
    assert cells(body)[:3] == ["0:00.0", "A cat", "A dog"]
    assert cells(body)[-1] == "dog runs"
    assert "made up by inversion" in body


def test_scores_have_their_chance_and_their_set_beside_them(tmp_path):
    body = section(tmp_path, "onset_s\trecovered\toriginal\trank", "0\ta\tb\t2")
    for name in ("median rank of the right one", "chance, median rank", "texts to choose from", "words, F1"):
        assert name in body
    assert "20.5" in body
