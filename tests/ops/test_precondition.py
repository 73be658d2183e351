"""precondition in MindSpore: any mix of block edges on every backend."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from bert_thor.kernels.precondition import reference
from bert_thor.kernels.precondition.tiling import tile
from bert_thor.kernels.status import KernelError
from bert_thor.ops import _backend
from bert_thor.ops.precondition import PreconditionTbe, precondition


def arrays(outputs: int, inputs: int, bg: int, ba: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(-(-outputs // bg), bg, bg), (outputs, inputs), (-(-inputs // ba), ba, ba)]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("shape", [(64, 48, 16, 16), (70, 50, 32, 50), (1, 9, 4, 3), (9, 12, 1, 5), (9, 12, 4, 1)])
def test_the_frameworks_own(mode: int, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int, int]) -> None:
    monkeypatch.setenv(_backend.VARIABLE, "mindspore")
    inputs = arrays(*shape)
    out = precondition()(*map(ms.Tensor, inputs)).asnumpy()
    terms = reference.precondition(*map(np.abs, inputs))
    assert (np.abs(out - reference.precondition(*inputs)) <= (sum(shape[2:]) + 2) * 2.0**-24 * terms).all()


class Marked(ms.nn.Cell):
    """In the place of the kernel for Ascend."""

    def construct(self, g_inverse: ms.Tensor, gradient: ms.Tensor, a_inverse: ms.Tensor) -> ms.Tensor:
        return gradient * 0.0


@pytest.mark.parametrize(
    ("shape", "takes"),
    [
        ((64, 48, 16, 32), True),
        ((300, 256, 128, 128), True),
        ((2, 48, 2, 16), False),
        ((90, 48, 1, 16), False),
        ((64, 48, 16, 24), False),
        ((300, 48, 256, 16), False),
        ((64, 44, 16, 16), False),
    ],
)
def test_the_kernel_for_ascend_gets_what_it_takes(mode: int, shape: tuple[int, int, int, int], takes: bool) -> None:
    cell, inputs = PreconditionTbe(), arrays(*shape)
    cell.operator = Marked()
    out = cell(*map(ms.Tensor, inputs)).asnumpy()
    if takes:
        assert (out == 0).all()
        tile(*shape, 32)  # raises where the kernel would
        return
    with pytest.raises(ValueError, match=r"^precondition: "):
        tile(*shape, 32)
    terms = reference.precondition(*map(np.abs, inputs))
    assert (np.abs(out - reference.precondition(*inputs)) <= (sum(shape[2:]) + 2) * 2.0**-24 * terms).all()


def test_blocks_that_do_not_fit_get_a_sentence(mode: int) -> None:
    g_inverse, gradient, a_inverse = map(ms.Tensor, arrays(64, 48, 16, 16))
    with pytest.raises(KernelError, match="block count"):
        precondition()(a_inverse, gradient, a_inverse).asnumpy()
    with pytest.raises(KernelError, match="cast it to float32"):
        precondition()(g_inverse, gradient.astype(ms.float16), a_inverse).asnumpy()
