"""Problems of the kernels of the network; the bounds are those of the CPU kernels' tests but for a fused polynomial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from problem import (
    F32,
    PROGRAMS,
    UNIT,
    Check,
    Launch,
    Problem,
    column_sum_bound,
    empty,
    lane_sum_units,
    normal,
    power_of_two,
    rounding,
    rows_per_tile,
    stored,
    widened,
)

from bert_thor.kernels.bias_gelu import reference as bias_gelu
from bert_thor.kernels.layer_norm import reference as layer_norm
from bert_thor.kernels.softmax_cross_entropy import reference as softmax_cross_entropy


def layer_norm_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS, ratio: float = 0.5) -> Problem:
    """Rows whose mean is `ratio` deviations; the last is constant. Errors as layer_norm.h has them."""
    eps = 1e-6
    x = rows_of_ratio(rows * 1000 + features, rows, features, ratio, dtype)
    gamma, beta = normal(1, features), normal(2, features)
    y, mean, rstd = empty(x.shape, dtype), empty((rows,)), empty((rows,))
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 8192)}
    launch = Launch("layer_norm:layer_norm", (programs,), (x, gamma, beta, y, mean, rstd, rows, eps), constants)
    checks = normalized_checks(widened(x), gamma, beta, (y, mean, rstd), eps, dtype)
    return Problem("layer_norm", dtype, f"{rows} x {features}", [launch], checks, [], (2.0 * x.nbytes, 0.0, 0.0))


def normalized_checks(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, outputs: Sequence[np.ndarray], eps: float, dtype: str
) -> list[Check]:
    """y, mean and rstd of layer normalisation."""
    y, mean, rstd = (value.astype(np.float64) for value in layer_norm.layer_norm(x, gamma, beta, eps))
    unit, wide = UNIT * lane_sum_units(x.shape[1]), x.astype(np.float64)
    t = (unit * np.abs(mean) * rstd)[:, None]
    xhat = np.abs(wide - wide.mean(axis=1, keepdims=True)) * rstd[:, None]
    size = (2 + t + (1 + t**2) * xhat) * np.abs(gamma) + np.abs(beta)
    return [
        Check(outputs[0], y, unit * size + rounding(y, dtype)),
        Check(outputs[1], mean, 2 * UNIT * np.abs(mean) + unit * (2 + t[:, 0]) / rstd),
        Check(outputs[2], rstd, unit * (1 + t[:, 0] ** 2) * rstd),
    ]


def rows_of_ratio(seed: int, rows: int, features: int, ratio: float, dtype: str) -> np.ndarray:
    """Rows whose mean is `ratio` deviations; of several, the last is constant."""
    x = normal(seed, rows, features) + F32(ratio)
    if rows > 1:
        x[-1] = 100.1
    return stored(x, dtype)


def layer_norm_grad_problem(
    rows: int, features: int, dtype: str, programs: int = PROGRAMS, ratio: float = 0.5
) -> Problem:
    """dx, and dgamma and dbeta summed over the programs by a second kernel."""
    x, dy = rows_of_ratio(rows, rows, features, ratio, dtype), stored(normal(features, rows, features), dtype)
    gamma = normal(1, features)
    _, mean, rstd = layer_norm.layer_norm(widened(x), gamma, gamma, 1e-6)
    dx, shares, sums = empty(x.shape, dtype), empty((2, programs, features)), empty((2, features))
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 4096)}
    main = Launch(
        "layer_norm:layer_norm_grad", (programs,), (dy, x, gamma, mean, rstd, dx, shares[0], shares[1], rows), constants
    )
    launches = [main, *(_sum_of_programs(share, total) for share, total in zip(shares, sums))]
    wide_x, wide_dy = widened(x).astype(np.float64), widened(dy).astype(np.float64)
    expected = layer_norm.layer_norm_grad(wide_dy, wide_x, gamma, mean, rstd)
    xhat = np.abs(wide_x - wide_x.mean(axis=1, keepdims=True)) * rstd[:, None]
    w = 1 + xhat + (2 * UNIT * np.abs(mean.astype(np.float64)) * rstd)[:, None]
    g, k = np.abs(wide_dy * gamma), lane_sum_units(features)
    size = g + g.mean(axis=1, keepdims=True) + 3 * w * (g * w).mean(axis=1, keepdims=True)
    bound = UNIT * k * rstd[:, None] * size + rounding(expected[0], dtype)
    of_dgamma = (rows + 3 * k) * UNIT * (np.abs(wide_dy) * w).sum(axis=0)
    checks = [
        Check(dx, expected[0].astype(np.float64), bound),
        Check(sums[0], expected[1].astype(np.float64), of_dgamma),
        Check(sums[1], expected[2].astype(np.float64), column_sum_bound(wide_dy)),
    ]
    return Problem("layer_norm_grad", dtype, f"{rows} x {features}", launches, checks, [], (3.0 * x.nbytes, 0.0, 0.0))


def _sum_of_programs(share: np.ndarray, total: np.ndarray) -> Launch:
    programs, features = share.shape
    grid = (-(-features // 64),)
    return Launch("layer_norm:sum_of_programs", grid, (share, total, programs, features), {"WIDTH": 64, "GROUP": 64})


def bias_gelu_problem(rows: int, features: int, dtype: str, programs: int = PROGRAMS) -> Problem:
    """The sum is rounded once; the rest is (4 + u^2 / 2) units of y, twice: one more than on the CPU, whose polynomial is fused.

    Unfused, each step of Horner's rule rounds its product too; weighted by the terms, up to 0.9 units where the tail is q's.
    """
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
    bound = UNIT * (2 * (4 + u * u / 2) * np.abs(expected) + np.abs(u) * np.abs(slope)) + 1e-37
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
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 4096)}
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
    constants = {"FEATURES": features, "ROWS": rows_per_tile(rows, features, 4096)}
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
