from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import numpy as np
import pytest
from giblet.errors import DataError
from giblet.report import embedding, write_report
from giblet.report.brain import Volume
from giblet.report.markup import Html, number, tag
from giblet.report.run_folder import RunFolder
from giblet.report.sections import decoding, fmri, inputs, lesions, other, summary, video
from giblet.report.stills import frames_at
from matplotlib.image import imread

VOID = {"img", "input", "meta", "br", "link"}
ALL = {"key", "inputs", "training", "fmri", "decoding", "video", "audio", "text"}
ALL |= {"folds", "variance", "smuggling", "lesions", "settings", "cite"}


class Page(HTMLParser):
    """The elements of a page; fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    def named(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]

    @property
    def sections(self) -> set[str | None]:
        return {attrs.get("id") for attrs in self.named("section")}


def read(page: Path) -> tuple[str, Page]:
    text = page.read_text(encoding="utf-8")
    return text, Page(text)


def film_section(folder: Path) -> Page:
    section = video.render(RunFolder.read(folder))
    assert section is not None
    return Page(section.body)


def test_a_whole_run_gives_every_section_in_one_file_that_refers_to_nothing_outside(written: Path) -> None:
    text, page = read(written / "report.html")
    assert page.sections == ALL
    addresses = [a[k] or "" for _, a in page.tags for k in ("src", "href", "poster", "xlink:href") if k in a]
    outside = [a for a in addresses if not a.startswith(("data:", "#", "https://doi.org/10."))]
    assert all((written / unquote(a)).is_file() for a in outside)
    assert not re.search(r"""(src|poster|link href)\s*=\s*["']\s*(https?:)?//""", text)
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", text)
    assert len(page.named("video")) == 6
    assert len(page.named("audio")) == 6
    assert all(a["src"].startswith("data:") for a in page.named("video") + page.named("audio"))


def test_every_picture_has_a_text_and_decodes(written: Path) -> None:
    text, page = read(written / "report.html")
    assert all(a.get("aria-label") for a in page.named("svg"))
    found = re.findall(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)", text)
    assert len(found) > 20
    for content in found:
        assert imread(io.BytesIO(base64.b64decode(content)), format="png").ndim == 3
    for name in ("brain_map.png", "reconstructions/video/frames.png"):
        assert imread(written / name).std() > 0.01


def test_ids_are_unique_and_links_within_the_page_arrive(written: Path) -> None:
    _, page = read(written / "report.html")
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    anchors = [a.get("href") or a.get("xlink:href") or "" for _, a in page.tags]
    assert {a[1:] for a in anchors if a.startswith("#")} <= set(ids)


def test_names_from_users_are_escaped(written: Path) -> None:
    text, page = read(written / "report.html")
    assert "<script>alert" not in text
    assert "sub-<script>alert(1)</script>" in page.words
    assert "Anna meets <b>Bob</b> 0" in page.words


def test_the_sentence_and_the_warnings_come_before_every_section(written: Path) -> None:
    text, _ = read(written / "report.html")
    assert text.index("better than both ridges") < text.index("hardly decodable") < text.index("<section")


def test_writing_again_gives_the_same_page_and_leaves_no_scraps(numbers_only: Path) -> None:
    first = write_report(numbers_only).read_bytes()
    assert write_report(numbers_only).read_bytes() == first
    assert not list(numbers_only.rglob("*.part*"))


def test_scores_are_called_what_they_are(written: Path) -> None:
    text, _ = read(written / "report.html")
    assert "Mean over 16 test clips of the share of other clips that each was told from" in text
    assert "told right" not in text
    assert "model r / ceiling, where the ceiling is at least 0.1" in text
    assert "mean r over mean ceiling of those voxels only whose ceiling is at least 0.1" in text
    assert "predicted brain" not in text
    assert "own trained encoder and decoder give back" in text
    assert "the best that any decoder could reach" not in text
    assert "90 %" not in text


def test_a_run_of_an_older_giblet_says_why_its_alignment_is_not_drawn(numbers_only: Path) -> None:
    def section() -> Page:
        shown = inputs.render(RunFolder.read(numbers_only))
        assert shown is not None
        return Page(shown.body)

    assert len(section().named("svg")) == 1
    told = json.loads((numbers_only / "inputs.json").read_text())
    del told["clocks"]
    for row in told["streams"]:
        del row["clock"], row["start_s"], row["stop_s"]
    (numbers_only / "inputs.json").write_text(json.dumps(told))
    page = section()
    assert not page.named("svg")
    assert any("an older giblet" in w for w in page.words)
    assert "covered" not in page.words
    assert "from (s)" not in page.words
    assert "samples" in page.words


def test_absent_parts_leave_no_shell(bare_folder: Callable[[dict[str, object]], Path]) -> None:
    fmri = {"r": 0.1, "ridge_r": 0.12, "ceiling": None, "ceiling_kind": None, "p": 0.4}
    _, page = read(write_report(bare_folder({"summary": "No relation was found.", "fmri": fmri})))
    assert page.sections == {"key"}
    assert any("6 people" in w for w in page.words)


