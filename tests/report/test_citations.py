from __future__ import annotations

import re
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
import yaml
from giblet.errors import DataError
from giblet.report.citations import AUTHORS, TITLE, Source, giblet, parse, sources

ROOT = Path(__file__).parents[2]
OURS = ROOT / "core/src/giblet/report/sources.bib"
FILES = [OURS, *sorted(ROOT.glob("plugins/*/src/*/citations.bib"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.parent.name)
def test_every_source_can_be_found_and_is_said_why(path: Path) -> None:
    text = path.read_text("utf-8")
    found = list(parse(text))
    assert len(found) == text.count("\n@") + 1
    assert len({s.key for s in found}) == len(found)
    for source in found:
        assert re.fullmatch(r"10\.\d{4,9}/\S+", source.fields["doi"])
        assert source.fields["note"]
        assert {"journal", "booktitle"} & source.fields.keys()
        assert source.fields["year"] in source.text()


def test_what_is_cited_is_what_code_and_documentation_name() -> None:
    texts = [p.read_text("utf-8") for p in (*ROOT.glob("core/src/giblet/**/*.py"), *ROOT.glob("docs/**/*.md"))]
    assert [s.key for s in parse(OURS.read_text("utf-8")) if s.fields["doi"] not in "".join(texts)] == []


def test_only_what_a_run_used_is_cited() -> None:
    def keys(metrics: dict, plugins: dict | None = None) -> set[str]:
        return {s.key for group in sources(metrics, {"modalities": plugins or {}}, ["video"]).values() for s in group}

    assert keys({}) == set()
    one = {"r": 0.1, "ceiling_kind": "repeats: x", "p": 0.2, "null_kind": "circular shift", "group": {}}
    assert keys({"fmri": one}) == {"glover1999", "phipson2010"}
    many = one | {"ceiling_kind": "loo_isc: agreement", "banded_r": 0.0, "null_kind": "phase randomised"}
    assert keys({"fmri": many}) >= {"nastase2019", "theiler1992", "duprelatour2022"}
    assert keys({"video": {"identification": {"two_way": 0.5}}}) == {"kay2008"}
    assert keys({"video": {"identification": {"two_way": None}}}) == set()


@pytest.mark.parametrize(
    ("weights", "embedder"), [("minilm", "wang2020"), ("BAAI/bge-large-en-v1.5", "xiao2024"), ("/own", None)]
)
def test_a_plugin_cites_by_its_settings(weights: str, embedder: str | None) -> None:
    text = (ROOT / "plugins/text_bge/src/giblet_text_bge/citations.bib").read_text("utf-8")
    plugin = {"plugin": "text_bge", "settings": {"weights": weights}, "citations": text}
    found = sources({}, {"modalities": {"text": plugin}}, [])["text_bge"]
    assert [s.key for s in found] == ["reimers2019", *([embedder] if embedder else [])]


FIELD = "10.1364/JOSAA.4.002379"
"""The filters in the plain numbers of a film's pictures."""


@pytest.mark.parametrize(
    ("plugin", "settings", "cited"),
    [
        ("video_2dcnn", {"features": "frames"}, {FIELD}),
        ("video_2dcnn", {"features": "resnet50"}, {"10.1109/CVPR.2016.90"}),
        ("video_s3d", {"weights": "none"}, {"10.1007/978-3-030-01267-0_19", FIELD}),
        ("video_s3d", {"weights": "kinetics400"}, {"10.1007/978-3-030-01267-0_19", "10.48550/arXiv.1705.06950", FIELD}),
    ],
)
def test_pretrained_weights_are_cited_when_they_are_used(plugin: str, settings: dict, cited: set[str]) -> None:
    text = (ROOT / f"plugins/{plugin}/src/giblet_{plugin}/citations.bib").read_text("utf-8")
    told = {"plugin": plugin, "settings": settings, "citations": text}
    found = sources({}, {"modalities": {"video": told}}, [])
    assert {s.fields["doi"] for s in found.get(plugin, [])} == cited


def test_what_is_given_to_others_is_bibtex_without_our_own_fields() -> None:
    text = "@article{a,\n  author = {Doe, Jane and Roe, Ri},\n  title = {Why?},\n  journal = {J},\n  pages = {1--2},\n"
    source = next(parse(text + "  year = {2020},\n  when = {x},\n  note = {all}\n}\n"))
    assert source.text() == "Doe, Jane; Roe, Ri (2020). Why? J 1\N{EN DASH}2."
    assert next(parse(source.bibtex())).fields == {k: v for k, v in source.fields.items() if k not in ("when", "note")}


def test_a_source_without_a_year_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r"'a' has no title, year; write `name = \{...\}`"):
        list(parse("@book{a,\n  author = {Doe, Jane}\n}"))


def test_the_program_is_cited_alike_on_the_page_and_in_the_repository() -> None:
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cff["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= cff.keys()
    assert cff["version"] == version("giblet")
    assert cff["license"] == metadata("giblet")["License-Expression"]
    assert (cff["title"], [a["name"] for a in cff["authors"]]) == (TITLE, [AUTHORS])
    ours: Source = giblet("9.9.9")
    assert ours.text() == f"{AUTHORS} (2026). {TITLE}. Version 9.9.9, MIT licence."
    assert AUTHORS.lower() in (ROOT / "LICENSE").read_text("utf-8").lower()
