"""The documentation as a site: built strictly, whole, and without a look at the network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("video", "src")}
LINKED = {("a", "href")}


@dataclass
class Page(HTMLParser):
    """What a page loads, what it links to, and the places in it that can be linked to."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if (tag, name) in LOADED | LINKED:
                (self.loads if (tag, name) in LOADED else self.links).append(value or "")
            if name == "id":
                self.anchors.add(value or "")


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text("utf-8"))
    return page


def build(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """What CONTRIBUTING says, in another place."""
    options = ["-W", "--keep-going", "-q", "-c", str(source / "docs")]
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(out)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {path: read(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_is_in_the_menu_of_the_front(site):
    front = site / "docs" / "index.html"
    menu = {(front.parent / unquote(urlsplit(link).path)).resolve() for link in read(front).links}
    texts = [*DOCS.rglob("*.md"), *ROOT.glob("plugins/*/README.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    made = {(site / text.relative_to(ROOT)).with_suffix(".html") for text in texts}
    assert made <= {*menu, front}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    broken = defaultdict(list)
    for path, page in pages.items():
        for link in page.links + page.loads:
            url = urlsplit(link)
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if url.scheme or url.netloc:
                continue
            if not target.exists() or (url.fragment and unquote(url.fragment) not in anchors(target, pages)):
                broken[path.name].append(link)
    assert broken == {}


def anchors(target: Path, pages: dict[Path, Page]) -> set[str]:
    return pages[target].anchors if target in pages else set()


def test_nothing_is_loaded_from_the_network(site, pages):
    elsewhere = {path.name: [u for u in page.loads if urlsplit(u).netloc] for path, page in pages.items()}
    assert {name: urls for name, urls in elsewhere.items() if urls} == {}
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text("utf-8")) == [], style


def test_the_folder_itself_opens_at_the_front(site):
    assert "url=docs/index.html" in (site / "index.html").read_text("utf-8")


FAULTS = {
    "no such page": ("index.md", "\n[gone](gone.md)\n", "gone.md"),
    "no such heading": ("index.md", "\n[there](page.md#nowhere)\n", "nowhere"),
    "in no list": ("orphan.md", "# Orphan\n", "orphan.md: WARNING: document isn't included"),
    "no such command of TeX": ("page.md", "\n$$ \\nonsense $$\n", "nonsense"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory) -> str:
    """What the build of a small site says that has every fault."""
    source = tmp_path_factory.mktemp("faulty")
    docs = source / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "conf.py", docs)
    for folder in ("templates", "static"):
        shutil.copytree(DOCS / folder, docs / folder)
    (docs / "page.md").write_text("# Page\n\nText.\n")
    (docs / "index.md").write_text("# Index\n\n## List\n\n- [page](page.md)\n")
    for name, text, _ in FAULTS.values():
        with (docs / name).open("a") as file:
            file.write(text)
    done = build(source, source / "out")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_warning_and_stops_the_build(fault, refused):
    assert FAULTS[fault][2] in refused


def test_there_are_no_other_warnings_than_of_the_faults(refused):
    assert refused.count("WARNING") == len(FAULTS)
