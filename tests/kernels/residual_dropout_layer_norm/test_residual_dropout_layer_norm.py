"""residual_dropout_layer_norm: the mask is recomputed in the gradient; dbias, dgamma, dbeta in the same pass."""

from __future__ import annotations

from typing import Any

import aot
import numpy as np
import pytest
from buffers import OFFSETS, Guarded
from comparison import (
    UNIT,
    assert_entry_point,
    assert_entry_point_refuses,
    assert_within,
    call_guarded,
    column_sum_bound,
    from_bf16,
    lane_sum_units,
    to_bf16,
)

from bert_thor.kernels.dropout.reference import dropout_scale
from bert_thor.kernels.layer_norm import native as layer_norm_native
from bert_thor.kernels.residual_dropout_layer_norm import native, reference
from bert_thor.kernels.residual_dropout_layer_norm.cases import SIZES
from bert_thor.kernels.status import KernelError, Status

F32 = np.float32
EPS, SEED, SITE = 1e-6, np.array([1, -2, 3, 5], np.int32), 4


def forward_problem(rows: int, features: int) -> list[np.ndarray]:
    """x, bias, residual, gamma, beta."""
    rng = np.random.default_rng(rows * 1000 + features)
    shapes = [(rows, features), (features,), (rows, features), (features,), (features,)]
    return [rng.standard_normal(shape).astype(F32) for shape in shapes]


def backward_problem(rows: int, features: int, probability: float) -> list[np.ndarray]:
    """dy, sum, gamma, mean, rstd."""
    arrays = forward_problem(rows, features)
    _, total, mean, rstd = reference.residual_dropout_layer_norm(*arrays, EPS, probability, SEED, SITE)
    dy = np.random.default_rng(features).standard_normal((rows, features)).astype(F32)
    return [dy, total, arrays[3], mean, rstd]


def forward_shapes(rows: int, features: int) -> list[tuple[int, ...]]:
    return [(rows, features), (rows, features), (rows,), (rows,)]


def backward_shapes(rows: int, features: int) -> list[tuple[int, ...]]:
    return [(rows, features), (features,), (rows, features), (features,), (features,)]


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("offset", OFFSETS)
def test_every_size_and_alignment(instruction_set: int, offset: int, probability: float) -> None:
    for rows, features in SIZES:
        x, bias, residual, gamma, beta = forward_problem(rows, features)
        scalars = (EPS, probability, SEED, SITE)
        inputs: list[Any] = [x, bias, residual, gamma, beta, *scalars]
        y, total, mean, rstd = call_guarded(
            native.residual_dropout_layer_norm, inputs, forward_shapes(rows, features), [F32] * 4, offset
        )
        scale = dropout_scale(x.shape, probability, SEED, SITE)
        terms = np.abs(residual) + 2 * (np.abs(x) + np.abs(bias)) * scale
        expected = reference.residual_dropout_layer_norm(*inputs)[1]
        assert_within(total, expected, 2 * UNIT * terms)
        assert (total == residual)[scale == 0].all()
        for ours, theirs in zip((y, mean, rstd), layer_norm_native.layer_norm(total, gamma, beta, EPS)):
            assert (ours == theirs).all()


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("offset", OFFSETS)
def test_gradient_of_every_size_and_alignment(instruction_set: int, offset: int, probability: float) -> None:
    for rows, features in SIZES:
        arrays = backward_problem(rows, features, probability)
        inputs: list[Any] = [*arrays, probability, SEED, SITE]
        dx, dbias, dresidual, dgamma, dbeta = call_guarded(
            native.residual_dropout_layer_norm_grad, inputs, backward_shapes(rows, features), [F32] * 5, offset
        )
        for ours, theirs in zip((dresidual, dgamma, dbeta), layer_norm_native.layer_norm_grad(*arrays)):
            assert (ours == theirs).all()
        assert (dx == dresidual * dropout_scale(dx.shape, probability, SEED, SITE)).all()
        assert_within(dbias, dx.sum(axis=0, dtype=np.float64), column_sum_bound(dx))


def test_against_the_reference(instruction_set: int) -> None:
    """End to end in float64, in the norm."""
    inputs: list[Any] = [*forward_problem(200, 256), EPS, 0.1, SEED, SITE]
    pairs = list(zip(native.residual_dropout_layer_norm(*inputs), reference.residual_dropout_layer_norm(*inputs)))
    gradient_inputs: list[Any] = [*backward_problem(200, 256, 0.1), 0.1, SEED, SITE]
    gradients = native.residual_dropout_layer_norm_grad(*gradient_inputs)
    pairs += list(zip(gradients, reference.residual_dropout_layer_norm_grad(*gradient_inputs)))
    for ours, theirs in pairs:
        assert np.linalg.norm(ours - theirs) <= UNIT * lane_sum_units(256) * np.linalg.norm(theirs)


