"""How operators reach their kernels: a refusal is our sentence wherever an operator is called itself."""

from __future__ import annotations

from typing import Any

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from bert_thor.kernels.status import KernelError
from bert_thor.ops.dropout import dropout
from bert_thor.ops.embedding import embedding
from bert_thor.ops.layer_norm import layer_norm
from bert_thor.ops.residual_dropout_layer_norm import residual_dropout_layer_norm

X, VECTOR = Tensor(np.ones((3, 4), np.float32)), Tensor(np.ones(4, np.float32))


class Around(nn.Cell):
    """A network of somebody else with an operator inside."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        self.operator = operator

    def construct(self, x: Tensor, other: Tensor) -> Tensor:
        return self.operator(x, other) * 2


class Normalized(nn.Cell):
    """A cell around an operator of three tensors and three outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.operator = layer_norm(1e-6)

    def construct(self, x: Tensor, gamma: Tensor) -> Tensor:
        return self.operator(x, gamma, gamma)[0]


def test_an_operator_says_what_is_wrong_with_its_arguments(mode: int) -> None:
    """Of a kernel itself, and of a cell around one; without anything around the call, and before anybody waits for a result."""
    with pytest.raises(KernelError, match=r"embedding: .*cast it to float32"):
        embedding()(X, Tensor(np.ones(1, np.float32)))
    with pytest.raises(KernelError, match="embedding: the shapes of two arguments do not fit"):
        embedding()(VECTOR, Tensor(np.ones(1, np.int32)))
    for identity in (3, -1, 2**31 - 1):
        with pytest.raises(KernelError, match=r"embedding: .*outside its range"):
            embedding()(X, Tensor(np.array([identity], np.int32)))
    with pytest.raises(KernelError, match="layer_norm: the shapes of two arguments do not fit"):
        layer_norm(1e-6)(X, Tensor(np.ones(5, np.float32)), VECTOR)
    with pytest.raises(KernelError, match=r"layer_norm: .*cast it to float32"):
        layer_norm(1e-6)(X.astype(ms.float64), VECTOR, VECTOR)
    with pytest.raises(KernelError, match=r"layer_norm: .*eps >= 0"):
        layer_norm(-1.0)(X, VECTOR, VECTOR)


def test_a_network_of_somebody_else_gets_the_sentence_too(mode: int) -> None:
    """Of types and shapes in a graph too, when it is compiled; of a value that only a run sees, outside a graph."""
    with pytest.raises(KernelError, match=r"embedding: .*cast it to float32"):
        Around(embedding())(X, Tensor(np.ones(1, np.float32)))
    with pytest.raises(KernelError, match="embedding: the shapes of two arguments do not fit"):
        Around(embedding())(VECTOR, Tensor(np.ones(1, np.int32)))
    with pytest.raises(KernelError, match=r"layer_norm: .*do not fit together"):
        Around(Normalized())(X, Tensor(np.ones(5, np.float32)))
    with pytest.raises(KernelError, match=r"layer_norm: .*cast it to float32"):
        Around(Normalized())(X.astype(ms.float64), VECTOR)
    assert Around(Normalized())(X, VECTOR).shape == X.shape
    with pytest.raises(
        KernelError if mode == ms.PYNATIVE_MODE else RuntimeError, match=r"embedding.* 7|embedding: .*outside its range"
    ):
        Around(embedding())(X, Tensor(np.array([7], np.int32)))


def test_an_operator_works_after_one_was_refused(mode: int) -> None:
    with pytest.raises(KernelError):
        embedding()(X, Tensor(np.array([7], np.int32)))
    assert (embedding()(X, Tensor(np.array([1], np.int32))).asnumpy() == 1).all()


@pytest.mark.parametrize("site", [-1, 2**31, 2**40])
def test_what_is_no_site_gets_a_sentence(site: int) -> None:
    with pytest.raises(ValueError, match=f"dropout: site is {site}; pass a number from 0 to 2147483647"):
        dropout(0.1, site)
    with pytest.raises(ValueError, match=f"residual_dropout_layer_norm: site is {site}; pass a number from 0"):
        residual_dropout_layer_norm(1e-6, 0.1, site)
