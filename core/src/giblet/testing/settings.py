"""Checks of the class and its settings, and of `fit`."""

from __future__ import annotations

import copy
import inspect
import json
from typing import Any

import numpy as np

from giblet.brain import BrainModality
from giblet.modality import Modality
from giblet.plugins import check_class
from giblet.testing.case import Case
from giblet.testing.drawing import for_all, legal_settings
from giblet.testing.verdict import require

NEAR = 0.75
"""How alike two names are that one is taken for a slip of the other, as difflib counts."""


def check_class_attributes(case: Case) -> None:
    """Name, kind and role are such that the class can be registered."""
    check_class(type(case.modality))


def check_methods_are_spelt(case: Case) -> None:
    """No public method is called nearly as one of Modality's: a misspelt one would never be called."""
    from difflib import get_close_matches

    base = BrainModality if isinstance(case.modality, BrainModality) else Modality
    known = {n: f for c in base.__mro__ if issubclass(c, Modality) for n, f in vars(c).items()}
    ours = [n for n, f in known.items() if inspect.isfunction(f) and not n.startswith("_")]
    for cls in (c for c in type(case.modality).__mro__ if not issubclass(base, c)):
        for name, method in vars(cls).items():
            if inspect.isfunction(method) and not name.startswith("_") and not hasattr(base, name):
                near = get_close_matches(name, ours, 1, NEAR)
                require(not near, f"nothing calls {cls.__name__}.{name}; did you mean {''.join(near)!r}?")


def check_settings_round_trip(case: Case) -> None:
    """Any legal settings survive the config file."""
    from hypothesis import reject
    from pydantic import ValidationError

    cls = type(case.modality)

    def law(values: dict[str, Any]) -> None:
        try:
            modality = cls(**values)
        except ValidationError:  # fields that do not go together
            reject()
        again = cls(**json.loads(json.dumps(modality.settings())))
        require(again.model_dump() == modality.model_dump(), "Modality(**settings()) must equal the original")

    given = {name: getattr(case.modality, name) for name in cls.model_fields}
    law(given)
    if given:
        for_all(law, 30, values=legal_settings(cls, given))


def check_settings_forbid_unknown_keys(case: Case) -> None:
    """A misspelt setting is refused, not ignored."""
    from pydantic import ValidationError

    try:
        type(case.modality)(**{**case.modality.model_dump(), "no_such_setting": 1})
    except ValidationError:
        return
    require(False, "an unknown setting was accepted; keep model_config extra='forbid'")


def check_fit_returns_a_copy(case: Case) -> None:
    """`fit` leaves the modality as it was and returns one of the same settings; twice gives the same state."""
    modality = copy.deepcopy(case.modality)
    once, again = (modality.fit([case.make_source()], [[slice(0, case.grid.n_trs)]]) for _ in range(2))
    require(modality == case.modality, "fit changed the modality; return self.fitted(...)")
    require(type(once) is type(case.modality), f"fit returned {type(once).__name__}; return self.fitted(...)")
    require(once.settings() == case.modality.settings(), "fit changed the settings; keep what is learned as state")
    arrays = all(isinstance(value, np.ndarray) for value in once.state.values())
    require(arrays, "the state must be numpy arrays, to be kept in the run's folder")
    require(once == again, "fit learned something else the second time; seed what it draws")
