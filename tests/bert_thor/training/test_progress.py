"""What a checkpoint says of where a run stands, the best evaluation among it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bert_thor.errors import CheckpointError
from bert_thor.training.progress import Best, Progress, read_progress


def report(step: int, accuracy: float, rows: int = 47, data: str = "abc") -> dict[str, Any]:
    return {"step": step, "masked_lm_accuracy": accuracy, "row_count": rows, "data_sha256": data}


def after(*reports: dict[str, Any]) -> Best:
    best = Best()
    for one in reports:
        best = best.after(one)
    return best


def test_the_best_is_the_first_of_the_highest_accuracies() -> None:
    assert after(report(2, 0.1), report(4, 0.3), report(6, 0.3), report(8, 0.2)) == Best(4, 0.3, 2, "abc:47")
    assert after(report(2, 0.0)) == Best(2, 0.0, 0, "abc:47")


def test_what_is_no_number_is_never_the_best() -> None:
    assert after(report(2, math.nan), report(4, math.nan)) == Best(0, None, 2, "abc:47")
    assert after(report(2, math.nan), report(4, 0.1), report(6, math.nan)) == Best(4, 0.1, 1, "abc:47")


@pytest.mark.parametrize("other", [{"rows": 48}, {"data": "abd"}])
def test_accuracies_on_other_rows_are_not_compared(other: dict[str, Any]) -> None:
    best = after(report(2, 0.9), report(4, 0.1, **other))
    assert best.step == 4 and best.accuracy == 0.1 and best.evaluations_since == 0


def test_progress_survives_its_state() -> None:
    progress = Progress(step=7, samples=56, skipped=1, best=Best(4, 1 / 3, 2, "abc:47"))
    assert read_progress(json.loads(json.dumps(progress.state())), "here") == progress
    state = progress.state()
    del state["best"]  # as it was written before there was one
    assert read_progress(state, "here").best == Best()


@pytest.mark.parametrize(
    ("best", "words"),
    [
        ([], "best = []"),
        ({}, "step = None"),
        ({"step": -1, "evaluations_since": 0}, "step = -1"),
        ({"step": 1, "evaluations_since": 0.5}, "evaluations_since = 0.5"),
        ({"step": 1, "evaluations_since": 0, "accuracy": 1.5}, "accuracy = 1.5"),
        ({"step": 1, "evaluations_since": 0, "accuracy": "high"}, "accuracy = 'high'"),
        ({"step": 1, "evaluations_since": 0, "rows": 3}, "rows = 3"),
    ],
)
def test_a_state_that_is_none_is_refused(best: object, words: str) -> None:
    with pytest.raises(CheckpointError) as refusal:
        read_progress({**Progress().state(), "best": best}, "run")
    assert words in str(refusal.value) and "run/state.json" in str(refusal.value)