def test_probability_zero_is_the_plain_sum(instruction_set: int) -> None:
    x, bias, residual, gamma, beta = forward_problem(10, 33)
    total = native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, 0.0, SEED, SITE)[1]
    assert (total == (x + bias) + residual).all()


@pytest.mark.parametrize("offset", OFFSETS)
def test_bfloat16_storage(instruction_set: int, offset: int) -> None:
    """sum is rounded once; statistics and y are those of the rounded sum, so that the gradient sees the same numbers."""
    for rows, features in SIZES[1:]:
        x, bias, residual, gamma, beta = forward_problem(rows, features)
        bits, residual_bits = to_bf16(x), to_bf16(residual)
        scalars = (EPS, 0.1, SEED, SITE)
        y, total, mean, rstd = call_guarded(
            native.residual_dropout_layer_norm,
            (bits, bias, residual_bits, gamma, beta, *scalars),
            forward_shapes(rows, features),
            [np.uint16, np.uint16, F32, F32],
            offset,
        )
        wide = native.residual_dropout_layer_norm(
            from_bf16(bits), bias, from_bf16(residual_bits), gamma, beta, *scalars
        )
        assert (total == to_bf16(wide[1])).all()
        for ours, theirs in zip((y, mean, rstd), layer_norm_native.layer_norm(total, gamma, beta, EPS)):
            assert (ours == theirs).all()
        dy = to_bf16(backward_problem(rows, features, 0.1)[0])
        dx, dbias, dresidual, dgamma, dbeta = call_guarded(
            native.residual_dropout_layer_norm_grad,
            (dy, total, gamma, mean, rstd, 0.1, SEED, SITE),
            backward_shapes(rows, features),
            [np.uint16, F32, np.uint16, F32, F32],
            offset,
        )
        for ours, theirs in zip(
            (dresidual, dgamma, dbeta), layer_norm_native.layer_norm_grad(dy, total, gamma, mean, rstd)
        ):
            assert (ours == theirs).all()
        kept = from_bf16(dresidual) * dropout_scale(dx.shape, 0.1, SEED, SITE)
        assert (dx == to_bf16(kept)).all()
        assert_within(dbias, kept.sum(axis=0, dtype=np.float64), column_sum_bound(kept))


def test_slices_of_the_rows_drop_what_the_whole_drops(instruction_set: int) -> None:
    x, bias, residual, gamma, beta = forward_problem(15, 31)
    dy = backward_problem(15, 31, 0.3)[0]
    tail = (0.3, np.int32([*SEED[:3], 0]), SITE)
    y, total, mean, rstd = native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, *tail)
    dx = native.residual_dropout_layer_norm_grad(dy, total, gamma, mean, rstd, *tail)[0]
    for number in range(3):
        rows, tail = slice(5 * number, 5 * number + 5), (0.3, np.int32([*SEED[:3], number]), SITE)
        part = native.residual_dropout_layer_norm(x[rows], bias, residual[rows], gamma, beta, EPS, *tail)
        gradient = native.residual_dropout_layer_norm_grad(dy[rows], part[1], gamma, part[2], part[3], *tail)[0]
        assert (part[0] == y[rows]).all() and (gradient == dx[rows]).all()


@pytest.mark.parametrize("offsets", [(0, 0), (1, 1), (0, 3)])
@pytest.mark.parametrize("dtype, rows, features", [(F32, 2048, 1024), (F32, 2100, 1030), (np.uint16, 4200, 1030)])
def test_large_outputs_have_the_bits_of_small_ones(
    instruction_set: int, dtype: Any, rows: int, features: int, offsets: tuple[int, int]
) -> None:
    """From 8 MiB on they are stored past the caches; the two outputs of a row may be aligned differently."""
    x, bias, residual, gamma, beta = forward_problem(rows, features)
    if dtype is np.uint16:
        x, residual = to_bf16(x), to_bf16(residual)
    assert x.nbytes >= 8 << 20

    def outputs(vectors: list[int]) -> tuple[list[Guarded], list[Guarded]]:
        return [Guarded(x.shape, dtype, offset) for offset in offsets], [Guarded((n,), F32, 1) for n in vectors]

    def run(
        function: Any, inputs: Any, matrices: list[Guarded], vectors: list[Guarded], order: str
    ) -> list[np.ndarray]:
        remaining = {"m": iter(matrices), "v": iter(vectors)}
        function(*inputs, out=tuple(next(remaining[kind]).array for kind in order))
        for output in (*matrices, *vectors):
            output.assert_intact()
        return [matrix.array for matrix in matrices]

    for probability in (0.0, 0.1):
        tail = (probability, SEED, SITE)
        matrices, vectors = outputs([rows, rows])
        inputs: Any = (x, bias, residual, gamma, beta, EPS, *tail)
        y, total = run(native.residual_dropout_layer_norm, inputs, matrices, vectors, "mmvv")
        mean, rstd = (vector.array for vector in vectors)
        saved = (residual, total, gamma, mean, rstd, *tail)
        dx, dresidual = run(native.residual_dropout_layer_norm_grad, saved, *outputs([features] * 3), "mvmvv")
        scale = dropout_scale(x.shape, *tail)
        wide = from_bf16(dresidual) if dtype is np.uint16 else dresidual
        kept = wide * scale
        assert (dx == (to_bf16(kept) if dtype is np.uint16 else kept)).all()
        for begin in range(0, rows, 700):
            part = slice(begin, begin + 700)
            small = layer_norm_native.layer_norm(total[part], gamma, beta, EPS)
            assert (y[part] == small[0]).all() and (mean[part] == small[1]).all()
            arguments = (residual[part], total[part], gamma, mean[part], rstd[part])
            assert (dresidual[part] == layer_norm_native.layer_norm_grad(*arguments)[0]).all()


