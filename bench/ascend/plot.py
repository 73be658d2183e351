"""The simulated kernels as a picture: per cent of each kernel's limit, with the constants that nobody could measure at their worst."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench import style
from bench.ascend.results import Row

SHOWN = {
    "layer_norm 6144x1024 float16": "layer norm\n6144 x 1024, float16",
    "layer_norm_grad 6144x1024 float16": "layer norm, gradient\n6144 x 1024, float16",
    "residual_dropout_layer_norm 6144x1024 float16": "residual, dropout, layer norm\n6144 x 1024, float16",
    "residual_dropout_layer_norm_grad 6144x1024 float16": "its gradient\n6144 x 1024, float16",
    "fisher_covariance 6144x1024 ND": "Fisher covariance\n6144 x 1024, blocks of 128",
    "fisher_covariance 6144x4096 ND": "Fisher covariance\n6144 x 4096, blocks of 128",
    "precondition 1024x1024": "preconditioning\n1024 x 1024, blocks of 128",
    "precondition 4096x1024": "preconditioning\n4096 x 1024, blocks of 128",
    "cholesky_inverse 3456 blocks of 128": "damped inverse on the cube\n3456 blocks of 128",
    "cholesky_inverse_vector 3456 blocks of 128": "damped inverse, vector unit\n3456 blocks of 128",
}
"""Ten problems by which the figure is read at a glance; ascend.json has all of them."""
SERIES = ("nominal constants", "worst single constant", "all constants at their worst")
COLOURS = (style.ACCENT, "#e59866", "#bfc9ca")


def plot(rows: Mapping[str, Row], path: Path) -> None:
    """A group of bars for every problem."""
    shown = [name for name in SHOWN if name in rows]
    series: style.Series = {label: [rows[name].percents[place] for name in shown] for place, label in enumerate(SERIES)}
    with style.figure(path, 1, 9.5, 8.5) as (axis,):
        style.bars(axis, [SHOWN[name] for name in shown], series, COLOURS)
        style.limit_line(axis, "limit of the chip")
        axis.set_xlabel("% of the limit")
        axis.set_title("Ascend 910A, 32 cores, simulated: no device was used")
        style.legend(axis, len(SERIES) + 1)
