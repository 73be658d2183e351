"""The measured kernels as a picture: per cent of the limit that was measured in the same run, ours beside the peers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import style
from bench.kernels.results import Row

SHOWN = {
    "fisher_covariance fp32 N=1536 d=1024 b=128": "Fisher covariance, float32\n1536 rows, blocks of 128",
    "fisher_covariance bf16 N=1536 d=1024 b=128": "Fisher covariance, bfloat16\n1536 rows, blocks of 128",
    "cholesky_inverse 32 x 128": "damped inverse\n32 blocks of 128",
    "precondition 4096x1024 bg=128 ba=128": "preconditioning\n4096 x 1024, blocks of 128",
    "attention forward fp32 4 x 512, 16 heads of 64": "attention\n4 sequences of 512",
    "attention backward fp32 4 x 512, 16 heads of 64": "attention, gradient\n4 sequences of 512",
    "layer_norm forward fp32 6144x1024": "layer norm\n6144 x 1024",
    "residual_dropout_layer_norm forward fp32 6144x1024": "residual, dropout, layer norm\n6144 x 1024",
    "softmax_cross_entropy forward fp32 240x30522": "softmax cross-entropy\n240 rows, vocabulary 30522",
    "encoder_step forward and backward fp32, 4 layers of 256": "whole network, both passes\n4 layers of 256",
}
"""Ten problems by which the figure is read at a glance; kernels.json has all of them."""
NAMES = {"ours": "BERT-THOR", "openblas": "OpenBLAS", "pytorch": "PyTorch", "mindspore": "MindSpore"}


def plot(rows: Sequence[Row], path: Path) -> None:
    """A panel per thread count, a group of bars per problem."""
    counts = sorted({row.threads for row in rows})
    with style.figure(path, len(counts), 4 + 4.5 * len(counts), 9, share_x=True) as axes:
        for axis, threads in zip(axes, counts):
            chosen = {row.name: row for row in rows if row.threads == threads}
            shown = [name for name in SHOWN if name in chosen]
            series: style.Series = {
                label: [chosen[name].percent(key) if key in chosen[name].seconds else None for name in shown]
                for key, label in NAMES.items()
            }
            noisy = [place for place, name in enumerate(shown) if chosen[name].noisy]
            style.bars(axis, [SHOWN[name] for name in shown], series, (style.ACCENT, *style.OTHERS), noisy)
            style.limit_line(axis, "limit measured in the same run")
            axis.set_xlabel("% of multiply-adds in registers, or of a copy of as many bytes")
            mark = f" ({style.NOISY}: noisy)" if noisy else ""
            axis.set_title(f"{threads} thread{'s' if threads > 1 else ''}{mark}")
        style.legend(axes[0], len(NAMES) + 1)