def test_same_bits_for_any_number_of_threads(instruction_set: int) -> None:
    inputs: list[Any] = [*forward_problem(777, 130), EPS, 0.1, SEED, SITE]
    gradient_inputs: list[Any] = [*backward_problem(777, 130, 0.1), 0.1, SEED, SITE]

    def run(threads: int) -> list[np.ndarray]:
        forward = native.residual_dropout_layer_norm(*inputs, threads=threads)
        return [*forward, *native.residual_dropout_layer_norm_grad(*gradient_inputs, threads=threads)]

    alone = run(1)
    for threads in (2, 3, 7):
        for one, other in zip(alone, run(threads)):
            assert (one == other).all()


def entry_problem() -> tuple[list[np.ndarray], list[np.ndarray]]:
    scalars, site = F32([EPS, 0.1]), np.int32([SITE])
    return [*forward_problem(9, 20), scalars, SEED, site], [*backward_problem(9, 20, 0.1), scalars, SEED, site]


def test_entry_points_of_the_framework(instruction_set: int) -> None:
    forward, backward = entry_problem()
    values = native.residual_dropout_layer_norm(*forward[:5], EPS, 0.1, SEED, SITE)
    assert_entry_point("residual_dropout_layer_norm", forward, values)
    gradients = native.residual_dropout_layer_norm_grad(*backward[:5], 0.1, SEED, SITE)
    assert_entry_point("residual_dropout_layer_norm_grad", backward, gradients)


@pytest.mark.parametrize("backward", [False, True])
def test_bad_entry_arguments_get_a_status_and_write_nothing(backward: bool) -> None:
    inputs = entry_problem()[backward]
    operation = "residual_dropout_layer_norm" + ("_grad" if backward else "")
    outputs = [np.full(shape, np.nan, F32) for shape in (backward_shapes if backward else forward_shapes)(9, 20)]
    assert_entry_point_refuses(operation, inputs, outputs)
    inputs[5] = F32([EPS, 1.0])
    assert aot.call(operation, *inputs, *outputs) == Status.BAD_VALUE
    inputs[5] = F32([EPS, np.nan])
    assert aot.call(operation, *inputs, *outputs) == Status.BAD_VALUE
    inputs[5] = F32([-1, 0.1])
    assert aot.call(operation, *inputs, *outputs) == (Status.OK if backward else Status.BAD_VALUE)


def test_bad_arguments_get_a_sentence() -> None:
    x, bias, residual, gamma, beta = forward_problem(4, 6)
    with pytest.raises(KernelError, match="0 <= dropout < 1"):
        native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, 1.0, SEED, SITE)
    with pytest.raises(ValueError, match=r"residual has shape \(3, 6\); pass shape \(4, 6\)"):
        native.residual_dropout_layer_norm(x, bias, residual[:3], gamma, beta, EPS, 0.1, SEED, SITE)
    with pytest.raises(ValueError, match=r"bias has shape \(5,\)"):
        native.residual_dropout_layer_norm(x, bias[:5], residual, gamma, beta, EPS, 0.1, SEED, SITE)
    for site in (-1, 2**31, 2**40):
        with pytest.raises(
            ValueError, match=f"residual_dropout_layer_norm: site is {site}; pass a number from 0 to 2147483647"
        ):
            native.residual_dropout_layer_norm(x, bias, residual, gamma, beta, EPS, 0.1, SEED, site)
    with pytest.raises(ValueError, match="residual_dropout_layer_norm_grad: site is -1; pass a number from 0"):
        native.residual_dropout_layer_norm_grad(*backward_problem(4, 6, 0.1), 0.1, SEED, -1)
