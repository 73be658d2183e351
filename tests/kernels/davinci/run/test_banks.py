"""Bank conflicts: the published examples, and the model against counting every access."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tik_program import busy

from bert_thor.kernels.davinci.run import banks


@pytest.mark.parametrize(("apart", "cycles"), [(0, 2), (64, 1), (128, 2), (192, 1), (16, 2)])
def test_two_sources_meet_in_the_banks(apart: int, cycles: int) -> None:
    """1 cycle per repeat when the sources are 256 bytes apart modulo 512, 2 when they share bank groups."""
    call = lambda t, ub: t.vadd(64, ub[8192], ub[0], ub[4096 + apart], 16, 1, 1, 1, 8, 8, 8)  # noqa: E731
    assert busy(call, "V") == 16 * cycles


@pytest.mark.parametrize(("block_stride", "cycles"), [(1, 1), (8, 4), (16, 8), (4, 2), (3, 1)])
def test_block_strides_meet_in_the_banks(block_stride: int, cycles: int) -> None:
    """The manual's examples: stride 16 puts 8 blocks into one group, stride 8 puts 4."""
    assert banks.conflict_factor(((0, tuple(range(8)), block_stride, 0, False),), 1) == cycles


def plain_conflicts(accesses: Any, repeats: int) -> float:
    total = 0
    for r in range(repeats):
        counts: dict[tuple[bool, int], int] = {}
        for start, blocks, block, repeat, writes in accesses:
            for b in (0,) if block == 0 else blocks:
                group = (start // 32 + r * repeat + b * block) % 16
                counts[writes, group] = counts.get((writes, group), 0) + 1
        total += max(counts.values())
    return total / repeats


def test_the_bank_model_against_counting() -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        accesses = tuple(
            (
                int(generator.integers(16)) * 32,
                tuple(sorted(generator.permutation(8)[: generator.integers(1, 9)].tolist())),
                int(generator.integers(0, 20)),
                int(generator.integers(0, 20)),
                writes,
            )
            for writes in (True, False, False)
        )
        assert banks.conflict_factor(accesses, 5) == plain_conflicts(accesses, 5)


@pytest.mark.parametrize(("mask", "cycles"), [(64, 2), (32, 1), ([0, 0xFF], 1), ([0, 0xFF00FF00FF00FF], 2)])
def test_blocks_that_the_mask_leaves_out_meet_nothing(mask: Any, cycles: int) -> None:
    """The second source lies 4 blocks after the first: they share groups only where a repeat touches more than 4 blocks."""
    call = lambda t, ub: t.vadd(mask, ub[8192], ub[0], ub[4096 + 32], 16, 1, 1, 1, 16, 16, 16)  # noqa: E731
    assert busy(call, "V") == 16 * cycles


def test_the_narrow_side_of_mixed_widths_touches_half_the_blocks() -> None:
    """64 items are 8 blocks in float32 and 4 in float16: vaxpy reads both, which fit beside each other."""

    def call(t: Any, ub: Any) -> None:
        narrow = ub.reinterpret_cast_to("float16")
        t.vaxpy(64, ub[8192], narrow[256 // 2], 1.0, 16, 1, 1, 16, 16)

    assert busy(call, "V") == 16
