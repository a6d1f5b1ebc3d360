"""Running checks: as pytest ids, or one after the other with what came of each as data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from giblet.errors import WeightsError
from giblet.modality import Modality
from giblet.testing.case import GRID, Case
from giblet.testing.choice import Check, checks_for
from giblet.testing.verdict import NothingTriedError
from giblet.types import Source, TRGrid

if TYPE_CHECKING:
    import pytest

LONGEST = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check: its name, the law in words, why it failed, why nothing could be tried, the time it took.

    It passed where both reasons are None.
    """

    check: str
    law: str
    failure: str | None
    not_tried: str | None
    seconds: float


def name_of(check: Check) -> str:
    """The check's name without `check_`."""
    return check.__name__.removeprefix("check_")


def run_checks(case: Case, checks: Iterable[Check]) -> Iterator[Outcome]:
    """Run checks one by one; whatever a modality raises is a failure of the check, and the next one goes on.

    Raises
    ------
    WeightsError
        If the modality's weights cannot be had: then nothing was checked.
    """
    for check in checks:
        start, failure, idle = time.perf_counter(), None, None
        try:
            check(case)
        except WeightsError:
            raise
        except NothingTriedError as reason:
            idle = str(reason)
        except Exception as error:
            failure = _reason(error)
        law = (check.__doc__ or "").strip().partition("\n")[0]
        yield Outcome(name_of(check), law, failure, idle, time.perf_counter() - start)


def _reason(error: Exception) -> str:
    """One line: the message, the kind of error where it is no verdict of ours, and the drawn values that show it."""
    said = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    drawn = " ".join(" ".join(getattr(error, "__notes__", [])).split())
    text = said + " ".join(str(error).split()) + (f" ({drawn})" if drawn else "")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def modality_checks(
    modality: Modality, make_source: Callable[[], Source] | None = None, grid: TRGrid = GRID
) -> pytest.MarkDecorator:
    """Decorate a test that takes `check`: one pytest id a check.

    A check that finds nothing to try is skipped, with the reason.

    `make_source` is called without arguments and returns a `Source` of at least four TRs of 1.5 s; without it the
    modality's own `example` is used.
    """
    import pytest

    case = Case(modality, make_source, grid)
    params = [pytest.param(partial(_try, c, case), id=f"{modality.name}-{name_of(c)}") for c in checks_for(modality)]
    return pytest.mark.parametrize("check", params)


def _try(check: Check, case: Case) -> None:
    """Run a check in a test; one that had nothing to try is no pass."""
    import pytest

    try:
        check(case)
    except NothingTriedError as reason:
        pytest.skip(str(reason))
