"""add in MindSpore: the sum of two gradients, in the type that they have."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor, nn

from bert_thor.ops.add import add


class Sum(nn.Cell):
    def __init__(self) -> None:
        super().__init__()
        self.add = add()

    def construct(self, a: Tensor, b: Tensor) -> Tensor:
        return self.add(a, b)


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("cpu", ms.float32), ("cpu", ms.bfloat16), ("mindspore", ms.float32), ("mindspore", ms.float16)],
    indirect=["backend"],
)
def test_sum_in_the_type_of_its_addends(mode: int, backend: str, dtype: ms.Type) -> None:
    """Each sum is the one of float32, rounded once."""
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.standard_normal((5, 33)).astype(np.float32)).astype(dtype) for _ in range(2))
    ours = Sum()(a, b)
    assert ours.dtype == dtype
    exact = Tensor(a.float().asnumpy() + b.float().asnumpy()).astype(dtype)
    assert (ours.float().asnumpy() == exact.float().asnumpy()).all()
