"""Bytes, rate and remaining time, in a terminal and in a log."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from bert_thor.data.prepare import display
from bert_thor.data.prepare.display import Display, new_progress
from bert_thor.data.workers import flush_work, report_work, worker_pool


def work(number: int) -> int:
    for _ in range(5):
        report_work(1e6)
        flush_work()
        time.sleep(0.2)
    return number


def test_a_bar_shows_bytes_rate_and_remaining_time() -> None:
    output = io.StringIO()
    with worker_pool(2) as pool, new_progress(Console(file=output, width=120, force_terminal=True)) as progress:
        with Display(progress, pool).step("reading text"):
            pass
        assert list(Display(progress, pool).map("writing rows", work, range(4), 20e6)) == [0, 1, 2, 3]
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())
    lines = [line for line in re.split(r"[\r\n]", shown) if "writing rows" in line]
    assert any(re.search(r" [1-9]\d?\.\d/20\.0 MB +\d+\.\d MB/s +0:00:0\d +0:00:\d\d", line) for line in lines)
    assert re.search(r"100% +20\.0/20\.0 MB", lines[-1])
    assert not [line for line in re.split(r"[\r\n]", shown) if "reading text" in line and "bytes" in line]


def test_a_log_has_a_line_every_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(display, "_LOG_SECONDS", 0.5)
    with worker_pool(2) as pool, new_progress() as progress:
        assert list(Display(progress, pool).map("writing rows", work, range(4), 20e6)) == [0, 1, 2, 3]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("writing rows: ")]
    assert len(lines) >= 2
    assert re.fullmatch(r"writing rows: \d+ % of 20\.0 MB, \d+\.\d\d MB/s, \d:\d\d:\d\d left", lines[-1])
