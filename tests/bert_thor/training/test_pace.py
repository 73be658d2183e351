"""The rate of a run leaves out what is no step, and the time that is left is that of what is left, at the recent rate."""

from __future__ import annotations

import pytest

from bert_thor.training.pace import RECENT, Pace, StepKind, crossed

CACHED, REFRESH, SKIPPED = StepKind(False, True), StepKind(True, True), StepKind(False, False)


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def step(self, pace: Pace, seconds: float, kind: StepKind = CACHED) -> None:
        self.now += seconds
        pace.step(kind)

    def other(self, pace: Pace, seconds: float, name: str) -> None:
        self.now += seconds
        pace.other(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_the_rate_leaves_out_first_steps_evaluations_and_checkpoints(clock: Clock, pace: Pace) -> None:
    clock.step(pace, 20.0, REFRESH)  # compiles
    assert pace.steps_per_second() is None
    clock.step(pace, 10.0)  # compiles the other graphs
    for _ in range(3):
        clock.step(pace, 0.5)
    clock.other(pace, 30.0, "evaluation")
    clock.step(pace, 2.5, REFRESH)
    clock.other(pace, 40.0, "checkpoint")
    assert pace.steps_per_second() == 4 / 4.0
    assert pace.steps_per_second() is None, "no step since"
    assert pace.compiling == 30.0 and pace.elapsed() == 104.0


def test_a_skipped_step_does_not_stand_for_one_that_was_applied(clock: Clock, pace: Pace) -> None:
    clock.step(pace, 20.0, SKIPPED)
    clock.step(pace, 9.0)  # the first update compiles too
    assert pace.left(10, 0, {}) is None
    clock.step(pace, 0.5)
    assert pace.left(10, 0, {}) == 5.0


def test_the_time_left_is_that_of_each_kind_of_step_and_of_what_comes_between(clock: Clock, pace: Pace) -> None:
    for kind, seconds in ((REFRESH, 20.0), (CACHED, 10.0), (CACHED, 0.5), (REFRESH, 2.0)):
        clock.step(pace, seconds, kind)
    clock.other(pace, 3.0, "evaluation")
    clock.other(pace, 4.0, "evaluation")
    assert pace.left(90, 10, {"evaluation": 2, "checkpoint": 5}) == 90 * 0.5 + 10 * 2.0 + 2 * 4.0
    assert pace.left(0, 0, {}) == 0.0


def test_the_time_left_follows_the_recent_rate(clock: Clock, pace: Pace) -> None:
    clock.step(pace, 10.0)
    for seconds in (1.0, 3.0):
        for _ in range(RECENT):
            clock.step(pace, seconds)
        assert pace.left(100, 0, {}) == 100 * seconds
    clock.step(pace, 60.0)  # one that was disturbed
    assert pace.left(100, 0, {}) == 300.0


def test_a_kind_that_was_not_timed_yet_is_taken_for_the_other(clock: Clock, pace: Pace) -> None:
    clock.step(pace, 20.0, REFRESH)
    clock.step(pace, 10.0)
    assert pace.left(5, 5, {}) is None
    clock.step(pace, 0.5)
    assert pace.left(5, 5, {}) == 5.0


@pytest.mark.parametrize(
    ("before", "after", "interval", "count"),
    [(0, 8, 8, 1), (0, 7, 8, 0), (8, 16, 8, 1), (8, 15, 8, 0), (5, 33, 8, 4), (3, 9, 0, 0)],
)
def test_multiples_that_are_crossed(before: int, after: int, interval: int, count: int) -> None:
    assert crossed(before, after, interval) == count
