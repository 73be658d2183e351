"""Every operator with kernels for Ascend 910: inputs, what its outputs are held to, and the TIK kernel for the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tbe_kernels
from comparison import UNIT, assert_within, column_sum_bound, lane_sum_units

from bert_thor.kernels import davinci
from bert_thor.kernels.cholesky_inverse import cases as cholesky_inverse_sizes
from bert_thor.kernels.cholesky_inverse import reference as cholesky_inverse
from bert_thor.kernels.fisher_covariance import cases as fisher_covariance_sizes
from bert_thor.kernels.fisher_covariance import reference as fisher_covariance
from bert_thor.kernels.layer_norm import cases as layer_norm_sizes
from bert_thor.kernels.layer_norm import reference as layer_norm
from bert_thor.kernels.precondition import cases as precondition_sizes
from bert_thor.kernels.precondition import reference as precondition
from bert_thor.kernels.residual_dropout_layer_norm import cases as residual_sizes

FP16_UNIT = 2.0**-11
EPS, PROBABILITY = 0.01, 0.1


@dataclass
class Case:
    """One operator on one set of inputs.

    Attributes:
        backends: those that have a kernel for these shapes.
        make: makes the operator; called with THOR_BACKEND set and an Ascend device in MindSpore's context.
        kernel, outputs, attributes: the TIK function, shapes and types of its outputs, its attributes.
        narrow: the TIK kernel takes the inputs in fp16.
        check: raises unless the outputs are right.
    """

    name: str
    operation: str
    backends: Sequence[str]
    make: Callable[[], Any]
    inputs: Sequence[np.ndarray]
    kernel: str
    outputs: Sequence[tuple[tuple[int, ...], str]]
    attributes: dict[str, Any]
    check: Callable[..., None]
    narrow: bool = False

    def simulate(self) -> davinci.Result:
        """The TIK kernel in the interpreter."""
        inputs = [x.astype(np.float16) for x in self.inputs] if self.narrow else list(self.inputs)
        kernel = getattr(tbe_kernels.load(self.operation), self.kernel)
        return tbe_kernels.trace(kernel, *inputs, *self.outputs, **self.attributes).run(*inputs)


def covariance_case(rows: int, features: int, block: int) -> Case:
    """fp16 numbers, so that the rounding to the cube's type is exact."""
    x = np.random.default_rng(rows + features).standard_normal((rows, features)).astype(np.float16).astype(np.float32)
    exact = fisher_covariance.fisher_covariance(x, block)

    def make() -> Any:
        from bert_thor.ops.fisher_covariance import fisher_covariance as operator

        return operator(block)

    def check(packed: np.ndarray) -> None:
        assert_within(packed, exact, UNIT * (rows + 4) * fisher_covariance.fisher_covariance(np.abs(x), block))

    backends = ["tbe", "akg"] if 32 <= block <= 128 else ["tbe"]
    shape = [(exact.shape, "float32")]
    name = f"fisher_covariance {rows} x {features}, block {block}"
    return Case(
        name, "fisher_covariance", backends, make, [x], "fisher_covariance", shape, {"block": block}, check, True
    )


def inverse_case(blocks: int, edge: int) -> Case:
    """Sample covariances; the gate is LAPACK's ratio, as for the kernel in the interpreter."""
    x = np.random.default_rng(edge).standard_normal((blocks, 2 * edge + 8, edge))
    c = (x.transpose(0, 2, 1) @ x / x.shape[1]).astype(np.float32)
    damping = np.random.default_rng(edge).choice(np.float32([0, 0.01, 2]), blocks)
    damped = c.astype(np.float64) + damping[:, None, None] * np.eye(edge)

    def make() -> Any:
        from bert_thor.ops.cholesky_inverse import cholesky_inverse as operator

        return operator()

    def check(inverse: np.ndarray, status: np.ndarray) -> None:
        assert (status.reshape(blocks, -1) == 0).all()
        _assert_inverse(damped, inverse)

    outputs = [(c.shape, "float32"), ((blocks, 8), "int32")]
    name = f"cholesky_inverse {blocks} x {edge} x {edge}"
    return Case(name, "cholesky_inverse", ["tbe"], make, [c, damping], "cholesky_inverse", outputs, {}, check)


