"""The kit is proven by mutants: each is caught by the check meant for it, and no check fails that should not mind."""

import kit_data_mutants
import kit_net_mutants
import pytest
from giblet.testing import Case, checks_for, name_of, run_checks
from kit_good import Good, GoodBrain, GoodClasses, GoodEvents, GoodSound

MUTANTS = kit_data_mutants.MUTANTS + kit_net_mutants.MUTANTS
APART = {"light_import", "extract_in_a_worker"}
"""Checks in processes of their own: slow, so only tried where they are meant."""


def failures(modality, but=APART, only=None):
    """What fails, and why."""
    checks = [c for c in checks_for(modality) if name_of(c) not in but and only in (None, name_of(c))]
    return {o.check: o.failure for o in run_checks(Case(modality), checks) if o.failure}


@pytest.mark.parametrize("cls", [GoodEvents, GoodClasses, GoodBrain, GoodSound])
def test_what_is_right_passes(cls):
    assert failures(cls()) == {}


def test_what_is_right_passes_in_other_processes_too():
    assert failures(Good(), but=()) == {}


@pytest.mark.parametrize(("mutant", "check", "said", "also"), MUTANTS, ids=[f"{m[0].__name__}-{m[1]}" for m in MUTANTS])
def test_a_mutant_is_caught_by_its_check_and_by_no_other(mutant, check, said, also):
    found = failures(mutant(), APART - {check}, only=check if also is None else None)
    assert said in found.pop(check, "it passed")
    assert found.keys() <= set(also or [])


@pytest.mark.parametrize(
    ("cls", "said"),
    [(kit_data_mutants.Cutting, "a cut is refused: no cuts"), (kit_data_mutants.Whole, "gives the whole")],
)
def test_where_nothing_can_be_tried_it_is_no_pass(cls, said):
    checks = [c for c in checks_for(cls()) if name_of(c) == "pieces_join_to_the_whole"]
    (outcome,) = run_checks(Case(cls()), checks)
    assert outcome.failure is None
    assert said in outcome.not_tried


def test_every_check_has_a_mutant():
    caught = {check for _, check, _, _ in MUTANTS} | {"light_import"}
    assert {name_of(c) for c in checks_for(Good())} - {"cuda_equals_cpu"} == caught
