"""The add-dropout-norm on Ascend 910, in the interpreter: any rows, fp16 and fp32, with a mask and without."""

from __future__ import annotations

import numpy as np
import pytest
import tbe_kernels
from comparison import UNIT, assert_within, column_sum_bound, lane_sum_units
from tbe_kernels import root_mean_square

from bert_thor.kernels import davinci
from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.kernels.residual_dropout_layer_norm.cases import ASCEND
from bert_thor.kernels.residual_dropout_layer_norm.reference import (
    residual_dropout_layer_norm,
    residual_dropout_layer_norm_grad,
)
from bert_thor.kernels.residual_dropout_layer_norm.tiling import tile_backward, tile_forward

MODULE = tbe_kernels.load("residual_dropout_layer_norm")
DTYPES = ("float16", "float32")
PROBABILITIES = (0.0, 0.1, 0.5)
EPS = 1e-12
SEED, SITE = np.array([3, 1, 4, 0], np.int32), 15


def bits(shape: tuple[int, int], probability: float) -> np.ndarray:
    """The mask that the reference drops by, as DropoutGenMask packs it; the padding says "kept"."""
    kept = dropout_scale(shape, probability, SEED, SITE).ravel() > 0
    return np.packbits(np.pad(kept, (0, -kept.size % 128), constant_values=True), bitorder="little")


def parameters(features: int) -> list[np.ndarray]:
    """bias, gamma, beta."""
    scatter, center = np.array([[0.5], [0.3], [0.5]]), np.array([[0.0], [1.0], [0.0]])
    values = np.random.default_rng(features).standard_normal((3, features)) * scatter + center
    return list(values.astype(np.float32))


def samples(shape: tuple[int, int], dtype: str, number: int) -> np.ndarray:
    generator = np.random.default_rng(shape[0] * 10000 + shape[1] * 10 + number)
    return (generator.standard_normal(shape) + 0.3).astype(dtype)


def forward(x: np.ndarray, residual: np.ndarray, probability: float, cores: int = 32) -> davinci.Result:
    bias, gamma, beta = parameters(x.shape[1])
    values = ((len(x),), "float32")
    inputs, outputs = [x, bias, residual, gamma, beta], [x, x, values, values]
    if probability == 0:
        program = tbe_kernels.trace(MODULE.residual_layer_norm, *inputs, *outputs, eps=EPS, cores=cores)
        return program.run(*inputs)
    inputs.append(bits(x.shape, probability))
    kernel, attributes = MODULE.residual_dropout_layer_norm, {"eps": EPS, "probability": probability}
    return tbe_kernels.trace(kernel, *inputs, *outputs, cores=cores, **attributes).run(*inputs)


def forward_in_fp16(x: np.ndarray, residual: np.ndarray, probability: float) -> list[np.ndarray]:
    """(y, sum) by the same arithmetic in NumPy: fp16 element by element, fp32 sums."""
    bias, gamma, beta = (p.astype(np.float16) for p in parameters(x.shape[1]))
    total = residual + (x + bias) * dropout_scale(x.shape, probability, SEED, SITE).astype(np.float16)
    mean = total.mean(axis=1, dtype=np.float32, keepdims=True)
    d = total - mean.astype(np.float16)
    variance = np.square(d.astype(np.float32)).mean(axis=1, keepdims=True)
    return [d * (1 / np.sqrt(variance + np.float32(EPS))).astype(np.float16) * gamma + beta, total]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("shape", ASCEND)
def test_forward(shape: tuple[int, int], probability: float, dtype: str) -> None:
    for cores in tbe_kernels.CORES:
        assert_forward(shape, probability, dtype, cores)


def assert_forward(shape: tuple[int, int], probability: float, dtype: str, cores: int) -> None:
    if dtype == "float16":
        assert_forward_in_fp16(shape, probability, cores)
        return
    x, residual = samples(shape, dtype, 0), samples(shape, dtype, 1)
    bias, gamma, beta = parameters(shape[1])
    exact = residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, probability, SEED, SITE)
    y, total, mean, rstd = forward(x, residual, probability, cores).outputs
    terms = (np.abs(x) + np.abs(bias)) / (1 - probability) + np.abs(residual)
    assert_within(total, exact[1], 4 * UNIT * terms)  # x + bias, the scale, its product, + residual
    units = lane_sum_units(shape[1]) * UNIT
    assert_within(mean, exact[2], units * terms.mean(axis=1))
    assert_within(rstd, exact[3], units * exact[3] * (1 + terms.mean(axis=1) * exact[3]))
    sizes = (1 + terms + terms.mean(axis=1, keepdims=True)) * exact[3][:, None]
    assert_within(y, exact[0], units * (np.abs(gamma) * sizes + np.abs(beta) + np.abs(exact[0])))


