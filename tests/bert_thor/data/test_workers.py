"""Results in order, and how much is done; that workers never outlive their parent is tested in prepare/test_pipeline.py."""

from __future__ import annotations

import time

from bert_thor.data.workers import flush_work, report_work, worker_pool


def work(number: int) -> int:
    time.sleep(0.02 * (5 - number))
    for _ in range(10):
        report_work(0.1)
    flush_work()
    return number * number


def test_results_come_in_order_and_work_adds_up() -> None:
    shown: list[float] = []
    with worker_pool(2) as pool:
        for _ in range(2):
            shown.clear()
            assert list(pool.map(work, range(5), shown.append)) == [0, 1, 4, 9, 16]
            assert shown == sorted(shown) and abs(shown[-1] - 5) < 1e-9
