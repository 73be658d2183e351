"""The chips and the constants of the model, read from `machine.json`, where each one names its source."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import ArgumentError

PATH = Path(__file__).resolve().parent / "machine.json"
DEFAULT_TARGET = "Ascend910B1"


@dataclass(frozen=True)
class Target:
    """One chip: numbers of cores, clock in MHz, bandwidth of its memory in bytes per second."""

    name: str
    cube_cores: int
    vector_cores: int
    megahertz: float
    hbm_bytes_per_second: float

    def cores(self, core: str) -> int:
        """Cores of a kind: "aiv" (vector) or "aic" (cube)."""
        return self.vector_cores if core == "aiv" else self.cube_cores

    @property
    def bytes_per_cycle(self) -> float:
        """Bandwidth of the chip's memory in bytes per cycle of its cores."""
        return self.hbm_bytes_per_second / (self.megahertz * 1e6)


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(PATH.read_text())
    return data


def target(name: str) -> Target:
    """The chip of that name; raises `ArgumentError` with the names that there are."""
    chips = _data()["targets"]
    if name not in chips:
        raise ArgumentError(f"target {name!r} is not modelled; choose one of {', '.join(chips)}")
    return Target(name, **chips[name])


def memory_sizes() -> dict[str, int]:
    """Bytes of the memories of a core, in the machine's order."""
    return {name: row["value"] for name, row in _data()["memories"].items()}


def constant(name: str) -> float:
    """A constant of the time model."""
    return float(_data()["constants"][name]["value"])
