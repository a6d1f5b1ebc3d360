"""The conformance kit: what every modality must keep, one check a law, for our plugins and for anybody's.

from giblet.testing import modality_checks

@modality_checks(MyModality())
def test_conformance(check):
check()
"""

from giblet.testing.case import GRID, Case
from giblet.testing.choice import EVERY, NETS, Check, checks_for
from giblet.testing.running import Outcome, modality_checks, name_of, run_checks

__all__ = [
    "EVERY",
    "GRID",
    "NETS",
    "Case",
    "Check",
    "Outcome",
    "checks_for",
    "modality_checks",
    "name_of",
    "run_checks",
]
