"""The problems of precondition: a gradient [outputs, inputs], block edges bg and ba."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import Problem, normal

SMALL = (
    (1, 1, 1, 1), (1, 5, 2, 3), (5, 1, 3, 2), (7, 9, 8, 16), (8, 16, 8, 16), (9, 17, 16, 8), (31, 33, 32, 32),
    (33, 31, 16, 31), (50, 70, 33, 17), (128, 128, 128, 128), (127, 129, 128, 128), (129, 127, 128, 64),
    (130, 48, 130, 48), (257, 100, 257, 33), (300, 20, 300, 100), (64, 300, 16, 300), (3, 4, 9, 11),
    (5, 130, 1, 128), (129, 33, 1, 16), (260, 20, 1, 7), (127, 40, 1, 64),  # edge 1: a diagonal side, 128 at a time
    (9, 129, 8, 1), (140, 257, 130, 1), (33, 15, 16, 1), (129, 260, 1, 1), (3, 17, 1, 1),
)  # fmt: skip
"""Around the register tile (8), the lanes (16), pairs of them (32), and the strip (128)."""
LARGE = (
    (768, 768, 128, 128), (3072, 768, 128, 128), (1024, 1024, 128, 128), (4096, 1024, 128, 128), (1024, 4096, 512, 512),
)  # fmt: skip
ASCEND = (
    (33, 40, 16, 16), (16, 16, 16, 16), (48, 64, 48, 64), (33, 40, 16, 32), (1, 8, 16, 16), (2, 104, 16, 48),
    (129, 136, 64, 128), (300, 200, 128, 128), (300, 200, 64, 64), (96, 176, 16, 16), (112, 80, 112, 80),
)  # fmt: skip
"""Whole blocks, tails on either side, fewer pairs than cores, more pairs than cores."""
ASCEND_LARGE = ((1024, 1024, 128, 128), (4096, 1024, 128, 128), (1024, 4096, 128, 128), (2048, 1024, 128, 128))


def problems(outputs: int, inputs: int, bg: int, ba: int) -> Iterator[Problem]:
    """FLOP: one product from either side."""
    arguments = (
        normal(-(-outputs // bg), bg, bg),
        normal(outputs, inputs, seed=1),
        normal(-(-inputs // ba), ba, ba, seed=2),
    )
    work = 2 * outputs * inputs * (bg + ba)
    yield Problem("precondition", f"{outputs}x{inputs} bg={bg} ba={ba}", arguments, bg * ba, work, "fp32")
