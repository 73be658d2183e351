"""l2_norm in MindSpore, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from mindspore import Tensor, nn

from bert_thor.ops.l2_norm import l2_norm


class Norms(nn.Cell):
    def __init__(self, parts: int) -> None:
        super().__init__()
        self.norms = l2_norm(parts)

    def construct(self, x: Tensor) -> Tensor:
        return self.norms(x)


@pytest.mark.parametrize(("shape", "parts"), [((9,), 1), ((6, 7), 3), ((2, 3, 4), 2), ((), 1)])
def test_value(mode: int, backend: str, shape: tuple[int, ...], parts: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    norms = Norms(parts)(Tensor(x)).asnumpy()
    exact = np.linalg.norm(x.astype(np.float64).reshape(parts, -1), axis=1)
    assert norms.shape == (parts,)
    assert (np.abs(norms - exact) <= 40 * 2.0**-24 * exact).all()
