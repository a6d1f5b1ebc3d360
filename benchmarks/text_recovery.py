"""Texts from noisy embeddings: retrieval beside exact search, inversion beside both, and the clock of a spreadsheet.

    ./do python benchmarks/text_recovery.py
    ./do python benchmarks/text_recovery.py --inverter out/inverter --check

The 1,000 scene annotations of the Sherlock film (`--sheet`, else `GIBLET_TEST_DATA`/annotations/sherlock_segments.xlsx)
are embedded by `--weights`, and Gaussian noise is added. A level of noise is its length in units of the root mean
square distance of the texts from their mean, so that the centred cosine is about 1 / sqrt(1 + level^2): a decoded
embedding of known cosine finds its place in the table. Noise is white, or has the covariance of the texts: errors of a
decoder confuse texts with each other, and are more like the second. Each noisy embedding looks for its text among all
different ones; `exact` is the same by scikit-learn's brute force. Identical texts are one candidate. `permuted` are the
clean embeddings, half of the sheet too late. Words are those of the nearest text; where there is an inverter
(`--inverter`, or one that comes with the plugin) also those that it makes of the first `--inverted` annotations, from
embeddings moved to where texts lie.

Timing rows: which segment each TR of 1.5 s gets, two runs, beside the sheet's own columns of TRs.

Bars: top-1 and two-way equal exact search at every level; all 1,976 TRs have a text; at most 3 differ from the sheet's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from giblet.alignment import bin_events
from giblet.analysis.text import Corpus, metrics, noise_curve
from giblet.analysis.text.noise import with_noise
from giblet.errors import GibletError
from giblet.media import Annotations, read_annotations
from giblet.types import Features, Source, TableChoice, TRGrid
from giblet_text_bge.embedder import Embedder

TEXT, FIRST, LAST = "Scene Details - A Level", "Start Time (TRs, 1.5s)", "End Time (TRs, 1.5s)"
RUNS = {"run-1": ((0, 482), 946), "run-2": ((482, 1000), 1030)}
TR_S = Fraction(3, 2)
WHITE, SHAPED = "white noise", "noise like texts"
ELSEWHERE = 3
"""TRs that the sheet gives to a segment that ends before they begin."""


def data(sheet: Path | None) -> Path:
    """The spreadsheet."""
    if sheet is not None:
        return sheet
    folder = os.environ.get("GIBLET_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data"
    return Path(folder) / "annotations" / "sherlock_segments.xlsx"


def read_runs(sheet: Path) -> dict[str, Annotations]:
    """The sheet's two runs."""
    choices = {run: TableChoice(text=TEXT, rows=rows) for run, (rows, _) in RUNS.items()}
    return {run: read_annotations(Source(sheet, table=choice)) for run, choice in choices.items()}


def exact_search(values: np.ndarray, texts: list[str], corpus: Corpus) -> dict[str, float]:
    """Top-1 and two-way by scikit-learn's brute force; candidates as near share their places."""
    from sklearn.neighbors import NearestNeighbors

    mean, size = corpus.embeddings.mean(0, dtype=np.float64), len(corpus.texts)
    search = NearestNeighbors(n_neighbors=size, metric="cosine", algorithm="brute").fit(corpus.embeddings - mean)
    distance, index = search.kneighbors(values - mean)
    place = {text: i for i, text in enumerate(corpus.texts)}
    own = np.array([place[t] for t in texts])[:, None]
    mine = distance[index == own][:, None]
    better, tied = (distance < mine - 1e-9).sum(1), (np.abs(distance - mine) <= 1e-9).sum(1)
    two_way = 1 - (better + (tied - 1) / 2) / (size - 1)
    return {"top1": float(np.clip((1 - better) / tied, 0, 1).mean()), "two_way": float(two_way.mean())}


def curve_rows(vectors: np.ndarray, texts: list[str], seed: int, *, shaped: bool) -> list[dict[str, Any]]:
    """A row a level, beside exact search."""
    corpus, rows = Corpus.of(vectors, texts), []
    for row in noise_curve(vectors, texts, corpus, seed=seed, shaped=shaped):
        exact = exact_search(with_noise(vectors, corpus, row["noise"], seed, shaped=shaped), texts, corpus)
        missed = any(abs(row[k] - v) > 1e-12 for k, v in exact.items())
        rows.append({"what": SHAPED if shaped else WHITE, **row, **{f"exact_{k}": v for k, v in exact.items()}})
        rows[-1]["missed"] = missed
    return rows


