"""The stored results of whole steps: bench/results/steps.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from bench import machine
from bench.kernels.results import Row, found
from bench.targets import MEMORY, Found, Target

RESULTS = Path(__file__).resolve().parents[1] / "results" / "steps.json"


def rows() -> list[Row]:
    """All that are stored."""
    return [Row(**row) for row in _document()["rows"]]


def store(new: Sequence[Row]) -> None:
    """Put rows in the place of those of the same names and threads. Those of another processor are dropped."""
    document, described = _document(), machine.describe()
    kept = rows() if document["machine"].get("processor") == described["processor"] else []
    replaced = {(row.name, row.threads) for row in new}
    every = [row for row in kept if (row.name, row.threads) not in replaced] + list(new)
    every.sort(key=lambda row: (row.operation, row.shape, row.threads))
    _write({**document, "machine": described, "rows": [asdict(row) for row in every]})


def memory() -> dict[str, dict[str, int]]:
    """Bytes by precision, of every name that is stored."""
    sizes: dict[str, dict[str, int]] = _document()["memory"]
    return sizes


def store_memory(name: str, sizes: Mapping[str, int]) -> None:
    """Put these bytes by precision in the place of the stored ones."""
    document = _document()
    document["memory"][name] = dict(sizes)
    _write(document)


def found_in(rows: Sequence[Row], memory: Mapping[str, Mapping[str, int]]) -> Found:
    """The values of targets in rows and in sizes of memory."""
    of_rows = found(rows)

    def values(target: Target) -> Optional[Sequence[float]]:
        if target.quantity != MEMORY:
            return of_rows(target)
        sizes = memory.get(target.name)
        return (sizes["bf16"] / sizes["fp32"],) if sizes else None

    return values


def _document() -> dict[str, Any]:
    if not RESULTS.is_file():
        return {"machine": {}, "rows": [], "memory": {}}
    document: dict[str, Any] = json.loads(RESULTS.read_text())
    return document


def _write(document: Mapping[str, Any]) -> None:
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
