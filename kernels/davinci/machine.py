"""The constants of the chip, read from ``machine.json``, where each one names its source."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import ArgumentError

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "machine.json")
DEFAULT_CHIP = "Ascend910A"


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    with open(PATH, encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data


class Machine:
    """One chip: core count, clock, buffer sizes, rates and latencies.

    Args:
        chip: a key of ``chips`` in machine.json (Ascend910A, Ascend910B, Ascend910ProA, Ascend910ProB, Ascend910PremiumA).
        overrides: constants to replace, by name.
    """

    def __init__(self, chip: str = DEFAULT_CHIP, overrides: Mapping[str, float] | None = None) -> None:
        data = _data()
        if chip not in data["chips"]:
            raise ArgumentError(f"chip {chip!r} is not modelled; choose one of {', '.join(data['chips'])}")
        unknown = [name for name in overrides or {} if name not in data["constants"]]
        if unknown:
            raise ArgumentError(f"machine.json has no constant {unknown[0]!r}; it has {', '.join(data['constants'])}")
        self.chip = chip
        self.cores: int = data["chips"][chip]["cores"]
        self.megahertz: float = data["chips"][chip]["megahertz"]
        self.constants: dict[str, float] = {name: c["value"] for name, c in data["constants"].items()}
        self.constants.update(overrides or {})
        self._vector: dict[str, Any] = data["vector"]

    def __getitem__(self, name: str) -> float:
        return self.constants[name]

    def capacity(self, scope: str) -> int:
        """Bytes of an on-chip buffer."""
        return int(self.constants[f"buffer.{scope}"])

    def vector(self, operation: str, dtype: str) -> tuple[float, float]:
        """Cycles per repeat without bank conflicts, and cycles from the last repeat to the result."""
        row = self._vector[operation]
        width = "4" if np.dtype(dtype).itemsize == 4 else "2"
        return row["cycles_per_repeat"][width], row["latency"][width] + self.constants["latency.vector"]

    def with_constants(self, overrides: Mapping[str, float]) -> Machine:
        """The same chip with some constants replaced, by name."""
        return Machine(self.chip, {**self.constants, **overrides})


def uncertain_constants() -> dict[str, tuple[float, float]]:
    """The constants whose value no public source settles, with the range that a sensitivity run tries."""
    return {name: tuple(c["range"]) for name, c in _data()["constants"].items() if "range" in c}


def pessimistic_constants() -> dict[str, float]:
    """Every uncertain constant at the end of its range that costs more: the lowest rates, the highest of all others."""
    units = {name: constant["unit"] for name, constant in _data()["constants"].items()}
    bounds = uncertain_constants().items()
    return {name: low if units[name].startswith("B/cycle") else high for name, (low, high) in bounds}


def source_of(name: str) -> str:
    """Where a constant comes from."""
    return str(_data()["constants"][name]["source"])
