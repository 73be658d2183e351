"""cholesky_inverse in MindSpore: a status per block, and what runs where the kernel for Ascend takes no block."""

from __future__ import annotations

import mindspore as ms
import numpy as np
import pytest

from bert_thor.kernels.cholesky_inverse import native, reference
from bert_thor.kernels.status import KernelError
from bert_thor.ops.cholesky_inverse import CholeskyInverseTbe, Reciprocals, cholesky_inverse


def covariance(blocks: int, edge: int) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((blocks, 2 * edge, edge))
    return (x.transpose(0, 2, 1) @ x / x.shape[1]).astype(np.float32)


def test_a_failed_block_is_reported_and_zero(mode: int) -> None:
    c = covariance(3, 20)
    c[1, 6, 6] = -1
    c[2, 0, 5] = np.nan
    inverse, status = cholesky_inverse()(ms.Tensor(c), ms.Tensor(np.zeros(3, np.float32)))
    assert status.asnumpy().tolist() == [0, 7, -1]
    assert (inverse.asnumpy()[1:] == 0).all() and (inverse.asnumpy()[0] != 0).any()


def test_shapes_that_do_not_fit_get_a_sentence(mode: int) -> None:
    c = ms.Tensor(covariance(3, 8))
    with pytest.raises(KernelError, match="do not fit together"):
        cholesky_inverse()(c, ms.Tensor(np.zeros(2, np.float32)))[0].asnumpy()
    with pytest.raises(KernelError, match="block edge"):
        cholesky_inverse()(c[:, :7], ms.Tensor(np.zeros(3, np.float32)))[0].asnumpy()


def test_reciprocals_are_inverses_of_edge_1(mode: int) -> None:
    c = np.float32([2.0, 0.0, -0.1, -3.0, np.nan, np.inf, -np.inf, 0.5]).reshape(-1, 1, 1)
    damping = np.float32([0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, np.nan])
    inverse, status = Reciprocals()(ms.Tensor(c), ms.Tensor(damping))
    expected, statuses = reference.cholesky_inverse(c, damping)
    assert status.asnumpy().tolist() == statuses.tolist()
    assert (np.abs(inverse.asnumpy() - expected) <= 2.0**-23 * np.abs(expected)).all()


@pytest.mark.parametrize("edge", [1, 2, 7, 130])
def test_edges_that_the_kernel_for_ascend_does_not_take(mode: int, edge: int) -> None:
    """With a kernel in its place that would fail."""
    cell = CholeskyInverseTbe()
    cell.operator = None
    c, damping = covariance(3, edge), np.float32([0.1, 0.01, 1.0])
    inverse, status = cell(ms.Tensor(c), ms.Tensor(damping))
    expected = native.cholesky_inverse(c, damping)[0]
    assert (np.abs(inverse.asnumpy() - expected) <= 2.0**-23 * np.abs(expected)).all()
    assert status.asnumpy().tolist() == [0, 0, 0]
