"""What a benchmark times: a problem, what it needs at least, and everybody who solves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

Contenders = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """One problem. `needs`: how much of each limit of the machine it needs, in FLOP or bytes; empty where that is not known."""

    operation: str
    shape: str
    needs: dict[str, float]
    contenders: Contenders

    @property
    def name(self) -> str:
        """Operation and shape: the key of its result."""
        return f"{self.operation} {self.shape}"

    def bound(self, rates: Mapping[str, float]) -> tuple[str, float]:
        """(the limit that takes longest, how long) where the machine does `rates` of each per unit of time; ("", 0) without one."""
        times = {limit: amount / rates[limit] for limit, amount in self.needs.items()}
        longest = max(times, key=lambda limit: times[limit], default="")
        return longest, times.get(longest, 0.0)
