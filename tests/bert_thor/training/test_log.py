"""The original's line is the original's, to the character; the plain one says all in one; both have rate and time left."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bert_thor.training.log import Entry, MeanLoss, OriginalLines, PlainLines, duration

ENTRY = Entry(
    epoch=2,
    step=14,
    steps=1500,
    loss=0.5,
    mean_loss=0.75,
    learning_rate=0.00123456,
    loss_scale=None,
    sequences_per_second=117.64,
    elapsed=75.4,
    left=3725.0,
)
REPORT = {
    "step": 20,
    "masked_lm_accuracy": 0.25,
    "next_sentence_accuracy": 0.625,
    "rows": "held-out",
    "row_count": 47,
}


def test_the_originals_line_counts_from_the_last_one() -> None:
    lines = OriginalLines(step=10)
    printed = [lines.of_step(ENTRY), lines.of_step(replace(ENTRY, step=15, loss=0.25))]
    number = r"(\d[\d.e-]*)"
    pattern = (
        rf"epoch: 2, step: (\d+), outputs are \[(0\.\d+)\], total_time_span is {number}, step_time_span is {number}"
    )
    (first, second) = (re.fullmatch(pattern, text.splitlines()[0]) for text in printed)
    assert first is not None and second is not None
    assert first.groups()[:2] == ("14", "0.5") and second.groups()[:2] == ("15", "0.25")
    assert float(first.group(3)) / 4 == float(first.group(4)) and second.group(3) == second.group(4)
    assert [text.splitlines()[1:] for text in printed] == [
        ["117.6 sequences/s, elapsed 0:01:15, ETA 1:02:05"],
    ] * 2
    assert lines.of_evaluation(REPORT, 1500, True) == "step:  20 Accuracy:  [0.25]"


def test_the_plain_line_says_all_in_one() -> None:
    lines = PlainLines()
    pace = "117.6 sequences/s, elapsed 0:01:15, ETA 1:02:05"
    assert lines.of_step(ENTRY) == f"step 14/1500, loss 0.7500, learning rate 0.00123, {pace}"
    scaled = replace(ENTRY, loss_scale=65536.0, mean_loss=math.nan)
    assert lines.of_step(scaled) == f"step 14/1500, loss nan, learning rate 0.00123, loss scale 65536, {pace}"
    first = replace(ENTRY, sequences_per_second=None, left=None)
    assert lines.of_step(first).endswith("learning rate 0.00123, elapsed 0:01:15, ETA unknown")


def test_the_plain_line_repeats_the_latest_accuracy() -> None:
    lines = PlainLines()
    both = "masked-LM accuracy 0.2500, next-sentence accuracy 0.6250"
    assert lines.of_evaluation(REPORT, 1500, False) == f"step 20/1500, 47 held-out rows: {both}"
    assert lines.of_evaluation(REPORT, 1500, True) == f"step 20/1500, 47 held-out rows: {both}, the best up to now"
    assert f"loss 0.7500, {both} at step 20, learning rate" in lines.of_step(ENTRY)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00:00"), (59.6, "0:01:00"), (86399, "23:59:59"), (90061, "1 day, 1:01:01")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_mean_loss_is_that_of_applied_steps_since_it_was_taken() -> None:
    losses = MeanLoss()
    assert math.isnan(losses.take())
    results: list[Any] = [SimpleNamespace(loss=loss, applied=applied) for loss, applied in ((1.0, True), (4.0, True))]
    for result in (*results, SimpleNamespace(loss=math.inf, applied=False)):
        losses.add(result)
    assert losses.take() == 2.5 and math.isnan(losses.take())
