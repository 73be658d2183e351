"""The operators that activations pass through in float16, by MindSpore's own: near the same operators in float32, with the types that
they promise: activations and their gradients float16, the rest float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from bert_thor.ops._backend import VARIABLE
from bert_thor.ops.attention import attention
from bert_thor.ops.bias_gelu import bias_gelu
from bert_thor.ops.dropout import dropout
from bert_thor.ops.embedding import embedding
from bert_thor.ops.fisher_covariance import fisher_covariance
from bert_thor.ops.layer_norm import layer_norm
from bert_thor.ops.linear import linear
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm
from bert_thor.ops.softmax_cross_entropy import softmax_cross_entropy

HALF = 2.0**-11
"""Unit roundoff of float16."""
ROWS, WIDTH, HEADS = 12, 16, 2
SEED = np.array([1, 2, 3, 0], np.int32)
MASK = np.where(np.arange(ROWS).reshape(3, 4) % 4 == 3, -10000.0, 0.0).astype(np.float32)
IDS = np.array([0, 3, 3, 7, 11], np.int32)
LABELS = (np.arange(ROWS) % WIDTH).astype(np.int32)
WEIGHTS = (np.arange(ROWS) % 3).astype(np.float32)


class Case(NamedTuple):
    """An operator with its differentiable inputs and the rest."""

    make: Callable[[], Any]
    activations: tuple[tuple[int, ...], ...]
    parameters: tuple[tuple[int, ...], ...]
    rest: tuple[np.ndarray, ...] = ()
    wide: bool = False
    """Whether the result is float32."""
    order: tuple[int, ...] = ()
    """The places of activations, then parameters, among the operator's arguments; by default in that order."""
    roundings: float = 8.0
    """Roundings to float16 on the way, times the growth of an error by the operator: for each element of the largest."""


CASES = {
    "bias_gelu": Case(bias_gelu, ((ROWS, WIDTH),), ((WIDTH,),)),
    "dropout": Case(lambda: dropout(0.0, 1), ((ROWS, WIDTH),), (), (SEED,)),
    "embedding": Case(embedding, ((ROWS, WIDTH),), (), (IDS,)),
    "layer_norm": Case(lambda: layer_norm(1e-6), ((ROWS, WIDTH),), ((WIDTH,), (WIDTH,))),
    "linear": Case(linear, ((ROWS, WIDTH),), ((WIDTH, WIDTH),), roundings=4.0 + WIDTH),
    "residual": Case(
        lambda: residual_dropout_layer_norm(1e-6, 0.0, 1),
        ((ROWS, WIDTH), (ROWS, WIDTH)),
        ((WIDTH,), (WIDTH,), (WIDTH,)),
        (SEED,),
        order=(0, 2, 1, 3, 4),
    ),
    "attention": Case(
        lambda: attention(HEADS, 0.0, 1), ((ROWS, 3 * WIDTH),), ((3 * WIDTH,),), (MASK, SEED), roundings=4.0 * WIDTH
    ),
    "softmax_cross_entropy": Case(softmax_cross_entropy, ((ROWS, WIDTH),), ((WIDTH,),), (LABELS, WEIGHTS), wide=True),
}


class Weighted(nn.Cell):
    """(weighted sum of the first result, the result): the gradient of the sum is the operator's."""

    def __init__(self, operator: Any, weights: np.ndarray) -> None:
        super().__init__()
        self.operator, self.weights = operator, Tensor(weights)

    def construct(self, *inputs: Tensor) -> Any:
        result = self.operator(*inputs)
        first = result[0] if isinstance(result, tuple) else result
        return (first.astype(ms.float32) * self.weights).sum(), first


def run(case: Case, dtype: Any) -> tuple[Tensor, list[Tensor]]:
    """(result, gradients of activations, then of parameters)."""
    rng = np.random.default_rng(0)
    shapes = (*case.activations, *case.parameters)
    values = [rng.standard_normal(shape).astype(np.float16).astype(np.float32) for shape in shapes]
    narrow = [Tensor(value).astype(dtype) for value in values[: len(case.activations)]]
    inputs = [*narrow, *(Tensor(value) for value in values[len(case.activations) :])]
    order = case.order or tuple(range(len(inputs)))
    placed = [inputs[order.index(place)] for place in range(len(inputs))]
    operator = case.make()
    result = operator(*placed, *(Tensor(value) for value in case.rest))
    shape = (result[0] if isinstance(result, tuple) else result).shape
    weights = rng.standard_normal(shape).astype(np.float16).astype(np.float32)
    backward = ms.value_and_grad(Weighted(operator, weights), tuple(range(len(inputs))), has_aux=True)
    (_, first), gradients = backward(*placed, *(Tensor(value) for value in case.rest))
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    return first, [gradients[place] for place in order]


@pytest.mark.parametrize("name", CASES)
def test_near_float32_with_the_promised_types(mode: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An element may be off by the roundings of what it is made of, each half a unit of the largest element."""
    monkeypatch.setenv(VARIABLE, "mindspore")
    case = CASES[name]
    (half, halves), (full, fulls) = run(case, ms.float16), run(case, ms.float32)
    assert half.dtype == (ms.float32 if case.wide else ms.float16)
    kinds = [ms.float16] * len(case.activations) + [ms.float32] * len(case.parameters)
    assert [gradient.dtype for gradient in halves] == kinds
    for ours, exact in zip((half, *halves), (full, *fulls)):
        found, expected = ours.float().asnumpy(), exact.asnumpy()
        assert (np.abs(found - expected) <= case.roundings * HALF * np.abs(expected).max()).all()


@pytest.mark.parametrize("scale", [1.0, 2.0**-12])
def test_fisher_covariance_sums_in_float32(mode: int, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Of numbers whose squares float16 cannot hold, too."""
    monkeypatch.setenv(VARIABLE, "mindspore")
    x = (np.random.default_rng(0).standard_normal((300, 24)) * scale).astype(np.float16)
    found = fisher_covariance(16)(Tensor(x)).asnumpy()
    assert found.dtype == np.float32
    wide = x.astype(np.float64)[:, :16]
    exact = wide.T @ wide / len(x)
    assert (np.abs(found[0] - exact) <= (len(x) + 4) * 2.0**-24 * (np.abs(wide).T @ np.abs(wide)) / len(x)).all()


def test_rows_used_often_are_summed_in_float32(mode: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 ones: a sum in float16 would stop at 2,048."""
    monkeypatch.setenv(VARIABLE, "mindspore")
    operator, ids = embedding(), Tensor(np.zeros(3000, np.int32))
    table = Tensor(np.ones((2, 4), np.float16))
    gradient = ms.grad(Weighted(operator, np.ones((3000, 4), np.float32)), 0, has_aux=True)(table, ids)[0]
    assert (gradient.asnumpy()[0] == 3000).all() and gradient.dtype == ms.float16
