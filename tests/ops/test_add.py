"""add in MindSpore: the sum of two gradients, in the type that they have."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn
from precisions import needs_bfloat16

from bert_thor.ops.add import add


class Sum(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.add = add()

    def construct(self, a: Tensor, b: Tensor) -> Tensor:
        return self.add(a, b)


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        ("cpu", "float32"),
        pytest.param("cpu", "bfloat16", marks=needs_bfloat16),
        ("mindspore", "float32"),
        ("mindspore", "float16"),
    ],
    indirect=["backend"],
)
def test_sum_in_the_type_of_its_addends(mode: int, backend: str, precision: str) -> None:
    """Each sum is the one of float32, rounded once."""
    rng, dtype = np.random.default_rng(0), getattr(ms, precision)
    a, b = (Tensor(rng.standard_normal((5, 33)).astype(np.float32)).astype(dtype) for _ in range(2))
    ours = Sum()(a, b)
    assert ours.dtype == dtype
    exact = Tensor(a.float().asnumpy() + b.float().asnumpy()).astype(dtype)
    assert (ours.float().asnumpy() == exact.float().asnumpy()).all()