def test_p_against_random_lesions_is_said_to_be_uncorrected_by_its_table(numbers_only: Path) -> None:
    metrics = json.loads((numbers_only / "metrics.json").read_text())

    def said() -> str:
        (numbers_only / "metrics.json").write_text(json.dumps(metrics))
        section = lesions.render(RunFolder.read(numbers_only))
        assert section is not None
        return str(section.body)

    table, _, after = said().partition("</table>")
    assert "rise of the loss" in table
    assert "not corrected for the number of rows" in after.partition("<table")[0]
    for kinds in metrics["lesions"]["regions"].values():
        for by in kinds.values():
            by |= {source: row | {"p": None} for source, row in by.items()}
    assert "not corrected" not in said()


def test_folds_without_intervals_say_why(numbers_only: Path) -> None:
    metrics = json.loads((numbers_only / "metrics.json").read_text())
    metrics["folds"] |= {"interval": None, "gain_interval": None, "pieces": [5, 3]}
    metrics["fmri"] |= {"interval": None, "gain_interval": None}
    (numbers_only / "metrics.json").write_text(json.dumps(metrics))
    _, page = read(write_report(numbers_only))
    assert any("No intervals: a test of 3 pieces of 30 s" in w for w in page.words)
    assert not any("90% interval of" in w for w in page.words)


def test_no_fmri_at_all(bare_folder: Callable[[dict[str, object]], Path]) -> None:
    _, page = read(write_report(bare_folder({"summary": "Extracted only.", "seed": 3})))
    assert page.sections == {"settings"}


def test_parcels_without_a_mask_are_bars(numbers_only: Path) -> None:
    np.savez(numbers_only / "maps.npz", r_group=np.linspace(-0.1, 0.5, 40), ceiling_group=np.full(40, np.nan))
    section = fmri.render(RunFolder.read(numbers_only))
    assert section is not None
    page = Page(section.body)
    assert any((a["aria-label"] or "").startswith("Bars for each parcel") for a in page.named("svg"))


FEW = "no ceiling: 4 people, and not all saw the test again"


def said_of_scans(folder: Path, modules: Sequence[ModuleType] = (summary, fmri), **change: object) -> str:
    """All words of sections, those on key numbers and predicted scans, with another `fmri`."""
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["fmri"] |= change
    (folder / "metrics.json").write_text(json.dumps(metrics))
    sections = [module.render(RunFolder.read(folder)) for module in modules]
    return " ".join(" ".join(Page(s.body).words) for s in sections if s is not None)


def test_scans_stand_beside_the_ridge_that_the_first_sentence_compares_with(numbers_only: Path) -> None:
    row = {"r": 0.44, "ridge_r": 0.39, "banded_r": 0.4, "hrf_banded_r": 0.42, "hrf_group_r": 0.437}
    parts = {"subjects": {"anna": row, "bert": row}, "regions": {"visual": row | {"hrf_group_r": 0.617}}}
    words = said_of_scans(numbers_only, [fmri], hrf_banded_r=0.42, hrf_group_r=0.437, **parts)
    chart, tables = words.split("By region")
    assert "group-mean ridge under the HRF" in chart
    by_region, by_subject = tables.split("By subject")
    for table in (by_region, by_subject):
        assert "group-mean ridge under the HRF (the best ridge) r" in table
    assert "0.617" in by_region
    assert "0.437" in by_subject


def test_the_best_ridge_is_not_told_twice(numbers_only: Path) -> None:
    words = said_of_scans(numbers_only).split("By subject")[1]
    assert words.count("banded ridge") == 1
    assert "banded ridge (the best ridge) r" in words


def test_a_ceiling_that_is_not_there_is_not_described(numbers_only: Path) -> None:
    row = {"r": 0.4, "ridge_r": 0.3, "ceiling": None}
    no = {"ceiling": None, "ceiling_kind": f"loo_isc: {FEW}", "ceiling_ratio": None}
    group = row | {"ceiling_kind": f"group_split_half: {FEW}"}
    np.savez(numbers_only / "maps.npz", r_group=np.full(40, 0.2), ceiling_group=np.full(40, np.nan))
    words = said_of_scans(numbers_only, **no, group=group, subjects={"anna": row, "bert": row}, regions={"visual": row})
    why = FEW.removeprefix("no ceiling: ")
    assert f"Ceiling of single subjects: none ({why}); of the group mean: none ({why})." in words
    assert f"Ceiling: none ({why})" in words
    for absent in ("agreement between people", "split halves", "lines: ceiling", "its own ceiling", "no ceiling:"):
        assert absent not in words


def test_one_person_is_no_mean_over_people(numbers_only: Path) -> None:
    row = {"r": 0.4, "ridge_r": 0.3}
    no = {"ceiling": None, "ceiling_kind": "none: no ceiling: one person, or others with other voxels"}
    np.savez(numbers_only / "maps.npz", r_group=np.full(40, 0.2))
    words = said_of_scans(numbers_only, **no, group=None, subjects={"anna": row}, regions={"visual": row})
    for wrong in ("n = 1", "a dot is a person", "group mean:", "over people.", "Mean scan", "none: "):
        assert wrong not in words
    assert "mean over the voxels of one person" in words


