"""The problems of linear: N rows, I input features, O output features."""

from __future__ import annotations

from collections.abc import Iterator

from bert_thor.kernels.cases import Problem, normal

SIZES = (
    (0, 3, 2), (2, 0, 3), (3, 2, 0), (1, 1, 1), (2, 3, 5), (7, 16, 15), (8, 17, 16), (9, 15, 17), (15, 31, 33),
    (16, 33, 31), (17, 32, 32), (31, 65, 70), (33, 127, 64), (40, 64, 130), (64, 63, 129), (65, 255, 257),
    (3, 383, 7), (5, 385, 9), (4, 769, 3), (2, 5, 1030), (1026, 7, 4), (1, 40, 600), (70, 2, 515), (520, 770, 5),
    (3, 1540, 2), (515, 1545, 3),
)  # fmt: skip
"""Around the register tile (8 x 32), the lanes (16), the panels packed at once (64), the columns of a task (256), the rows of a
panel that are summed in one chain (384, 768 elements of bf16) and in one chunk (twice that), the rows of a block (512); the last one
has several chunks in several blocks."""
SMALL = tuple((*sizes, "fp32") for sizes in SIZES)
LARGE = (
    (1024, 768, 3072, "bf16"), (1024, 3072, 768, "bf16"), (1024, 768, 768, "bf16"), (1024, 256, 1024, "bf16"),
    (1024, 1024, 256, "bf16"), (160, 768, 30522, "bf16"), (1024, 768, 3072, "fp32"), (1024, 3072, 768, "fp32"),
    (1024, 768, 768, "fp32"), (1024, 256, 1024, "fp32"), (1024, 1024, 256, "fp32"), (160, 768, 30522, "fp32"),
)  # fmt: skip
"""The feed-forward layers and the attention's of BERT-Base, those of hidden size 256, the tied decoder; eight sequences of 128 tokens."""


def problems(rows: int, inputs: int, outputs: int, dtype: str) -> Iterator[Problem]:
    """The product, and both gradients. FLOP: a multiply and an add for each term."""
    x, dy = normal(rows, inputs, dtype=dtype), normal(rows, outputs, dtype=dtype, seed=2)
    weight, label = normal(outputs, inputs, seed=1), f"{dtype} N={rows} I={inputs} O={outputs}"
    work = 2 * rows * inputs * outputs
    yield Problem("linear", f"forward {label}", (x, weight), inputs + 1, work, dtype, bfloat16=(0,))
    length = max(outputs, rows) + 1
    yield Problem("linear_grad", f"backward {label}", (dy, x, weight), length, 2 * work, dtype, bfloat16=(0, 1))
