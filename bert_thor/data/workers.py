"""Worker processes that never outlive the process that started them."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Callable, Optional, TypeVar

_SHOW_SECONDS = 0.25
_REPORT_BYTES = 1 << 18

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WorkerPool:
    """Processes that work, and how much they say that they have done."""

    executor: Executor
    counter: Any  # multiprocessing.Value: what the workers reported, in all

    def map(
        self, function: Callable[[_Task], _Result], tasks: Iterable[_Task], show: Callable[[float], object]
    ) -> Iterator[_Result]:
        """Results of `function` for all tasks, in their order, as they come.

        `show` is called several times a second with the sum of what the tasks have passed to `report_work` so far.
        """
        begun = self.counter.value
        waiting = deque(self.executor.submit(function, task) for task in tasks)
        while waiting:
            finished = wait((waiting[0],), _SHOW_SECONDS).done
            show(self.counter.value - begun)
            if finished:
                yield waiting.popleft().result()


@contextmanager
def worker_pool(workers: int) -> Iterator[WorkerPool]:
    """A pool of processes; leaving the block by an exception stops them at once, and so do SIGINT and SIGTERM to this process."""
    others = set(multiprocessing.active_children())
    counter = multiprocessing.Value("d", 0.0)
    executor = ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(counter,))
    try:
        with _terminate_as_exception():
            yield WorkerPool(executor, counter)
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def report_work(amount: float) -> None:
    """Say, in a worker, that so much more is done."""
    _worker.unreported += amount
    if _worker.unreported >= _REPORT_BYTES:
        flush_work()


def flush_work() -> None:
    """Pass on what was reported, at the end of a task."""
    if _worker.counter is not None:
        with _worker.counter.get_lock():
            _worker.counter.value += _worker.unreported
    _worker.unreported = 0.0


@dataclass
class _Worker:
    """State of this process, if it is a worker."""

    counter: Any = None
    unreported: float = 0.0


_worker = _Worker()


def _start_worker(counter: Any) -> None:
    """Ctrl-C is for the parent to handle; a parent that is killed takes its workers along."""
    _worker.counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _terminate_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack, as SIGINT does; Python only allows this in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit(number: int, frame: Optional[FrameType]) -> None:
    raise SystemExit(128 + number)
