"""A hash per lane of what a record tree costs, to find lanes and iterations that time alike."""

from __future__ import annotations

import numpy as np

from ..run.records import Chunk, Iterations, Operation, Record, Subset

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def signature(records: list[Record], lanes: int) -> np.ndarray:
    """One 64-bit number per lane; equal numbers mean equal costs in equal order."""
    total = np.zeros(lanes, np.uint64)
    for position, record in enumerate(records):
        part = _of(record, lanes)
        if part is not None:
            total = _mix(total ^ np.uint64(position + 1), part)
    return total


def _of(record: Record, lanes: int) -> np.ndarray | None:
    if isinstance(record, Operation):
        return record.conflict.view(np.uint64) if isinstance(record.conflict, np.ndarray) else None
    if isinstance(record, Subset):
        part = np.zeros(lanes, np.uint64)
        part[record.index] = signature(record.records, record.index.size) + np.uint64(1)
        return part
    if isinstance(record, Iterations):
        return _iterations(record, lanes)
    return None


def _iterations(record: Iterations, lanes: int) -> np.ndarray:
    total = np.zeros(lanes, np.uint64)
    for chunk in record.chunks:
        total = _mix(total, _chunk(chunk, lanes))
    return total


def _chunk(chunk: Chunk, lanes: int) -> np.ndarray:
    if chunk.starts is None:
        if chunk.index is None:
            return signature(chunk.records, lanes)
        part = np.zeros(lanes, np.uint64)
        part[chunk.index] = signature(chunk.records, chunk.index.size) + np.uint64(1)
        return part
    counts = np.diff(chunk.starts)
    rows = signature(chunk.records, int(chunk.starts[-1]))
    within = np.arange(rows.size) - np.repeat(chunk.starts[:-1], counts)
    rows = _mix(rows, within.astype(np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(rows, dtype=np.uint64)])
    return _mix(sums[chunk.starts[1:]] - sums[chunk.starts[:-1]], counts.astype(np.uint64))


def _mix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    mixed = (a * MULTIPLIER) ^ (b + MULTIPLIER)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
