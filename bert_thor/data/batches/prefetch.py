"""Reading ahead in a background thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
_END = object()
_POLL_SECONDS = 0.1


class Prefetch(Iterator[T], Generic[T]):
    """Iterates over `source` in a thread that keeps up to `ahead` items ready; 0: in the caller's thread.

    An exception of the source is raised by `__next__` in its place in the order.
    """

    def __init__(self, source: Iterator[T], ahead: int) -> None:
        self._source, self._threaded = source, ahead > 0
        self._items: queue.Queue[object] = queue.Queue(max(1, ahead))
        self._closed = threading.Event()
        if self._threaded:
            threading.Thread(target=self._fill, name="prefetch", daemon=True).start()

    def __next__(self) -> T:
        if not self._threaded:
            return next(self._source)
        if self._closed.is_set():
            raise StopIteration
        item = self._items.get()
        if isinstance(item, _Failure):
            self._closed.set()
            raise item.error
        return item  # type: ignore[return-value]

    def close(self) -> None:
        """Stop the thread at its next item."""
        self._closed.set()

    def _fill(self) -> None:
        try:
            for item in self._source:
                if not self._put(item):
                    return
            self._put(_Failure(StopIteration()))
        except BaseException as error:
            self._put(_Failure(error))

    def _put(self, item: object) -> bool:
        """False if nobody wants items any more."""
        while not self._closed.is_set():
            try:
                self._items.put(item, timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
