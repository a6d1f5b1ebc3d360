"""What the bundled inverter makes of real annotations, which are not of its kind, beside the nearest training line.

    ./do python plugins/text_bge/training/on_annotations.py sherlock_segments.xlsx --column "Scene Details - A Level"

Both are scored against the right annotation and, as their chance, against another one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from giblet.words import recover, token_f1
from giblet_text_bge.embedder import Embedder
from giblet_text_bge.inversion import load_inverter
from scene_lines import lines

STEPS = 5
DRAWS = 2000


def annotations(path: Path, column: str, n: int, seed: int) -> list[str]:
    """Some different texts of a column, drawn at random, in their order."""
    table = pd.read_excel(path) if path.suffix == ".xlsx" else pd.read_csv(path)
    table.columns = [str(name).strip() for name in table.columns]
    texts = list(dict.fromkeys(" ".join(str(text).split()) for text in table[column].dropna()))
    chosen = np.random.default_rng(seed).choice(len(texts), min(n, len(texts)), replace=False)
    return [texts[i] for i in np.sort(chosen)]


def row(name: str, found: Sequence[str], wanted: Sequence[str], seed: int) -> str:
    """Mean token F1 with its interval of 95 %, by bootstrap over texts."""
    f1 = np.array([token_f1([f], [w]) for f, w in zip(found, wanted, strict=True)])
    means = f1[np.random.default_rng(seed).integers(0, len(f1), (DRAWS, len(f1)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{name:48}{f1.mean():.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Print four rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--column", required=True)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    embed, wanted = Embedder("minilm").fresh, annotations(asked.table, asked.column, asked.n, asked.seed)
    vectors, corpus = embed(wanted), lines(40_000, 0)
    found = {
        f"inversion, {STEPS} steps": load_inverter("minilm", embed, "minilm").invert(vectors, STEPS),
        "nearest line of the training": recover(vectors, embed(corpus), corpus)[0],
    }
    for name, texts in found.items():
        half = len(texts) // 2
        rows = (
            row(name, texts, wanted, asked.seed),
            row("  of another", [*texts[half:], *texts[:half]], wanted, asked.seed),
        )
        sys.stdout.writelines(f"{r}\n" for r in rows)


if __name__ == "__main__":
    main()
