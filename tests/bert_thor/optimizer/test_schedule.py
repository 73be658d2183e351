"""What depends on the step alone."""

from __future__ import annotations

import pytest

from bert_thor.optimizer.config import OptimizerConfig
from bert_thor.optimizer.schedule import refreshes_at, refreshes_between


@pytest.mark.parametrize(
    ("interval", "schedule"), [(1, ()), (7, ()), (5, ("12:3", "40:10")), (4, ("3:6",)), (10, ("95:1",))]
)
def test_refreshes_are_counted_without_going_through_the_steps(interval: int, schedule: tuple[str, ...]) -> None:
    config = OptimizerConfig(refresh_interval=interval, refresh_schedule=schedule)
    for first in range(0, 60, 3):
        for last in range(first - 1, 101, 4):
            counted = sum(refreshes_at(step, config) for step in range(first, last))
            assert refreshes_between(first, last, config) == counted, (first, last)
