"""Run brainiak's Shared Response Model on the scans of `made_scans.py` and write down how well it predicts.

    python -m venv reference && reference/bin/pip install -r plugins/fmri_mask/crosscheck/requirements.txt
    cd plugins/fmri_mask
    PATH=../../reference/bin:$PATH python crosscheck/reference.py tests/srm_reference.json

brainiak needs MPI, so it has an environment of its own. `srm` is its probabilistic model (Chen et al. 2015), `det_srm`
the deterministic one. `held_out` is the r of test TRs between each person and the mean of the others, in bases from
training TRs; `left_out` the same of a person who was not among those that the model was fitted on. Both after ten
rounds from each of four random starts (`starts`), for these do not all arrive, and after fifty from one (`arrived`).
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from brainiak.funcalign.srm import SRM, DetSRM
from made_scans import FEATURES, agreement, held_out_r, made_scans

SEEDS, STARTS, ITERATIONS, MANY = (0, 1, 2), (0, 1, 2, 3), 10, 50


def scores(model: type, seed: int, start: int, iterations: int) -> dict[str, float]:
    """Held-out r of everybody, and of the last person when left out."""
    train, test = made_scans(seed)
    fitted = model(n_iter=iterations, features=FEATURES, rand_seed=start)
    fitted.fit([x.T for x in train])
    held = held_out_r([(w.T @ x.T).T for w, x in zip(fitted.w_, test, strict=True)])
    without = model(n_iter=iterations, features=FEATURES, rand_seed=start)
    without.fit([x.T for x in train[:-1]])
    mine = (without.transform_subject(train[-1].T).T @ test[-1].T).T
    others = np.mean([(w.T @ x.T).T for w, x in zip(without.w_, test[:-1], strict=True)], 0)
    return {"held_out": held, "left_out": agreement(mine, others)}


def main() -> None:
    """Write the reference."""
    told: dict[str, object] = {"brainiak": version("brainiak"), "iterations": ITERATIONS, "many": MANY}
    for name, model in {"srm": SRM, "det_srm": DetSRM}.items():
        told[name] = {
            str(seed): {
                "starts": [scores(model, seed, start, ITERATIONS) for start in STARTS],
                "arrived": scores(model, seed, 0, MANY),
            }
            for seed in SEEDS
        }
    Path(sys.argv[1]).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