def draws(shape: tuple[int, int]) -> range:
    """The rounding of a row's deviation is common to the row: errors are compared over 8 rows at least."""
    return range(-(-8 // shape[0]))


def assert_forward_in_fp16(shape: tuple[int, int], probability: float, cores: int) -> None:
    bias, gamma, beta = parameters(shape[1])
    errors: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []), ([], [])]  # of y and of sum: ours, NumPy's
    for draw in draws(shape):
        x, residual = (samples(shape, "float16", 4 * draw + k) for k in (0, 1))
        exact = residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, probability, SEED, SITE)
        y, total, mean, rstd = forward(x, residual, probability, cores).outputs
        in_fp16 = forward_in_fp16(x, residual, probability)
        for (ours, numpys), found, similar, wanted in zip(errors, (y, total), in_fp16, exact):
            ours.append(found - wanted)
            numpys.append(similar - wanted)
        assert_within(mean, exact[2], 4 * 2.0**-11 * np.abs(exact[1]).mean(axis=1))
        assert_within(rstd, exact[3], 4 * 2.0**-11 * exact[3])
    for ours, numpys in errors:
        assert root_mean_square(np.array(ours)) <= 2 * root_mean_square(np.array(numpys))


def test_what_is_dropped_is_what_the_cpu_drops() -> None:
    """Where x is large and the residual is 0, the sum tells which elements were kept: those of the reference's bits."""
    x, residual = np.full((50, 112), 100.0, np.float16), np.zeros((50, 112), np.float16)
    total = forward(x, residual, 0.3).outputs[1]
    assert np.array_equal(total != 0, dropout_scale(x.shape, 0.3, SEED, SITE) > 0)


def backward(
    dy: np.ndarray, total: np.ndarray, probability: float, cores: int = 32
) -> tuple[list[np.ndarray], list[np.ndarray], tuple[np.ndarray, ...]]:
    """What the kernel gives and what the reference gives, as (dx, dbias, dresidual, dgamma, dbeta); gamma, mean, rstd."""
    gamma = parameters(total.shape[1])[1]
    rows = total.astype(np.float64)
    mean = rows.mean(axis=1).astype(np.float32)
    rstd = (1 / np.sqrt(rows.var(axis=1) + EPS)).astype(np.float32)
    exact = residual_dropout_layer_norm_grad(dy, total, gamma, mean, rstd, probability, SEED, SITE)
    inputs = [dy, total, gamma, mean, rstd]
    if probability == 0:
        program = tbe_kernels.trace(MODULE.residual_layer_norm_grad, *inputs, total, gamma, gamma, gamma, cores=cores)
        found = list(program.run(*inputs).outputs)
        found.insert(2, found[0])
    else:
        inputs.append(bits(total.shape, probability))
        outputs, kernel = (total, gamma, total, gamma, gamma), MODULE.residual_dropout_layer_norm_grad
        program = tbe_kernels.trace(kernel, *inputs, *outputs, cores=cores, probability=probability)
        found = list(program.run(*inputs).outputs)
    return found, list(exact), (gamma, mean, rstd)


