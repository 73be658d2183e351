"""Bank conflicts in UB: how many cycles a repeat takes because its blocks meet in one bank group."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..instructions.patterns import touched_blocks
from ..instructions.table import Instruction, Plan
from .memory import Operand

BLOCK_SHIFT, GROUPS = 5, 16

Access = tuple[int, tuple[int, ...], int, int, bool]


@lru_cache(maxsize=65536)
def conflict_factor(accesses: tuple[Access, ...], repeats: int) -> float:
    """Mean cycles per repeat: the largest number of reads, or of writes, that fall into one bank group.

    Args:
        accesses: per operand the start address modulo 512 bytes, the numbers of the blocks that a repeat touches, block
            stride, repeat stride (both in blocks), and whether it is a write.
        repeats: number of repeats.

    A bank group serves one block of 32 bytes per cycle and direction, so a repeat takes max over groups (number of
    reads, number of writes) cycles. A repeat touches 8 blocks of the operand with the widest items, fewer of a narrower
    one and of those that the mask leaves out.
    """
    repeat = np.arange(repeats)[:, None]
    counts = {True: np.zeros((repeats, GROUPS), np.int64), False: np.zeros((repeats, GROUPS), np.int64)}
    for start, blocks, block_stride, repeat_stride, is_write in accesses:
        block = np.array(blocks)[None, :]
        group = ((start >> BLOCK_SHIFT) + repeat * repeat_stride + block * block_stride) % GROUPS
        if block_stride == 0:
            group = group[:, :1]
        np.add.at(counts[is_write], (np.broadcast_to(repeat, group.shape), group), 1)
    worst = np.maximum(counts[True].max(axis=1), counts[False].max(axis=1))
    return float(np.maximum(worst, 1).mean())


def conflict(instruction: Instruction, plan: Plan, operands: dict[str, Operand]) -> Any:
    """The factor for one execution: a number, or one per lane when their addresses differ modulo 512 bytes."""
    names = list(plan.detail["strides"])
    starts = [_start(operands[name]) for name in names]
    if not any(isinstance(s, np.ndarray) for s in starts):
        return _factor(instruction, plan, names, tuple(starts))
    rows = np.stack(np.broadcast_arrays(*[np.atleast_1d(s) for s in starts]), axis=1)
    if (rows == rows[0]).all():
        return _factor(instruction, plan, names, tuple(int(x) for x in rows[0]))
    distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
    factors = np.array([_factor(instruction, plan, names, tuple(int(x) for x in row)) for row in distinct])
    return factors[inverse.reshape(-1)]


def _start(operand: Operand) -> Any:
    return (operand.offset * np.dtype(operand.dtype).itemsize + operand.storage.allocation.address) & 511


def _factor(instruction: Instruction, plan: Plan, names: Any, starts: tuple[int, ...]) -> float:
    accesses = []
    for name, start in zip(names, starts):
        block, repeat = plan.detail["strides"][name]
        itemsize = np.dtype(instruction.tensors[name].dtype).itemsize
        blocks = touched_blocks(plan.detail["mask"], plan.detail["width"], itemsize)
        if instruction.is_written(name):
            accesses.append((start, blocks, block, repeat % GROUPS, True))
        if instruction.is_read(name):
            accesses.append((start, blocks, block, repeat % GROUPS, False))
    return conflict_factor(tuple(accesses), plan.detail["repeat"])
