"""Write short scene descriptions, one a line, for `giblet train-inverter`: own templates over own word lists.

    python plugins/text_bge/training/scene_lines.py --lines 60000 --seed 0 > scenes.txt

The same seed gives the same lines. No line comes twice. The words are in `scene_words.toml`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tomllib
from pathlib import Path

WORDS = Path(__file__).with_name("scene_words.toml")
TEMPLATES = (
    "{A} {acts} {place}.",
    "{A} {acts}.",
    "{A} {acts} while {a} {acts}.",
    "{A} {handles} {thing}.",
    "{A} {handles} {thing} {place}.",
    "{A} {meets} {a} {place}.",
    "{A} {meets} {a}.",
    "{A} {says} {a} about {thing}.",
    "{When}, {a} {acts} {place}.",
    "{When}, {a} {handles} {thing}.",
    "{There} {thing} {place}.",
    "{A} {acts} and {handles} {thing}.",
    "{A} with {thing} {acts} {place}.",
    "{Shot} {a} who {acts} {place}.",
)
ADJECTIVE_SHARE = 0.4


class Writer:
    """Fills templates with words drawn at random."""

    def __init__(self, words: dict[str, list[str]], seed: int) -> None:
        self.words = words
        self.random = random.Random(seed)

    def line(self) -> str:
        """One sentence."""
        return self.random.choice(TEMPLATES).format_map(self)

    def __getitem__(self, slot: str) -> str:
        """A filling for a slot of a template; a capital asks for a capital."""
        text = self._filling(slot.lower())
        return text[0].upper() + text[1:] if slot[0].isupper() else text

    def _filling(self, slot: str) -> str:
        if slot in ("a", "thing"):
            kind = "person" if slot == "a" else "thing"
            described = self.random.random() < ADJECTIVE_SHARE
            noun = self.random.choice(self.words[kind])
            return with_article(f"{self.random.choice(self.words[kind + '_is'])} {noun}" if described else noun)
        return self.random.choice(self.words[slot])


def with_article(noun: str) -> str:
    """The indefinite article and the noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def lines(count: int, seed: int) -> list[str]:
    """That many different lines."""
    writer, found = Writer(tomllib.loads(WORDS.read_text("utf-8")), seed), dict[str, None]()
    while len(found) < count:
        found[writer.line()] = None
    return list(found)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lines", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sys.stdout.writelines(f"{line}\n" for line in lines(asked.lines, asked.seed))


if __name__ == "__main__":
    main()
