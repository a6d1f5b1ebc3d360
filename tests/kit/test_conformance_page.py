"""The page of conformance checks lists every check, and no other."""

import re
from pathlib import Path

from giblet.testing import EVERY, name_of

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "conformance.md"


def test_every_check_is_on_the_page():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text("utf-8"), re.M)
    assert sorted(listed) == sorted(map(name_of, EVERY))


def test_every_check_says_its_law():
    assert [name_of(c) for c in EVERY if not (c.__doc__ or "").strip()] == []
