"""layer_norm and its gradient on Ascend 910, in the interpreter: any rows, fp16 and fp32, the mean / deviation ladder."""

from __future__ import annotations

import numpy as np
import pytest
import tbe_kernels
from comparison import UNIT, assert_within, column_sum_bound, lane_sum_units
from norm_errors import RATIOS, rows_of_ratio, tolerances, tolerances_of_gradient
from tbe_kernels import root_mean_square

from bert_thor.kernels import davinci
from bert_thor.kernels.layer_norm.cases import ASCEND
from bert_thor.kernels.layer_norm.reference import layer_norm, layer_norm_grad
from bert_thor.kernels.layer_norm.tiling import tile_backward, tile_forward

MODULE = tbe_kernels.load("layer_norm")
DTYPES = ("float16", "float32")
EPS = 1e-12


def parameters(features: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(features)
    return tuple((generator.standard_normal((2, features)) * [[0.3], [0.5]] + [[1.0], [0.0]]).astype(np.float32))


def samples(shape: tuple[int, int], dtype: str, mean: float = 0.3, deviation: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(shape[0] * 10000 + shape[1])
    return (generator.standard_normal(shape) * deviation + mean).astype(dtype)


def forward(x: np.ndarray, cores: int = 32, eps: float = EPS) -> davinci.Result:
    gamma, beta = parameters(x.shape[1])
    values = ((len(x),), "float32")
    program = tbe_kernels.trace(MODULE.layer_norm, x, gamma, beta, x, values, values, eps=eps, cores=cores)
    return program.run(x, gamma, beta)


def backward(dy: np.ndarray, x: np.ndarray, cores: int = 32) -> tuple[davinci.Result, tuple[np.ndarray, ...]]:
    gamma, beta = parameters(x.shape[1])
    _, mean, rstd = layer_norm(x, gamma, beta, EPS)
    return backward_of(dy, x, mean, rstd, cores), layer_norm_grad(dy, x, gamma, mean, rstd)


def backward_of(dy: np.ndarray, x: np.ndarray, mean: np.ndarray, rstd: np.ndarray, cores: int = 32) -> davinci.Result:
    gamma, _ = parameters(x.shape[1])
    program = tbe_kernels.trace(MODULE.layer_norm_grad, dy, x, gamma, mean, rstd, x, gamma, gamma, cores=cores)
    return program.run(dy, x, gamma, mean, rstd)


def in_fp16(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The same arithmetic in NumPy: fp16 element by element, fp32 sums."""
    mean = x.mean(axis=1, dtype=np.float32, keepdims=True)
    d = x - mean.astype(np.float16)
    variance = np.square(d.astype(np.float32)).mean(axis=1, keepdims=True)
    scaled = d * (1 / np.sqrt(variance + np.float32(EPS))).astype(np.float16)
    return np.asarray(scaled * gamma.astype(np.float16) + beta.astype(np.float16))


def assert_forward(x: np.ndarray, result: davinci.Result) -> None:
    gamma, beta = parameters(x.shape[1])
    y, mean, rstd = result.outputs
    exact_y, exact_mean, exact_rstd = layer_norm(x, gamma, beta, EPS)
    units = lane_sum_units(x.shape[1]) * UNIT
    magnitude = np.abs(x.astype(np.float64)).mean(axis=1)
    assert_within(mean, exact_mean, units * magnitude)
    if x.dtype == np.float16:
        assert root_mean_square(y - exact_y) <= 2 * root_mean_square(in_fp16(x, gamma, beta) - exact_y)
        assert_within(rstd, exact_rstd, 2.0**-11 * exact_rstd)  # that of d in fp16
        return
    assert_within(rstd, exact_rstd, units * exact_rstd)
    # x - m is exact to a rounding of itself; e carries what m lacks
    xhat = np.abs(exact_y - beta) + np.abs(gamma)
    assert_within(
        y, exact_y, units * (xhat + np.abs(beta)) + UNIT * np.abs(gamma) * magnitude[:, None] * exact_rstd[:, None]
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ASCEND)
def test_forward(shape: tuple[int, int], dtype: str) -> None:
    x = samples(shape, dtype)
    for cores in tbe_kernels.CORES:
        assert_forward(x, forward(x, cores))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("mean", "deviation"), [(0, 1e-3), (0, 1e3), (1, 1e-2), (100, 1), (-1000, 1), (1000, 10), (3e4, 100)]
)
def test_ladder_of_means_and_deviations(mean: float, deviation: float, dtype: str) -> None:
    x = samples((40, 768), dtype, mean, deviation)
    assert_forward(x, forward(x))


@pytest.mark.parametrize("ratio", RATIOS)
def test_far_from_zero_in_fp32(ratio: float) -> None:
    """The errors of layer_norm.h, in both directions."""
    for eps in (EPS, 1e-5):
        assert_promised_errors(rows_of_ratio(9, 272, ratio, 1.0), eps)


@pytest.mark.parametrize("value", [0.0, 0.1, -100.1, 1e7])
def test_constant_rows_of_fp32(value: float) -> None:
    for features in (272, 768):
        assert_promised_errors(np.full((9, features), value, np.float32), EPS)


def assert_promised_errors(x: np.ndarray, eps: float) -> None:
    gamma, beta = parameters(x.shape[1])
    outputs = forward(x, eps=eps).outputs
    for ours, exact, allowed in zip(outputs, layer_norm(x, gamma, beta, eps), tolerances(x, gamma, beta, eps)):
        assert_within(ours, exact, allowed)
    dy = samples(x.shape, "float32", 0.1)
    inputs = (dy, x, gamma, *outputs[1:])
    gradients = backward_of(dy, x, *outputs[1:]).outputs
    for ours, exact, allowed in zip(gradients, layer_norm_grad(*inputs), tolerances_of_gradient(*inputs)):
        assert_within(ours, exact, allowed)


def test_squares_that_are_no_fp32_make_their_row_nan() -> None:
    x = samples((9, 272), "float32")
    x[4, 7] = 1e20
    y, _, rstd = forward(x).outputs
    assert np.isnan(y[4]).all() and np.isnan(rstd[4])
    assert np.isfinite(np.delete(y, 4, axis=0)).all()


@pytest.mark.parametrize("value", [100.1, -2049.0, 60000.0])
def test_constant_rows_of_fp16_have_the_gradient_of_a_constant_row(value: float) -> None:
    """rstd (g - mean(g)): to what fp16 rounds g."""
    x, dy = np.full((9, 768), value, np.float16), np.full((9, 768), 1e-3, np.float16)
    _, mean, rstd = forward(x).outputs
    gamma, _ = parameters(768)
    exact = layer_norm_grad(dy, x, gamma, mean, rstd)[0]
    dx = backward_of(dy, x, mean, rstd).outputs[0]
    assert root_mean_square(dx - exact) <= 4 * 2.0**-11 * root_mean_square(exact)


@pytest.mark.parametrize("value", [0.0, 1.0, 3.14159, -2049.0, 60000.0, 6e-8])
@pytest.mark.parametrize("features", [768, 1024])
def test_constant_rows_of_fp16_give_beta(value: float, features: int) -> None:
    x = np.full((9, features), value, np.float16)
    y, mean, rstd = forward(x).outputs
    _, beta = parameters(features)
    assert_within(y, np.broadcast_to(beta, y.shape), 2.0**-11 * np.abs(beta) + 2.0**-25)
    assert_within(rstd, np.full(9, 1e6), 1.0)
    assert (mean == np.float32(np.float16(value))).all()


@pytest.mark.parametrize("deviation", [1e-6, 1e-5, 1e4])
def test_the_edges_of_fp16(deviation: float) -> None:
    """rstd from 1e-4 to 1e6, beyond the range of fp16 itself."""
    x = np.clip(samples((16, 768), "float32", 0, deviation), -6e4, 6e4).astype(np.float16)
    gamma, beta = parameters(768)
    y, _, rstd = forward(x).outputs
    exact, _, exact_rstd = layer_norm(x, gamma, beta, EPS)
    assert_within(rstd, exact_rstd, 2.0**-11 * exact_rstd)
    assert_within(y, exact, 6 * 2.0**-11 * (np.abs(exact - beta) + np.abs(beta)) + 2.0**-11)


def backward_in_fp16(
    dy: np.ndarray, x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, rstd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """dx and dgamma by the same arithmetic in NumPy: fp16 element by element, fp32 sums."""
    scale = rstd.astype(np.float16)[:, None]
    xhat = (x - mean.astype(np.float16)[:, None]) * scale
    g = dy * gamma.astype(np.float16)
    mean_g = g.mean(axis=1, dtype=np.float32, keepdims=True).astype(np.float16)
    mean_gx = (g.astype(np.float32) * xhat).mean(axis=1, keepdims=True).astype(np.float16)
    return (g - mean_g - xhat * mean_gx) * scale, (dy * xhat).sum(axis=0, dtype=np.float32)


def assert_backward(dy: np.ndarray, x: np.ndarray, cores: int = 32) -> None:
    result, (exact_dx, exact_dgamma, exact_dbeta) = backward(dy, x, cores)
    gamma, beta = parameters(x.shape[1])
    _, mean, rstd = layer_norm(x, gamma, beta, EPS)
    dx, dgamma, dbeta = result.outputs
    assert_within(dbeta, exact_dbeta, column_sum_bound(np.abs(dy.astype(np.float64))))
    if x.dtype == np.float16:
        in_fp16_dx, in_fp16_dgamma = backward_in_fp16(dy, x, gamma, mean, rstd)
        assert root_mean_square(dx - exact_dx) <= 2 * root_mean_square(in_fp16_dx - exact_dx)
        assert root_mean_square(dgamma - exact_dgamma) <= 2 * root_mean_square(in_fp16_dgamma - exact_dgamma)
        return
    scale = rstd.astype(np.float64)[:, None]
    xhat = (x - mean.astype(np.float64)[:, None]) * scale
    g = np.abs(dy.astype(np.float64) * gamma)
    units = lane_sum_units(x.shape[1]) * UNIT
    sizes = (
        g + g.mean(axis=1, keepdims=True) + (1 + np.abs(xhat)) * (g * (1 + np.abs(xhat))).mean(axis=1, keepdims=True)
    )
    cancelled = 4 * UNIT * np.abs(mean.astype(np.float64))[:, None] * scale  # x rstd - mean rstd
    assert_within(dx, exact_dx, scale * sizes * (units + cancelled))
    terms = np.abs(dy.astype(np.float64)) * (np.abs(xhat) + cancelled / UNIT)
    assert_within(dgamma, exact_dgamma, column_sum_bound(terms))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", ASCEND)
def test_backward(shape: tuple[int, int], dtype: str) -> None:
    x, dy = samples(shape, dtype), samples((shape[0], shape[1]), dtype, 0.1)[::-1].copy()
    for cores in tbe_kernels.CORES:
        assert_backward(dy, x, cores)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "cores"), [(24, 1), (25, 1), (49, 1), (96, 1), (97, 1), (130, 1), (200, 3), (230, 2)])
def test_many_batches_per_core(rows: int, cores: int, dtype: str) -> None:
    """Batches take turns in two sets of buffers; the sums over columns run through all of them."""
    x, dy = samples((rows, 272), dtype), samples((rows, 272), dtype, 0.1)[::-1].copy()
    assert_forward(x, forward(x, cores))
    assert_backward(dy, x, cores)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [100.0, 1000.0])
def test_backward_far_from_zero(mean: float, dtype: str) -> None:
    assert_backward(samples((20, 256), dtype), samples((20, 256), dtype, mean))


@pytest.mark.parametrize("deviation", [1e-5, 1e4])
def test_backward_at_the_edges_of_fp16(deviation: float) -> None:
    """rstd from 1e-4 to 1e5, which fp16 itself does not hold."""
    x = np.clip(samples((16, 768), "float32", 0, deviation), -6e4, 6e4).astype(np.float16)
    dy = samples((16, 768), "float16", 0, min(deviation * 1e3, 1.0))
    result, (exact_dx, _, _) = backward(dy, x)
    assert root_mean_square(result.outputs[0] - exact_dx) <= 8 * 2.0**-11 * root_mean_square(exact_dx) + 2.0**-24


def test_refuses_other_types() -> None:
    x = np.zeros((8, 64), np.int32)
    with pytest.raises(ValueError, match="layer_norm: x is int32; Ascend 910 takes float16 and float32"):
        forward(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [*ASCEND, (6144, 768), (6144, 1024)])
def test_buffers_are_what_the_tiling_says(shape: tuple[int, int], dtype: str) -> None:
    rows, features = shape
    x, vector, values = (shape, dtype), ((features,), "float32"), ((rows,), "float32")
    program = tbe_kernels.trace(MODULE.layer_norm, x, vector, vector, x, values, values, eps=EPS)
    assert program.peak_bytes["ubuf"] <= tile_forward(rows, features, dtype, 32).ub_bytes
    program = tbe_kernels.trace(MODULE.layer_norm_grad, x, x, vector, values, values, x, vector, vector)
    assert program.peak_bytes["ubuf"] <= tile_backward(rows, features, dtype, 32).ub_bytes


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.85), ("float32", 0.65)])
def test_forward_speed(dtype: str, share: float) -> None:
    """BERT-Large, 48 sequences of 128: the share of the time that HBM needs for reading x and writing y at 1.2 TB/s."""
    x = samples((6144, 1024), dtype)
    result = forward(x)
    assert_forward(x, result)
    assert result.cycles * share <= 2 * x.nbytes / 1200


@pytest.mark.long
@pytest.mark.parametrize(("dtype", "share"), [("float16", 0.85), ("float32", 0.78)])
def test_backward_speed(dtype: str, share: float) -> None:
    x = samples((6144, 1024), dtype)
    result, _ = backward(x, x)
    assert result.cycles * share <= 3 * x.nbytes / 1200
