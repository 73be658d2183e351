"""The log line is the original's, to the character."""

from __future__ import annotations

import re

import pytest

from bert_thor.training.progress import LogLine


def test_the_line_counts_from_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    log = LogLine(step=10)
    log.print(epoch=2, step=14, loss=0.5)
    log.print(epoch=2, step=15, loss=0.25)
    number = r"(\d[\d.e-]*)"
    pattern = (
        rf"epoch: 2, step: (\d+), outputs are \[(0\.\d+)\], total_time_span is {number}, step_time_span is {number}"
    )
    (first, second) = (re.fullmatch(pattern, line) for line in capsys.readouterr().out.splitlines())
    assert first is not None and second is not None
    assert first.groups()[:2] == ("14", "0.5") and second.groups()[:2] == ("15", "0.25")
    assert float(first.group(3)) / 4 == float(first.group(4)) and second.group(3) == second.group(4)
