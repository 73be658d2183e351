"""What the project is meant to reach, in one table: how many times as fast as the best peer, how much of the limit, how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

ONE_THREAD, TWO_THREADS = "best peer / ours, 1 thread", "best peer / ours, 2 threads"
OURS_ONE_THREAD, OURS_TWO_THREADS = "ours / best peer, 1 thread", "ours / best peer, 2 threads"
SHARE_OF_ONE_THREAD = "% of the limit, 1 thread"
SHARE, MINDSPORE, MILLISECONDS = "% of the limit", "cycles of MindSpore's own / ours", "ms"
MEMORY = "bf16 / fp32"


@dataclass(frozen=True)
class Target:
    """The least that a quantity should be for a result, or the most that it may be."""

    name: str
    quantity: str
    needed: float
    at_most: bool = False

    def missed_by(self, value: float) -> float:
        """Per cent; 0 or less where it is met, infinite for a NaN."""
        missed = 100 * ((value / self.needed if self.at_most else self.needed / value) - 1)
        return missed if missed == missed else float("inf")


def _against_peers(name: str, one: float, two: float) -> list[Target]:
    return [Target(name, ONE_THREAD, one), Target(name, TWO_THREADS, two)]


def _linear(sizes: str) -> list[Target]:
    """Of bfloat16, the product and its two gradients."""
    names = [f"linear {direction} bf16 {sizes}" for direction in ("forward", "backward")]
    return [target for name in names for target in (*_against_peers(name, 1, 1), Target(name, SHARE_OF_ONE_THREAD, 80))]


KERNELS = [
    *_against_peers("cholesky_inverse 32 x 128", 4.5, 8),
    Target("cholesky_inverse 32 x 128", SHARE_OF_ONE_THREAD, 60),
    *_against_peers("cholesky_inverse 16 x 256", 2.5, 3),
    *_against_peers("cholesky_inverse 8 x 512", 2.3, 2.5),
    *_against_peers("cholesky_inverse 8 x 1024", 1.6, 2),
    *_against_peers("fisher_covariance fp32 N=1536 d=1024 b=128", 1.3, 2.2),
    *_against_peers("fisher_covariance fp32 N=1536 d=1024 b=1024", 1.1, 1.3),
    *_against_peers("fisher_covariance bf16 N=1536 d=1024 b=128", 2.2, 2.5),
    *_against_peers("fisher_covariance bf16 N=1536 d=1024 b=1024", 2, 1.8),
    *_against_peers("precondition 1024x1024 bg=128 ba=128", 1.4, 1.6),
    *_against_peers("precondition 4096x1024 bg=128 ba=128", 1.4, 1.6),
    Target("factor_average 32 x 128", TWO_THREADS, 1.2),
    *_linear("N=1024 I=768 O=3072"),
    *_linear("N=1024 I=3072 O=768"),
    *_against_peers("layer_norm forward fp32 6144x1024", 2, 2),
    Target("layer_norm forward fp32 6144x1024", SHARE_OF_ONE_THREAD, 80),
    *_against_peers("layer_norm backward fp32 6144x1024", 2, 2),
    Target("layer_norm backward fp32 6144x1024", SHARE_OF_ONE_THREAD, 80),
    *_against_peers("residual_dropout_layer_norm forward fp32 6144x1024", 8, 8),
    *_against_peers("residual_dropout_layer_norm backward fp32 6144x1024", 4, 4),
]

STEPS = [
    Target(f"encoder_step forward and backward {label}", quantity, needed, at_most=True)
    for label, needed in (
        ("fp32, 4 layers of 256", 1),
        ("fp32, 3 layers of 768", 0.75),
        ("bf16, 4 layers of 256", 0.75),
        ("bf16, 3 layers of 768", 0.75),
        ("bf16, 2 layers of 1024", 0.75),
    )
    for quantity in (OURS_ONE_THREAD, OURS_TWO_THREADS)
] + [
    Target("thor_step THOR beside AdamW bf16, 12 layers of 768", OURS_TWO_THREADS, 0.85, at_most=True),
    Target("activations' memory 12 layers of 768", MEMORY, 0.55, at_most=True),
]

ASCEND = [
    Target("fisher_covariance 6144x1024 ND", SHARE, 60),
    Target("fisher_covariance 6144x1024 FRACTAL_NZ", SHARE, 60),
    Target("fisher_covariance 6144x4096 ND", SHARE, 60),
    Target("fisher_covariance 6144x4096 FRACTAL_NZ", SHARE, 60),
    Target("precondition 1024x1024", SHARE, 50),
    Target("precondition 4096x1024", SHARE, 50),
    Target("layer_norm 6144x1024 float16", SHARE, 70),
    Target("layer_norm_grad 6144x1024 float16", SHARE, 70),
    Target("cholesky_inverse_vector 128 blocks of 128", MINDSPORE, 7),
    Target("cholesky_inverse_vector 3456 blocks of 128", MILLISECONDS, 12, at_most=True),
    Target("cholesky_inverse 128 blocks of 128", MINDSPORE, 50),
    Target("cholesky_inverse 3456 blocks of 128", MILLISECONDS, 1.5, at_most=True),
    Target("precondition 2048x1024", MINDSPORE, 4),
]

Found = Callable[[Target], Optional[Sequence[float]]]
"""The values of a target, of which the first one counts; None without a result."""


def table(targets: Iterable[Target], found: Found, columns: Sequence[str] = ("found",)) -> str:
    """A Markdown table of every target that has a result, with a column for each of its values; empty without one."""
    lines = [_row("problem", "quantity", "needed", *columns, "met"), _row(*["---"] * (4 + len(columns)))]
    for target in targets:
        values = found(target)
        if values is not None:
            missed = target.missed_by(values[0])
            needed = f"{'<=' if target.at_most else '>='} {target.needed:g}"
            verdict = "yes" if missed <= 0 else f"missed by {missed:.0f} %"
            lines.append(_row(target.name, target.quantity, needed, *(f"{value:.3g}" for value in values), verdict))
    return "\n".join(lines) if len(lines) > 2 else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