def bad_blocks_case(edge: int) -> Case:
    """A pivot that is not positive and a NaN: the statuses of the reference, and zeros."""
    case = inverse_case(9, edge)
    c, damping = case.inputs[0].copy(), np.zeros(9, np.float32)
    c[2, 6, 6], c[5, 0, 5] = -1, np.nan
    _, statuses = cholesky_inverse.cholesky_inverse(c, damping)

    def check(inverse: np.ndarray, status: np.ndarray) -> None:
        assert status.reshape(9, -1)[:, 0].tolist() == statuses.tolist()
        assert (inverse[statuses != 0] == 0).all()
        good = statuses == 0
        _assert_inverse(c[good].astype(np.float64), inverse[good])

    case.inputs, case.check, case.name = [c, damping], check, f"cholesky_inverse of bad blocks, {edge} x {edge}"
    return case


def _assert_inverse(damped: np.ndarray, inverse: np.ndarray) -> None:
    """Exactly symmetric, and LAPACK's ratio || I - A A^-1 || / (n || A || || A^-1 || unit) within 4 / n + 0.3."""
    assert (inverse == inverse.transpose(0, 2, 1)).all()
    edge = damped.shape[1]
    rest = np.abs(np.eye(edge) - damped @ inverse.astype(np.float64)).sum(1).max(1)
    norms = np.abs(damped).sum(1).max(1) * np.abs(inverse.astype(np.float64)).sum(1).max(1)
    assert (rest <= (4 + 0.3 * edge) * norms * UNIT).all()


