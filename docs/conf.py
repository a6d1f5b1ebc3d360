"""Settings of the documentation's site (Sphinx): `./do sphinx-build -W -q -c docs . out/docs`.

The source folder is the repository, not docs/, so that links to README files, which a code host follows, are links of
the site too.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

project = "giblet"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "plugins/*/README.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
include_patterns += ["plugins/**/bundled/README.md", "plugins/**/bundled/*/CARD.md"]  # what the weights are worth
exclude_patterns = ["out", ".*", "**/tests"]
html_theme = "furo"
html_title = "giblet"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_use_index = False
html_additional_pages = {"index": "to-the-index.html"}
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
highlight_language = "none"  # of the indented blocks, which name no language
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nitpicky = True

GROUP = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.M)
ENTRY = re.compile(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", re.M)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the lists of the index page the site's table of contents; a page that is in none of them is a warning."""
    if docname == root_doc:
        tocs = [_contents(title, ENTRY.findall(body)) for title, body in GROUP.findall(source[0])]
        source[0] += "\n" + "\n".join(tocs)


def _contents(title: str, pages: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""]) if pages else ""


def write_math(self: Any, node: nodes.math | nodes.math_block) -> None:
    """Equations as MathML, which browsers show by themselves: no script, no font, no network."""
    block = isinstance(node, nodes.math_block)
    try:
        mathml = tex2mathml(node.astext(), as_block=block)
        self.body.append(f'<div class="math">{mathml}</div>' if block else mathml)
    except MathError as error:
        logging.getLogger(__name__).warning("%s", error, location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register what this site adds to Sphinx."""
    app.connect("source-read", add_contents)
    app.add_html_math_renderer("mathml", (write_math, None), (write_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
