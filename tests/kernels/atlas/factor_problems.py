"""Problems of the kernels for inverses and factors; the bounds are those of the CPU kernels' tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from problem import F32, GATE, PROGRAMS, UNIT, Check, Launch, Problem, empty, normal, power_of_two, stored, widened

from bert_thor.kernels.cholesky_inverse import reference as cholesky_inverse
from bert_thor.kernels.fisher_covariance import reference as fisher_covariance
from bert_thor.kernels.inverse_update import reference as inverse_update
from bert_thor.kernels.precondition import reference as precondition


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


def fisher_covariance_problem(
    rows: int, features: int, edge: int, splits: int, dtype: str, programs: int = PROGRAMS, weighted: bool = False
) -> Problem:
    """x of both signs; the answer is held to 2 eps (N + 1) max^2 and exact symmetry, N + 4 with weights."""
    x = given = stored(normal(rows, rows, features), dtype)
    weights, weigh, roundings, stored_as = None, [], 1, dtype
    if weighted:
        weights = np.square(normal(rows, rows))
        weights[1::4] = 0
        given[1::4] = stored(np.full(features, np.nan, F32), dtype)
        x, dtype, roundings = empty(given.shape), "float32", 4
        weigh = [
            Launch(
                "fisher_covariance:weigh_rows",
                (programs,),
                (given, weights, x, rows),
                {"FEATURES": features, "ROWS": min(32, max(1, 4096 // features))},
            )
        ]
    blocks, edges, step = -(-features // edge), -(-edge // 16) * 16, 64 if dtype == "float32" else 128
    per_split = -(-rows // (splits * step)) * step
    splits = -(-rows // per_split)  # none may be empty
    share, out = empty((splits, blocks, edge, edge)), empty((blocks, edge, edge))
    launches = [
        *weigh,
        Launch(
            "fisher_covariance:block_products",
            (blocks, splits),
            (x, share, rows, features, edge, per_split),
            {"EDGE": edges, "STEP": step},
        ),
        Launch("fisher_covariance:average", (programs,), (share, out, out.size, splits, 1.0 / rows), {"WIDTH": 4096}),
    ]
    expected = fisher_covariance.fisher_covariance(given, edge, weights).astype(np.float64)
    factors = np.sqrt(weights)[:, None] if weights is not None else 1.0
    bound = 2 * UNIT * (rows + roundings) * float(np.nanmax(np.abs(factors * widened(given)))) ** 2
    exact = [("symmetric", lambda: bool((out == out.transpose(0, 2, 1)).all()))]
    fractals = -(-edge // 16)
    steps = blocks * fractals**2 * rows / (4 if dtype == "float32" else 16)
    limit = (float(given.nbytes + out.nbytes), steps, 0.0)
    return Problem(
        "fisher_covariance",
        stored_as,
        f"{rows} x {features} by {edge}{' weighted' if weighted else ''}",
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
    checks = [_Finite(condition, wanted, (2 * edge + 4) * UNIT * np.abs(wanted) + 1e-37)]
    exact = [
        ("the right inverses", lambda: bool((following == expected[0]).all())),
        ("NaN stays NaN", lambda: bool(np.isnan(condition[~finite]).all())),
    ]
    bytes_moved = 4.0 * inverse.nbytes
    return Problem(
        "inverse_update", "float32", f"{blocks} x {edge}", [launch], list(checks), exact, (bytes_moved, 0.0, 0.0)
    )


@dataclass(frozen=True)
class _Finite(Check):
    """Only where the answer is finite."""

    def error(self) -> float:
        finite = np.isfinite(self.expected)
        return Check(self.actual[finite], self.expected[finite], self.bound[finite]).error()