def precondition_case(outputs: int, inputs: int, bg: int, ba: int) -> Case:
    """Factors whose sizes differ from block to block; the bound is that of four roundings to fp16."""
    generator = np.random.default_rng(outputs + inputs)

    def factor(side: int, edge: int) -> np.ndarray:
        blocks = -(-side // edge)
        x, scale = generator.standard_normal((blocks, edge, edge)), 10.0 ** generator.uniform(-3, 3, (blocks, 1, 1))
        return (scale * (x @ x.transpose(0, 2, 1) / edge + 0.1 * np.eye(edge))).astype(np.float32)

    g, a = factor(outputs, bg), factor(inputs, ba)
    gradient = (generator.standard_normal((outputs, inputs)) * 1e-3).astype(np.float32)
    exact = precondition.precondition(g, gradient, a)

    def make() -> Any:
        from bert_thor.ops.precondition import precondition as operator

        return operator()

    def check(result: np.ndarray) -> None:
        magnitude = precondition.precondition(np.abs(g), np.abs(gradient), np.abs(a)).astype(np.float64)
        full = [np.broadcast_to(np.abs(x).max(axis=(1, 2), keepdims=True), x.shape) for x in (g, a)]
        tiny = precondition.precondition(full[0], np.full_like(gradient, np.abs(gradient).max()), full[1])
        assert_within(result, exact, (4.01 * FP16_UNIT + (bg + ba + 4) * UNIT) * magnitude + 4 * 2.0**-24 * tiny)

    shape = [(gradient.shape, "float32")]
    name = f"precondition {outputs} x {inputs}, blocks {bg} and {ba}"
    return Case(name, "precondition", ["tbe"], make, [g, gradient, a], "precondition", shape, {}, check)


def _rows(rows: int, features: int) -> tuple[np.ndarray, ...]:
    """x, dy, gamma, beta in fp32."""
    generator = np.random.default_rng(rows + features)
    x, dy = (generator.standard_normal((2, rows, features)) + np.array([[[0.5]], [[0.0]]])).astype(np.float32)
    return (x, dy, *generator.standard_normal((2, features)).astype(np.float32))


def _layer_norm() -> Any:
    from bert_thor.ops.layer_norm import layer_norm as operator

    return operator(EPS)


def layer_norm_case(rows: int, features: int) -> Case:
    """(y, mean, rstd) in fp32."""
    x, _, gamma, beta = _rows(rows, features)
    y, mean, rstd = layer_norm.layer_norm(x, gamma, beta, EPS)
    units, size = lane_sum_units(features) * UNIT, np.abs(x).mean(axis=1)

    def check(actual_y: np.ndarray, actual_mean: np.ndarray, actual_rstd: np.ndarray) -> None:
        assert_within(actual_mean, mean, units * size)
        assert_within(actual_rstd, rstd, units * rstd * (1 + size * rstd))
        xhat = np.abs((x - mean[:, None]) * rstd[:, None]) + (size * rstd)[:, None]
        assert_within(actual_y, y, units * (np.abs(gamma) * xhat + np.abs(beta)))

    row = ((rows,), "float32")
    outputs, attributes = [(x.shape, "float32"), row, row], {"eps": EPS}
    inputs, backends = [x, gamma, beta], ["tbe", "akg"] if rows % 8 == 0 else ["tbe"]
    return Case(
        f"layer_norm {rows} x {features}", "layer_norm", backends, _layer_norm, inputs, "layer_norm", outputs,
        attributes, check,
    )  # fmt: skip


def layer_norm_grad_case(rows: int, features: int) -> Case:
    """(dx, dgamma, dbeta) in fp32."""
    x, dy, gamma, beta = _rows(rows, features)
    _, mean, rstd = layer_norm.layer_norm(x, gamma, beta, EPS)
    dx, dgamma, dbeta = layer_norm.layer_norm_grad(dy, x, gamma, mean, rstd)
    # xhat = x rstd - mean rstd: two products of the size of x, not one of that of x - mean
    xhat = np.abs((x - mean[:, None]) * rstd[:, None]) + np.abs(mean * rstd)[:, None]
    g = np.abs(dy * gamma)

    def check(actual_dx: np.ndarray, actual_dgamma: np.ndarray, actual_dbeta: np.ndarray) -> None:
        terms = g + g.mean(axis=1, keepdims=True) + 3 * xhat * (g * xhat).mean(axis=1, keepdims=True)
        assert_within(actual_dx, dx, lane_sum_units(features) * UNIT * rstd[:, None] * terms)
        assert_within(actual_dgamma, dgamma, column_sum_bound(dy * xhat))
        assert_within(actual_dbeta, dbeta, column_sum_bound(dy))

    column = ((features,), "float32")
    outputs = [(x.shape, "float32"), column, column]
    inputs, backends = [dy, x, gamma, mean, rstd], ["tbe", "akg"] if rows % 8 == 0 else ["tbe"]
    return Case(
        f"layer_norm_grad {rows} x {features}", "layer_norm", backends, lambda: _layer_norm().gradient, inputs,
        "layer_norm_grad", outputs, {}, check,
    )  # fmt: skip


def _mask(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Bits as `DropoutGenMask` makes them, and the factors of the elements."""
    kept = np.random.default_rng(rows * features).random(rows * features) >= PROBABILITY
    bits = np.zeros(-(-kept.size // 128) * 128, bool)
    bits[: kept.size] = kept
    return np.packbits(bits, bitorder="little"), kept.reshape(rows, features) / (1 - PROBABILITY)


def _residual_dropout_layer_norm() -> Any:
    from bert_thor.ops.residual_dropout_layer_norm import WithMask

    return WithMask(EPS, PROBABILITY)


def residual_case(rows: int, features: int) -> Case:
    """(y, sum, mean, rstd) in fp32."""
    x, residual, gamma, beta = _rows(rows, features)
    mask, factors = _mask(rows, features)
    total = residual.astype(np.float64) + (x.astype(np.float64) + gamma) * factors  # gamma is the bias too
    y, mean, rstd = layer_norm.layer_norm(total, gamma, beta, EPS)
    rounding = 4 * UNIT * (np.abs(residual) + (np.abs(x) + np.abs(gamma)) * factors)
    units, size = lane_sum_units(features) * UNIT, np.abs(total).mean(axis=1) + rounding.mean(axis=1) / UNIT

    def check(actual_y: np.ndarray, actual: np.ndarray, actual_mean: np.ndarray, actual_rstd: np.ndarray) -> None:
        assert_within(actual, total, rounding)
        assert_within(actual_mean, mean, units * size)
        assert_within(actual_rstd, rstd, units * rstd * (1 + size * rstd))
        xhat = np.abs((total - mean[:, None]) * rstd[:, None]) + (size * rstd)[:, None]
        shift = rounding * rstd[:, None] * np.abs(gamma)
        assert_within(actual_y, y, units * (np.abs(gamma) * xhat + np.abs(beta)) + shift)

    row, whole = ((rows,), "float32"), (x.shape, "float32")
    return Case(
        f"residual_dropout_layer_norm {rows} x {features}", "residual_dropout_layer_norm", ["tbe"],
        _residual_dropout_layer_norm, [x, gamma, residual, gamma, beta, mask], "residual_dropout_layer_norm",
        [whole, whole, row, row], {"eps": EPS, "probability": PROBABILITY}, check,
    )  # fmt: skip


def residual_grad_case(rows: int, features: int) -> Case:
    """(dx, dbias, dresidual, dgamma, dbeta) in fp32: layer norm's gradient, and its kept elements."""
    base = layer_norm_grad_case(rows, features)
    total = base.inputs[1]
    mask, factors = _mask(rows, features)

    def check(dx: np.ndarray, dbias: np.ndarray, dresidual: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray) -> None:
        base.check(dresidual, dgamma, dbeta)
        kept = dresidual.astype(np.float64) * factors
        assert_within(dx, kept, 2 * UNIT * np.abs(kept))
        assert_within(dbias, kept.sum(axis=0), column_sum_bound(kept))

    whole, column = (total.shape, "float32"), ((features,), "float32")
    return Case(
        f"residual_dropout_layer_norm_grad {rows} x {features}", "residual_dropout_layer_norm", ["tbe"],
        lambda: _residual_dropout_layer_norm().gradient, [*base.inputs, mask], "residual_dropout_layer_norm_grad",
        [whole, column, whole, column, column], {"probability": PROBABILITY}, check,
    )  # fmt: skip


MAKERS = {
    covariance_case: fisher_covariance_sizes,
    inverse_case: cholesky_inverse_sizes,
    precondition_case: precondition_sizes,
    layer_norm_case: layer_norm_sizes,
    layer_norm_grad_case: layer_norm_sizes,
    residual_case: residual_sizes,
    residual_grad_case: residual_sizes,
}
"""What makes a case, and the file with its sizes."""

SMALL = [*(partial(make, *sizes.ASCEND[0]) for make, sizes in MAKERS.items()), partial(bad_blocks_case, 16)]
"""For the interpreter in the default suite: they prove the checks themselves."""

LARGE = [
    *(partial(make, *shape) for make, sizes in MAKERS.items() for shape in (*sizes.ASCEND[1:], *sizes.ASCEND_LARGE)),
    partial(covariance_case, 3000, 768, 96),
    *(partial(make, 256, 768) for make in (layer_norm_case, layer_norm_grad_case, residual_case, residual_grad_case)),
    partial(bad_blocks_case, 128),
]
"""For the device: tails on every side, then the shapes of BERT-Large, and some of BERT-Base. Made when they are needed."""


def name(case: partial[Case]) -> str:
    """The operation and its sizes."""
    return f"{case.func.__name__[: -len('_case')]}-{'-'.join(map(str, case.args))}"
