"""The problems on which the Triton kernels are proved: launches, answers in float64, and error bounds as formulas.

Shapes stand here alone. The bounds are those of the CPU kernels' tests; NaN fails every one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bert_thor.kernels.bias_gelu import reference as bias_gelu
from bert_thor.kernels.cholesky_inverse import reference as cholesky_inverse
from bert_thor.kernels.fisher_covariance import reference as fisher_covariance
from bert_thor.kernels.inverse_update import reference as inverse_update
from bert_thor.kernels.layer_norm import reference as layer_norm
from bert_thor.kernels.precondition import reference as precondition
from bert_thor.kernels.softmax_cross_entropy import reference as softmax_cross_entropy

KERNELS = Path(__file__).resolve().parents[3] / "kernels"
F32 = np.float32
UNIT = 2.0**-24  # unit roundoff of float32
ROUNDING = {"float32": 0.0, "float16": 2.0**-11, "bfloat16": 2.0**-8}  # of a result's last rounding, relative
SUBNORMAL = {"float32": 0.0, "float16": 2.0**-25, "bfloat16": 0.0}  # and absolute
DTYPES = tuple(ROUNDING)
GATE = 0.3  # of LAPACK's ratio for inverses, which LAPACK itself passes up to 30
PROGRAMS = 3


@dataclass(frozen=True)
class Launch:
    """One call of a kernel: FOLDER:KERNEL, the grid, the arguments in order and the tl.constexpr ones by name."""

    place: str
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]

    @property
    def path(self) -> str:
        """FILE.py:KERNEL."""
        folder, _, kernel = self.place.partition(":")
        return f"{KERNELS / folder / 'triton.py'}:{kernel}"


@dataclass(frozen=True)
class Check:
    """An output beside its answer in float64; `error` is how much of its bound the worst element uses."""

    actual: np.ndarray
    expected: np.ndarray
    bound: Any

    def error(self) -> float:
        """Largest |actual - expected| / bound, infinite for a NaN."""
        with np.errstate(invalid="ignore", divide="ignore"):
            difference = np.abs(widened(self.actual).astype(np.float64) - self.expected)
            share = np.where(difference == 0, 0.0, difference / self.bound)
        return float(np.where(np.isnan(share), np.inf, share).max(initial=0.0))


@dataclass
class Problem:
    """Launches in order, and what must hold afterwards.

    Attributes:
        operation, dtype, shape: for the table.
        launches: share their arrays by identity.
        checks: made after the launches ran.
        exact: what must hold exactly, as (sentence, test).
        limit: (bytes that must cross the memory, steps of the cube, repeats of the vector unit) at the least.
    """

    operation: str
    dtype: str
    shape: str
    launches: list[Launch]
    checks: list[Check]
    exact: list[tuple[str, Callable[[], bool]]] = field(default_factory=list)
    limit: tuple[float, float, float] = (0.0, 0.0, 0.0)


def lane_sum_units(terms: int) -> float:
    """Roundings on the longest path of a sum over a row in 64 partial sums, and of the few operations around it."""
    return terms / 64 + 24


def column_sum_bound(terms: np.ndarray) -> np.ndarray:
    """Error of summing `terms` over their first axis, in any order, with four roundings in each term."""
    return np.asarray(UNIT * (len(terms) + 5) * np.abs(terms).sum(axis=0) + 1e-37)


def stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """x as a kernel gets it: uint16 holds bfloat16, rounded to nearest even."""
    if dtype != "bfloat16":
        return x.astype(dtype)
    bits = np.ascontiguousarray(x, F32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def widened(x: np.ndarray) -> np.ndarray:
    """The numbers that x holds, in float32."""
    return (x.astype(np.uint32) << 16).view(F32) if x.dtype == np.uint16 else x


def empty(shape: Sequence[int], dtype: str = "float32") -> np.ndarray:
    """Room for a result, full of NaN (0xFF)."""
    return (
        np.frombuffer(b"\xff" * 4 * math.prod(shape), stored(np.zeros(0), dtype).dtype)[: math.prod(shape)]
        .reshape(shape)
        .copy()
    )


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(F32)


def rounding(values: np.ndarray, dtype: str) -> np.ndarray:
    """What storing `values` in this type may add to an error."""
    return np.asarray(ROUNDING[dtype] * np.abs(values) + SUBNORMAL[dtype])


def power_of_two(n: int, least: int) -> int:
    """The first power of two that is neither below n nor below `least`."""
    return max(least, 1 << max(0, n - 1).bit_length())


def rows_per_tile(rows: int, features: int, items: int) -> int:
    """Rows of a tile of no more than that many items, with four tiles per program where there are rows enough."""
    return max(1, min(16, items // features, rows // (4 * PROGRAMS)))


# -------------------------------------------------------------------------------------------------- inverses and factors


def spectrum_block(edge: int, condition: float, scale: float, seed: int) -> np.ndarray:
    """A symmetric matrix with eigenvalues from scale down to scale / condition in a random basis (LAPACK's slatb4)."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((edge, edge)))
    a = (q * (scale * np.geomspace(1.0, 1.0 / condition, edge))) @ q.T
    return ((a + a.T) / 2).astype(F32)


def spot03(a: np.ndarray, inverse: np.ndarray) -> float:
    """LAPACK's ratio ||I - A A^-1|| / (n ||A|| ||A^-1|| eps) in the 1-norm, in float64."""
    wide, inverse = a.astype(np.float64), inverse.astype(np.float64)
    norms = np.abs(wide).sum(0).max() * np.abs(inverse).sum(0).max()
    return float(np.abs(np.eye(len(a)) - wide @ inverse).sum(0).max() / (len(a) * norms * UNIT))


def cholesky_inverse_problem(edge: int, blocks: list[np.ndarray], damping: Sequence[float]) -> Problem:
    """Blocks with an inverse must pass LAPACK's ratio; the others report as the reference does and give zeros."""
    c, shift = np.stack(blocks), np.array(damping, F32)
    inverse, status = empty(c.shape), np.full(len(c), 77, np.int32)
    edges = power_of_two(edge, 64)
    launch = Launch(
        "cholesky_inverse:cholesky_inverse",
        (len(c),),
        (c, shift, inverse, status, edge),
        {"EDGE": edges, "HALF": edges // 2},
    )
    expected = cholesky_inverse.cholesky_inverse(c, shift)[1]
    sound = np.flatnonzero(expected == 0)
    damped = c + shift[:, None, None] * np.eye(edge, dtype=F32)
    exact = [
        ("status as the reference", lambda: bool((status == expected).all())),
        ("symmetric", lambda: bool((inverse == inverse.transpose(0, 2, 1)).all())),
        ("zeros without an inverse", lambda: bool((inverse[expected != 0] == 0).all())),
    ]
    checks = [_Ratio(inverse, np.zeros(1), GATE, damped[q], inverse[q]) for q in sound]
    bound = (2.0 * c.nbytes, 0.0, len(c) * edge**3 / 2 / 64)
    return Problem("cholesky_inverse", "float32", f"{len(c)} x {edge}", [launch], list(checks), exact, bound)


@dataclass(frozen=True)
class _Ratio(Check):
    """LAPACK's ratio of one block against its gate."""

    block: np.ndarray
    inverse: np.ndarray

    def error(self) -> float:
        ratio = spot03(self.block, self.inverse)
        return np.inf if np.isnan(ratio) else ratio / float(self.bound)


def gram_blocks(edge: int, count: int) -> list[np.ndarray]:
    """Blocks of a covariance."""
    x = normal(edge, count, 3 * edge + 5, edge)
    return list(np.matmul(x.transpose(0, 2, 1), x) / F32(x.shape[1]))


def broken_blocks(edge: int) -> tuple[list[np.ndarray], list[float]]:
    """A good block, a pivot that is not positive, a NaN, an infinity, a damping that is none, and zeros."""
    good = spectrum_block(edge, 2.0, 1.0, 5)
    blocks = [good.copy() for _ in range(6)]
    blocks[1][edge // 2] = blocks[1][:, edge // 2] = 0
    blocks[1][edge // 2, edge // 2] = -3
    blocks[2][edge - 1, 0] = blocks[2][0, edge - 1] = np.nan
    blocks[3][edge - 1, edge - 1] = np.inf
    blocks[5][:] = 0
    return blocks, [0.01, 0.01, 0.01, 0.01, np.nan, 0.0]


def fisher_covariance_problem(rows: int, features: int, edge: int, splits: int, dtype: str) -> Problem:
    """x of both signs; the answer is held to 2 eps (N + 1) max^2 and exact symmetry."""
    x = stored(normal(rows, rows, features), dtype)
    blocks, edges, step = -(-features // edge), -(-edge // 16) * 16, 64
    share, out = empty((splits, blocks, edge, edge)), empty((blocks, edge, edge))
    per_split = -(-rows // (splits * step)) * step
    launches = [
        Launch(
            "fisher_covariance:block_products",
            (blocks, splits),
            (x, share, rows, features, edge, per_split),
            {"EDGE": edges, "STEP": step},
        ),
        Launch("fisher_covariance:average", (PROGRAMS,), (share, out, out.size, splits, 1.0 / rows), {"WIDTH": 4096}),
    ]
    expected = fisher_covariance.fisher_covariance(x, edge).astype(np.float64)
    bound = 2 * UNIT * (rows + 1) * float(np.abs(widened(x)).max()) ** 2
    exact = [("symmetric", lambda: bool((out == out.transpose(0, 2, 1)).all()))]
    steps = blocks * -((-edge // 16) ** 2) * rows / (4 if dtype == "float32" else 16)
    limit = (float(x.nbytes + out.nbytes), steps, 0.0)
    return Problem(
        "fisher_covariance",
        dtype,
        f"{rows} x {features} by {edge}",
        launches,
        [Check(out, expected, bound)],
        exact,
        limit,
    )


def precondition_problem(outputs: int, inputs: int, bg: int, ba: int) -> Problem:
    """One launch where the tiles fill the matrix, two where they do not."""
    g = normal(1, -(-outputs // bg), bg, bg)
    a, dw = normal(2, -(-inputs // ba), ba, ba), normal(3, outputs, inputs)
    out, between = empty(dw.shape), empty(dw.shape)
    whole = outputs % bg == 0 and inputs % ba == 0 and bg % 16 == 0 and ba % 16 == 0
    if whole:
        grid = (len(g), len(a))
        launches = [Launch("precondition:precondition", grid, (g, dw, a, out, inputs), {"BG": bg, "BA": ba})]
    else:
        rows, columns = -(-outputs // 128), -(-inputs // 128)
        left, right = {"BG": -(-bg // 16) * 16, "BA": 128}, {"BG": 128, "BA": -(-ba // 16) * 16}
        launches = [
            Launch("precondition:left_product", (len(g), columns), (g, dw, between, outputs, inputs, bg), left),
            Launch("precondition:right_product", (rows, len(a)), (between, a, out, outputs, inputs, ba), right),
        ]
    dense = [_dense(packed.astype(np.float64), side) for packed, side in ((g, outputs), (a, inputs))]
    wide = dw.astype(np.float64)
    bound = UNIT * (bg + ba + 2) * (np.abs(dense[0]) @ np.abs(wide) @ np.abs(dense[1]))
    expected = precondition.precondition(g, dw, a).astype(np.float64)
    limit = (float(g.nbytes + a.nbytes + 2 * dw.nbytes), outputs * inputs * (bg + ba) / (16 * 16 * 4), 0.0)
    label = f"{outputs} x {inputs} by {bg}, {ba}"
    return Problem("precondition", "float32", label, launches, [Check(out, expected, bound)], [], limit)


def _dense(packed: np.ndarray, side: int) -> np.ndarray:
    edge = packed.shape[1]
    dense = np.zeros((len(packed) * edge, len(packed) * edge))
    for q, block in enumerate(packed):
        dense[q * edge : (q + 1) * edge, q * edge : (q + 1) * edge] = block
    return dense[:side, :side]


def factor_average_problem(blocks: int, edge: int, spoilt: int | None) -> Problem:
    """With a block whose trace is not finite, which keeps its factor."""
    keep, scale = float(F32(0.9)), 0.25
    pair = normal(blocks * 1009 + edge, 2, blocks, edge, edge)
    pair[..., np.arange(edge), np.arange(edge)] += 5.0
    factor, captured = pair[0].copy(), pair[1].copy()
    if spoilt is not None:
        captured[spoilt, edge // 2, edge // 2] = np.inf
    sums, following, left_out = empty((2, blocks)), empty(factor.shape), empty((blocks,))
    count = power_of_two(blocks, 64)
    launches = [
        Launch(
            "factor_average:traces", (blocks,), (factor, captured, sums, edge, scale), {"EDGE": power_of_two(edge, 64)}
        ),
        Launch(
            "factor_average:factor_average",
            (blocks,),
            (factor, captured, sums, following, left_out, blocks, edge, keep, scale),
            {"BLOCKS": count, "WIDTH": 4096},
        ),
    ]
    sound = np.arange(blocks) != (-1 if spoilt is None else spoilt)
    old, new = keep * factor.astype(np.float64), (1 - keep) * scale * captured.astype(np.float64)
    with np.errstate(invalid="ignore"):
        expected = np.where(sound[:, None, None], old + new, factor)
        bound = np.where(sound[:, None, None], 5 * UNIT * (np.abs(old) + np.abs(new)) + 1e-37, 0.0)
    exact = [("blocks left out", lambda: bool((left_out == ~sound).all()))]
    limit = (3.0 * factor.nbytes, 0.0, 0.0)
    return Problem(
        "factor_average", "float32", f"{blocks} x {edge}", launches, [Check(following, expected, bound)], exact, limit
    )


def inverse_update_problem(blocks: int, edge: int) -> Problem:
    """Half of the conditions are above the limit, one status is not 0, one candidate holds a NaN."""
    inverse, block, candidate = (normal(edge + i, blocks, edge, edge) for i in range(3))
    damping, status = np.ones(blocks, F32), np.zeros(blocks, np.int32)
    status[0] = 3
    candidate[-1, edge // 2, edge // 2] = np.nan
    probe = inverse_update.inverse_update(inverse, block, damping, candidate, status, 1e9)[1]
    limit = float(np.nanmedian(probe)) * 1.001
    following, condition = empty(inverse.shape), empty((blocks,))
    launch = Launch(
        "inverse_update:inverse_update",
        (blocks,),
        (inverse, block, damping, candidate, status, following, condition, edge, limit),
        {"EDGE": power_of_two(edge, 64), "ROWS": 32},
    )
    expected = inverse_update.inverse_update(inverse, block, damping, candidate, status, limit)
    wanted = expected[1].astype(np.float64)
    finite = np.isfinite(wanted)
    checks = [Check(condition[finite], wanted[finite], (2 * edge + 4) * UNIT * wanted[finite] + 1e-37)]
    checks = [_Later(condition, wanted, (2 * edge + 4) * UNIT * np.abs(wanted) + 1e-37)] if finite.any() else checks
    exact = [
        ("the right inverses", lambda: bool((following == expected[0]).all())),
        ("NaN stays NaN", lambda: bool(np.isnan(condition[~finite]).all())),
    ]
    bytes_moved = 4.0 * inverse.nbytes
    return Problem(
        "inverse_update", "float32", f"{blocks} x {edge}", [launch], list(checks), exact, (bytes_moved, 0.0, 0.0)
    )


@dataclass(frozen=True)
class _Later(Check):
    """Only where the answer is finite."""

    def error(self) -> float:
        finite = np.isfinite(self.expected)
        return Check(self.actual[finite], self.expected[finite], self.bound[finite]).error()


# ------------------------------------------------------------------------------------------------------------- the network


def layer_norm_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS, ratio: float = 0.5) -> Problem:
    """Errors of the statistics are relative to the largest |x| of the row: two passes cannot do better."""
    eps = 1e-6
    x = stored(normal(rows * 1000 + features, rows, features) + F32(ratio), dtype)
    gamma, beta = normal(1, features), normal(2, features)
    y, mean, rstd = empty(x.shape, dtype), empty((rows,)), empty((rows,))
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 4096)}
    launch = Launch("layer_norm:layer_norm", (programs,), (x, gamma, beta, y, mean, rstd, rows, eps), constants)
    checks = normalized_checks(widened(x), gamma, beta, (y, mean, rstd), eps, dtype)
    return Problem("layer_norm", dtype, f"{rows} x {features}", [launch], checks, [], (2.0 * x.nbytes, 0.0, 0.0))


def normalized_checks(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, outputs: Sequence[np.ndarray], eps: float, dtype: str
) -> list[Check]:
    """y, mean and rstd of layer normalisation."""
    y, mean, rstd = (value.astype(np.float64) for value in layer_norm.layer_norm(x, gamma, beta, eps))
    unit, size = UNIT * lane_sum_units(x.shape[1]), np.abs(x).max(axis=1, initial=0)
    xhat = (x - mean[:, None]) * rstd[:, None]
    scale = (size * rstd)[:, None] * (1 + np.abs(xhat)) + np.abs(xhat)
    return [
        Check(outputs[0], y, unit * (scale * np.abs(gamma) + np.abs(beta)) + rounding(y, dtype)),
        Check(outputs[1], mean, unit * size),
        Check(outputs[2], rstd, unit * rstd * (1 + size * rstd)),
    ]


def layer_norm_grad_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """dx, and dgamma and dbeta summed over the programs by a second kernel."""
    x, dy = stored(normal(rows, rows, features) + F32(0.5), dtype), stored(normal(features, rows, features), dtype)
    gamma = normal(1, features)
    _, mean, rstd = layer_norm.layer_norm(widened(x), gamma, gamma, 1e-6)
    dx, shares, sums = empty(x.shape, dtype), empty((2, programs, features)), empty((2, features))
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 2048)}
    main = Launch(
        "layer_norm:layer_norm_grad", (programs,), (dy, x, gamma, mean, rstd, dx, shares[0], shares[1], rows), constants
    )
    launches = [main, *(_sum_of_programs(share, total) for share, total in zip(shares, sums))]
    wide_x, wide_dy = widened(x).astype(np.float64), widened(dy).astype(np.float64)
    expected = layer_norm.layer_norm_grad(wide_dy, wide_x, gamma, mean, rstd)
    xhat = (wide_x - mean[:, None]) * rstd[:, None]
    g = np.abs(wide_dy * gamma)
    size = g + g.mean(axis=1, keepdims=True) + np.abs(xhat) * (g * np.abs(xhat)).mean(axis=1, keepdims=True)
    bound = UNIT * lane_sum_units(features) * rstd[:, None] * size + rounding(expected[0], dtype)
    terms = wide_dy * (np.abs(wide_x) + np.abs(mean[:, None])) * rstd[:, None]
    checks = [
        Check(dx, expected[0].astype(np.float64), bound),
        Check(sums[0], expected[1].astype(np.float64), column_sum_bound(terms)),
        Check(sums[1], expected[2].astype(np.float64), column_sum_bound(wide_dy)),
    ]
    return Problem("layer_norm_grad", dtype, f"{rows} x {features}", launches, checks, [], (3.0 * x.nbytes, 0.0, 0.0))


def _sum_of_programs(share: np.ndarray, total: np.ndarray) -> Launch:
    programs, features = share.shape
    grid = (-(-features // 512),)
    return Launch("layer_norm:sum_of_programs", grid, (share, total, programs, features), {"WIDTH": 512})


def bias_gelu_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """The sum is rounded once; the rest is (3 + u^2 / 2) units of y, twice."""
    x, bias = stored(2 * normal(rows, rows, features), dtype), 2 * normal(1, features)
    return _bias_gelu(x, bias, dtype, programs)


def bias_gelu_line_problem(points: int) -> Problem:
    """Both tails keep their relative accuracy, down to where Phi leaves the range of normal numbers."""
    x = np.linspace(-12.9, 14, points, dtype=F32).reshape(-1, 64)
    return _bias_gelu(x, np.zeros(64, F32), "float32", PROGRAMS)


def _bias_gelu(x: np.ndarray, bias: np.ndarray, dtype: str, programs: int) -> Problem:
    rows, features = x.shape
    y = empty(x.shape, dtype)
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 4096)}
    launch = Launch("bias_gelu:bias_gelu", (programs,), (x, bias, y, rows), constants)
    u = widened(x).astype(np.float64) + bias
    slope, expected, _ = _gelu(u)
    bound = UNIT * (2 * (3 + u * u / 2) * np.abs(expected) + np.abs(u) * np.abs(slope)) + 1e-37
    checks = [Check(y, expected, bound + rounding(expected, dtype))]
    return Problem("bias_gelu", dtype, f"{rows} x {features}", [launch], checks, [], (2.0 * x.nbytes, 0.0, 0.0))


def _gelu(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, value and density of the exact GELU, in float64."""
    distribution = np.asarray(bias_gelu._distribution(u), np.float64)
    density = np.asarray(bias_gelu._density(u), np.float64)
    return distribution + u * density, u * distribution, density


def bias_gelu_grad_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """dx, and dbias summed over the programs by a second kernel."""
    dy, x = (stored(2 * normal(seed, rows, features), dtype) for seed in (rows, features))
    bias = 2 * normal(1, features)
    dx, share, total = empty(x.shape, dtype), empty((programs, features)), empty((features,))
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 2048)}
    launches = [
        Launch("bias_gelu:bias_gelu_grad", (programs,), (dy, x, bias, dx, share, rows), constants),
        _sum_of_programs(share, total),
    ]
    u, wide = widened(x).astype(np.float64) + bias, widened(dy).astype(np.float64)
    slope, _, density = _gelu(u)
    size = np.abs(wide) * (slope - u * density + np.abs(u) * density)
    bound = 2 * UNIT * (4 + u * u / 2) * size + UNIT * np.abs(wide * u) * density * (2 + u * u) + 1e-37
    exact = wide * slope
    checks = [
        Check(dx, exact, bound + rounding(exact, dtype)),
        Check(total, exact.sum(axis=0), column_sum_bound(size) + bound.sum(axis=0)),
    ]
    return Problem("bias_gelu_grad", dtype, f"{rows} x {features}", launches, checks, [], (3.0 * x.nbytes, 0.0, 0.0))


def softmax_cross_entropy_problem(rows: int, classes: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """Every third row does not count, half of the labels are the largest class."""
    rng = np.random.default_rng(1000 * rows + classes)
    logits, bias = stored(3 * normal(rows, rows, classes), dtype), 3 * normal(classes, classes)
    labels = rng.integers(0, classes, rows).astype(np.int32)
    labels[::2] = (widened(logits) + bias).argmax(axis=1)[::2]
    weights = np.where(np.arange(rows) % 3 == 2, 0, rng.random(rows)).astype(F32)
    terms, log_sum_exp, loss, correct = empty((3, rows)), empty((rows,)), empty((1,)), empty((1,))
    width = min(2048, power_of_two(classes, 64))
    launches = [
        Launch(
            "softmax_cross_entropy:rows_of_softmax_cross_entropy",
            (programs,),
            (logits, bias, labels, weights, terms, log_sum_exp, rows, classes),
            {"WIDTH": width},
        ),
        Launch("softmax_cross_entropy:sum_of_rows", (1,), (terms, loss, correct, rows), {"WIDTH": 64}),
    ]
    wide = widened(logits)
    expected = [v.astype(np.float64) for v in softmax_cross_entropy.softmax_cross_entropy(wide, bias, labels, weights)]
    unit = UNIT * lane_sum_units(classes)
    size = float(np.abs(wide).max(initial=1) + np.abs(bias).max())
    checks = [
        Check(log_sum_exp, expected[2], unit * size),
        Check(loss, expected[0], 2 * unit * size),
        Check(correct, expected[1], UNIT * (rows + 5) * expected[1] + 1e-37),
    ]
    return Problem(
        "softmax_cross_entropy", dtype, f"{rows} x {classes}", launches, checks, [], (float(logits.nbytes), 0.0, 0.0)
    )


def residual_dropout_layer_norm_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """The sum is held to 3 roundings of its terms, the rest to layer norm's bounds at the sum that the kernel had."""
    probability, eps = 0.1, 1e-6
    x, residual = (stored(normal(seed, rows, features), dtype) for seed in (rows, features))
    bias, gamma, beta = (normal(seed, features) for seed in range(3))
    mask = (np.random.default_rng(4).random((rows, features)) >= probability).astype(np.int8)
    kept = float(F32(1 / (1 - probability)))
    y, total, mean, rstd = empty(x.shape, dtype), empty(x.shape, dtype), empty((rows,)), empty((rows,))
    arguments = (x, bias, residual, mask, gamma, beta, y, total, mean, rstd, rows, kept, eps)
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 2048)}
    launch = Launch("residual_dropout_layer_norm:residual_dropout_layer_norm", (programs,), arguments, constants)
    wide, added = widened(x).astype(np.float64), widened(residual).astype(np.float64)
    expected = added + (wide + bias) * mask * kept
    terms = np.abs(added) + 2 * (np.abs(wide) + np.abs(bias)) * mask * kept
    sum_bound = 2 * UNIT * terms
    later = normalized_checks(expected.astype(F32), gamma, beta, (y, mean, rstd), eps, dtype)
    shift = sum_bound.max(axis=1)  # an error of the sum moves mean by as much, rstd and y in proportion
    rstd64 = later[2].expected
    moved = [
        shift[:, None] * rstd64[:, None] * (2 + np.abs(later[0].expected)) * np.abs(gamma),
        shift,
        2 * shift * rstd64**2,
    ]
    checks = [
        Check(total, expected, sum_bound + rounding(expected, dtype)),
        *(Check(c.actual, c.expected, c.bound + more) for c, more in zip(later, moved)),
    ]
    limit = (float(x.nbytes * 4 + mask.nbytes), 0.0, 0.0)
    return Problem("residual_dropout_layer_norm", dtype, f"{rows} x {features}", [launch], checks, [], limit)


# ------------------------------------------------------------------------------------------------------------------ lists


def representative() -> Iterator[Callable[[], Problem]]:
    """One problem per operation and type: all targets, all mutants."""
    yield partial(cholesky_inverse_problem, 70, gram_blocks(70, 1), [0.03])
    for dtype in DTYPES:
        yield partial(fisher_covariance_problem, 1000, 256, 128, 4, dtype)
    yield partial(precondition_problem, 256, 128, 128, 128)
    yield partial(precondition_problem, 130, 100, 100, 33)
    for make in (layer_norm_problem, layer_norm_grad_problem, bias_gelu_problem, bias_gelu_grad_problem):
        for dtype in DTYPES:
            yield partial(make, 50, 128, dtype)
    for dtype in DTYPES:
        yield partial(softmax_cross_entropy_problem, 11, 300, dtype)
    for dtype in DTYPES:
        yield partial(residual_dropout_layer_norm_problem, 50, 128, dtype)
    yield partial(factor_average_problem, 3, 128, 1)
    yield partial(inverse_update_problem, 4, 128)


def shapes() -> Iterator[Callable[[], Problem]]:
    """More shapes: tails, edges, conditions, ladders."""
    yield partial(cholesky_inverse_problem, 128, gram_blocks(128, 2), [0.03, 0.3])
    for edge in (1, 2, 17, 50, 64, 65, 127):
        yield partial(cholesky_inverse_problem, edge, [spectrum_block(edge, 2.0, 1.0, edge)], [0.0])
    conditions = ((math.sqrt(0.1 / UNIT), 1.0), (2.0, 0.25 * 2.0**-126 / UNIT), (2.0, UNIT / (0.25 * 2.0**-126)))
    yield partial(cholesky_inverse_problem, 128, [spectrum_block(128, c, s, 9) for c, s in conditions], [0.0] * 3)
    yield partial(cholesky_inverse_problem, 33, *broken_blocks(33))
    yield partial(cholesky_inverse_problem, 100, *broken_blocks(100))
    for shape in ((1, 1, 1, 1), (7, 16, 16, 1), (65, 200, 100, 2), (257, 97, 97, 3), (33, 130, 65, 1)):
        for dtype in DTYPES:
            yield partial(fisher_covariance_problem, *shape, dtype)
    for tiles in ((1, 1, 1, 1), (5, 130, 16, 128), (7, 9, 8, 16), (129, 33, 1, 16), (64, 96, 32, 48)):
        yield partial(precondition_problem, *tiles)
    for make in (layer_norm_problem, layer_norm_grad_problem, bias_gelu_problem, bias_gelu_grad_problem):
        for rows, features in ((1, 1), (5, 17), (9, 100), (4, 1024)):
            yield partial(make, rows, features, "float32")
        yield partial(make, 5, 33, "bfloat16")
    for ratio in (0.0, 10.0, 100.0, 1000.0, 4000.0):
        yield partial(layer_norm_problem, 8, 1024, "float32", PROGRAMS, ratio)
    yield partial(bias_gelu_line_problem, 4096)
    for rows, classes in ((1, 1), (1, 15), (7, 64), (5, 3000)):
        yield partial(softmax_cross_entropy_problem, rows, classes, "float32")
    for rows, features in ((1, 1), (5, 17), (9, 100), (4, 1024)):
        yield partial(residual_dropout_layer_norm_problem, rows, features, "float32")
    for blocks, edge, spoilt in ((1, 3, None), (5, 33, 2), (2, 127, None)):
        yield partial(factor_average_problem, blocks, edge, spoilt)
    for blocks, edge in ((3, 2), (4, 33), (3, 127)):
        yield partial(inverse_update_problem, blocks, edge)


def large() -> Iterator[Callable[[], Problem]]:
    """Sizes at which the share of the limit says something: all cores of 910B1 have work, or one has as much as it ever has."""
    yield partial(fisher_covariance_problem, 1536, 1024, 128, 3, "bfloat16")
    yield partial(precondition_problem, 768, 512, 128, 128)
    for make in (layer_norm_problem, layer_norm_grad_problem, bias_gelu_problem, residual_dropout_layer_norm_problem):
        yield partial(make, 768, 1024, "bfloat16", 48)
    yield partial(softmax_cross_entropy_problem, 48, 30522, "bfloat16", 48)
