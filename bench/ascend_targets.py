"""The targets of the kernels for Ascend 910, and what bench/ascend.py found: met, or missed by how much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Rows = dict[str, Any]
MILLISECOND = 1e6  # cycles at 1 GHz


def table(rows: Rows) -> str:
    """One line per target; with the nominal constants, with the worst single one, and with all at their worst."""
    lines = [f"{'target':66} {'wanted':>10} {'found':>10} {'worst':>10} {'all':>10}"]
    for name, wanted, at_least, values in targets(rows):
        marks = [
            f"{value:.4g}{'' if (value >= wanted) == at_least or value == wanted else ' missed'}" for value in values
        ]
        missed = (wanted / values[0] if at_least else values[0] / wanted) - 1
        verdict = "met" if missed <= 0 else f"missed by {100 * missed:.0f} %"
        sign = ">=" if at_least else "<="
        lines.append(f"{name:66} {sign} {wanted:>7g} {marks[0]:>10} {marks[1]:>10} {marks[2]:>10}  {verdict}")
    return "\n".join(lines)


def targets(rows: Rows) -> Iterator[tuple[str, float, bool, list[float]]]:
    """(name, wanted, whether more is better, values) of every target whose rows are there."""
    for name, key, wanted in SHARES:
        if key in rows:
            row = rows[key]
            yield f"{name}: % of its {row.limit}", wanted, True, [100 * row.limit_cycles / c for c in cycles(row)]
    for name, kernel, ratio, milliseconds in (
        ("cholesky_inverse, vector", "cholesky_inverse_vector", 7.0, 12.0),
        ("cholesky_inverse, cube", "cholesky_inverse", 50.0, 1.5),
    ):
        some, all_ = f"{kernel} 128 blocks of 128", f"{kernel} 3456 blocks of 128"
        trsm, product = "mindspore cholesky_trsm 1 block of 128", "mindspore batch_matmul 32 blocks of 128"
        if some in rows and trsm in rows and product in rows:
            theirs = [a + b for a, b in zip(cycles(rows[trsm]), cycles(rows[product]))]
            blocks_per_core = 128 / 32
            ours = [c / blocks_per_core for c in cycles(rows[some])]
            yield (
                f"{name}: cycles of MindSpore's pair / ours, a block",
                ratio,
                True,
                [t / o for t, o in zip(theirs, ours)],
            )
        if all_ in rows:
            yield (
                f"{name}: ms of BERT-Large's 3,456",
                milliseconds,
                False,
                [c / MILLISECOND for c in cycles(rows[all_])],
            )
    ours = "precondition 2048x1024"
    theirs_keys = [f"mindspore matmul_cube_fracz_{k} 2048x1024" for k in ("left_cast", "right_mul")]
    if ours in rows and all(key in rows for key in theirs_keys):
        sums = [a + b for a, b in zip(cycles(rows[theirs_keys[0]]), cycles(rows[theirs_keys[1]]))]
        name = "precondition 2048x1024: cycles of MindSpore's two products / ours"
        yield name, 4.0, True, [t / o for t, o in zip(sums, cycles(rows[ours]))]


def cycles(row: Any) -> list[int]:
    """Nominal, worst single constant, all constants at their worst."""
    return [row.cycles, row.worst, row.all]


SHARES = [
    ("fisher_covariance 6144x1024", "fisher_covariance 6144x1024 ND", 60.0),
    ("fisher_covariance 6144x1024 NZ", "fisher_covariance 6144x1024 FRACTAL_NZ", 60.0),
    ("fisher_covariance 6144x4096", "fisher_covariance 6144x4096 ND", 60.0),
    ("fisher_covariance 6144x4096 NZ", "fisher_covariance 6144x4096 FRACTAL_NZ", 60.0),
    ("precondition 1024x1024", "precondition 1024x1024", 50.0),
    ("precondition 4096x1024", "precondition 4096x1024", 50.0),
    ("layer_norm fp16 6144x1024", "layer_norm 6144x1024 float16", 70.0),
    ("layer_norm_grad fp16 6144x1024", "layer_norm_grad 6144x1024 float16", 70.0),
]