@pytest.mark.parametrize(
    ("lag_s", "flag", "said"),
    [
        (0.4, False, "fits best: 0.400 s (as expected)"),
        (-3.4, False, "(as expected)"),
        (-30.0, False, "cannot be told: no shift stands out from chance, though one of \N{MINUS SIGN}30.0 s fits best"),
        (-30.0, True, "\N{MINUS SIGN}30.0 s (flagged: check --offset"),
    ],
)
def test_a_shift_is_as_expected_only_where_it_is_none(numbers_only: Path, lag_s: float, flag: bool, said: str) -> None:
    words = said_of_scans(numbers_only, lag_s=lag_s, lag_flag=flag)
    assert said in words
    assert ("as expected" in words) == ("as expected" in said)


def test_ridges_on_the_truth_are_no_bounds(numbers_only: Path) -> None:
    """A ridge on the page may do better than these."""
    words = said_of_scans(numbers_only)
    assert "r of a person's own ridge on 20 lags of the true latents (no bound)" in words
    assert "best linear FIR" not in words


def test_folds_together_have_no_shift(numbers_only: Path) -> None:
    """Even where an older giblet wrote one."""
    assert "Shift" not in said_of_scans(numbers_only, lag_s=-8.1, lag_flag=None)


def test_whiskers_are_said_where_there_are_some(numbers_only: Path) -> None:
    def caption() -> str:
        section = decoding.render(RunFolder.read(numbers_only))
        assert section is not None
        return " ".join(Page(section.body).words)

    assert "whiskers: 90% interval over clips" in caption()
    metrics = json.loads((numbers_only / "metrics.json").read_text())
    for kind in ("video", "audio", "text"):
        metrics[kind]["identification"] |= {"interval": None, "top1_interval": None}
    (numbers_only / "metrics.json").write_text(json.dumps(metrics))
    assert "whiskers" not in caption()


def test_another_kind_gets_its_scores_and_files(numbers_only: Path) -> None:
    metrics = json.loads((numbers_only / "metrics.json").read_text())
    metrics["eeg"] = metrics["audio"] | {"modality": "eeg_<new>"}
    (numbers_only / "metrics.json").write_text(json.dumps(metrics))
    section = other.render(RunFolder.read(numbers_only))
    assert section is not None
    assert any("eeg_<new>" in w for w in Page(section.body).words)


def test_large_files_are_linked_and_it_is_said(media_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "FILE_LIMIT", 50_000)
    page = film_section(media_only)
    assert "reconstructions/video/measured.mp4" in {a["src"] for a in page.named("video")}
    assert any("only while they lie beside it" in w and "measured.mp4" in w for w in page.words)


def test_a_broken_film_is_named_and_the_rest_is_shown(media_only: Path) -> None:
    (media_only / "reconstructions/video/predicted.mp4").write_bytes(b"no film")
    page = film_section(media_only)
    assert len(page.named("video")) == 5
    assert any("predicted.mp4 cannot be read" in w for w in page.words)


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no metrics"):
        write_report(tmp_path)


def test_torn_json_is_refused_by_name(numbers_only: Path) -> None:
    (numbers_only / "train.jsonl").write_text('{"stage": ')
    with pytest.raises(DataError, match="is not JSON"):
        write_report(numbers_only)


def test_stills_are_what_is_on_screen_at_that_moment(media_only: Path) -> None:
    from giblet.media import read_frames

    film = media_only / "reconstructions/video/original.mp4"
    frames = np.concatenate([c.values for c in read_frames(film, 160, 90)])
    shown = frames_at(film, [0.0, 0.1, 1.0, 99.0])
    for frame, index in zip(shown, [0, 1, 12, 29], strict=True):
        np.testing.assert_array_equal(frame, frames[index])


def test_a_volume_turns_left_to_the_left() -> None:
    mask = np.ones((4, 3, 2), bool)
    values = np.arange(24.0)
    filled = Volume.of(mask, np.diag([-3.0, 3, 3, 1])).fill(values)
    np.testing.assert_array_equal(filled, values.reshape(4, 3, 2)[::-1])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.441234, "0.441"),
        (0.15, "0.150"),
        (9.996, "10.0"),
        (-12.34, "\N{MINUS SIGN}12.3"),
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
        (103500, "103,500"),
        (1234.5, "1,230"),
        (99999.0, "100,000"),
        (True, "yes"),
        (-0.05, "\N{MINUS SIGN}0.050"),
        (0.0000123, "1e\N{MINUS SIGN}5"),
        (0.0, "0"),
        (np.float32(0.5), "0.500"),
    ],
)
def test_numbers_have_three_digits_that_stand_below_each_other(value: object, shown: str) -> None:
    assert number(value) == shown


def test_only_markup_passes_unescaped() -> None:
    assert tag("p", "<b>", Html("<i></i>"), title='"x"') == '<p title="&quot;x&quot;">&lt;b&gt;<i></i></p>'