def permuted_row(vectors: np.ndarray, texts: list[str]) -> dict[str, Any]:
    """Clean embeddings at the wrong time."""
    late = np.roll(vectors, len(vectors) // 2, axis=0)
    return {"what": "permuted", **metrics(vectors, late, texts, Corpus.of(vectors, texts)), "missed": False}


def inverted_rows(vectors: np.ndarray, texts: list[str], n: int, seed: int, invert: Any) -> list[dict[str, Any]]:
    """The curve of the first `n` annotations with inversion beside it, looked for among all."""
    rows = noise_curve(vectors[:n], texts[:n], Corpus.of(vectors, texts), seed=seed, invert=invert)
    return [{"what": "inverted", **row, "n": n, "missed": False} for row in rows]


def inverter(name: str, embedder: Embedder, steps: int, beam: int) -> Callable[[np.ndarray], list[str]] | None:
    """What makes texts of unit vectors: that of `name`, else the plugin's own for this embedder, if it has one."""
    from giblet_text_bge.inversion.checkpoint import BUNDLED
    from giblet_text_bge.texts_back import open_inverter

    name = name or (embedder.weights if (BUNDLED / embedder.weights).is_dir() else "")
    if not name:
        return None
    opened = open_inverter(name, embedder)
    return lambda vectors: opened.invert(vectors, steps, beam)


def of_sheet(table: Annotations, n_trs: int, before: int) -> list[set[int]]:
    """The segments that the sheet's own columns give to each TR of a run; its TRs count from 1 and run on."""
    given: list[set[int]] = [set() for _ in range(n_trs)]
    for segment, (first, last) in enumerate(zip(table.columns[FIRST], table.columns[LAST], strict=True)):
        for tr in range(int(first) - 1, int(last)) if first is not None else ():
            given[tr - before].add(segment)
    return given


def timing_rows(runs: dict[str, Annotations]) -> list[dict[str, Any]]:
    """How many TRs of each run have a segment, and where it is not one of the sheet's."""
    rows, before = [], 0
    for run, table in runs.items():
        n_trs = RUNS[run][1]
        events = Features.events(np.arange(len(table.text))[:, None], table.onset_s, table.duration_s)
        grid = TRGrid(TR_S, n_trs)
        covered = bin_events(events, grid).valid
        ours = bin_events(events, grid, gap="forward")
        theirs = of_sheet(table, n_trs, before)
        told = ours.features.values[:, 0]
        differ = [before + k + 1 for k in range(n_trs) if told[k] not in theirs[k]] if ours.valid.all() else []
        holes = (np.flatnonzero(~covered) + before + 1).tolist()
        rows.append({"what": run, "n_trs": n_trs, "with_text": int(ours.valid.sum()), "by_overlap": int(covered.sum())})
        rows[-1] |= {"in_a_hole": holes, "of_two": sum(len(t) > 1 for t in theirs), "differ": differ}
        rows[-1]["missed"] = not ours.valid.all() or len(differ) > ELSEWHERE
        before += n_trs
    return rows


def show(rows: list[dict[str, Any]], texts: list[str], weights: str) -> None:
    """The tables."""
    of = {what: [r for r in rows if r["what"] == what] for what in dict.fromkeys(r["what"] for r in rows)}
    first = of[WHITE][0]
    chances = ", ".join(f"{k} {first[f'chance_{k}']:.4g}" for k in ("top1", "top5", "median_rank", "two_way"))
    print(f"{len(texts)} annotations, {first['set_size']} different texts to choose from, {weights}; chance: {chances}")
    heads = ("cosine", "top-1", "exact", "top-5", "median", "2-way", "exact", "F1", "BLEU")
    print(f"{'':18}{'level':>6}" + "".join(f"{h:>8}" for h in heads))
    for r in [*of[WHITE], *of[SHAPED], *of["permuted"]]:
        keys = ("cosine", "top1", "exact_top1", "top5", "median_rank", "two_way", "exact_two_way", "token_f1", "bleu")
        cells = "".join(f"{r[k]:8.3f}" if k in r else f"{'':8}" for k in keys)
        print(f"{r['what']:18}{r.get('noise', ''):>6}{cells}")
    show_inverted(of.get("inverted", []))
    for r in (r for r in rows if r["what"] in RUNS):
        print(f"{r['what']}: {r['with_text']} of {r['n_trs']} TRs have a text, {r['by_overlap']} by overlap, in a hole")
        print(f"    of the sheet {r['in_a_hole']}; the sheet names two for {r['of_two']}, and others for {r['differ']}")
    for r in (r for r in rows if r["missed"]):
        print(f"misses its bar: {r['what']} {r.get('noise', '')}", file=sys.stderr)


def show_inverted(rows: list[dict[str, Any]]) -> None:
    """The nearest text beside the inverted one."""
    for i, r in enumerate(rows):
        if not i:
            print(f"the first {r['n']} annotations, white noise: words of the nearest text, and by inversion")
            print(f"{'level':>24}" + "".join(f"{h:>8}" for h in ("cosine", "F1", "BLEU", "inv. F1", "BLEU")))
        keys = ("cosine", "token_f1", "bleu", "inverted_token_f1", "inverted_bleu")
        print(f"{r['noise']:>24g}" + "".join(f"{r[k]:8.3f}" for k in keys))


def parsed() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path, help="the spreadsheet of segments")
    parser.add_argument("--weights", default="minilm", help="the embedder")
    parser.add_argument("--inverter", default="", help="its inverter; default the plugin's own, if any")
    parser.add_argument("--inverted", type=int, default=100, help="annotations that are inverted")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    return parser.parse_args()


def main() -> int:
    """Measure."""
    args = parsed()
    embedder = Embedder(args.weights)
    try:
        runs = read_runs(data(args.sheet))
        texts = [" ".join(t.split()) for table in runs.values() for t in table.text]
        vectors = embedder.vectors(texts)
        invert = inverter(args.inverter, embedder, args.steps, args.beam)
    except GibletError as error:
        print(f"nothing to measure: {error}", file=sys.stderr)
        return 2
    rows = [row for shaped in (False, True) for row in curve_rows(vectors, texts, args.seed, shaped=shaped)]
    rows.append(permuted_row(vectors, texts))
    if invert is not None:
        rows += inverted_rows(vectors, texts, args.inverted, args.seed, invert)
    rows += timing_rows(runs)
    print(json.dumps(rows)) if args.json else show(rows, texts, args.weights)
    return int(args.check and any(r["missed"] for r in rows))


if __name__ == "__main__":
    sys.exit(main())
