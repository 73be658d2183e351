"""What is timed knows what it needs of the machine."""

from __future__ import annotations

from bench.case import Case

RATES = {"bandwidth": 10.0, "cube": 100.0}


def test_the_limit_that_takes_longest_binds() -> None:
    case = Case("precondition", "4 x 4", {"bandwidth": 50.0, "cube": 400.0}, {})
    assert case.bound(RATES) == ("bandwidth", 5.0) and case.name == "precondition 4 x 4"


def test_without_a_known_need_there_is_no_limit() -> None:
    assert Case("precondition", "4 x 4", {}, {}).bound(RATES) == ("", 0.0)