def backward_in_fp16(
    dy: np.ndarray, total: np.ndarray, given: tuple[np.ndarray, ...], probability: float
) -> list[np.ndarray]:
    """All five gradients by the same arithmetic in NumPy: fp16 element by element, fp32 sums."""
    gamma, mean, rstd = given
    scale = rstd.astype(np.float16)[:, None]
    xhat = (total - mean.astype(np.float16)[:, None]) * scale
    g = dy * gamma.astype(np.float16)
    mean_g = g.mean(axis=1, dtype=np.float32, keepdims=True).astype(np.float16)
    mean_gx = (g.astype(np.float32) * xhat).mean(axis=1, keepdims=True).astype(np.float16)
    dresidual = (g - mean_g - xhat * mean_gx) * scale
    dx = dresidual * dropout_scale(dy.shape, probability, SEED, SITE).astype(np.float16)
    sums = [a.sum(axis=0, dtype=np.float32) for a in (dx, dy * xhat, dy)]
    return [dx, sums[0], dresidual, sums[1], sums[2]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probability", PROBABILITIES)
@pytest.mark.parametrize("shape", ASCEND)
def test_backward(shape: tuple[int, int], probability: float, dtype: str) -> None:
    for cores in tbe_kernels.CORES:
        assert_backward(shape, probability, dtype, cores)


def assert_backward_in_fp16(shape: tuple[int, int], probability: float, cores: int) -> None:
    errors: list[tuple[list[np.ndarray], list[np.ndarray]]] = [([], []) for _ in range(4)]  # ours, NumPy's
    for draw in draws(shape):
        dy, total = (samples(shape, "float16", 4 * draw + k) for k in (2, 3))
        found, exact, given = backward(dy, total, probability, cores)
        in_fp16 = backward_in_fp16(dy, total, given, probability)
        for (ours, numpys), one, similar, wanted in zip(errors, found, in_fp16, exact):
            ours.append(one - wanted)
            numpys.append(similar - wanted)
        assert_within(found[4], exact[4], column_sum_bound(np.abs(dy.astype(np.float64))))
    for ours, numpys in errors:
        assert root_mean_square(np.array(ours)) <= 2 * root_mean_square(np.array(numpys))


def assert_backward(shape: tuple[int, int], probability: float, dtype: str, cores: int) -> None:
    if dtype == "float16":
        assert_backward_in_fp16(shape, probability, cores)
        return
    dy, total = samples(shape, dtype, 2), samples(shape, dtype, 3)
    found, exact, given = backward(dy, total, probability, cores)
    gamma, mean, rstd = (v.astype(np.float64) for v in given)
    scale = rstd[:, None]
    size_x = (np.abs(total) + np.abs(mean)[:, None]) * scale
    g = np.abs(dy * gamma)
    inner = g + g.mean(axis=1, keepdims=True) + size_x * (g * size_x).mean(axis=1, keepdims=True)
    bound = lane_sum_units(shape[1]) * UNIT * scale * inner
    kept = dropout_scale(shape, probability, SEED, SITE)
    assert_within(found[2], exact[2], bound)
    assert_within(found[0], exact[0], bound * kept + 2 * UNIT * np.abs(exact[0]))  # the scale, and its product
    assert_within(found[1], exact[1], (bound * kept).sum(axis=0) + column_sum_bound(exact[0]))
    assert_within(found[3], exact[3], column_sum_bound(np.abs(dy) * size_x))
    assert_within(found[4], exact[4], column_sum_bound(np.abs(dy)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probability", [0.0, 0.1])
@pytest.mark.parametrize(("rows", "cores"), [(33, 1), (49, 1), (97, 1), (130, 2)])
def test_many_batches_per_core(rows: int, cores: int, probability: float, dtype: str) -> None:
    """Batches take turns in two sets of buffers; the sums over columns run through all of them."""
    shape = (rows, 304)
    assert_forward(shape, probability, dtype, cores)
    assert_backward(shape, probability, dtype, cores)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, float("nan")])
def test_refuses_a_mask_without_a_probability(probability: float) -> None:
    x, vector, values = ((8, 64), "float16"), ((64,), "float32"), ((8,), "float32")
    inputs, outputs = (x, vector, x, vector, vector, ((64,), "uint8")), (x, x, values, values)
    with pytest.raises(ValueError, match="with a mask it lies between 0 and 1"):
        tbe_kernels.trace(MODULE.residual_dropout_layer_norm, *inputs, *outputs, eps=EPS, probability=probability)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*ASCEND, (6144, 768), (6144, 1024)])
def test_buffers_are_what_the_tiling_says(shape: tuple[int, int], dtype: str) -> None:
    rows, features = shape
    x, vector, values = (shape, dtype), ((features,), "float32"), ((rows,), "float32")
    mask = ((-(-rows * features // 128) * 16,), "uint8")
    kernels = (
        (MODULE.residual_dropout_layer_norm, (x, vector, x, vector, vector, mask, x, x, values, values), {"eps": EPS}),
        (
            MODULE.residual_dropout_layer_norm_grad,
            (x, x, vector, values, values, mask, x, vector, x, vector, vector),
            {},
        ),
    )
    for cut, (kernel, tensors, attributes) in zip((tile_forward, tile_backward), kernels):
        program = tbe_kernels.trace(kernel, *tensors, probability=0.1, **attributes)
        assert program.peak_bytes["ubuf"] <= cut(rows, features, dtype, 32).ub_bytes <= 256 * 1024


SPEEDS = [
    ("float16", 0.1, 0.5, 0.55),
    ("float16", 0.0, 0.9, 0.85),
    ("float32", 0.1, 0.55, 0.6),
    ("float32", 0.0, 0.85, 0.75),
]


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "probability", "share", "gradient_share"), SPEEDS)
def test_speed(dtype: str, probability: float, share: float, gradient_share: float) -> None:
    """BERT-Large, 48 sequences of 128: the share of the time that HBM needs for what is read and written at 1.2 TB/s."""
    x = samples((6144, 1024), dtype, 0)
    result = forward(x, x, probability)
    assert result.cycles * share <= 4 * x.nbytes / 1200
    _, gamma, _ = parameters(1024)
    mean, rstd = np.zeros(len(x), np.float32), np.ones(len(x), np.float32)
    inputs, outputs = [x, x, gamma, mean, rstd], [x, gamma, gamma, gamma]
    kernel, attributes = MODULE.residual_layer_norm_grad, {}
    if probability:
        inputs, outputs = [*inputs, bits(x.shape, probability)], [x, gamma, x, gamma, gamma]
        kernel, attributes = MODULE.residual_dropout_layer_norm_grad, {"probability": probability}
    cycles = tbe_kernels.trace(kernel, *inputs, *outputs, **attributes).run(*inputs).cycles
    assert cycles * gradient_share <= (4 if probability else 3) * x.nbytes / 1200
